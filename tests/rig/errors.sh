#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What the lab cannot do it says in a sentence, with status 125, and nothing is left.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

refuses() {
    local sentence=$1
    shift
    status 125 lab "$@"
    says err "$sentence"
}

refuses 'a COMMAND is needed' --hosts 2
refuses "'0' is no number" --hosts 0 -- true
refuses '--hosts is at most 8' --hosts 9 -- true
refuses 'one host has none' --hosts 1 --rate 100 -- true
refuses 'cannot be spread evenly' --numa 2 --cpus 3 -- true
refuses 'is no size' --memory much -- true
refuses '--shell needs a terminal' --shell </dev/null
refuses 'cannot make the folder of --out' --out "$box/out/below/a/file" -- true

# A program of this name comes first.
instead_of() {
    mkdir -p "$box/bin"
    printf '#!/bin/sh\n%s\n' "$2" >"$box/bin/$1"
    chmod +x "$box/bin/$1"
}

instead_of qemu-system-x86_64 'echo no such machine >&2; exit 1'
PATH=$box/bin:$PATH refuses 'no such machine' --hosts 1 -- true
says err 'host0 is lost: its QEMU ended'
rm "$box/bin/qemu-system-x86_64"

# A kernel, unpacked in the cache, that has soft-RoCE and nothing else.
kernel=$box/cache/pagerail/rig/kernel/one
mkdir -p "$kernel/boot" "$kernel/lib/modules/9.9.9-amd64/kernel"
head -c 4096 /dev/zero >"$kernel/boot/vmlinuz-9.9.9-amd64"
touch "$kernel/lib/modules/9.9.9-amd64/kernel/rdma_rxe.ko"
instead_of modprobe 'exit 1'
XDG_CACHE_HOME=$box/cache PATH=$box/bin:$PATH refuses 'has no module virtio_pci' -- true
nothing_left
finish
