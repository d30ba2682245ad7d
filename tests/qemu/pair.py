# SPDX-License-Identifier: BSD-2-Clause
"""A guest that is moved from one QEMU to the next, and a test's own frame."""
import argparse
import os
import socket
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rig" / "lab"))
from box import Box  # noqa: E402  (the rig's, one folder away)
from boot import GUESTS, Boot  # noqa: E402,F401
from vm import Vm, VmError, felt_downtime_ms  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Pair:
    """A running guest and, for the time of a move, the QEMU that waits for it.

    hosts: where the first QEMU runs, the second, and so on, round and round; in a lab its hosts."""

    def __init__(self, box, binary, boot, *, hosts=("127.0.0.1",), **options):
        self.box, self.binary, self.boot, self.options = box, binary, boot, options
        self.hosts = hosts
        self.number = 0
        self.vm = self._start()
        self.waiting = self.uri = None
        self.vm.wait_beats(3)

    def _start(self, **options):
        host = self.next_host()
        self.number += 1
        if len(self.hosts) > 1 and host != os.environ["RIG_HOST"]:
            options["host"] = host
        return Vm(self.box, self.binary, f"vm{self.number}", self.boot, **self.options, **options)

    def next_host(self):
        return self.hosts[self.number % len(self.hosts)]

    def await_guest(self, port=None):
        """Start the next QEMU; the URI at which it waits."""
        self.uri = f"rdma:{self.next_host()}:{port or free_port()}"
        self.waiting = self._start(incoming=self.uri)
        return self.uri

    def move(self, during=None):
        """Move the guest, check all its memory there, end the old QEMU; query-migrate's words.
        during: called with both QEMUs while the migration is under way."""
        if not self.waiting:
            self.await_guest()
        old, new = self.vm, self.waiting
        old.qmp("migrate", uri=self.uri)
        if during:
            during(old, new)
        info = old.wait_migration("completed", "failed")
        if info["status"] != "completed":
            raise VmError(f"the move failed: {info.get('error-desc')}; {new.stderr()}")
        new.wait_beats(1)
        info["felt-ms"] = felt_downtime_ms(old, new)
        if old.running() or not new.running():
            raise VmError(f"running: there {old.running()}, here {new.running()}")
        new.wait_swept(2)
        old.kill()
        self.vm, self.waiting = new, None
        return info

    def end(self):
        for vm in (self.vm, self.waiting):
            if vm:
                vm.kill()


def guest_goes_on(vm, most_s):
    """Wait until the guest there runs again; the longest time it was not heard of."""
    vm.wait_beats(3)
    beats = vm.beats
    gap = max(max(b.at - a.at, b.gap_ms / 1000) for a, b in zip(beats, beats[1:]))
    if gap > most_s:
        raise VmError(f"{vm.name}: the guest stood still for {gap:.2f} s")
    return gap


def main(cases, description, linux_only=(), by_name_only=lambda binary: ()):
    """Run the named cases (by default all that the guest is good for, but for those that have to be
    named); the exit status of the test."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("binary", help="qemu-system-x86_64 with pagerail")
    parser.add_argument("cases", nargs="*", help=", ".join(cases))
    parser.add_argument("--guest", choices=GUESTS, default="linux")
    arguments = parser.parse_args()
    failures = 0
    with Box() as box:
        kernel, initrd = GUESTS[arguments.guest](os.environ.get("RIG_OUT", box.path))
        left_out = {*by_name_only(arguments.binary), *(() if initrd else linux_only)}
        fit = [name for name in cases if name not in left_out]
        for name in arguments.cases or fit:
            start = time.monotonic()
            verdict = "PASS"
            try:
                told = cases[name](box, arguments.binary, kernel, initrd)
                if told.startswith("skip: "):
                    verdict, told = "SKIP", told[6:]
            except Exception as error:  # the other cases still tell something
                verdict, told, failures = "FAIL", error, failures + 1
                if not isinstance(error, VmError):
                    traceback.print_exc()
            print(f"{verdict} {name}: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    return 1 if failures else 0
