#!/bin/bash
# test.sh all|interop: builds and runs the Swift tests and the orchestration tests. Called by make.
set -euo pipefail
cd "$(dirname "$0")/.."
. .build-peers/env

filter=()
[ "$1" = interop ] && filter=(--filter BerthInteropTests)

# The interop tests drive the binary that users get: start-up time and memory mean nothing in a debug build.
swift build -c release --product berth
BERTH_BINARY=$(swift build -c release --show-bin-path)/berth
export BERTH_BINARY

log=.build-peers/test.log
status=0
# One after the other: a suite that computes for seconds would use up the time limits of all others.
swift test --disable-xctest --no-parallel "${filter[@]}" 2>&1 | tee "$log" || status=1

# Swift Testing counts a skipped test as passed; here it is at least listed.
skipped=$(grep -E '^(➜|->)? *(Test|Suite) .* skipped' "$log" || true)
if [ -n "$skipped" ]; then
    echo "Skipped:"
    echo "$skipped"
    if [ "${BERTH_REQUIRE_PEERS:-0}" = 1 ]; then
        echo "BERTH_REQUIRE_PEERS=1 is set, so a skipped test is an error."
        status=1
    fi
fi

if [ -n "$BERTH_PYTHON" ]; then
    "$BERTH_PYTHON" Tests/orchestration/run.py || status=1
else
    echo "Skipped: the orchestration tests: $BERTH_PYTHON_WHY"
    [ "${BERTH_REQUIRE_PEERS:-0}" = 1 ] && status=1
fi

if python=$(command -v "${BERTH_PYTHON:-python3}"); then
    "$python" Tests/documentation/run.py || status=1
else
    echo "Skipped: what the documentation shows: needs Python 3"
    [ "${BERTH_REQUIRE_PEERS:-0}" = 1 ] && status=1
fi
exit $status
