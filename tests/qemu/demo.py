#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""scripts/demo with a guest in QEMU: moves it from one QEMU to another on this machine, or from
host0 of a lab that we are in to host1, shows how it goes, and reports."""
import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from pair import GUESTS, Boot, Box, Pair, VmError
from boot import build_tiny
from vm import Vm, felt_downtime_ms

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
KVM_PROBE_S = 5
BEAT_MS = 20
PORT = 4444
BAR = 20
LOOK_S = 0.02
RATE_S = 0.2  # the time over which the bandwidth is told
TELL_S = 0.5  # where there is no terminal


def mib(text):
    match = re.fullmatch(r"(\d+)([KMG]?)", text.upper())
    if not match or int(match[1]) * UNITS[match[2]] < 1 << 20:
        raise argparse.ArgumentTypeError(f"'{text}' is no size of 1M or more: write 512M or 2G")
    return int(match[1]) * UNITS[match[2]] >> 20


def accelerator(box, binary):
    """kvm where a guest really runs on it: the device may be there and not run one. The guest that
    boots at once says so soon."""
    try:
        with open("/dev/kvm", "rb+", buffering=0):
            pass
        boot = Boot(build_tiny(box.path), None, mib=1)
        probe = Vm(box, binary, "probe", boot, mib=64, accel="kvm")
    except (OSError, VmError):
        return "tcg,thread=multi"
    try:
        probe.wait_beats(1, KVM_PROBE_S)
        return "kvm"
    except VmError:
        return "tcg,thread=multi"
    finally:
        probe.kill()


def cpu_s(vm):
    """Processor time of a QEMU but for its guest's processors; 0 of one on another host."""
    if vm.host:
        return 0.0

    def ticks(stat):
        fields = stat.read_text(encoding="ascii").rsplit(")", maxsplit=1)[1].split()
        return int(fields[11]) + int(fields[12])

    process = Path(f"/proc/{vm.process.pid}")
    guest = sum(ticks(task / "stat") for task in (process / "task").iterdir()
                if (task / "comm").read_text(encoding="ascii").startswith("CPU "))
    return (ticks(process / "stat") - guest) / 100  # USER_HZ, on every x86-64


class Progress:
    """What the migration says while it runs: a bar on a terminal, now and then a line elsewhere."""

    def __init__(self):
        self.terminal, self.told_at, self.samples = sys.stderr.isatty(), 0, []

    def bandwidth(self, now_ms, sent):
        """In MB/s, over the last moments; QEMU's own figure is late for a short move."""
        recent = [s for s in self.samples if now_ms - s["ms"] <= RATE_S * 1000]
        first = recent[0] if recent else {"ms": 0, "sent-bytes": 0}
        return (sent - first["sent-bytes"]) / 1000 / max(now_ms - first["ms"], 1)

    def look(self, info):
        if "ram" not in info:
            return
        ram = info["ram"]
        rate = self.bandwidth(info["total-time"], ram["transferred"])
        dirty = ram.get("dirty-pages-rate", 0) * ram["page-size"] / 1e6
        left, downtime = ram["remaining"] / 1e6, info.get("expected-downtime")
        self.samples.append({"ms": info["total-time"], "round": ram["dirty-sync-count"],
                             "remaining-bytes": ram["remaining"], "sent-bytes": ram["transferred"],
                             "bandwidth-MBps": round(rate, 1), "dirty-MBps": round(dirty, 1),
                             "predicted-downtime-ms": downtime})
        eta = f"{left / (rate - dirty):.1f} s" if rate > dirty + left / 600 else "-"
        done = max(0, min(BAR, round(BAR * (1 - ram["remaining"] / ram["total"]))))
        self.show(f"round {ram['dirty-sync-count']} [{'#' * done:<{BAR}}] {left:4.0f} MB left, "
                  f"{rate:.0f} MB/s, dirty {dirty:.0f} MB/s, downtime ~{downtime} ms, ETA {eta}")

    def show(self, line):
        if self.terminal:
            print(f"\r{line[:99]:<99}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self.told_at > TELL_S:
            self.told_at = time.monotonic()
            print(line, file=sys.stderr)

    def end(self):
        if self.terminal:
            print(file=sys.stderr)


def await_guest(pair):
    try:
        return pair.await_guest(PORT)
    except VmError:
        return pair.await_guest()


def move(pair):
    """Move it; what query-migrate said at the end, and what was measured beside."""
    uri = await_guest(pair)
    old, new = pair.vm, pair.waiting
    print(f"(qemu) migrate {uri}", file=sys.stderr)
    progress, cpu = Progress(), [cpu_s(vm) for vm in (old, new)]
    old.qmp("migrate-set-parameters", **{"max-bandwidth": 0})
    old.qmp("migrate", uri=uri)
    while (info := old.migration())["status"] not in ("completed", "failed"):
        progress.look(info)
        time.sleep(LOOK_S)
    progress.end()
    if info["status"] == "failed":
        raise VmError(f"the migration failed: {info.get('error-desc')}; the guest goes on there")
    new.wait_beats(1)
    cpu = [cpu_s(vm) - before for vm, before in zip((old, new), cpu)]
    info["demo"] = {"uri": uri, "progress": progress.samples, "cpu-s-source": round(cpu[0], 2),
                    "cpu-s-destination": round(cpu[1], 2),
                    "felt-ms": round(felt_downtime_ms(old, new), 1)}
    return info


def report(info):
    ram, rdma, demo = info["ram"], info["rdma"], info["demo"]
    sent = rdma["bytes"] / (1 << 30)
    cpu = demo["cpu-s-source"] + demo["cpu-s-destination"]
    there_cpu = (f"{demo['cpu-s-destination']:.2f} s at the destination, " if demo["cpu-s-destination"]
                 else "")
    load = rdma["load-time"] / 1000
    there = load + rdma["resume-time"] / 1000
    lines = [
        ("outcome", "completed, the guest runs at the destination"),
        ("memory", "every page is right: the guest has checked all of it "
         f"{demo['sweeps']} times since"),
        ("total time", f"{info['total-time'] / 1000:.2f} s, {ram['dirty-sync-count']} rounds, "
         f"{ram['mbps'] / 8:.0f} MB/s"),
        ("guest memory sent", f"{rdma['bytes'] >> 20} MiB in {rdma['writes']} writes; "
         f"{rdma['zero-pages']} pages of 4 KiB were zero"),
        ("downtime", f"{info['downtime']} ms by QEMU (last pages and state "
         f"{info['downtime'] - there:.1f}, load {load:.1f}, resume {there - load:.1f})"),
        ("as seen from outside", f"{demo['felt-ms']:.0f} ms between its heartbeats there and here, "
         f"which come each {BEAT_MS} ms"),
        ("as the guest felt it", f"{demo['gap-ms']} ms was the longest gap between two turns of "
         "its loop, by its own clock"),
        ("processor time", f"{demo['cpu-s-source']:.2f} s at the source, {there_cpu}without the "
         f"guest's ({cpu / sent:.2f} s per GiB sent)"),
    ]
    print()
    for name, text in lines:
        print(f"  {name:<22}{text}")


def run(box, arguments):
    lab = "RIG_HOST" in os.environ
    kernel, initrd = GUESTS[arguments.guest](os.environ["RIG_OUT"] if lab else box.path)
    # The kernel and its own memory need about 200 MiB.
    boot = Boot(kernel, initrd, mib=max(arguments.size - 300, arguments.size // 4),
                rate=arguments.dirty, beat_ms=BEAT_MS)
    accel = accelerator(box, arguments.binary)
    print(f"guest: {arguments.guest}, {arguments.size} MiB, writing {arguments.dirty} MiB/s; "
          f"accelerator {accel.split(',')[0]}; waiting until it has booted and written all",
          file=sys.stderr)
    pair = Pair(box, arguments.binary, boot, mib=arguments.size, accel=accel,
                hosts=("host0", "host1") if lab else ("127.0.0.1",), extra=["-name", "demo,debug-threads=on"])
    pair.vm.wait_swept(1)
    info = move(pair)
    print("the guest runs at the destination; waiting until it has checked all its memory",
          file=sys.stderr)
    pair.waiting.wait_swept(2)
    info["demo"].update({"sweeps": 2, "gap-ms": max(beat.gap_ms for beat in pair.waiting.beats)})
    report(info)
    if arguments.json:
        arguments.json.write_text(json.dumps(info, indent=1), encoding="ascii")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--size", type=mib, default=512)
    parser.add_argument("--dirty", type=mib, default=10)
    parser.add_argument("--guest", choices=GUESTS, default="linux")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.json:
            arguments.json.touch()
    except OSError as error:
        parser.error(f"--json: {error}")
    with Box() as box:
        run(box, arguments)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted; all is ended", file=sys.stderr)
        sys.exit(130)
