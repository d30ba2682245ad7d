#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# What happens to a side or to the way between both, in the middle of a round: it survives, or each
# side ends within the time of docs/operating.md with its own sentence, and the source's guest runs
# on and is right.
# shellcheck source=tests/rdma/lib.sh
. "$(dirname "$0")/lib.sh"

# So much has gone out that a round is under way, and most of it is still to come.
in_a_round() {
    has_said source 'phase: precopy' &&
        [ "$(cat /sys/class/net/nic0/statistics/tx_bytes)" -gt $((sent_before + (6 << 20))) ]
}

# strike COMMAND...: what happens to a guest that is on its way.
strike() {
    sent_before=$(cat /sys/class/net/nic0/statistics/tx_bytes)
    destination
    source_guest --fill random --dirty 2M
    soon 'a round' in_a_round || show_logs
    start_clock
    "$@"
}

at_destination() {
    rig-on -n host1 pkill "-$1" -x pagerail
}

at_source() {
    kill "-$1" "$source_pid"
}

# The RDMA device of host0 moves onto a bridge over its NIC, which has an address of its own.
# soft-RoCE has no link: right on a NIC that is set down it fails each send at once, where hardware
# repeats it for a while, and so does this.
lay_bridge() {
    rdma link delete rxe0
    ip address flush dev nic0
    ip link add br0 mtu 4200 address 02:00:00:77:00:00 type bridge
    ip link set nic0 master br0
    ip link set br0 up
    ip address add 10.77.0.1/24 dev br0
    rdma link add rxe0 type rxe netdev br0
}

flap() {
    ip link set nic0 down
    sleep 2 # what it is about
    ip link set nic0 up
}

two_seconds_without_a_link() {
    strike flap
    ended source 0
    ended destination 0
    holds source 'j["verified"] is True' 'j["outcome"] == "completed"' 'j["rails"][0]["retries"] > 0'
    told 'link down for 2 s' "moved all the same in $(of source 'j["total_ms"] / 1e3') s"
    part_ends
}

# Not set down: what the NIC's queue then holds would crash this kernel's soft-RoCE.
without_a_link() {
    strike ip link set nic0 nomaster
    source_stays 'link down for good' 8 'has been silent for 8000 ms'
    destination_ends 'link down for good' 8 'has been silent for 8000 ms'
    ip link set nic0 master br0
    part_ends
}

destination_killed() {
    strike at_destination KILL
    source_stays 'destination killed' 2 'the peer has closed the connection or ended'
    ended destination 137
    part_ends
}

source_killed() {
    strike at_source KILL
    destination_ends 'source killed' 2 'the peer has closed the connection or ended'
    ended source 137
    part_ends
}

destination_stopped() {
    strike at_destination STOP
    source_stays 'destination stopped' 8 'the destination has been silent for 8000 ms'
    start_clock
    at_destination CONT
    destination_ends 'and goes on' 2 'the source'
    part_ends
}

source_stopped() {
    strike at_source STOP
    destination_ends 'source stopped' 8 'the source has been silent for 8000 ms'
    start_clock
    at_source CONT
    source_stays 'and goes on' 2 'the destination'
    part_ends
}

inside() {
    pagerail=$1
    lay_bridge
    parts destination_killed source_killed destination_stopped source_stopped \
        two_seconds_without_a_link without_a_link -- "${@:2}"
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 2 --rate 40 --timeout 1200 -- "${@:2}"
[ "$failures" != 0 ] || cat "$box/out"
nothing_left
finish
