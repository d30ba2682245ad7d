#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `pagerail devices` on this machine, whatever it has: it succeeds, and its two forms agree.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 devices --json
silent err
cp "$box/out" "$box/json"
says out '"schema":"pagerail-devices-1"'
nodes=$(grep -c '"cpu_count":' "$box/json")
names=$(sed -nE 's/^ *"name":"(.*)",$/\1/p' "$box/json")

run 0 devices
silent err
says out 'NUMA nodes'
says out 'pinned memory'
listed=$(awk '/^NUMA nodes/ { on = 1; next } /^$/ { on = 0 } on' "$box/out" | tail -n +2 | wc -l)
[ "$nodes" -ge 1 ] || wrong 'there is no NUMA node'
[ "$nodes" = "$listed" ] || wrong "JSON has $nodes nodes, the table $listed"
if [ -z "$names" ]; then
    says out 'There is no RDMA device'
    # shellcheck disable=SC2016 # the backquotes are the text's own
    says out 'the same-host fabric `local:` works without one'
else
    for name in $names; do
        says out "  $name "
    done
fi

# The kernel's own list and ours agree where verbs works.
kernel=$(find /sys/class/infiniband -mindepth 1 -printf '%f\n' 2>/dev/null | sort || true)
[ "$(sort <<<"$names")" = "$kernel" ] || grep -q libibverbs "$box/out" ||
    wrong "the kernel has '$kernel', pagerail lists '$names'"

# The limit that the shell sets is the one that is shown.
if (ulimit -l 64) 2>/dev/null; then
    (
        ulimit -l 64
        "$pagerail" devices >"$box/out"
    )
    says out '64 KiB soft, 64 KiB hard'
fi

run 2 devices surplus
says err "'surplus'"
finish
