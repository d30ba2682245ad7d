# SPDX-License-Identifier: BSD-2-Clause
"""Two QEMUs move the same guest in turn: pagerail's and the stock one. Here or in a lab."""
import os
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tests/qemu", "tests/rig/lab", "bench/rdma"):
    sys.path.insert(0, str(ROOT / folder))
from boot import Boot  # noqa: E402  (the tests' guest and QEMU)
from inside import figure  # noqa: E402  (as bench rdma)
from vm import Vm, VmError, felt_downtime_ms, stood_still_ms  # noqa: E402

LIMIT_S = 300
LOOK_S = 0.1


def say(text):
    print(text, file=sys.stderr, flush=True)


class Side:
    """One of the two: its program, and what is set on both of its QEMUs."""

    def __init__(self, name, binary, scheme, capabilities=(), **parameters):
        self.name, self.binary, self.scheme = name, binary, scheme
        self.capabilities = [{"capability": name, "state": True} for name in capabilities]
        # 0 is no limit, for both.
        self.parameters = {"max-bandwidth": 0, **parameters}

    def prepare(self, vm):
        if self.capabilities:
            vm.qmp("migrate-set-capabilities", capabilities=self.capabilities)
        vm.qmp("migrate-set-parameters", **self.parameters)


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Guest:
    """The guest that both of them move, to the host `there`: so many MiB, of which it has written
    some and goes on writing `rate` a second. prealloc: the host has all of it ready before."""

    def __init__(self, box, kernel, there, *, mib=512, written=200, rate=10, prealloc=False):
        self.box, self.there, self.mib = box, there, mib
        self.boot = Boot(kernel, None, mib=written, rate=rate)
        self.memory = ["-object", f"memory-backend-ram,id=ram,size={mib}M,prealloc=on"]
        if not prealloc:
            self.memory = []

    def start(self, side, name, **options):
        vm = Vm(self.box, side.binary, name, self.boot, mib=self.mib, memory=self.memory, **options)
        side.prepare(vm)
        return vm

    def start_waiting(self, side):
        away = "RIG_HOST" in os.environ and self.there != os.environ["RIG_HOST"]
        vm = self.start(side, "destination", incoming="defer", host=self.there if away else None)
        uri = f"{side.scheme}:{self.there}:{free_port()}"
        vm.qmp("migrate-incoming", uri=uri)
        return vm, uri


def watch(vm):
    """Until the migration has ended; query-migrate's last words, and a look at it now and then."""
    looks, end = [], time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        info = vm.migration()
        if "ram" in info:
            looks.append((time.monotonic(), info["ram"]["transferred"],
                          info["ram"]["dirty-sync-count"]))
        if info["status"] in ("completed", "failed"):
            return info, looks
        time.sleep(LOOK_S)
    raise VmError(f"the migration did not end within {LIMIT_S} s: {info}")


def first_round_Bps(looks):
    """From the first byte to the last look at the first round."""
    seen = [(at, sent) for at, sent, rounds in looks if rounds == 1]
    begin = max((i for i, (_, sent) in enumerate(seen) if not sent), default=0)
    if len(seen) - begin < 3:
        return None
    (start, before), (end, after) = seen[begin], seen[-1]
    return (after - before) / (end - start)


def move(guest, side):
    """One migration of a guest that was just booted; what it took. All of its memory is right."""
    source = guest.start(side, "source")
    waiting = None
    try:
        source.wait_swept(1, LIMIT_S)
        waiting, uri = guest.start_waiting(side)
        source.qmp("migrate", uri=uri)
        info, looks = watch(source)
        if info["status"] != "completed":
            raise VmError(f"{side.name}: {info.get('error-desc')}; {waiting.stderr()}")
        waiting.wait_beats(1)
        still_ms, felt_ms = stood_still_ms(source, waiting), felt_downtime_ms(source, waiting)
        source.kill()
        waiting.wait_swept(2, LIMIT_S)
    finally:
        source.kill()
        if waiting:
            waiting.kill()
    ram = info["ram"]
    return {"total_ms": info["total-time"], "downtime_ms": info["downtime"],
            "still_ms": still_ms, "felt_ms": felt_ms, "setup_ms": info["setup-time"],
            "rounds": ram["dirty-sync-count"], "bytes": ram["transferred"],
            "downtime_bytes": ram["downtime-bytes"], "first_round_Bps": first_round_Bps(looks),
            "rdma": info.get("rdma")}


def told(side, run):
    more = ""
    if run["rdma"]:
        parts = {key: run["rdma"][key] / 1000 for key in ("copy-time", "load-time", "resume-time")}
        more = (f"; {run['rdma']['lanes']} lanes, round trip {run['rdma']['round-trip'] / 1000:.1f} ms, "
                + ", ".join(f"{key} {value:.0f} ms" for key, value in parts.items()))
    rate = run["first_round_Bps"]
    say(f"{side.name}: {run['total_ms']} ms (setup {run['setup_ms']}), downtime {run['downtime_ms']} ms "
        f"with {run['downtime_bytes'] >> 10} KiB, stood {run['still_ms']:.0f} ms, "
        f"felt {run['felt_ms']:.0f} ms, {run['rounds']} rounds, "
        f"{run['bytes'] >> 20} MiB, first round {rate / 1e6 if rate else 0:.1f} MB/s{more}")


def figures(part, ours, stock, bars):
    """ours, stock: runs that were made in turn. bars: what the ratio of each may be."""
    rows = []
    for key in ("total", "downtime", "still", "felt"):
        pairs = [(a[f"{key}_ms"], b[f"{key}_ms"]) for a, b in zip(ours, stock)]
        rows += [figure(f"{part}-{key}", "x stock", [a / b for a, b in pairs], bars.get(key)),
                 figure(f"{part}-{key}-ours", "ms", [a for a, _ in pairs]),
                 figure(f"{part}-{key}-stock", "ms", [b for _, b in pairs])]
    return rows


def duel(guest, sides, count, reference=None):
    """Runs of both sides in turn; the reference is taken before and after each of the first
    side's."""
    runs = [[], []]
    for number in range(count):
        for index in (0, 1) if number % 2 else (1, 0):
            if reference and not index:
                reference()
            runs[index].append(move(guest, sides[index]))
            told(sides[index], runs[index][-1])
            if reference and not index:
                reference()
    return runs

