#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One part of `scripts/bench rdma`, on host0 of its lab; writes $RIG_OUT/told.json."""
import argparse
import json
import statistics
import sys

from lab import MIB, OUT, Failure, again, migrate, perftest, say

GIB = 1 << 30
PAGE = 4096

# What a RoCE v2 packet of 4096 bytes has around them: Ethernet 14 (as the kernel's queues count),
# IPv4 20, UDP 8, BTH 12, ICRC 4. The first of a message has a RETH of 16 in addition; we write
# 64 packets a message. Preamble, FCS and gap are not counted by the lab's line either.
PACKET_OVERHEAD = 14 + 20 + 8 + 12 + 4 + 16 / 64
START_S = 15  # seconds in which a guest begins to be sent, registration of one window included
STILL = ("--dirty", "0", "--threads", "1", "--max-downtime", "8000")


def ratio(name, pairs, bar, ours="pagerail", reference="ib_write_bw"):
    """pairs: (ours, reference) in bytes a second."""
    values = sorted(a / b for a, b in pairs)
    middle = statistics.median(values)
    return {"name": name, "ours": ours, "reference": reference, "median": middle,
            "min": values[0], "max": values[-1], "pairs": len(values), "bar": bar,
            "holds": middle >= bar, "ours_Bps": statistics.median(a for a, _ in pairs),
            "reference_Bps": statistics.median(b for _, b in pairs)}


def figure(name, unit, samples, bar=None):
    row = {"name": name, "unit": unit, "median": statistics.median(samples),
           "min": min(samples), "max": max(samples), "samples": len(samples)}
    if bar is not None:
        row |= {"bar": bar, "holds": row["median"] <= bar}
    return row


class Tally:
    def __init__(self):
        self.ratios, self.figures = [], []

    def write(self):
        (OUT / "told.json").write_text(json.dumps({"ratios": self.ratios, "figures": self.figures}),
                                       encoding="utf-8")


def first_pass(report):
    return report["rounds"][0]["bytes"] / report["rounds"][0]["duration_ms"] * 1000


def last_copy(report):
    return report["downtime"]["bytes"] / report["downtime"]["copy_ms"] * 1000


def scattered(report, size):
    """Of what was sent while every second page at most was dirty. (Kernels before 6.2 take the
    pinning of memory for a write to it, so there a second pass has all pages once more.)"""
    copies = [(r["bytes"], r["duration_ms"]) for r in report["rounds"][1:]]
    copies.append((report["downtime"]["bytes"], report["downtime"]["copy_ms"]))
    copies = [(sent, ms) for sent, ms in copies if size / 8 <= sent <= 0.6 * size]
    if not copies:
        raise Failure("the guest wrote too few pages to measure scattered ones")
    return sum(sent for sent, _ in copies) / sum(ms for _, ms in copies) * 1000


def rate_of_rounds(report):
    rounds = report["rounds"]
    return sum(r["bytes"] for r in rounds) / sum(r["duration_ms"] for r in rounds) * 1000


def per_gib(run, side, size="bytes_sent"):
    return run[f"cpu_s_{side}"] * GIB / run[size]


def told(name, report):
    say(f"{name}: {report['lanes']} lanes, round trip {report['rtt_us'] / 1000:.1f} ms, first pass "
        f"{first_pass(report) / 1e6:.2f} MB/s, last copy {report['downtime']['bytes'] / 1e6:.0f} MB at "
        f"{last_copy(report) / 1e6:.2f} MB/s, first byte after {report['first_byte_ms']:.0f} ms")


class Reference:
    """perftest before and after each of ours: what counts is the mean of the two."""

    def __init__(self, size):
        self.size, self.runs = size, []
        self.measure()

    def measure(self):
        self.runs.append(again(perftest, self.size))
        say(f"ib_write_bw: {self.runs[-1]['Bps'] / 1e6:.2f} MB/s")

    def around(self):
        self.measure()
        return (self.runs[-2]["Bps"] + self.runs[-1]["Bps"]) / 2


def free(options, tally):
    """Nothing but the hosts limits the line: against ib_write_bw."""
    size = options.size * MIB
    # With the whole guest to send the downtime is predicted above this, with half of it below.
    reference = Reference(size)
    passes, alternate, ours = [], [], []
    for _ in range(options.pairs):
        report = again(migrate, options.pagerail, size, "--fill", "random", *STILL)
        told("pass", report)
        ours.append(report)
        passes.append((first_pass(report), reference.around()))
        between_ms = int(0.7 * size / reference.runs[-1]["Bps"] * 1000)
        report = again(migrate, options.pagerail, size, "--fill", "random", "--pattern",
                       "alternate", "--threads", "1", "--dirty",
                       int(1.2 * reference.runs[-1]["Bps"]), "--max-downtime",
                       min(between_ms, 8000))
        told("alternate", report)
        alternate.append((scattered(report, size), reference.around()))
    tally.ratios += [ratio("pass", passes, 0.95), ratio("alternate", alternate, 0.7)]
    for side in ("source", "destination"):
        tally.figures += [
            figure(f"cpu-{side}", "s/GiB", [per_gib(run, side) for run in ours]),
            figure(f"cpu-{side}-ib_write_bw", "s/GiB",
                   [per_gib(run, side, "bytes") for run in reference.runs])]
    # What the destination's process does while pages come in.
    busy = [(run["destination_load"], rate_of_rounds(run)) for run in ours
            if run["destination_load"]]
    if not busy:
        raise Failure("no migration was long enough to watch the destination")
    tally.figures += [
        figure("cpu-destination-in-rounds", "s/GiB",
               [load["cpu_s"] * GIB / rate for load, rate in busy]),
        figure("wakes-destination-in-rounds", "/1000 pages",
               [load["wakes"] * 1000 * PAGE / rate for load, rate in busy], bar=10)]


def line(name, bar):
    """The line limits: against its payload rate."""
    def measure(options, tally):
        payload = options.rate * 1e6 / 8 * PAGE / (PAGE + PACKET_OVERHEAD)
        pairs = []
        for _ in range(options.pairs):
            report = again(migrate, options.pagerail, options.size * MIB, "--fill", "random", *STILL)
            told(name, report)
            pairs.append((first_pass(report), payload))
        tally.ratios.append(ratio(name, pairs, bar, reference=f"payload of {options.rate} Mbit/s"))
    return measure


def start(options, tally):
    """Time to the first byte of a small guest and of a large one that is mostly empty."""
    times = {"256M": [], "4G": []}
    for _ in range(options.pairs):
        for size, list_ in times.items():
            report = again(migrate, options.pagerail, size, "--fill", "zero", "--threads", "1",
                           "--dirty", "4M", "--run-before", "5", stop_s=START_S)
            say(f"{size}: first byte after {report['first_byte_ms']:.0f} ms")
            list_.append(report["first_byte_ms"])
    for size, list_ in times.items():
        tally.figures.append(figure(f"first-byte-{size}", "ms", list_))
    grown = [large / small for small, large in zip(times["256M"], times["4G"])]
    tally.figures.append(figure("first-byte-4G-to-256M", "ratio", grown, bar=1.5))


PARTS = {"free": free, "line": line("line", 0.97), "far": line("far", 0.9), "start": start}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("pagerail")
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="MiB")
    parser.add_argument("--rate", type=float, help="Mbit/s of the line")
    options = parser.parse_args()
    tally = Tally()
    try:
        PARTS[options.part](options, tally)
    except Failure as failure:
        say(failure)
        return 1
    tally.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
