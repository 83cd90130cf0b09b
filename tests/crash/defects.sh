#!/usr/bin/env bash
# defects.sh   Plants each defect that the crash test is there for, and expects it to be found, in the words meant for it.
#
# Builds build/defect-NAME; DEFECT_ROUNDS kills each (10). Names as arguments: only those. The last line is 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")/../.."
rounds=${DEFECT_ROUNDS:-10}
jobs=${JOBS:-2}
declare -A found_as=(
    [NO_SYNC]='no acknowledged message is lost'
    [NO_DEDUP]='nothing is doubled: one event a transaction message'
    [CURSOR_APART]='every event is counted once'
)
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

names=("$@")
[ $# -gt 0 ] || names=("${!found_as[@]}")
for name in "${names[@]}"; do
    sentence=${found_as[$name]:-}
    [ -n "$sentence" ] || { echo "defects.sh: no defect $name; there are: ${!found_as[*]}" >&2; exit 2; }
    build=build/defect-$name
    if ! { cmake --preset release -B "$build" -DCHARGELINE_DEFECT="$name" && cmake --build "$build" -j "$jobs" --target chargeline; } >"$log" 2>&1; then
        echo "$name: does not build"
        tail -n 20 "$log"
        failed=$((failed + 1))
        continue
    fi
    CRASH_ROUNDS=$rounds CHARGELINE_BIN=$PWD/$build/chargeline PYTHONDONTWRITEBYTECODE=1 python3 tests/crash/test_crash.py >"$log" 2>&1
    if grep -q "$sentence: not so" "$log"; then
        echo "$name: found in $rounds kills: \"$sentence\" is not so; $(tail -n 1 "$log")"
        passed=$((passed + 1))
    else
        echo "$name: not found in $rounds kills:"
        tail -n 5 "$log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
