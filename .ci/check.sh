#!/bin/bash
# The checks of everything that a test doesn't show. Prints one line per check, and what is wrong.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0

# report NAME FINDINGS: a check passes when it found nothing.
report() {
    if [ -z "$2" ]; then
        echo "ok      $1"
    else
        echo "FAILED  $1"
        echo "$2" | sed 's/^/        /'
        failed=1
    fi
}

swift_files() {
    git ls-files --cached --others --exclude-standard -- "$@" | grep '\.swift$' | while read -r file; do
        [ -e "$file" ] && echo "$file"
    done
}

# --- format -------------------------------------------------------------------------------------------
report "swift format lint --strict" "$(
    swift_files Sources Tests Benchmarks Package.swift | grep -v /Generated/ |
        xargs swift format lint --strict --parallel --configuration .ci/swift-format.json 2>&1
)"

# --- layering -----------------------------------------------------------------------------------------
# Module, then what it may import beyond the standard library's own Synchronization. The arrows are
# those of docs/architecture.md.
below_stream="BerthWire BerthMemory BerthTransport BerthSystem BerthJSON"
layers="
CJSON:
CEdit:
CExpat:
CZlib:
CZstd:
CBerthLinux:
BerthSystem: Glibc SystemPackage CBerthLinux
BerthJSON: Glibc CJSON
BerthQAPI: BerthJSON
BerthWire:
BerthMemory: Glibc SystemPackage BerthSystem
BerthWorkload: Glibc SystemPackage BerthMemory BerthSystem
BerthTransport: Glibc SystemPackage BerthSystem
BerthStream: Glibc SystemPackage CZlib CZstd $below_stream
BerthImages: Glibc SystemPackage CExpat CZlib BerthQAPI BerthStream $below_stream
BerthMigration: Glibc SystemPackage BerthQAPI BerthStream $below_stream
BerthMonitor: Glibc SystemPackage BerthQAPI BerthJSON BerthSystem CEdit
BerthServer: Glibc SystemPackage BerthMonitor BerthMigration BerthImages BerthWorkload BerthQAPI BerthStream $below_stream
BerthClient: Glibc BerthMonitor BerthJSON BerthSystem
berth: Glibc ArgumentParser BerthServer BerthClient BerthImages BerthStream BerthWire BerthQAPI BerthSystem
berth-bench: Glibc BerthStream $below_stream
berth-qapi: Glibc Foundation
"
layering_findings() {
    local module allowed file line name
    for module in Sources/*/; do
        module=$(basename "$module")
        if ! grep -q "^$module:" <<<"$layers"; then
            echo "$module is not in the table of layers"
            continue
        fi
        allowed=" $(sed -n "s/^$module://p" <<<"$layers") Synchronization "
        swift_files "Sources/$module" | while read -r file; do
            # Attributes and access levels may precede 'import', a kind of declaration may follow it.
            sed -nE 's/^ *(@[A-Za-z_()]+ +)*((public|package|internal|fileprivate|private) +)?import +((struct|class|enum|protocol|func|var|let|typealias) +)?([A-Za-z_]+).*/\6/p' \
                "$file" | while read -r name; do
                [[ $allowed == *" $name "* ]] || echo "$file imports $name"
            done
        done
    done
}
report "layering" "$(layering_findings)"

# --- generated files ----------------------------------------------------------------------------------
generated_findings() {
    local log
    [ -d Sources/BerthQAPI/Generated ] || { echo "Sources/BerthQAPI/Generated is missing"; return; }
    log=$(mktemp)
    make --no-print-directory generate >"$log" 2>&1 || cat "$log"
    rm -f "$log"
    git status --porcelain -- Sources/BerthQAPI/Generated docs | sed 's/^/differs after make generate: /'
}
report "generated files agree with schema/" "$(generated_findings)"

# --- forbidden strings --------------------------------------------------------------------------------
# Paths of one machine and addresses of package servers belong in no file; this one has to name them.
report "no paths or hosts of one machine" "$(
    git grep -nIE '(^|[^A-Za-z0-9_.])/(work|root|tmp/h[0-9]|home)/|(deb|snapshot|security)\.debian\.org|pypi\.org|pythonhosted|\.pkg\.dev' \
        -- . ':!.ci/check.sh'
)"
report "no Foundation, unfinished work or traps in Sources" "$(
    swift_files Sources | grep -v '/berth-qapi/' |
        xargs -r grep -nE 'import Foundation|TODO|FIXME|fatalError|try!|as!' /dev/null
)"

# --- file sizes: a look, not a gate --------------------------------------------------------------------
echo "files over 500 lines (aim for 80 to 300):"
swift_files Sources Tests Benchmarks | grep -v /Generated/ | xargs -r wc -l |
    awk '$2 != "total" && $1 > 500 { print "        " $1 " " $2; n++ } END { if (!n) print "        none" }'

# --- warnings -----------------------------------------------------------------------------------------
# Last, because it takes longest. A build folder of its own unless the caller builds that way anyway.
scratch=()
[ "${BERTH_WARNINGS_AS_ERRORS:-}" = 1 ] || scratch=(--scratch-path .build-check)
export BERTH_WARNINGS_AS_ERRORS=1
log=$(mktemp)
if swift build --build-tests "${scratch[@]}" >"$log" 2>&1; then
    report "build without warnings" "$(grep -E 'warning:' "$log" | sort -u)"
else
    report "build without warnings" "$(grep -E 'error:|warning:' "$log" | sort -u; tail -n 5 "$log")"
fi
rm -f "$log"

exit $failed
