#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Cancels and kills a migration at many moments, in all its phases: the guest goes on at the
source, and the next migration succeeds. Moves it back and forth."""
import collections
import os
import random
import subprocess
import sys
import time

from pair import Boot, Pair, VmError, free_port, guest_goes_on, main
from vm import Vm

SOAK = 5 if os.environ.get("PAGERAIL_SOAK") else 1
MOMENTS = int(os.environ.get("PAGERAIL_MOMENTS", "0")) or 20 * SOAK
SEED = int(os.environ.get("PAGERAIL_SEED", "0")) or random.SystemRandom().getrandbits(32)

ENDS = ("completed", "failed", "cancelled")

# Where a blow is aimed: the phase to wait for, and for how long at most it is put off then, in
# seconds (None: as long as a whole move takes). In the phase device the guest is stopped.
AIMS = [("setup", 0), ("active", None), ("device", 0.004), ("active", None), ("setup", 0.02),
        ("active", None), ("device", 0.02)]


def guest(box, binary, kernel, initrd, mib=100):
    return Pair(box, binary, Boot(kernel, initrd, mib=mib), mib=256)


def switch(vm, capability, state=True):
    vm.qmp("migrate-set-capabilities",
           capabilities=[{"capability": capability, "state": state}])


def ping_pong(*where):
    pair = guest(*where, mib=50)
    try:
        moves = [pair.move() for _ in range(10 * SOAK)]
    finally:
        pair.end()
    return f"{len(moves)} moves, downtime {[info['downtime'] for info in moves]} ms"


class Blows:
    """Draws the moments of a case, and knows in which phase each blow hit."""

    def __init__(self, pair):
        self.draw, self.count = random.Random(SEED), 0
        self.span_s = pair.move()["total-time"] / 1000
        self.phases = collections.Counter()

    def begin(self, pair):
        """Start a move and wait until the next moment of it."""
        state, most_s = AIMS[self.count % len(AIMS)]
        self.count += 1
        if not pair.waiting:
            pair.await_guest()
        vm = pair.vm
        switch(vm, "events")
        vm.events.clear()
        vm.qmp("migrate", uri=pair.uri)
        vm.wait(f"phase {state}", lambda: state in vm.phases() or vm.phases()[-1] in ENDS)
        time.sleep(self.draw.random() * (self.span_s if most_s is None else most_s))
        self.phases[vm.phases()[-1]] += 1

    def told(self, stayed):
        """What to report; each phase must have been hit."""
        for phase in ("setup", "active", "device"):
            if not self.phases[phase]:
                raise VmError(f"no blow hit the phase {phase}: {dict(self.phases)}")
        return (f"seed {SEED}: stayed {stayed} of {self.count} times, hit "
                f"{', '.join(f'{phase} {count}' for phase, count in self.phases.items())}")


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


def check_end(vm, why):
    """It must have ended by itself, as a failure, with one clear line."""
    if vm.wait_exit() != 1:
        raise VmError(f"{why}: {vm.name} ended as if all were well: {vm.stderr()}")
    said = vm.complaints()
    if len(said) != 1 or ": rdma: " not in said[0]:
        raise VmError(f"{why}: {vm.name} has not said why in one line: {said}")
    return said[0].split(": rdma: ")[1]


def ended(vm, why):
    """True when it has ended, and rightly so; False when no source has ever reached it."""
    try:
        vm.process.wait(2)
    except subprocess.TimeoutExpired:
        if vm.qmp("query-migrate").get("status") == "setup":
            return False
    check_end(vm, why)
    return True


def cancel_promptly(vm):
    start = time.monotonic()
    vm.qmp("migrate_cancel")
    took = time.monotonic() - start
    if took > 1.0:
        raise VmError(f"migrate_cancel took {took:.2f} s")


def cancel(*where):
    pair, stayed = guest(*where), 0
    try:
        blows = Blows(pair)
        for _ in range(MOMENTS):
            blows.begin(pair)
            cancel_promptly(pair.vm)
            if not settle(pair):
                continue
            stayed += 1
            if ended(pair.waiting, "cancelled"):
                pair.waiting = None
        pair.move()
    finally:
        pair.end()
    return blows.told(stayed)


def destination_killed(*where):
    pair, stayed = guest(*where), 0
    try:
        blows = Blows(pair)
        while stayed < max(MOMENTS // 2, len(AIMS)):
            blows.begin(pair)
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
    return blows.told(stayed)


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
                switch(pair.vm, "return-path", state)
                switch(pair.waiting, "return-path", state)
                pair.vm.qmp("migrate", uri=uri)
                time.sleep(0.2)
                blow()
                if not settle(pair):
                    raise VmError(f"{way}: the migration was completed within 0.2 s")
                said.append(f"{way}: {check_end(pair.waiting, way)}")
                pair.waiting = None
            pair.move()
        uri = pair.await_guest()
        pair.vm.qmp("migrate", uri=uri)
        time.sleep(0.2)
        pair.vm.kill()
        said.append(f"killed there: {check_end(pair.waiting, 'killed there')}")
    finally:
        pair.end()
    return "; ".join(said[3:])


def stays(*where):
    """A destination that shall not exit on an error says why in query-migrate."""
    pair = guest(*where)
    new = Vm(pair.box, pair.binary, "stays", pair.boot, mib=256, incoming="defer")
    try:
        uri = f"rdma:127.0.0.1:{free_port()}"
        new.qmp("migrate-incoming", **{"uri": uri, "exit-on-error": False})
        pair.vm.qmp("migrate", uri=uri)
        new.wait_migration("active")
        cancel_promptly(pair.vm)
        if not settle(pair):
            raise VmError("it was moved though it was cancelled")
        said = new.wait_migration("failed")["error-desc"]
        if "cancelled" not in said or new.process.poll() is not None:
            raise VmError(f"unclear: {said}; status {new.process.poll()}")
        pair.move()
    finally:
        new.kill()
        pair.end()
    return said


def at_once(*where):
    """After a cancel the guest goes to another destination without a pause."""
    pair = guest(*where)
    try:
        first = pair.await_guest()
        dropped = pair.waiting
        second = pair.await_guest()
        pair.vm.qmp("migrate", uri=first)
        pair.vm.wait_migration("active")
        cancel_promptly(pair.vm)
        start, refusals = time.monotonic(), 0
        while True:
            try:
                pair.vm.qmp("migrate", uri=second)
                break
            except VmError as error:  # the first one has not ended yet, and says so
                refusals += 1
                if "in progress" not in str(error) or time.monotonic() - start > 1.0:
                    raise
        took_ms = (time.monotonic() - start) * 1000
        if settle(pair):
            raise VmError(f"it was not moved: {pair.vm.migration()}")
        pair.vm.wait_swept(2)
        check_end(dropped, "cancelled")
    finally:
        pair.end()
    return f"the next migration began {took_ms:.0f} ms after the cancel ({refusals} refusals)"


def switchover(*where):
    """The migration stands still with the guest stopped, where pause-before-switchover asks for
    it: cancelled there, the guest runs on; continued, it moves."""
    pair = guest(*where)
    try:
        pair.await_guest()
        switch(pair.vm, "pause-before-switchover")
        pair.vm.qmp("migrate", uri=pair.uri)
        pair.vm.wait_migration("pre-switchover")
        cancel_promptly(pair.vm)
        if not settle(pair):
            raise VmError("it was moved though it was cancelled before the switchover")
        check_end(pair.waiting, "cancelled before the switchover")
        pair.waiting = None

        def go_on(old, _new):
            old.wait_migration("pre-switchover")
            old.qmp("migrate-continue", state="pre-switchover")

        info = pair.move(go_on)
    finally:
        pair.end()
    return f"downtime {info['downtime']} ms"


CASES = {"told": told, "stays": stays, "at-once": at_once, "switchover": switchover,
         "ping-pong": ping_pong, "cancel": cancel, "destination-killed": destination_killed}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
