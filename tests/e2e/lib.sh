# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests beside it, which are called as `<name>.sh PAGERAIL [ARGUMENT]...`: two
# processes, one guest, a folder of their own, and nothing left behind.
set -euo pipefail

pagerail=$1
size=${size:-256M}
failures=0
box=$(mktemp -d)
source_pid=
destination_pid=
source_fault=
destination_fault=

end_all() {
    local pid
    for pid in $source_pid $destination_pid; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$box"
}
trap end_all EXIT

wrong() {
    printf 'WRONG: %s\n' "$*"
    failures=$((failures + 1))
}

show_logs() {
    local log
    for log in "$box"/*.err "$box"/*.out; do
        [ ! -s "$log" ] || sed "s|^|  ${log##*/}: |" "$log"
    done
}

# soon WHAT COMMAND...: repeats the command until it succeeds, for 30 s at most.
soon() {
    local what=$1 tries=1500
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || {
            wrong "$what did not happen"
            show_logs
            return 1
        }
        sleep 0.02
    done
}

says() {
    grep -qsF -- "$2" "$box/$1.err"
}

# destination OPTION...: starts one and waits until it listens.
destination() {
    rm -f "$box"/destination.*
    PAGERAIL_FAULT=$destination_fault "$pagerail" guest --listen "local:$box/socket" --size "$size" \
        --run-after 0.3 --json "$box/destination.json" "$@" \
        >"$box/destination.out" 2>"$box/destination.err" &
    destination_pid=$!
    soon 'listening' says destination 'waiting at'
}

# source_guest OPTION...: starts one.
source_guest() {
    rm -f "$box"/source.*
    PAGERAIL_FAULT=$source_fault "$pagerail" guest --to "local:$box/socket" --size "$size" \
        --run-before 0.2 --run-after 0.3 --json "$box/source.json" "$@" \
        >"$box/source.out" 2>"$box/source.err" &
    source_pid=$!
}

# ended source|destination STATUS: waits for its end.
ended() {
    local got=0 variable=$1_pid
    wait "${!variable}" 2>/dev/null || got=$? # without the shell's own word on kills
    printf -v "$variable" ''
    [ "$got" = "$2" ] || {
        wrong "the $1 ended with status $got, not $2"
        show_logs
    }
}

# holds source|destination EXPRESSION...: of the JSON file, in Python, as j.
holds() {
    python3 - "$box/$1.json" "${@:2}" <<'PYTHON' || wrong "the $1's JSON, see above"
import json, sys
j = json.load(open(sys.argv[1]))
wrong = [e for e in sys.argv[2:] if not eval(e)]
for e in wrong:
    print('not so:', e)
sys.exit(bool(wrong))
PYTHON
}

# one_sentence source|destination: what it complained of, in one line.
one_sentence() {
    [ "$(grep -c '^pagerail guest: ' "$box/$1.err")" = 1 ] || {
        wrong "the $1 did not complain in one sentence"
        show_logs
    }
}

# nothing_left: no socket, no half-written file.
nothing_left() {
    local left
    left=$(find "$box" ! -name '*.json' ! -name '*.err' ! -name '*.out' ! -path "$box")
    [ -z "$left" ] || wrong "left behind: $left"
    rm -f "$box"/socket
}

# needs_faults: the fault points are compiled in, or the test is skipped.
needs_faults() {
    local status=0
    PAGERAIL_FAULT=guest.selftest "$pagerail" guest --size 64K --run-after 0 --dirty 0 --quiet \
        2>/dev/null || status=$?
    [ "$status" = 1 ] || {
        echo 'skip: the fault points are not compiled in (-Dfaults=true)'
        exit 77
    }
}

finish() {
    [ "$failures" = 0 ] || {
        echo "$failures failures"
        exit 1
    }
    exit 0
}
