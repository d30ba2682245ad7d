#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# Other RDMA programs: who connects to a destination is turned away by name and spoils nothing, and a
# source that reaches one says so.
# shellcheck source=tests/rdma/lib.sh
. "$(dirname "$0")/lib.sh"

size=16M
turned_away='(number %d): the other end is no pagerail'

# fails COMMAND...: it may say what it likes, and crash.
fails() {
    ! timeout 60 "$@" >/dev/null 2>&1 || wrong "this succeeded: $*"
}

strangers_at_a_destination() {
    destination
    fails rping -c -a host1 -p 4444 -C 1
    # shellcheck disable=SC2059
    soon 'a word about rping' has_said destination "$(printf "$turned_away" 1)"
    fails ib_write_bw -R -F -p 4444 host1
    # shellcheck disable=SC2059
    soon 'a word about ib_write_bw' has_said destination "$(printf "$turned_away" 2)"
    source_guest
    ended source 0
    ended destination 0
    holds source 'j["verified"] is True'
    told 'two strangers first' 'turned away by name; then a guest moved'
    part_ends
}

# at_a_stranger COMMAND...: a server on host1.
at_a_stranger() {
    rig-on -n host1 timeout 200 "$@" >/dev/null 2>&1 &
    local server=$!
    soon "the server $1" listens host1
    start_clock
    source_guest
    source_stays "$1 listens" 1 'the other end is no pagerail'
    rig-on -n host1 pkill -x "$1" || true
    wait "$server" || true
    part_ends
}

source_at_rping() {
    at_a_stranger rping -s -p 4444 -C 1
}

source_at_perftest() {
    at_a_stranger ib_write_bw -R -F -p 4444
}

inside() {
    pagerail=$1
    parts strangers_at_a_destination source_at_rping source_at_perftest -- "${@:2}"
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 2 --timeout 600 -- "${@:2}"
[ "$failures" != 0 ] || cat "$box/out"
nothing_left
finish
