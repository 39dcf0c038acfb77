#!/bin/bash
# bench.sh [live|images] [ARGUMENT...]: builds the release binary and runs a benchmark with it: live.py or
# images.py if the first word says so, else suite.py. Called by make.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/debian.sh
. .build-peers/env
script=suite
product=berth
if [ "${1:-}" = live ]; then
    script=live
    product=berth-bench
    shift
elif [ "${1:-}" = images ]; then
    script=images
    shift
else
    if [ -z "$BERTH_QEMU" ]; then
        say "this benchmark compares with real QEMU: $BERTH_QEMU_WHY"
        exit 1
    fi
    if ! command -v fio >/dev/null; then
        read_os_release
        if ! is_debian || ! install_packages fio; then
            say "without fio the limits of the disk are not measured: install the package fio"
        fi
    fi
fi
swift build -c release --product berth
[ "$product" = berth ] || swift build -c release --product "$product"
BERTH_BINARY=$(swift build -c release --show-bin-path)/berth
export BERTH_BINARY
exec python3 "Benchmarks/$script.py" "$@"
