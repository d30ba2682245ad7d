#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The shape of the wire is seen by RDMA: line rate, delay, loss. A busy machine may be slower than
# the wire, so only what the wire cannot exceed is asked for.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

# perftest COMMAND...: the program here against the same on host1. They meet by TCP: by
# rdma_cm (-R) they connect twice, the second time perhaps before the server listens again.
perftest() {
    rig-on -n host1 timeout 200 "$@" >/dev/null 2>&1 &
    soon 'the server' listens_tcp host1
    timeout 200 "$@" host1
    wait $!
}

listens_tcp() {
    [[ $(rig-on -n "$1" ss -Hltn sport = :18515) == *LISTEN* ]]
}

# Bytes each second, written to host1.
write_rate() {
    perftest ib_write_bw -F -d rxe0 -x 1 -s 16384 -n "$1" |
        awk '$1 == 16384 { printf "%d", $4 * 1048576 }'
}

# 2 Mbit/s are 250,000 bytes; the bucket of 64 KiB is full at the start.
inside_rate() {
    local limited free
    limited=$(write_rate 150)
    tc qdisc delete dev nic0 root
    rig-on -n host1 tc qdisc delete dev nic0 root
    free=$(write_rate 300)
    echo "with a line rate of 250000 bytes/s: $limited, without: $free"
    [ "${limited:-0}" -gt 25000 ] || wrong 'almost nothing came through'
    [ "${limited:-0}" -lt 265000 ] || wrong 'the line rate was exceeded'
    [ "${free:-0}" -gt $((limited * 3 / 2)) ] || wrong 'the line rate made no difference'
    finish
}

# ib_send_lat shows half of a round trip, in microseconds.
inside_delay() {
    local shortest dropped
    perftest ib_send_lat -F -d rxe0 -x 1 -n 200 >"$RIG_OUT/latency"
    shortest=$(awk '$1 == 2 { printf "%d", $3 }' "$RIG_OUT/latency")
    dropped=$(tc -s qdisc show dev nic0 | sed -nE 's/.*dropped ([0-9]+).*/\1/p')
    echo "delay 30 ms, loss 2 %: shortest $shortest us, dropped $dropped"
    [ "${shortest:-0}" -ge 30000 ] || wrong 'messages came sooner than the wire lets them'
    [ "${dropped:-0}" -gt 0 ] || wrong 'no packet was lost'
    finish
}

[ -n "${rig:-}" ] || "inside_$1"

lab_inside --hosts 2 --rate 2 -- rate
cat "$box/out"
lab_inside --hosts 2 --delay 30 --loss 2 -- delay
cat "$box/out"
nothing_left
finish
