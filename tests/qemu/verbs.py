#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Moves a guest over RDMA in the lab of emulated hosts (docs/rig.md): from host to host and back, and
within one host. A stock QEMU at the other end is refused in words on both sides. The guest is tiny."""
import os
import subprocess
import sys
from pathlib import Path

from move import told
from pair import Boot, Pair, VmError, guest_goes_on, main

RIG = Path(__file__).resolve().parents[2] / "scripts/rig"
STOCK = os.environ.get("PAGERAIL_STOCK_QEMU")
LAB_S = 900
LEAST_PACKETS = 20000  # of a move of QEMU's test guest, which writes 100 MiB


def guest(box, binary, kernel, initrd, hosts):
    return Pair(box, binary, Boot(kernel, initrd, mib=64, rate=2), mib=128, hosts=hosts)


def move(*where, hosts, times):
    pair, said = guest(*where, hosts), []
    try:
        for _ in range(times):
            info = pair.move()
            rdma = info["rdma"]
            if rdma["fabric"] != "verbs" or rdma["lanes"] < 2:
                raise VmError(f"moved by {rdma['fabric']} over {rdma['lanes']} lanes")
            said.append(told(info))
    finally:
        pair.end()
    return "; ".join(said)


def two_hosts(*where):
    """There and back."""
    return move(*where, hosts=("host0", "host1"), times=2)


def one_host(*where):
    """Its device reaches itself."""
    return move(*where, hosts=("host0",), times=1)


def try_to_move(pair):
    """Why it did not: the source's sentence."""
    uri = pair.await_guest()
    try:
        pair.vm.qmp("migrate", uri=uri)
        info = pair.vm.wait_migration("failed", "completed")
    except VmError as error:
        return str(error)
    if info["status"] == "completed":
        raise VmError("the guest was moved")
    return info["error-desc"]


def expect(what, said, wanted):
    if wanted not in said:
        raise VmError(f"{what} does not say '{wanted}': {said}")


def stock_destination(box, binary, *guest_files):
    if not STOCK:
        return "skip: no stock QEMU is built (scripts/build-qemu --stock)"
    pair = guest(box, binary, *guest_files, hosts=("host0", "host1"))
    pair.binary = STOCK
    try:
        why = try_to_move(pair)
        expect("the source", why, "QEMU's own rdma:")
        guest_goes_on(pair.vm, most_s=3.0)
        pair.waiting.wait("word of the stock QEMU", lambda: "rdma" in pair.waiting.stderr().lower())
        there = pair.waiting.stderr()
    finally:
        pair.end()
    return f"{why} | {there.splitlines()[-1]}"


def stock_source(box, binary, *guest_files):
    if not STOCK:
        return "skip: no stock QEMU is built (scripts/build-qemu --stock)"
    pair = guest(box, STOCK, *guest_files, hosts=("host0", "host1"))
    pair.binary = binary
    try:
        why = try_to_move(pair)
        guest_goes_on(pair.vm, most_s=3.0)
        there = pair.waiting.stderr()
        expect("the destination", there, "QEMU's own rdma: migration, not pagerail")
        if pair.waiting.process.poll() is not None:
            raise VmError("the destination ended, though a stranger changes nothing")
    finally:
        pair.end()
    return f"{why} | {there.splitlines()[-1]}"


def knows_rdma(binary):
    """Whether QEMU's own tests have cases for it; as far as known, 10.0's have none."""
    program = Path(binary).parent / "migration-test"
    if not program.exists():
        return True  # the case says what is wrong
    listed = subprocess.run([program, "-l"], env={**os.environ, "QTEST_QEMU_BINARY": binary},
                            check=False, text=True, stdout=subprocess.PIPE)
    return listed.returncode or "/precopy/rdma" in listed.stdout


def packets():
    """That this host's devices have sent."""
    return sum(int(path.read_text()) for path in
               Path("/sys/class/infiniband").glob("*/ports/*/hw_counters/sent_pkts"))


def migration_test(_box, binary, *_guest):
    """QEMU's own cases, which find the device of this host. They read memory byte by byte."""
    if not knows_rdma(binary):
        return "skip: this QEMU's own tests have no case for RDMA"
    before = packets()
    ran = subprocess.run([Path(__file__).parent / "migration-test.sh", binary,
                          "/x86_64/migration/precopy/rdma"], check=False, text=True,
                         stdout=subprocess.PIPE, timeout=LAB_S)
    passed = ran.stdout.count("PASS ")
    if ran.returncode or "SKIP " in ran.stdout or not passed:
        raise VmError(ran.stdout[-1000:])
    sent = packets() - before
    if sent < passed * LEAST_PACKETS:
        raise VmError(f"the device sent {sent} packets in {passed} cases: not by RDMA")
    return f"{passed} cases on the device of this host, which sent {sent} packets"


def not_here(binary):
    """Those of the stock QEMU need it built, which takes minutes; older QEMUs have none of their own."""
    return [*([] if STOCK else ["stock-destination", "stock-source"]),
            *([] if knows_rdma(binary) else ["migration-test"])]


CASES = {"two-hosts": two_hosts, "one-host": one_host, "stock-destination": stock_destination,
         "stock-source": stock_source, "migration-test": migration_test}


def lab(arguments):
    """Ourselves, on host0."""
    command = [RIG, "run", "--quiet", "--hosts", "2", "--timeout", str(LAB_S), "--",
               "python3", "-B", Path(__file__).resolve(), "--guest", "tiny", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(CASES, __doc__, by_name_only=not_here) if "RIG_HOST" in os.environ else lab(sys.argv[1:]))
