#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One part of `scripts/bench qemu`, on this machine or on host0 of its lab."""
import argparse
import statistics
import sys
from pathlib import Path

import duel
from duel import Guest, Side, VmError, say

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rdma"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/rig/lab"))
from box import Box  # noqa: E402  (the rig's)
from lab import MIB, Failure, again, perftest  # noqa: E402  (bench rdma's)

CHANNELS = 4
PERFTEST_BYTES = 64 * MIB


def plain(guest, options):
    sides = (Side("pagerail", options.ours, "rdma"),
             Side("stock multifd", options.stock, "tcp", ["multifd"],
                  **{"multifd-channels": CHANNELS}))
    ours, stock = duel.duel(guest("127.0.0.1"), sides, options.runs)
    return [], duel.figures("same-host", ours, stock, {"total": 0.5, "downtime": 1.0})


def rdma_sides(options):
    return Side("pagerail", options.ours, "rdma"), Side("stock rdma", options.stock, "rdma")


def one_host(guest, options):
    ours, stock = duel.duel(guest("host0"), rdma_sides(options), options.runs)
    return [], duel.figures("one-host", ours, stock, {"total": 0.6, "downtime": 0.6})


def wire(ours, references):
    """Bytes a second of first rounds against ib_write_bw right before and right after."""
    pairs = [(run["first_round_Bps"], (before + after) / 2)
             for run, before, after in zip(ours, references, references[1:])
             if run["first_round_Bps"]]
    if not pairs:
        raise Failure("no first round was long enough to be measured")
    values = [a / b for a, b in pairs]
    middle = statistics.median(values)
    return {"name": "two-hosts-wire", "ours": "pagerail", "reference": "ib_write_bw",
            "median": middle, "min": min(values), "max": max(values), "pairs": len(values),
            "bar": 0.9, "holds": middle >= 0.9, "ours_Bps": statistics.median(a for a, _ in pairs),
            "reference_Bps": statistics.median(b for _, b in pairs)}


def two_hosts(guest, options):
    references = []

    def reference():
        references.append(again(perftest, PERFTEST_BYTES)["Bps"])
        say(f"ib_write_bw: {references[-1] / 1e6:.1f} MB/s")

    reference()
    ours, stock = duel.duel(guest("host1"), rdma_sides(options), options.runs, reference)
    return ([wire(ours, references)],
            duel.figures("two-hosts", ours, stock, {"total": 0.7, "downtime": 0.6}))


PARTS = {"same-host": plain, "one-host": one_host, "two-hosts": two_hosts}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("kernel", help="the guest (tests/qemu/tiny.c)")
    parser.add_argument("ours")
    parser.add_argument("stock")
    parser.add_argument("told", help="file for the figures")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    try:
        with Box() as box:
            ratios, rows = PARTS[options.part](
                lambda there: Guest(box, options.kernel, there), options)
    except (Failure, VmError) as error:
        say(error)
        return 1
    duel.write(options.told, ratios, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
