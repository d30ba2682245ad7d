#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""scripts/demo --guest linux and tiny: moves a guest from one QEMU to another on this machine, shows
how it goes, and reports."""
import argparse
import json
import re
import sys
import time

from pair import GUESTS, Boot, Box, Pair, VmError, felt_downtime_ms
from vm import Vm

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
KVM_PROBE_S = 15


def mib(text):
    match = re.fullmatch(r"(\d+)([KMG]?)", text.upper())
    if not match or int(match[1]) * UNITS[match[2]] < 1 << 20:
        raise argparse.ArgumentTypeError(f"'{text}' is no size of 1M or more: write 512M or 2G")
    return int(match[1]) * UNITS[match[2]] >> 20


def accelerator(box, binary, boot):
    """kvm where a guest really boots on it: the device may be there and not run one."""
    try:
        with open("/dev/kvm", "rb+", buffering=0):
            pass
        probe = Vm(box, binary, "probe", boot, mib=256, accel="kvm")
    except (OSError, VmError):
        return "tcg,thread=multi"
    try:
        probe.wait_beats(1, KVM_PROBE_S)
        return "kvm"
    except VmError:
        return "tcg,thread=multi"
    finally:
        probe.kill()


def show(info):
    ram, rdma = info["ram"], info.get("rdma", {})
    done = 100 * (1 - ram.get("remaining", 0) / ram["total"])
    line = (f"round {ram['dirty-sync-count']}: {done:3.0f} % of memory, "
            f"{ram['transferred'] >> 20} MiB sent, {ram['mbps'] / 8:.0f} MB/s, "
            f"{rdma.get('registered-bytes', 0) >> 20} MiB registered")
    if sys.stderr.isatty():
        print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr)


def move(pair):
    uri = pair.await_guest()
    old, new = pair.vm, pair.waiting
    old.qmp("migrate-set-parameters", **{"max-bandwidth": 0})
    old.qmp("migrate", uri=uri)
    while True:
        info = old.migration()
        if info["status"] in ("completed", "failed"):
            break
        if "ram" in info:
            show(info)
        time.sleep(0.1 if sys.stderr.isatty() else 0.5)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if info["status"] == "failed":
        raise VmError(f"the migration failed: {info.get('error-desc')}")
    new.wait_beats(1)
    info["felt-ms"] = felt_downtime_ms(old, new)
    return info


def report(info, sweeps):
    ram, rdma = info["ram"], info["rdma"]
    print(f"""
  outcome            completed, the guest runs at the destination
  memory             every page is right (all checked {sweeps} times since the move)
  total time         {info['total-time'] / 1000:.2f} s, {ram['dirty-sync-count']} rounds, \
{ram['mbps'] / 8:.0f} MB/s
  guest memory sent  {rdma['bytes'] >> 20} MiB in {rdma['writes']} writes; {rdma['zero-pages']} \
pages of 4 KiB were zero
  downtime           {info['downtime']} ms (last pages {rdma['copy-time'] / 1000:.1f}, load \
{rdma['load-time'] / 1000:.1f}, resume {rdma['resume-time'] / 1000:.1f})
  as the guest's lines show it  {info['felt-ms']:.0f} ms (it prints one each 100 ms)
  processor time     {rdma['cpu-time'] / 1e6:.2f} s in the source's transport""")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--size", type=mib, default=512)
    parser.add_argument("--dirty", type=mib, default=10)
    parser.add_argument("--guest", choices=GUESTS, default="linux")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with Box() as box:
        kernel, initrd = GUESTS[arguments.guest](box.path)
        # The kernel and its own memory need about 200 MiB.
        boot = Boot(kernel, initrd, mib=max(arguments.size - 300, arguments.size // 4),
                    rate=arguments.dirty)
        accel = accelerator(box, arguments.binary, Boot(kernel, initrd, mib=10))
        print(f"guest: {arguments.guest}, {arguments.size} MiB, writing {arguments.dirty} MiB/s; accelerator "
              f"{accel.split(',')[0]}; waiting until it has booted", file=sys.stderr)
        pair = Pair(box, arguments.binary, boot, mib=arguments.size, accel=accel)
        pair.vm.wait_swept(1)
        info = move(pair)
        pair.waiting.wait_swept(2)
        report(info, 2)
        if arguments.json:
            with open(arguments.json, "w", encoding="ascii") as file:
                json.dump(info, file, indent=1)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
