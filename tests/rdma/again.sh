#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# 50 migrations to and fro between a process of host0 and one of host1 leave nothing behind: no queue
# pair, registration, descriptor or pinned page.
# shellcheck source=tests/rdma/lib.sh
. "$(dirname "$0")/lib.sh"

# meson has freed memory written to, and buffers that were never used then become resident.
export MALLOC_PERTURB_=0

side() {
    local name=$1
    shift
    # Without connections under way: the other side may begin the next one at once. Each of them has
    # a descriptor, which is counted.
    "$@" 'rdma resource show | sed "s/ cm_id [0-9]*//"' >"$logs/$name.out" 2>"$logs/$name.log"
}

inside() {
    local again=$1 second
    side destination rig-on -n host1 "$again" rdma:host1:4444 rdma:host0:4444 50 second &
    second=$!
    soon 'listening' grep -qs waiting "$logs/destination.out"
    status 0 side source "$again" rdma:host0:4444 rdma:host1:4444 50 first
    [ "$failures" = 0 ] || kill $second # it would wait for the next guest
    status 0 wait $second
    [ "$failures" = 0 ] || show_logs
    grep -H -e after -e rxe "$logs/source.out" "$logs/destination.out"
    part_ends
    finish
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 2 --timeout 900 -- "$2"
[ "$failures" != 0 ] || cat "$box/out"
nothing_left
finish
