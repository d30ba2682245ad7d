#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The demo: its report, its figures, and that it leaves nothing behind, also when interrupted."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pair import VmError, main

DEMO = Path(__file__).with_name("demo.py")


def start(folder, binary, *options):
    return subprocess.Popen([DEMO, binary, "--guest", "tiny", "--size", "400M", *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": folder})


def left_behind(folder):
    """Processes that name the folder, and files in it."""
    found = [str(path) for path in Path(folder).iterdir()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder.encode() in process.read_bytes():
                found.append(process.parent.name)
        except OSError:
            pass  # it has ended
    return found


def check_nothing_left(folder, timeout=5):
    deadline = time.monotonic() + timeout
    while found := left_behind(folder):
        if time.monotonic() > deadline:
            raise VmError(f"left behind: {found}")
        time.sleep(0.05)


def report(box, binary, _kernel, _initrd):
    figures = Path(box.path) / "figures.json"
    with tempfile.TemporaryDirectory() as folder:
        demo = start(folder, binary, "--json", figures)
        out, err = demo.communicate(timeout=120)
        if demo.returncode or "every page is right" not in out or "(qemu) migrate rdma:" not in err:
            raise VmError(f"status {demo.returncode}: {out} {err}")
        check_nothing_left(folder)
    info = json.loads(figures.read_text(encoding="ascii"))
    samples = info["demo"]["progress"]
    if info["status"] != "completed" or not samples or samples[-1]["sent-bytes"] <= 0:
        raise VmError(f"the figures are not those of a migration: {info}")
    return (f"{len(samples)} samples, downtime {info['downtime']} ms, "
            f"felt {info['demo']['felt-ms']} ms")


def interrupt(_box, binary, _kernel, _initrd):
    """Ctrl-C, when the guest is about to move."""
    with tempfile.TemporaryDirectory() as folder:
        demo = start(folder, binary)
        for line in demo.stderr:
            if "(qemu) migrate" in line:
                break
        if not left_behind(folder):
            raise VmError("no QEMU is to be seen while the demo runs")
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)
        if demo.returncode != 130 or "Traceback" in err:
            raise VmError(f"status {demo.returncode}: {out} {err}")
        check_nothing_left(folder)
    return "status 130, nothing left"


CASES = {"report": report, "interrupt": interrupt}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
