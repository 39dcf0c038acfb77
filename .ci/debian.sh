# Functions for the set-up scripts: what Debian offers, and how to get it without leaving traces.
# Sourced by setup-build.sh and setup-peers.sh, never run by itself.

# Fills $os_id and $os_codename from the machine's own description of itself.
read_os_release() {
    os_id=unknown os_codename=unknown
    [ -r /etc/os-release ] || return 0
    os_id=$(. /etc/os-release && echo "${ID:-unknown}")
    os_codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
}

is_debian() {
    [ "$os_id" = debian ] && command -v apt-get >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "this needs root, or sudo: $*"
        return 1
    fi
}

say() {
    echo "set-up: $*" >&2
}

# quietly COMMAND...: shows what it printed only when it failed.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ $status = 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}

# apt_as_root ARGUMENTS...: apt-get with nobody to ask. The time-out is for another apt (unattended
# upgrades, say) that may be at work on a new machine.
apt_as_root() {
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Lock::Timeout=300 "$@"
}

# without_services COMMAND...: runs it while no package may start its services.
without_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    # 101 is what the policy says to forbid.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null &&
        as_root chmod +x "$policy" && "$@" || status=$?
    as_root rm -f "$policy"
    return $status
}

# missing_packages NAME...: prints those that dpkg doesn't list as installed.
missing_packages() {
    local name
    for name; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || echo "$name"
    done
}

# install_packages NAME...: installs what is missing, from the machine's own sources.
install_packages() {
    local missing
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "installing" $missing
    apt_as_root update && apt_as_root --no-install-recommends install $missing
}

# archive_root: the base address that this machine itself uses for the main archive of its release.
# Asked of apt, so that one-line and deb822 entries, mirrors and dated snapshots all serve.
archive_root() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        sed -n "s/^$os_codename //p" | sort -u | head -n 1
}

# private_apt DIR SUITE...: makes, below DIR, an apt set-up whose only sources are the given suites of
# this machine's own archive, and puts the options that select it into $apt_options. The machine's
# lists, sources and package state stay as they are.
private_apt() {
    local dir=$1 root keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed= suite
    shift
    root=$(archive_root)
    [ -n "$root" ] || return 1
    [ -r "$keyring" ] && signed="[signed-by=$keyring] "
    mkdir -p "$dir/lists/partial" "$dir/parts" "$dir/archives/partial"
    for suite; do
        echo "deb $signed$root $suite main"
    done >"$dir/sources.list"
    apt_options="-o Dir::Etc::sourcelist=$dir/sources.list -o Dir::Etc::sourceparts=$dir/parts
        -o Dir::State::lists=$dir/lists -o Dir::Cache::archives=$dir/archives
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User="
    quietly apt-get -q $apt_options update
}

# unpack_packages DIR PACKAGES...: downloads the packages with everything that this machine lacks for
# them, and unpacks all into DIR/root. Nothing is installed. Wants $apt_options.
# The dpkg status given to apt decides what counts as present: $DIR/status.
unpack_packages() {
    local dir=$1 deb
    shift
    quietly apt-get -q -y $apt_options -o Dir::State::status="$dir/status" -o Debug::NoLocking=1 \
        --no-install-recommends --download-only install "$@" || return
    mkdir -p "$dir/root"
    for deb in "$dir"/archives/*.deb; do
        dpkg-deb -x "$deb" "$dir/root" || return
    done
    rm -rf "$dir/archives" "$dir/lists"
}
