#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Cancels and kills a migration at many moments: the guest goes on at the source, and the next
migration succeeds. Moves it back and forth."""
import os
import random
import sys
import time

from pair import Boot, Pair, VmError, guest_goes_on, main

MOMENTS = int(os.environ.get("PAGERAIL_MOMENTS", "10"))
SEED = int(os.environ.get("PAGERAIL_SEED", "0")) or random.SystemRandom().getrandbits(32)


def guest(box, binary, kernel, initrd, **options):
    return Pair(box, binary, Boot(kernel, initrd, mib=100), mib=256, **options)


def ping_pong(*where):
    pair = guest(*where)
    try:
        moves = [pair.move() for _ in range(MOMENTS)]
    finally:
        pair.end()
    return f"{len(moves)} moves, downtime {[info['downtime'] for info in moves]} ms"


def begin(pair, draw, span_s):
    """Start a move and wait until a moment of it; the moment in ms."""
    uri = pair.await_guest()
    moment = draw.random() * span_s
    pair.vm.qmp("migrate", uri=uri)
    time.sleep(moment)
    return round(moment * 1000)


def span_of(pair):
    """How long a move takes. Moments are drawn from it; a move that is done before is right too."""
    return pair.move()["total-time"] / 1000


def settle(pair):
    """The guest is on one side after a blow; True when it is where it was."""
    info = pair.vm.wait_migration("completed", "failed", "cancelled")
    if info["status"] == "completed":
        pair.waiting.wait_beats(2)
        pair.vm.kill()
        pair.vm, pair.waiting = pair.waiting, None
        return False
    guest_goes_on(pair.vm, most_s=1.0)
    if not pair.vm.running():
        raise VmError("the guest does not run at the source")
    return True


def cancel(*where):
    draw, stayed, moments = random.Random(SEED), 0, []
    pair = guest(*where)
    try:
        span_s = span_of(pair)
        for _ in range(MOMENTS):
            moments.append(begin(pair, draw, span_s))
            start = time.monotonic()
            pair.vm.qmp("migrate_cancel")
            took = time.monotonic() - start
            if took > 1.0:
                raise VmError(f"migrate_cancel took {took:.2f} s")
            if settle(pair):
                stayed += 1
                if pair.waiting.wait_exit() == 0:
                    raise VmError("the destination ended as if all were well")
                pair.waiting = None
        pair.move()
    finally:
        pair.end()
    return f"seed {SEED}: {stayed} of {MOMENTS} stayed, at {moments} ms"


def destination_killed(*where):
    draw, stayed, moments = random.Random(SEED), 0, []
    pair = guest(*where)
    try:
        span_s = span_of(pair)
        while stayed < MOMENTS:
            moments.append(begin(pair, draw, span_s))
            pair.waiting.kill()
            info = pair.vm.wait_migration("completed", "failed")
            if info["status"] == "completed":  # it had the guest, which died with it
                pair.end()
                pair = guest(*where)
                continue
            stayed += settle(pair)
            pair.waiting = None
        pair.move()
    finally:
        pair.end()
    return f"seed {SEED}: {stayed} of {len(moments)} stayed, at {moments} ms"


def return_path(vm, state):
    vm.qmp("migrate-set-capabilities",
           capabilities=[{"capability": "return-path", "state": state}])


def yank(vm):
    vm.qmp("yank", instances=[{"type": "migration"}])


def told(*where):
    """Each way to end a migration, with QEMU's return path and without: both sides say why."""
    pair, said = guest(*where), []
    ways = {"cancelled": lambda: pair.vm.qmp("migrate_cancel"),
            "yanked there": lambda: yank(pair.vm), "yanked here": lambda: yank(pair.waiting)}
    try:
        for state in (False, True):
            for way, blow in ways.items():
                uri = pair.await_guest()
                return_path(pair.vm, state)
                return_path(pair.waiting, state)
                pair.vm.qmp("migrate", uri=uri)
                time.sleep(0.2)
                blow()
                if not settle(pair):
                    raise VmError(f"{way}: the migration was completed within 0.2 s")
                if pair.waiting.wait_exit() != 1:
                    raise VmError(f"{way}: the destination did not fail")
                said.append(f"{way}: {pair.waiting.stderr().splitlines()[-1].split('rdma: ')[-1]}")
                pair.waiting = None
            pair.move()
        uri = pair.await_guest()
        pair.vm.qmp("migrate", uri=uri)
        time.sleep(0.2)
        pair.vm.kill()
        if pair.waiting.wait_exit() != 1:
            raise VmError("the destination did not fail when the source was killed")
        said.append(f"killed there: {pair.waiting.stderr().splitlines()[-1].split('rdma: ')[-1]}")
    finally:
        pair.end()
    return "; ".join(said[3:])


CASES = {"told": told, "ping-pong": ping_pong, "cancel": cancel, "destination-killed": destination_killed}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
