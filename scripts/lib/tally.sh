# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by scripts/test. Runs the tests of a build folder and adds up what passed, failed and was
# skipped, over all stages. Uses meson.sh.

passed=0
failed=0
skipped=0
failures=()
skips=()
words=()

count_passed() {
    echo "passed: $1"
    passed=$((passed + 1))
}

count_failed() {
    echo "FAILED: $1"
    failed=$((failed + 1))
    failures+=("$1")
}

count_skipped() {
    skipped=$((skipped + 1))
    skips+=("$1")
}

# build DIR OPTION...: sets DIR up and compiles it, or only $build_target of it; a failure counts as
# one failed test.
build() {
    configure "$@" && compile "$1" ${build_target:+"$build_target"} && return 0
    count_failed "$1 does not build"
    return 1
}

# How many tests of meson's log ended with one of the given results.
results_in() {
    grep -cE "\"result\": \"($2)\"" "$1" || true
}

# Why tests were skipped: the lines "skip: ..." that a skipping test prints, under its name. A
# cmocka program that skips some of its cases counts as passed, and is listed all the same.
skip_reasons() {
    awk 'function without_reason() { if (skipped) print name ": skipped and does not say why" }
         /^test: / { without_reason(); skipped = 0; name = $2; for (i = 3; i <= NF; i++) name = name " " $i }
         /^result: +exit status 77/ { skipped = 1 }
         /^skip: / { print name ": " substr($0, 7); skipped = 0 }
         END { without_reason() }' "$1"
}

failed_names() {
    sed -nE 's/^\{"name": "([^"]*)".*"result": "(FAIL|ERROR|TIMEOUT|INTERRUPT|UNEXPECTEDPASS)".*/\1/p' \
        "$1"
}

# The last words of every test that failed, each line under the test's name: they are shown once more
# at the end, where somebody with only the end of a long log finds them.
last_words() {
    python3 - "$1" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    test = json.loads(line)
    if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP"):
        said = (test.get("stdout", "") + test.get("stderr", "")).rstrip().splitlines()
        said = said or [f"{test['result']}, without a word"]
        for word in said[-12:]:
            print(f"{test['name']}: {word[:300]}")
PYTHON
}

# meson_tests DIR ARGUMENT...: runs `meson test` and counts every test.
meson_tests() {
    local dir=$1 name status=0
    shift
    local logs=$dir/meson-logs run=()
    # A run that finds no test writes no log: do not count the previous one again.
    rm -f "$logs"/testlog.json "$logs"/testlog.txt
    [ -z "${fixed_addresses_wanted:-}" ] || run=(fixed_addresses)
    "${run[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes "${jobs:?}" "$@" |
        { grep -vE '^(ninja:|Full log written|$)' || true; } || status=$?
    if [ ! -f "$logs/testlog.json" ]; then
        [ "$status" = 0 ] || count_failed "meson test in $dir did not run"
        return 0
    fi
    passed=$((passed + $(results_in "$logs/testlog.json" 'OK|EXPECTEDFAIL')))
    skipped=$((skipped + $(results_in "$logs/testlog.json" 'SKIP')))
    failed=$((failed + $(results_in "$logs/testlog.json" 'FAIL|ERROR|TIMEOUT|INTERRUPT|UNEXPECTEDPASS')))
    while read -r name; do
        failures+=("$dir: $name")
    done < <(failed_names "$logs/testlog.json")
    mapfile -t -O ${#words[@]} words < <(last_words "$logs/testlog.json")
    while read -r name; do
        skips+=("$dir: $name")
    done < <(skip_reasons "$logs/testlog.txt")
}

# Prints what was skipped and failed, then the one line that sums up, and ends the script.
finish() {
    echo
    [ ${#words[@]} = 0 ] || printf '%s\n' "${words[@]}"
    [ ${#skips[@]} = 0 ] || printf 'skipped: %s\n' "${skips[@]}"
    [ ${#failures[@]} = 0 ] || printf 'failed: %s\n' "${failures[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] || exit 1
    exit 0
}
