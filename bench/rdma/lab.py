# SPDX-License-Identifier: BSD-2-Clause
"""What the measurements do on host0 of a lab: perftest and pagerail, each between the first two hosts."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

SERVER = "host1"
PORT = 4747
PERFTEST_PORT = 18515
MIB = 1 << 20
MESSAGE = 64 << 10
LIMIT_S = 400
OUT = Path(os.environ.get("RIG_OUT", "/tmp"))


class Failure(Exception):
    """A program under measurement failed; the text has its words."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def elsewhere(*command, **more):
    """Starts a command on the other host."""
    return subprocess.Popen(["rig-on", "-n", SERVER, *map(str, command)], text=True, **more)


def soon(what, happens, server):
    end = time.monotonic() + 90
    while not happens():
        if server.poll() is not None or time.monotonic() > end:
            raise Failure(f"{what} did not happen on {SERVER}")
        time.sleep(0.1)


def shown(*command):
    return subprocess.run(["rig-on", "-n", SERVER, *command], check=False, text=True,
                          capture_output=True).stdout


def timed(command):
    """The command, with its processor seconds (user, system) on the last line of its errors."""
    return ["bash", "-c", 'TIMEFORMAT="%U %S"; time "$@"', "bash", *map(str, command)]


def seconds_of(errors):
    found = re.findall(r"^(\d+\.\d+) (\d+\.\d+)$", errors, re.M)
    return sum(map(float, found[-1])) if found else None


def perftest(size, timeout=19):
    """ib_write_bw in messages of 64 KiB: bytes a second, and processor seconds of both sides.
    The default timeout of 67 ms is shorter than what a busy host takes to acknowledge. The two
    meet by TCP: by rdma_cm (-R) they connect twice, the second time perhaps too soon."""
    command = ["ib_write_bw", "-F", "-d", "rxe0", "-x", "1", "-s", MESSAGE,
               "-n", max(size // MESSAGE, 10), "-u", timeout]
    server = elsewhere(*timed(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        soon("perftest's start",
             lambda: "LISTEN" in shown("ss", "-Hltn", "sport", "=", f":{PERFTEST_PORT}"), server)
        client = subprocess.run(timed([*command, SERVER]), check=False, text=True,
                                capture_output=True, timeout=LIMIT_S)
        server_errors = server.communicate(timeout=60)[1]
    finally:
        server.kill()
    found = re.search(rf"^ *{MESSAGE} +\d+ +[\d.]+ +([\d.]+)", client.stdout, re.M)
    if client.returncode or not found or not float(found[1]):
        raise Failure(f"ib_write_bw failed: {client.stdout[-1500:]}{client.stderr[-500:]}")
    return {"Bps": float(found[1]) * MIB, "bytes": int(command[9]) * MESSAGE,
            "cpu_s_source": seconds_of(client.stderr),
            "cpu_s_destination": seconds_of(server_errors)}


def migrate(pagerail, size, *options):
    """Moves a guest to the other host; what the source's JSON says."""
    report = OUT / "source.json"
    report.unlink(missing_ok=True)
    guest = [pagerail, "guest", "--size", size, "--quiet", "--run-after", 0]
    server = elsewhere(*guest, "--listen", f"rdma:{SERVER}:{PORT}", stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    try:
        soon("listening", lambda: "LISTEN" in shown("rdma", "resource", "show", "cm_id"), server)
        source = subprocess.run([*map(str, guest), "--to", f"rdma:{SERVER}:{PORT}", "--run-before",
                                 "0", "--json", report, *map(str, options)], check=False, text=True,
                                capture_output=True, timeout=LIMIT_S)
        if source.returncode:
            server.terminate()  # it may wait for a source that never comes
        words = server.communicate(timeout=LIMIT_S)[0]
    finally:
        server.kill()
    if source.returncode:
        raise Failure(f"pagerail guest failed: {source.stderr[-800:]} {words[-800:]}")
    return json.loads(report.read_text(encoding="utf-8"))


def again(what, *arguments):
    """What a crowded machine made fail gets a second chance, and no third."""
    try:
        return what(*arguments)
    except (Failure, subprocess.TimeoutExpired) as failure:
        say(f"once more, after: {failure}")
        return what(*arguments)
