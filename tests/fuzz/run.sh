#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run.sh BUILD_DIR SECONDS_EACH [SEED]: runs every fuzz target for a bounded time, one line each,
# and exits 1 when one of them found something. The input that did it is printed in hex; to see it
# again: printf '%s' HEX | xxd -r -p > input && BUILD_DIR/tests/fuzz/fuzz_NAME input
set -u

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 BUILD_DIR SECONDS_EACH [SEED]" >&2
    exit 2
fi
bin=$1/tests/fuzz
seconds=$2
seed=${3:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
if [ ! -x "$bin/wire_seeds" ] || [ ! -x "$bin/fuzz_message" ]; then
    echo "$0: no fuzz targets in $bin:" \
        "CC=clang meson setup -Dfuzz=true $1 && ninja -C $1 fuzz" >&2
    exit 2
fi

tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir "$tmp/seeds" "$tmp/found"
"$bin/wire_seeds" "$tmp/seeds" "$seed" >"$tmp/targets" || exit 2

echo "fuzz: seed $seed, $seconds s each"
failed=0
while read -r name max_len; do
    rm -f "$tmp"/found/*
    "$bin/fuzz_$name" -seed="$seed" -max_total_time="$seconds" -max_len="$max_len" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$tmp/found/" \
        "$tmp/seeds/$name" >"$tmp/log" 2>&1 </dev/null
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$tmp/log")
    if [ $status -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "PASS $name runs=$runs"
        continue
    fi
    failed=1
    echo "FAIL $name status=$status"
    grep -vE '^(#|INFO:|stat::|Shadow byte|=>0x|  0x|  [A-Z][A-Za-z ]*: )' "$tmp/log" |
        head -n 30 | sed 's/^/    /'
    for input in "$tmp"/found/*; do
        [ -f "$input" ] || continue
        echo "    input ($(basename "$input")): $(od -An -v -tx1 "$input" | tr -d ' \n')"
    done
done <"$tmp/targets"
exit $failed
