#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Moves a guest between two QEMUs over the same-host fabric, with what may back its memory and
with devices that have memory of their own, and checks every page it wrote."""
import sys

from pair import Boot, Pair, main

MIB = 512


def told(info):
    ram = info["ram"]
    return (f"{info['total-time']} ms, downtime {info['downtime']} ms, felt {info['felt-ms']:.0f} ms, "
            f"{ram['transferred'] >> 20} MiB, {ram['normal']} pages and {ram['duplicate']} zero, "
            f"{ram['dirty-sync-count']} rounds, {ram['mbps'] / 8:.0f} MB/s")


def move(box, binary, kernel, initrd, **options):
    pair = Pair(box, binary, Boot(kernel, initrd), mib=MIB, **options)
    try:
        return told(pair.move())
    finally:
        pair.end()


def plain(*where):
    return move(*where)


def memfd(*where):
    return move(*where, memory=["-object",
                                f"memory-backend-memfd,id=ram,size={MIB}M,share=on"])


def huge_pages(*where):
    with open("/proc/meminfo", encoding="ascii") as file:
        free = next(int(line.split()[1]) for line in file if line.startswith("HugePages_Free"))
    if free < 2 * MIB // 2:
        return f"skip: {free} huge pages of 2 MiB are free, two guests need {MIB}"
    return move(*where, memory=["-object", f"memory-backend-memfd,id=ram,size={MIB}M,share=on,"
                                "hugetlb=on,hugetlbsize=2M"])


def devices(*where):
    """Memory of its own, and a balloon that is inflated and deflated while the guest moves."""
    return move(*where, extra=["-device", "VGA,romfile=", "-device", "virtio-balloon-pci"])


def converge(box, binary, kernel, initrd):
    """A guest that writes faster than it may be sent is slowed down; QEMU's timer then reads the
    dirty log beside the migration thread."""
    pair = Pair(box, binary, Boot(kernel, initrd, mib=100, rate=80), mib=256)
    try:
        pair.vm.qmp("migrate-set-capabilities",
                    capabilities=[{"capability": "auto-converge", "state": True}])
        pair.vm.qmp("migrate-set-parameters",
                    **{"max-bandwidth": 30 << 20, "downtime-limit": 100,
                       "cpu-throttle-initial": 50, "cpu-throttle-increment": 20})
        return told(pair.move())
    finally:
        pair.end()


CASES = {"plain": plain, "converge": converge, "memfd": memfd, "huge-pages": huge_pages, "devices": devices}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
