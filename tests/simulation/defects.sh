#!/usr/bin/env bash
# defects.sh   Plants each defect that the simulation is there for, and expects a seed below SEEDS (10,000) to break.
#
# Builds only what the simulation needs, in a folder of its own that is removed. Names as arguments: only those. The last line is
# 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")/../.."
seeds=${SEEDS:-10000}
names=(START_REPEATED START_WITHOUT_TIME STOP_TWICE STOP_HIDDEN STOP_GUESSED SUPERSEDED_STOP LATE_READING READING_REPEATED
    SEQUENCE_REUSED NUMBER_REUSED ID_GUESSABLE ID_FOR_EVER ID_ONLY FOREIGN_TAKEN OLD_REOPENED ORPHAN_TWICE TAG_COUNTED
    ENERGY_BELOW_0 NO_DEDUP SIM_ANSWER_BEFORE_COMMIT SIM_OLD_CONNECTION)
[ $# -eq 0 ] || names=("$@")
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags=(-std=c11 -D_GNU_SOURCE -O1 -Isrc -Itests)
for source in src/base/*.c src/schema/*.c src/eventlog/event.c src/eventlog/identity.c; do
    ${CC:-cc} "${flags[@]}" -c "$source" -o "$work/$(basename "$source" .c).o" || exit 1
done

# simulate NAME: build/run with a defect, or with none
simulate() {
    local define=()
    [ -z "$1" ] || define=("-DDEFECT_$1")
    ${CC:-cc} "${flags[@]}" "${define[@]}" tests/simulation/simulate.c src/simulation/*.c src/device/*.c src/proto/ocpp16/*.c "$work"/*.o -lm \
        -o "$work/simulate" && "$work/simulate" --seeds "$seeds"
}

simulate '' >"$work/said" 2>&1 && passed=1 || { failed=1; echo "without a defect:"; cat "$work/said"; }
for name in "${names[@]}"; do
    if simulate "$name" >"$work/said" 2>&1; then
        echo "$name: not found in $seeds seeds"
        failed=$((failed + 1))
    elif grep -q '^seed ' "$work/said"; then
        echo "$name: $(tail -n 1 "$work/said")"
        passed=$((passed + 1))
    else
        echo "$name: does not build, or ended otherwise"
        tail -n 20 "$work/said"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
