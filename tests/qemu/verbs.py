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
        expect("the source", why, "the other end is no pagerail")
        guest_goes_on(pair.vm, most_s=3.0)
        if pair.waiting.wait_exit() == 0:
            raise VmError("the stock QEMU ended as if all were well")
        there = pair.waiting.stderr()
        expect("the stock QEMU", there, "RDMA")
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
        expect("the destination", there, "the other end is no pagerail")
        if pair.waiting.process.poll() is not None:
            raise VmError("the destination ended, though a stranger changes nothing")
    finally:
        pair.end()
    return f"{why} | {there.splitlines()[-1]}"


CASES = {"two-hosts": two_hosts, "one-host": one_host, "stock-destination": stock_destination,
         "stock-source": stock_source}


def lab(arguments):
    """Ourselves, on host0."""
    command = [RIG, "run", "--quiet", "--hosts", "2", "--timeout", str(LAB_S), "--",
               "python3", "-B", Path(__file__).resolve(), "--guest", "tiny", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(CASES, __doc__) if "RIG_HOST" in os.environ else lab(sys.argv[1:]))
