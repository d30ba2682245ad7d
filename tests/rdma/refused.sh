#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# What keeps a migration from beginning: each is said in its own sentence within the time of
# docs/operating.md, and the source's guest runs on and is right.
# shellcheck source=tests/rdma/lib.sh
. "$(dirname "$0")/lib.sh"

size=16M

# A destination that nobody reached goes on waiting until somebody ends it.
destination_waits_on() {
    ! has_said destination 'pagerail guest: ' || wrong 'the destination did not wait on'
    rig-on -n host1 pkill -INT -x pagerail
    ended destination 130
}

# cannot_listen URI SENTENCE
cannot_listen() {
    uri=$1 start_destination
    start_clock
    gives_up destination "listen at $1" 1 "$2"
    part_ends
}

nobody_listens() {
    start_clock
    source_guest
    source_stays 'nobody listens' 1 'nobody listens at host1:4444'
    part_ends
}

# drop_at_host1 MATCH...: packets that come in there; let_in_again ends it.
drop_at_host1() {
    rig-on -n host1 tc qdisc add dev nic0 clsact
    rig-on -n host1 tc filter add dev nic0 ingress protocol ip u32 "$@" action drop
}

let_in_again() {
    rig-on -n host1 tc qdisc delete dev nic0 clsact
}

firewalled() {
    destination
    drop_at_host1 match ip dport 4791 0xffff
    start_clock
    source_guest
    source_stays 'port 4791 is closed' 10 'does not answer connection requests'
    let_in_again
    destination_waits_on
    part_ends
}

# An address that host1 answers for, but not its RDMA device.
wrong_gid() {
    rig-on -n host1 ip address add 10.99.0.1/32 dev lo
    ip route add 10.99.0.1/32 via 10.77.0.2
    cannot_listen rdma:10.99.0.1:4444 'no RDMA device of this host has the address'
    uri=rdma:0.0.0.0:4444 destination
    start_clock
    uri=rdma:10.99.0.1:4444 source_guest
    source_stays 'no GID of the device' 10 'does not answer connection requests'
    destination_waits_on
    part_ends
    start_clock
    uri=rdma:192.0.2.1:4444 source_guest
    source_stays 'no route' 10 'Network is unreachable'
    part_ends
}

# limited KIB: what is put before a command to bound what it may pin.
limited() {
    echo setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
        prlimit "--memlock=$(($1 << 10)):$(($1 << 10))"
}

memlock() {
    destination
    start_clock
    read -ra on_source < <(limited 64) # not even a connection
    source_guest
    on_source=()
    source_stays 'memlock 64 KiB at host0' 1 'the memlock limit is 64 KiB'
    destination_waits_on
    part_ends
    read -ra on_destination < <(limited 16384) # connections, and no more
    destination
    on_destination=()
    start_clock
    source_guest
    source_stays 'memlock 16 MiB at host1' 1 'the memlock limit is 16384 KiB'
    destination_ends 'memlock 16 MiB at host1' 1 'the memlock limit is 16384 KiB'
    part_ends
}

# The port of host1 takes smaller packets than host0 sends.
smaller_port() {
    rig-on -n host1 ip link set nic0 mtu 1500
    destination
    start_clock
    source_guest
    source_stays 'smaller MTU at host1' 1 'MTU mismatch'
    destination_ends 'smaller MTU at host1' 1 'MTU mismatch'
    part_ends
    rig-on -n host1 ip link set nic0 mtu 4200
}

# host1 is reached over rxe0 only.
other_rails() {
    local got=0
    destination
    "$pagerail" guest --to "$uri" --size "$size" --rails rxe0,rxe9 >"$logs/source.log" 2>&1 ||
        got=$?
    equal 'the status of a rail that is none' "$got" 2
    has_said source "no RDMA device 'rxe9': it has rxe0, rxe1" || wrong 'who has no rxe9?'
    start_clock
    source_guest --rails rxe1
    source_stays 'the way is none of the rails' 1 'goes over rxe0, which is none of the rails'
    source_guest --rails rxe1,rxe0
    ended source 0
    ended destination 0
    holds source 'j["verified"] is True and [r["name"] for r in j["rails"]] == ["rxe0"]'
    part_ends
}

inside() {
    pagerail=$1
    parts nobody_listens firewalled wrong_gid other_rails memlock smaller_port -- "${@:2}"
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 2 --nics 2 --timeout 900 -- "${@:2}"
[ "$failures" != 0 ] || cat "$box/out"
nothing_left
finish
