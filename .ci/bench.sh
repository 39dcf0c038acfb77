#!/bin/bash
# bench.sh [ARGUMENT...]: builds the release binary and runs the benchmark with it. Called by make.
set -euo pipefail
cd "$(dirname "$0")/.."
. .build-peers/env
if [ -z "$BERTH_QEMU" ]; then
    echo "The benchmark compares with real QEMU: $BERTH_QEMU_WHY" >&2
    exit 1
fi
swift build -c release --product berth
BERTH_BINARY=$(swift build -c release --show-bin-path)/berth
export BERTH_BINARY
exec python3 Benchmarks/endpoint.py "$@"
