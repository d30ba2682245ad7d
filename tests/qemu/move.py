#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Moves a guest between two QEMUs over the same-host fabric, with what may back its memory and
with devices that have memory of their own, and checks every page it wrote."""
import contextlib
import fcntl
import os
import sys
import time

from pair import Boot, Pair, VmError, main
from pcap import announced

MIB = 512
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
MACS = ["52:54:00:0a:00:01", "52:54:00:0a:00:02"]


def told(info):
    ram = info["ram"]
    return (f"{info['total-time']} ms, downtime {info['downtime']} ms, "
            f"felt {info['felt-ms']:.0f} ms, {ram['transferred'] >> 20} MiB, "
            f"{ram['normal']} pages and {ram['duplicate']} zero, "
            f"{ram['dirty-sync-count']} rounds, {ram['mbps'] / 8:.0f} MB/s")


def move(box, binary, kernel, initrd, during=None, **options):
    pair = Pair(box, binary, Boot(kernel, initrd), mib=MIB, **options)
    try:
        return told(pair.move(during))
    finally:
        pair.end()


def plain(*where):
    return move(*where)


def memfd(*where):
    return move(*where, memory=["-object",
                                f"memory-backend-memfd,id=ram,size={MIB}M,share=on"])


def huge_pages_free():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("HugePages_Free"))


@contextlib.contextmanager
def huge_pages_for(mib):
    """Asks the kernel for so many more, one test at a time, and gives them back; how many are
    free."""
    setting = os.open(HUGE_PAGES, os.O_RDWR)
    try:
        fcntl.flock(setting, fcntl.LOCK_EX)
        before = int(os.pread(setting, 32, 0))
        os.pwrite(setting, b"%d" % (before + max(mib // 2 - huge_pages_free(), 0)), 0)
        try:
            yield huge_pages_free()
        finally:
            os.pwrite(setting, b"%d" % before, 0)
    finally:
        os.close(setting)


def huge_pages(*where):
    try:
        with huge_pages_for(2 * MIB) as free:
            if free < MIB:
                return f"skip: the kernel gave {free} huge pages of 2 MiB, two guests need {MIB}"
            return move(*where, memory=["-object", f"memory-backend-memfd,id=ram,size={MIB}M,"
                                        "share=on,hugetlb=on,hugetlbsize=2M"])
    except OSError as error:
        return f"skip: the kernel refuses huge pages: {error}"


def devices(*where):
    """Devices with memory of their own."""
    return move(*where, extra=["-device", "VGA,romfile=", "-device", "bochs-display"])


def balloon_to(vm, mib):
    vm.qmp("balloon", value=mib << 20)
    deadline = time.monotonic() + 30
    while (now := vm.qmp("query-balloon")["actual"] >> 20) != mib:
        if time.monotonic() > deadline:
            raise VmError(f"the balloon leaves the guest {now} MiB and not {mib} MiB")
        time.sleep(0.02)


def under_way(vm):
    status = vm.migration()["status"]
    if status != "active":
        raise VmError(f"the migration is {status} before the balloon has moved")


def move_balloon(old, _new):
    """Blows it up and lets the air out again, all while pages are sent."""
    old.wait_migration("active")
    balloon_to(old, MIB - 150)
    under_way(old)
    balloon_to(old, MIB)
    under_way(old)
    old.qmp("migrate-set-parameters", **{"max-bandwidth": 0})


def balloon(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd), mib=MIB,
                extra=["-device", "VGA,romfile=", "-device", "virtio-balloon-pci"])
    try:
        pair.vm.qmp("migrate-set-parameters", **{"max-bandwidth": 16 << 20})
        info = pair.move(move_balloon)
        balloon_to(pair.vm, MIB - 100)  # the guest's driver and the device still agree
        pair.vm.wait_swept(1)
    finally:
        pair.end()
    return told(info)


def heard(vm):
    """The NICs that have announced themselves there."""
    return set().union(*(announced(vm.folder / f"{n}.pcap") for n in range(len(MACS))))


def nothing_is_announced(old, new):
    """Holds the guest in the middle of the switch: nothing of it may show at the destination."""
    old.wait_migration("pre-switchover")
    time.sleep(0.3)
    if new.running() or heard(new):
        raise VmError("the destination's NICs speak before the guest is theirs")
    old.qmp("migrate-continue", state="pre-switchover")


def wait_announced(vm, timeout=10):
    deadline = time.monotonic() + timeout
    while missing := set(MACS) - heard(vm):
        if time.monotonic() > deadline:
            raise VmError(f"no RARP from {missing} within {timeout} s")
        time.sleep(0.05)


def announce(box, binary, kernel, initrd):
    """Two NICs announce themselves at the destination, and only after the switch."""
    extra = []
    for number, (mac, model) in enumerate(zip(MACS, ("e1000", "virtio-net-pci"))):
        extra += ["-netdev", f"hubport,id=net{number},hubid=0",
                  "-device", f"{model},netdev=net{number},mac={mac},romfile=",
                  "-object", f"filter-dump,id=dump{number},netdev=net{number},file={number}.pcap"]
    pair = Pair(box, binary, Boot(kernel, initrd), mib=MIB, extra=extra)
    try:
        pair.vm.qmp("migrate-set-capabilities",
                    capabilities=[{"capability": "pause-before-switchover", "state": True}])
        source = pair.vm
        info = pair.move(nothing_is_announced)
        wait_announced(pair.vm)
        if heard(source):
            raise VmError("the source announced a guest that it gives away")
    finally:
        pair.end()
    return f"downtime {info['downtime']} ms, of which 300 ms on purpose"


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


CASES = {"plain": plain, "converge": converge, "memfd": memfd, "huge-pages": huge_pages,
         "devices": devices, "balloon": balloon, "announce": announce}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__, linux_only=["balloon"]))
