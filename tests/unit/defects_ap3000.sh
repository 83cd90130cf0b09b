#!/usr/bin/env bash
# defects_ap3000.sh   Plants each defect that the tests of AP3000 are there for, and expects them to find it, in the words meant for
# it.
#
# Builds only what these tests need, in a folder of its own that is removed. Names as arguments: only those. The last line is
# 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")/../.."
tests=(tests/unit/{proto_ap3000/test_ap3000_settlements,proto_ap3000/test_ap3000_cards,services_stations/test_piles}.c)
layers=(base metrics schema eventlog device proto/ocpp16 proto/ap3000 store services/stations)
found_as=( # defect, test, sentence
    'SETTLEMENT_TWICE|test_ap3000_settlements|a repeat: answered, and nothing changes (10.4, rule 3)'
    'SETTLEMENT_TWICE|test_piles|it stops once, once more where an operator had closed it'
    'SWIPE_TWICE|test_ap3000_cards|its order was refused'
    'SWIPE_TWICE|test_piles|one swipe, one order'
)
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

read -r -a libraries <<<"$(pkg-config --libs sqlite3 libzstd liblz4 openssl libuv) -lpthread -lm"
export CC=${CC:-cc}
flags=(-std=c11 -D_GNU_SOURCE '-DCHARGELINE_VERSION="defect"' -O0 -Isrc -Itests "-I$work/embedded")

# build FOLDER DEFINE SOURCE...: an object of each, named as its path
build() {
    local folder=$work/$1 define=$2
    shift 2
    mkdir -p "$folder"
    printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I {} bash -c \
        'source=$1 folder=$2; shift 2; exec "$CC" "$@" -c "$source" -o "$folder/${source//\//-}.o"' _ {} "$folder" "${flags[@]}" "$define"
}

# run TEST [OBJECT...]: linked with these objects in place of sound ones
run() {
    local test=$1
    shift
    "$CC" "$work"/tests/*-"$test".c.o "$@" "$work/sound.a" "${libraries[@]}" -o "$work/$test" >"$work/said" 2>&1 &&
        "$work/$test" >"$work/said" 2>&1
}

tools/embed "$work/embedded/services/stations/embedded.h" src/services/stations/*.sql || exit 1
sources=()
for layer in "${layers[@]}"; do sources+=(src/"$layer"/*.c); done
build sound -DNO_DEFECT "${sources[@]}" && build tests -DNO_DEFECT "${tests[@]}" && ar rcs "$work/sound.a" "$work"/sound/*.o || exit 1

for source in "${tests[@]}"; do
    if run "$(basename "$source" .c)"; then
        passed=$((passed + 1))
    else
        echo "$source, without a defect:"
        tail -n 20 "$work/said"
        failed=$((failed + 1))
    fi
done
for row in "${found_as[@]}"; do
    IFS='|' read -r name test sentence <<<"$row"
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    if [ ! -d "$work/$name" ]; then
        mapfile -t sources < <(grep -lr "DEFECT_$name\b" src --include='*.c')
        build "$name" "-DDEFECT_$name" "${sources[@]}" || exit 1
    fi
    if ! run "$test" "$work/$name"/*.o && grep -qF ": $sentence: not so" "$work/said"; then
        echo "$name: found by $test: \"$sentence\" is not so; $(tail -n 1 "$work/said")"
        passed=$((passed + 1))
    else
        echo "$name: not found by $test:"
        tail -n 5 "$work/said"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
