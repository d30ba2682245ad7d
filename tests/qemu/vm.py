# SPDX-License-Identifier: BSD-2-Clause
"""QEMU processes for tests: started with our guest, driven by QMP, read on the serial port.

They are started in a Box (tests/rig/lab/box.py), so none outlives the test, however it ends.
"""
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

BEAT = re.compile(r"beat (\d+) gap (\d+) written (\d+) swept (\d+) bad (\d+)")


class VmError(Exception):
    """A VM did not do what the test asked of it; the text has what it said last."""


class Beat:
    """One line of the guest, and when it came (time.monotonic)."""

    def __init__(self, match, at):
        self.at = at
        self.number, self.gap_ms, self.written, self.swept, self.bad = map(int, match.groups())


class Vm:
    """One QEMU. `incoming` is a migration URI, or "defer", or None for a guest that boots. `host` is
    where it runs, another host of the lab that we are in (docs/rig.md), or None for here."""

    def __init__(self, box, binary, name, boot, *, mib=512, incoming=None, extra=(), memory=(),
                 accel="tcg,thread=multi", host=None):
        self.host = host
        self.name, self.folder = name, Path(tempfile.mkdtemp(prefix=f"{name}.", dir=box.path))
        self.beats, self.lines, self.events = [], [], []
        self._news = threading.Condition()
        self._stderr_path = self.folder / f"{name}.stderr"
        listen = self._listen_to_host if host else self._listen
        (qmp, qmp_address), (serial, serial_address) = map(listen, ("qmp", "serial"))
        command = ["rig-on", "-n", host] if host else []
        command += [str(binary), "-nodefaults", "-no-user-config", "-display", "none",
                   "-machine", "q35" + (",memory-backend=ram" if memory else ""),
                   "-accel", accel, "-m", f"{mib}M", "-kernel", str(boot.kernel),
                   "-append", boot.command_line,
                   "-chardev", f"socket,id=qmp,{qmp_address}", "-mon", "chardev=qmp,mode=control",
                   "-chardev", f"socket,id=serial,{serial_address}", "-serial", "chardev:serial"]
        if boot.initrd:
            command += ["-initrd", str(boot.initrd)]
        command += [*memory, *extra]
        if incoming:
            command += ["-incoming", incoming]
        with open(self._stderr_path, "wb") as stderr:
            # Another host does not have our folder, and rig-on goes to the same one there.
            self.process = box.start(command, stdout=stderr, stderr=stderr,
                                     cwd="/" if host else self.folder)
        with qmp, serial:
            self._qmp, self._serial = self._accept(qmp), self._accept(serial)
        self._qmp_file = self._qmp.makefile("rb")
        json.loads(self._qmp_file.readline())
        self._answers = []
        for target in (self._read_qmp, self._read_serial):
            threading.Thread(target=target, daemon=True).start()
        self.qmp("qmp_capabilities")

    def _listen(self, name):
        """A listener, and how QEMU's -chardev reaches it."""
        path = self.folder / f"{self.name}.{name}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        return listener, f"path={path}"

    @staticmethod
    def _listen_to_host(_name):
        here = os.environ["RIG_HOST"]
        listener = socket.create_server((here, 0))
        return listener, f"host={here},port={listener.getsockname()[1]}"

    def _accept(self, listener):
        listener.settimeout(0.2)
        while True:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self.process.poll() is not None:
                    raise VmError(f"{self.name} ended: {self.stderr()}") from None

    def _read_qmp(self):
        for line in self._lines(self._qmp_file):
            message = {"at": time.monotonic(), **json.loads(line)}
            with self._news:
                (self.events if "event" in message else self._answers).append(message)
                self._news.notify_all()
        with self._news:
            self._answers.append(None)
            self._news.notify_all()

    def _read_serial(self):
        with self._serial.makefile("rb") as serial:
            for line in self._lines(serial):
                at, text = time.monotonic(), line.decode(errors="replace").strip()
                match = BEAT.search(text)
                with self._news:
                    self.lines.append(text)
                    if match:
                        self.beats.append(Beat(match, at))
                    self._news.notify_all()

    @staticmethod
    def _lines(file):
        try:
            yield from file
        except ConnectionError:
            pass  # it was killed

    def stderr(self):
        return self._stderr_path.read_text(errors="replace").strip()

    def wait(self, what, condition, timeout=60):
        """Wait until condition() holds; it is asked whenever something came from the VM."""
        deadline = time.monotonic() + timeout
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise VmError(f"{self.name}: no {what} within {timeout} s; its last lines: "
                                  f"{self.lines[-5:]} {self.stderr()[-500:]}")
                self._news.wait(min(left, 0.5))

    def qmp(self, command, timeout=30, **arguments):
        """Run one command; its answer. Raises VmError with QEMU's sentence."""
        self._answers.clear()
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._qmp.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise VmError(f"{self.name} ended ({self.process.poll()}): {self.stderr()}") from None
        self.wait(f"answer to {command}", lambda: self._answers, timeout)
        answer = self._answers[0]
        if answer is None:
            raise VmError(f"{self.name} ended: {self.stderr()}")
        if "error" in answer:
            raise VmError(answer["error"]["desc"])
        return answer["return"]

    def migration(self):
        return self.qmp("query-migrate")

    def wait_migration(self, *states, timeout=120):
        """Poll until the migration is in one of the states; what query-migrate says then."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            info = self.migration()
            if info.get("status") in states:
                return info
            time.sleep(0.01)
        raise VmError(f"{self.name}: the migration is {info}, not in {states}; {self.stderr()}")

    def running(self):
        return self.qmp("query-status")["running"]

    def wait_beats(self, count, timeout=120):
        """That many more lines of the guest."""
        wanted = len(self.beats) + count
        self.wait("sign of life", lambda: len(self.beats) >= wanted, timeout)
        return self.beats[-1]

    def wait_swept(self, times=2, timeout=180):
        """Until the guest has checked all its memory so often again; it must all be right."""
        first = self.wait_beats(1, timeout).swept
        self.wait("check of all memory", lambda: self.beats[-1].swept >= first + times, timeout)
        if self.beats[-1].bad:
            raise VmError(f"{self.name}: the guest found {self.beats[-1].bad} wrong pages: "
                          f"{[line for line in self.lines if 'wrong' in line][:5]}")

    def phases(self):
        """Where its outgoing migration has been since events was cleared; the capability events
        must be on. A guest that is stopped is in the phase device, whichever QEMU says it."""
        with self._news:
            said = [event.get("data", {}).get("status", "device") for event in self.events
                    if event["event"] in ("MIGRATION", "STOP")]
        return said or ["none"]

    def complaints(self):
        """What it said on stderr, without information and warnings."""
        return [line for line in self.stderr().splitlines()
                if not re.search("(^|: )(info|warning): ", line)]

    def wait_exit(self, timeout=30):
        """Its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VmError(f"{self.name} has not ended within {timeout} s") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def stood_still_ms(source, destination):
    """From the word that it stopped there to the word that it runs here, as both reach us: the same
    for every transport, and for two hosts whose clocks differ."""
    stop, resume = (next(event["at"] for event in vm.events if event["event"] == name)
                    for vm, name in ((source, "STOP"), (destination, "RESUME")))
    return (resume - stop) * 1000


def felt_downtime_ms(source, destination):
    """Between the guest's last line there and its first line here."""
    return (destination.beats[0].at - source.beats[-1].at) * 1000
