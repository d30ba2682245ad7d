#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# unit.sh SCRIPTS_RIG TEST_NUMA_PLACE TEST_TRACKER: unit tests that ask for what this machine may
# not have and the lab has: two NUMA nodes, soft-dirty bits.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

said=${RIG_OUT:-}/said

# passes PROGRAM: all of its tests; its words are in the file $said.
passes() {
    timeout 120 "$1" >"$said" 2>&1 || {
        wrong "$1 failed"
        cat "$said"
    }
}

inside() {
    passes "$1"
    grep -qx 'nodes: 2' "$said" || wrong 'there were no two nodes'
    passes "$2"
    ! grep 'skip: softdirty' "$said" || wrong 'there were no soft-dirty bits'
    finish
}

[ -n "${rig:-}" ] || inside "$@"

shift
lab_inside --hosts 1 --numa 2 --cpus 4 --memory 700M -- "$@"
nothing_left
finish
