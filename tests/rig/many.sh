#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Three hosts: each reaches each, also by RDMA past host0, which carries their wire.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

inside() {
    equal 'host2 by way of host1' "$(rig-on host1 rig-on host2 hostname)" host2
    rig-on -n host2 timeout 200 rping -s -C 3 >/dev/null 2>&1 &
    soon 'the server' listens host2
    status 0 rig-on -n host1 timeout 200 rping -c -a host2 -C 3 >/dev/null 2>&1
    status 0 wait $!
    finish
}

[ -n "${rig:-}" ] || inside "$@"

lab_inside --hosts 3 --cpus 1 --memory 512M --
nothing_left
finish
