# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests beside it, which are called as `<name>.sh PAGERAIL SOURCE_ROOT`.
set -euo pipefail

pagerail=$1
# shellcheck disable=SC2034 # for the tests that look into the tree
source_root=$2
failures=0
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

wrong() {
    printf '%s\n' "$*"
    failures=$((failures + 1))
}

# run STATUS ARGUMENT...: runs pagerail, which must exit with STATUS; its output is in $box/out and
# $box/err.
run() {
    local want=$1 got=0
    shift
    "$pagerail" "$@" >"$box/out" 2>"$box/err" || got=$?
    [ "$got" = "$want" ] || {
        wrong "pagerail $*: exit status $got, not $want; it said:"
        cat "$box/out" "$box/err"
    }
}

# says out|err TEXT: the last run's output holds TEXT.
says() {
    grep -qF -- "$2" "$box/$1" || {
        wrong "no '$2' in what it wrote:"
        cat "$box/$1"
    }
}

# silent out|err: the last run wrote nothing there.
silent() {
    [ ! -s "$box/$1" ] || {
        wrong "unexpected output:"
        cat "$box/$1"
    }
}

# finish: the test's end.
finish() {
    [ "$failures" = 0 ] || {
        echo "$failures failures"
        exit 1
    }
    exit 0
}
