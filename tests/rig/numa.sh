#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Two NUMA nodes, with one RDMA device on each.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

inside() {
    local nic netdev
    equal 'the count of nodes' "$(lscpu -p=NODE | grep -v '^#' | sort -u | wc -l)" 2
    equal 'the processors of node 1' "$(numactl -H | sed -n 's/^node 1 cpus: //p')" '2 3'
    for nic in 0 1; do
        netdev=$(cat "/sys/class/infiniband/rxe$nic/parent")
        equal "the node of rxe$nic" "$(cat "/sys/class/net/$netdev/device/../numa_node")" $nic
        [ "$(sed -n 's/.*MemTotal: *\([0-9]*\) kB/\1/p' "/sys/devices/system/node/node$nic/meminfo")" \
            -gt 200000 ] || wrong "node $nic has too little memory"
    done
    finish
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 1 --numa 2 --nics 2 --cpus 4 --memory 700M --
nothing_left
finish
