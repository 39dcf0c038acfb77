#!/bin/bash
# Gets the real programs that the interop tests talk to, and writes where they are to .build-peers/env:
#   BERTH_QEMU      QEMU >= 10.0          BERTH_QEMU_OLD  QEMU 7.2, Debian 12's own
#   BERTH_PYTHON    a Python with qemu.qmp
#   BERTH_GUEST     the firmware of Tests/guest, assembled
#   BERTH_LIBVIRTD  libvirt's daemon, 11.3 or later; BERTH_VIRSH  its client
#   BERTH_BROWSER   chromium, for pages that Berth writes
# A peer that cannot be had leaves its variable empty and the reason in BERTH_..._WHY: the tests that
# need it are then skipped with that reason. With BERTH_REQUIRE_PEERS=1 this script fails instead.
# Both QEMUs can also be chosen by setting BERTH_QEMU and BERTH_QEMU_OLD beforehand.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/debian.sh
read_os_release

require=${BERTH_REQUIRE_PEERS:-0}
peers=$PWD/.build-peers
mkdir -p "$peers"

# qemu_version PROGRAM: prints "10.0.2", or nothing if the program doesn't run.
qemu_version() {
    "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p'
}

# is_recent PROGRAM: true if it is QEMU 10.0 or later.
is_recent() {
    local version
    version=$(qemu_version "$1")
    [ -n "$version" ] && [ "${version%%.*}" -ge 10 ]
}

find_new_qemu() {
    local candidate=${BERTH_QEMU:-$(command -v qemu-system-x86_64 || true)}
    if [ -n "$candidate" ] && is_recent "$candidate"; then
        new_qemu=$candidate
        return
    fi
    new_why="needs QEMU 10.0 or later as qemu-system-x86_64 in PATH or in BERTH_QEMU"
    is_debian || return 0
    case $os_codename in
    bullseye) return 0 ;;
    bookworm)
        new_why="$new_why; 'make test BERTH_REQUIRE_PEERS=1' installs it from bookworm-backports"
        [ "$require" = 1 ] || return 0
        install_backport
        ;;
    *) install_packages qemu-system-x86 ;;
    esac
    candidate=$(command -v qemu-system-x86_64 || true)
    if [ -n "$candidate" ] && is_recent "$candidate"; then
        new_qemu=$candidate
    fi
}

# Debian 12's backports, from a sources file of our own that is gone afterwards.
install_backport() {
    local temporary apt_options
    temporary=$(mktemp -d)
    say "installing qemu-system-x86 from $os_codename-backports"
    if private_apt "$temporary" "$os_codename" "$os_codename-updates" "$os_codename-backports"; then
        apt_as_root $apt_options --no-install-recommends -t "$os_codename-backports" \
            install qemu-system-x86 || say "installing it failed"
    fi
    as_root rm -rf "$temporary"
}

find_old_qemu() {
    local program=$peers/qemu-7.2/qemu-system-x86_64
    if [ -n "${BERTH_QEMU_OLD:-}" ] && [ -n "$(qemu_version "$BERTH_QEMU_OLD")" ]; then
        old_qemu=$BERTH_QEMU_OLD
        return
    fi
    old_why="needs QEMU 7.2, the one of Debian 12, in BERTH_QEMU_OLD; 'make test' unpacks it on Debian"
    if [ -z "$(qemu_version "$program")" ]; then
        is_debian || return 0
        unpack_old_qemu || say "QEMU 7.2 could not be unpacked"
    fi
    if [ -n "$(qemu_version "$program")" ]; then
        old_qemu=$program
    fi
}

# Debian 12's QEMU beside whatever is installed. On Debian 12 only what the machine lacks is fetched; on
# another release all of it down to libc, since that release's libraries need not fit.
unpack_old_qemu() {
    local dir=$peers/qemu-7.2 apt_options loader libraries
    rm -rf "$dir"
    mkdir -p "$dir"
    say "unpacking QEMU 7.2 of Debian 12 below .build-peers"
    if [ "$os_codename" = bookworm ]; then
        # Without the stanzas of an installed QEMU, its firmware, and libvirt, which needs that QEMU,
        # so that apt fetches 7.2's own.
        awk -v RS= -v ORS='\n\n' '!/^Package: (qemu-|seabios|ipxe-qemu|libvirt)/' \
            /var/lib/dpkg/status >"$dir/status"
        private_apt "$dir" "$os_codename" "$os_codename-updates" || return
        if ! unpack_packages "$dir" 'qemu-system-x86=1:7.2*'; then
            # Something else that is installed needs the installed QEMU: fetch all of it.
            say "once more, without regard to what is installed"
            rm -rf "$dir/root"
            : >"$dir/status"
            unpack_packages "$dir" 'qemu-system-x86=1:7.2*' || return
        fi
    else
        : >"$dir/status"
        private_apt "$dir" bookworm || return
        unpack_packages "$dir" 'qemu-system-x86=1:7.2*' || return
    fi
    rm -rf "$dir/root/usr/share/doc" "$dir/root/usr/share/man" "$dir/root/usr/share/locale"

    # Debian 12 keeps libc's loader in /lib; when ours was not fetched the machine's own serves.
    loader=$dir/root/lib64/ld-linux-x86-64.so.2
    [ -e "$dir/root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" ] &&
        loader=$dir/root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    [ -e "$loader" ] || loader=/lib64/ld-linux-x86-64.so.2
    # Some libraries lie below the two main folders (pulseaudio's, say).
    libraries=$(find "$dir/root" -name '*.so*' -path '*/lib/x86_64-linux-gnu/*' -printf '%h\n' |
        grep -v '/qemu$' | sort -u | tr '\n' ':')
    # The loader's option, not LD_LIBRARY_PATH: what QEMU starts for exec: must not inherit it.
    cat >"$dir/qemu-system-x86_64" <<END
#!/bin/sh
QEMU_MODULE_DIR='$dir/root/usr/lib/x86_64-linux-gnu/qemu' exec '$loader' \\
    --library-path '$libraries' '$dir/root/usr/bin/qemu-system-x86_64' \\
    -L '$dir/root/usr/share/qemu' -L '$dir/root/usr/share/seabios' \\
    -L '$dir/root/usr/lib/ipxe/qemu' "\$@"
END
    chmod +x "$dir/qemu-system-x86_64"
}

find_python() {
    local venv=$peers/venv
    python_why="needs Python 3 with the package qemu.qmp in BERTH_PYTHON; 'make test' installs it from PyPI"
    if [ -n "${BERTH_PYTHON:-}" ] && "$BERTH_PYTHON" -c 'import qemu.qmp' 2>/dev/null; then
        python=$BERTH_PYTHON
        return
    fi
    if ! "$venv/bin/python" -c 'import qemu.qmp' 2>/dev/null; then
        if ! python3 -c 'import venv, ensurepip' 2>/dev/null && is_debian; then
            install_packages python3 python3-venv || return 0
        fi
        say "installing qemu.qmp into .build-peers/venv"
        python3 -m venv --clear "$venv" >&2 &&
            "$venv/bin/pip" -q install 'qemu.qmp==0.0.6' >&2 || return 0
    fi
    python=$venv/bin/python
}

# version_of PROGRAM: prints "11.3.0", or nothing if the program doesn't run.
version_of() {
    "$1" --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -n 1
}

# has_sparse_saves LIBVIRTD: true if it is libvirt 11.3 or later.
has_sparse_saves() {
    local version
    version=$(version_of "$1")
    [ -n "$version" ] && printf '11.3\n%s\n' "$version" | sort -V -C
}

find_libvirt() {
    local candidate program path=$PATH:/usr/sbin:/sbin
    candidate=${BERTH_LIBVIRTD:-$(PATH=$path command -v libvirtd || true)}
    libvirt_why="needs libvirt 11.3 or later, as libvirtd in PATH or in BERTH_LIBVIRTD"
    if ! { [ -n "$candidate" ] && has_sparse_saves "$candidate"; } && is_debian; then
        libvirt_why="$libvirt_why; 'make test BERTH_REQUIRE_PEERS=1' installs Debian's"
        [ "$require" = 1 ] || return 0
        install_libvirt || say "installing libvirt failed"
        candidate=$(PATH=$path command -v libvirtd || true)
    fi
    [ -n "$candidate" ] && has_sparse_saves "$candidate" || return 0
    virsh=${BERTH_VIRSH:-$(command -v virsh || true)}
    if [ -z "$virsh" ]; then
        libvirt_why="needs virsh, of the package libvirt-clients, in BERTH_VIRSH"
        return
    fi
    # Each save format is a program; libvirt looks for them when it needs them.
    for program in gzip bzip2 xz lzop zstd; do
        if ! command -v "$program" >/dev/null; then
            libvirt_why="needs the program $program, for libvirt's save files"
            return
        fi
    done
    # What PeersLibvirt.swift does: a daemon that isn't root, among processes of its own.
    if ! unshare --user --map-user=1000 --map-group=1000 --mount --pid --fork --mount-proc true; then
        libvirt_why="needs user, mount and process namespaces for a libvirtd of its own (unshare)"
        return
    fi
    libvirtd=$candidate
}

# Debian's libvirt with the driver for QEMU, and none of its services started.
install_libvirt() {
    local temporary apt_options status=0 pattern='libvirt*'
    local packages="libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients"
    if [ "$os_codename" != bookworm ]; then
        without_services install_packages $packages
        return
    fi
    temporary=$(mktemp -d)
    say "installing libvirt from $os_codename-backports"
    # Only libvirt itself: what it needs, systemd's parts above all, stays this release's. But where
    # systemd is a backport already, so must its parts be.
    if dpkg-query -W -f '${Version}' systemd 2>/dev/null | grep -q '~bpo'; then
        pattern="$pattern systemd-container"
    fi
    printf 'Package: %s\nPin: release n=%s-backports\nPin-Priority: 990\n' \
        "$pattern" "$os_codename" >"$temporary/preferences"
    private_apt "$temporary" "$os_codename" "$os_codename-updates" "$os_codename-backports" &&
        without_services apt_as_root $apt_options -o Dir::Etc::preferences="$temporary/preferences" \
            --no-install-recommends install $packages || status=1
    as_root rm -rf "$temporary"
    return $status
}

find_browser() {
    browser=${BERTH_BROWSER:-$(command -v chromium || true)}
    [ -z "$browser" ] || return 0
    browser_why="needs the browser chromium in PATH or in BERTH_BROWSER"
    is_debian || return 0
    browser_why="$browser_why; 'make test BERTH_REQUIRE_PEERS=1' installs it"
    [ "$require" = 1 ] || return 0
    without_services install_packages chromium fonts-dejavu-core || say "installing chromium failed"
    browser=$(command -v chromium || true)
}

new_qemu= old_qemu= python= guest= libvirtd= virsh= browser=
new_why= old_why= python_why= guest_why= libvirt_why= browser_why=
if is_debian; then
    # The boot program is assembled by binutils; socat is one of the clients.
    install_packages binutils socat || say "binutils or socat could not be installed"
    # File systems whose files share blocks, for images that are saved by reference.
    install_packages xfsprogs btrfs-progs || say "xfsprogs or btrfs-progs could not be installed"
    # What libvirt's save files are compressed by; gdb opens cores of guests.
    install_packages bzip2 lzop xz-utils zstd gdb || say "a compressor or gdb could not be installed"
fi
find_new_qemu
find_old_qemu
find_python
find_libvirt
find_browser
if Tests/guest/build.sh "$peers/guest.bin"; then
    guest=$peers/guest.bin
else
    guest_why="needs the guest of Tests/guest, and binutils ('as' and 'objcopy') to assemble it"
fi
[ -n "$new_qemu" ] && new_why=
[ -n "$old_qemu" ] && old_why=
[ -n "$python" ] && python_why=
[ -n "$libvirtd" ] && libvirt_why=
[ -n "$browser" ] && browser_why=

{
    echo "# Written by .ci/setup-peers.sh; 'make test' reads it."
    for pair in "BERTH_QEMU=$new_qemu" "BERTH_QEMU_WHY=$new_why" "BERTH_QEMU_OLD=$old_qemu" \
        "BERTH_QEMU_OLD_WHY=$old_why" "BERTH_PYTHON=$python" "BERTH_PYTHON_WHY=$python_why" \
        "BERTH_GUEST=$guest" "BERTH_GUEST_WHY=$guest_why" "BERTH_LIBVIRTD=$libvirtd" \
        "BERTH_VIRSH=$virsh" "BERTH_LIBVIRTD_WHY=$libvirt_why" \
        "BERTH_BROWSER=$browser" "BERTH_BROWSER_WHY=$browser_why"; do
        printf "export %s=%q\n" "${pair%%=*}" "${pair#*=}"
    done
} >"$peers/env"

missing=0
for why in "$new_why" "$old_why" "$python_why" "$guest_why" "$libvirt_why" "$browser_why"; do
    if [ -n "$why" ]; then
        say "a peer is missing: $why"
        missing=1
    fi
done
if [ $missing = 1 ] && [ "$require" = 1 ]; then
    say "BERTH_REQUIRE_PEERS=1 is set, so a missing peer is an error"
    exit 1
fi
