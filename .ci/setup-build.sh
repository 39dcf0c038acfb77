#!/bin/bash
# Installs what building Berth needs beyond Swift itself. Safe to run again; says nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/debian.sh
read_os_release

# pkg-config finds the five libraries for SwiftPM; the C compiler's headers come with Swift's own needs.
packages=(git pkg-config libc6-dev libjson-c-dev libedit-dev libexpat1-dev zlib1g-dev libzstd-dev)

if ! command -v swift >/dev/null; then
    say "no 'swift' in PATH: install Swift 6.2 or later first"
    exit 1
fi
if is_debian; then
    install_packages "${packages[@]}"
elif command -v pkg-config >/dev/null && pkg-config --exists json-c libedit expat zlib libzstd; then
    : # Not Debian, but nothing is missing.
else
    say "this is not a Debian machine, so install these yourself and run again:"
    say "  Swift >= 6.2, git, pkg-config, and the development files of json-c, libedit, expat, zlib and zstd"
    say "  (Debian calls them: ${packages[*]})"
    exit 1
fi
