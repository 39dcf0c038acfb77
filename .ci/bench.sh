#!/bin/bash
# bench.sh [live] [ARGUMENT...]: builds the release binary and runs a benchmark with it: live.py if the
# first word says so, else endpoint.py. Called by make.
set -euo pipefail
cd "$(dirname "$0")/.."
. .build-peers/env
script=endpoint
if [ "${1:-}" = live ]; then
    script=live
    shift
elif [ -z "$BERTH_QEMU" ]; then
    echo "This benchmark compares with real QEMU: $BERTH_QEMU_WHY" >&2
    exit 1
fi
swift build -c release --product berth
if [ "$script" = live ]; then
    swift build -c release --product berth-bench
fi
BERTH_BINARY=$(swift build -c release --show-bin-path)/berth
export BERTH_BINARY
exec python3 "Benchmarks/$script.py" "$@"
