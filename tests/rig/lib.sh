# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests beside it, which are called as `<name>.sh SCRIPTS_RIG`. A test's second half
# runs on host0 of the lab, as `<name>.sh inside ARGUMENT...`, which calls its function inside().
set -euo pipefail

failures=0
self=$(realpath "$0")

wrong() {
    printf 'WRONG: %s\n' "$*"
    failures=$((failures + 1))
}

# equal WHAT GOT WANTED
equal() {
    [ "$2" = "$3" ] || wrong "$1 is '$2', not '$3'"
}

# status WANTED COMMAND...: how it must end.
status() {
    local wanted=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" = "$wanted" ] || wrong "status $got, not $wanted, of: $*"
}

# soon WHAT COMMAND...: repeats the command until it succeeds, for two minutes at most.
soon() {
    local what=$1 end=$((SECONDS + 120))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || {
            wrong "$what did not happen"
            return 1
        }
        sleep 0.1
    done
}

finish() {
    [ "$failures" = 0 ] || {
        echo "$failures failures"
        exit 1
    }
    exit 0
}

# Of RDMA, on a host.
listens() {
    [[ $(rig-on -n "$1" rdma resource show cm_id) == *LISTEN* ]]
}

# nothing_held HOST: no process there has an RDMA object open; the kernel has one queue pair of its
# own on each device.
nothing_held() {
    soon "the end of all RDMA objects on $1" holds_nothing "$1" ||
        rig-on -n "$1" rdma resource show qp
}

holds_nothing() {
    ! grep -qv ': pd 1 cq 1 qp 1 cm_id 0 mr 0 ctx 0 srq 0 *$' <<<"$(rig-on -n "$1" rdma resource show)"
}

if [ "${1:-}" = inside ]; then
    shift
    return 0
fi

rig=$1
command -v qemu-system-x86_64 >/dev/null || {
    echo 'skip: qemu-system-x86_64 is not installed (scripts/rig does it)'
    exit 77
}
box=$(mktemp -d)
mkdir "$box/tmp"

# What belongs to our labs is known by its environment.
lab_processes() {
    grep -lsaF "TMPDIR=$box/tmp" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
}

end_all() {
    local pid
    for pid in $(lab_processes); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$box"
}
trap end_all EXIT

# lab OPTION... [-- COMMAND...]: scripts/rig run, with what it says in $box/out and $box/err.
lab() {
    TMPDIR=$box/tmp "$rig" run --quiet --timeout 300 "$@" >"$box/out" 2>"$box/err"
}

# lab_inside OPTION... -- ARGUMENT...: runs this file's inside() on host0, which must find no fault.
lab_inside() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    lab "${options[@]}" -- bash "$self" inside "$@" || {
        wrong "inside of the lab (${options[*]}): status $?"
        sed 's/^/  /' "$box/out" "$box/err"
    }
}

says() {
    grep -qsF -- "$2" "$box/$1" || {
        wrong "no '$2' in:"
        sed 's/^/  /' "$box/$1"
    }
}

gone() {
    [ -z "$(lab_processes)" ] && [ -z "$(ls -A "$box/tmp")" ]
}

nothing_left() {
    soon "the end of all processes and files" gone || {
        ps -o pid,args -p "$(lab_processes | paste -sd,)" || true
        find "$box/tmp"
    }
}
