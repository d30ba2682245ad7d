# SPDX-License-Identifier: BSD-2-Clause
"""What the measurements do on host0 of a lab: perftest and pagerail, each between the first two hosts."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
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


TICKS = os.sysconf("SC_CLK_TCK")
WATCHED = """"$@" & pid=$!
while kill -0 $pid 2>/dev/null; do
    wakes=$(awk '/^voluntary/ { n += $2 } END { print n }' /proc/$pid/task/*/status 2>/dev/null)
    read -r all </proc/$pid/stat && echo "stat $wakes $all"
    sleep 0.5
done
wait $pid"""


class Lines:
    """What a process says, line by line, with the time."""

    def __init__(self, stream):
        self.lines = []
        self.reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.reader.start()

    def _read(self, stream):
        for line in stream:
            self.lines.append((time.monotonic(), line))

    def words(self):
        self.reader.join(LIMIT_S)
        return "".join(line for _, line in self.lines if not line.startswith("stat "))[-800:]

    def when(self, start):
        return next((when for when, line in self.lines if line.startswith(start)), None)

    def used(self, start, end):
        """Processor seconds and wake-ups between the first and the last of the stat lines of that
        time, by the second."""
        seen = [(when, sum(map(int, line.rpartition(")")[2].split()[11:13])) / TICKS,
                 int(line.split()[1]))
                for when, line in self.lines if line.startswith("stat ") and start <= when <= end]
        if len(seen) < 2:
            return None
        seconds, cpu_s, wakes = (last - first for first, last in zip(seen[0], seen[-1]))
        return {"cpu_s": cpu_s / seconds, "wakes": wakes / seconds}


def load_in_rounds(report, source, destination):
    """What the destination's process did in a second while pages came in, once it had registered
    the guest's memory (all of a small guest's before the first byte); None if that was too short."""
    start, end = source.when("phase: connecting"), source.when("phase: switchover")
    if start is None or end is None:
        return None
    return destination.used(start + report["first_byte_ms"] / 1000, end)


def await_end(source, said, stop_s):
    """The source's exit status. stop_s: so long after it began to send it is interrupted."""
    end = time.monotonic() + LIMIT_S
    while stop_s and not said.when("phase: precopy") and source.poll() is None:
        if time.monotonic() > end:
            raise Failure("the source did not begin to send")
        time.sleep(0.1)
    try:
        return source.wait(stop_s or LIMIT_S)
    except subprocess.TimeoutExpired:
        source.send_signal(signal.SIGINT if stop_s else signal.SIGKILL)
        return source.wait(LIMIT_S)


def migrate(pagerail, size, *options, stop_s=None):
    """Moves a guest to the other host. What the source's JSON says, and destination_load.
    stop_s: only begins to, and calls it off after that time."""
    report = OUT / "source.json"
    report.unlink(missing_ok=True)
    guest = [pagerail, "guest", "--size", size, "--run-after", 0]
    server = elsewhere("bash", "-c", WATCHED, "bash", *guest, "--listen", f"rdma:{SERVER}:{PORT}",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    there = Lines(server.stdout)
    try:
        soon("listening", lambda: "LISTEN" in shown("rdma", "resource", "show", "cm_id"), server)
        source = subprocess.Popen([*map(str, guest), "--to", f"rdma:{SERVER}:{PORT}",
                                   "--run-before", "0", "--json", report, *map(str, options)],
                                  text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        here = Lines(source.stderr)
        try:
            status = await_end(source, here, stop_s)
        finally:
            source.kill()
        if status and not stop_s:
            server.terminate()  # it may wait for a source that never comes
        status |= server.wait(LIMIT_S)
        if status and not stop_s:
            raise Failure(f"pagerail guest failed: {here.words()} {there.words()}")
    finally:
        server.kill()
    told = json.loads(report.read_text(encoding="utf-8"))
    if not told["first_byte_ms"]:
        raise Failure("no byte was sent: " + here.words())
    told["destination_load"] = load_in_rounds(told, here, there)
    return told


def again(what, *arguments, **more):
    """What a crowded machine made fail gets a second chance, and no third."""
    try:
        return what(*arguments, **more)
    except (Failure, subprocess.TimeoutExpired) as failure:
        say(f"once more, after: {failure}")
        return what(*arguments, **more)
