#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The fabric `verbs` keeps each clause of rdma/fabric.h, on soft-RoCE that reaches itself.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/../rig/lib.sh"

inside() {
    local program log name start
    export PAGERAIL_TEST_RDMA_ADDRESS=host0
    for program in "$@"; do
        name=$(basename "$program")
        log=$RIG_OUT/$name
        start=$SECONDS
        if timeout 300 "$program" verbs >"$log" 2>&1; then
            echo "$name: $(grep -c '^\[ *OK \]' "$log") tests in $((SECONDS - start)) s"
        else
            wrong "$name ended with status $?"
            cat "$log"
        fi
        nothing_held host0
    done
    finish
}

[ -n "${rig:-}" ] || inside "$@"

shift
lab_inside --hosts 1 -- "$@"
cat "$box/out"
nothing_left
finish
