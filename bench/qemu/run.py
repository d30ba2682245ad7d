#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One part of `scripts/bench qemu`, on this machine or on host0 of its lab; writes
$RIG_OUT/told.json."""
import argparse
import sys

from duel import Guest, Side, VmError, duel, figures, say
from box import Box  # (found by duel)
from inside import Tally, ratio
from lab import MIB, Failure, again, perftest

CHANNELS = 4
PERFTEST_BYTES = 64 * MIB


def same_host(box, options, prealloc):
    """A guest that is large enough to take longer than QEMU takes to decide anything."""
    guest = Guest(box, options.kernel, "127.0.0.1", mib=2048, written=1400, prealloc=prealloc)
    multifd = Side("stock multifd", options.stock, "tcp", ["multifd"],
                   **{"multifd-channels": CHANNELS})
    return duel(guest, (Side("pagerail", options.ours, "rdma"), multifd), options.runs)


def ready_memory(box, options, tally):
    runs = same_host(box, options, True)
    tally.figures += figures("same-host", *runs, {"total": 0.5, "downtime": 1.0})


def fresh_memory(box, options, tally):
    """Both wait for the kernel, and for its host, to give the destination memory."""
    tally.figures += figures("same-host-fresh", *same_host(box, options, False), {})


def rdma_sides(options):
    return Side("pagerail", options.ours, "rdma"), Side("stock rdma", options.stock, "rdma")


def one_host(box, options, tally):
    runs = duel(Guest(box, options.kernel, "host0"), rdma_sides(options), options.runs)
    tally.figures += figures("one-host", *runs, {"total": 0.6, "downtime": 0.6})


def wire(ours, references):
    """Bytes a second of first rounds, and ib_write_bw right before and right after."""
    pairs = [(run["first_round_Bps"], (before + after) / 2)
             for run, before, after in zip(ours, references[::2], references[1::2])
             if run["first_round_Bps"]]
    if not pairs:
        raise Failure("no first round was long enough to be measured")
    return ratio("two-hosts-wire", pairs, 0.9)


def two_hosts(box, options, tally):
    """Slower than within one host, so the guest is smaller and writes less."""
    references = []

    def reference():
        references.append(again(perftest, PERFTEST_BYTES)["Bps"])
        say(f"ib_write_bw: {references[-1] / 1e6:.1f} MB/s")

    guest = Guest(box, options.kernel, "host1", mib=256, written=100, rate=1)
    runs = duel(guest, rdma_sides(options), options.runs, reference)
    tally.ratios.append(wire(runs[0], references))
    tally.figures += figures("two-hosts", *runs, {"total": 0.7, "downtime": 0.6})


PARTS = {"same-host": ready_memory, "same-host-fresh": fresh_memory, "one-host": one_host,
         "two-hosts": two_hosts}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("kernel", help="the guest (tests/qemu/tiny.c)")
    parser.add_argument("ours", help="qemu-system-x86_64 with pagerail")
    parser.add_argument("stock", help="qemu-system-x86_64 as it is")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    tally = Tally()
    try:
        with Box() as box:
            PARTS[options.part](box, options, tally)
    except (Failure, VmError) as error:
        say(error)
        return 1
    tally.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
