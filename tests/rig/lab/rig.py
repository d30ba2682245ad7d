# SPDX-License-Identifier: BSD-2-Clause
"""The lab's command line; scripts/rig starts this once all packages are there."""
import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import hub
import machine
from box import Box
from hub import say

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BOOT_LIMIT_S = 300  # seconds are usual; a crowded machine takes minutes
GRACE_S = 10
OWN_FAILURE = 125

RUN_HELP = """
Boots hosts with soft-RoCE (Debian's kernel under QEMU, no disk image), runs COMMAND on host0, and
ends with its exit status: 124 when it took longer than --timeout, 125 when the lab itself failed.
All files of this machine are there, at the same paths and in the same folder; what is written to
them stays inside and is gone at the end, but for what lies in $RIG_OUT. "rig-on host1 COMMAND..."
runs a command on another host. docs/rig.md has the rest.
"""


class Failure(Exception):
    """The lab cannot go on; the text says why and what to do."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pagerail" / "rig"


def build_tools():
    """The folder of agent and rig-on, built once per source text."""
    sources = sorted((ROOT / "tests/rig/agent").glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:16]
    done = cache() / "tools" / digest
    if done.exists():
        return done
    done.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=done.parent))
    work.chmod(0o755)
    for program, parts in {"agent": ("agent", "job", "frame"), "rig-on": ("on", "frame")}.items():
        built = subprocess.run(
            ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}", "-o", work / program,
             *(ROOT / "tests/rig/agent" / f"{part}.c" for part in parts)],
            check=False, capture_output=True, text=True)
        if built.returncode:
            shutil.rmtree(work)
            raise Failure(f"cannot compile the lab's {program}:\n{built.stderr}")
    try:
        work.rename(done)
    except OSError:  # another run was faster
        shutil.rmtree(work)
    return done


def prepare():
    """All files that hosts need, made or fetched if they are not in the cache."""
    script = subprocess.run(["bash", HERE / "kernel.sh", cache()], check=False,
                            stdout=subprocess.PIPE, text=True)
    if script.returncode:
        raise Failure("there is no kernel for the lab, see above")
    kernel, initramfs, modules = script.stdout.splitlines()
    return types.SimpleNamespace(kernel=kernel, initramfs=initramfs, modules=modules,
                                 tools=build_tools())


def why_lost(box, host):
    """What a host's console or its QEMU said last, and the reason among it."""
    console, complaints = (
        file.read_text(errors="replace") if file.exists() else ""
        for file in (Path(box.path) / f"host{host}.{kind}" for kind in ("console", "qemu")))
    own = re.findall(r"^rig: (.*)", console, re.M)
    crash = re.search(r"^.*(BUG:|Oops|Kernel panic - not syncing: )(.*)", console, re.M)
    if own:
        reason = own[-1]
        lines = [line for line in console.splitlines() if not line.startswith(("[", "rig: "))]
    elif crash:
        reason = f"its kernel crashed: {crash[2].strip()}"
        lines = console[crash.start():].splitlines()[:30]
    else:
        reason = "its QEMU ended"
        lines = (console + complaints).splitlines()
    lines = [f"    {line}" for line in lines if line.strip()]
    return "\n".join([f"host{host} is lost: {reason}", *lines[-30:]])


class Progress:
    """One line while the hosts boot, on a terminal; else only the last one."""

    def __init__(self, options):
        self.start = time.monotonic()
        self.hosts = "1 host" if options.hosts == 1 else f"{options.hosts} hosts"
        self.quiet = options.quiet
        self.live = sys.stderr.isatty() and not options.quiet

    def seconds(self):
        return time.monotonic() - self.start

    def show(self):
        if self.live:
            print(f"\rrig: booting {self.hosts}, {self.seconds():.0f} s ", end="",
                  file=sys.stderr, flush=True)

    def done(self):
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr)
        if not self.quiet:
            say(f"{self.hosts} ready after {self.seconds():.1f} s")

    def broken(self):
        if self.live:
            print(file=sys.stderr)


def environment(options):
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "PATH": f"/run/rig/bin:{path}:/usr/local/sbin:/usr/sbin:/sbin",
            "RIG_OUT": "/run/rig/out", "RIG_HOSTS": str(options.hosts),
            "RIG_NICS": str(options.nics)}


def run_command(lab, options, progress):
    try:
        if not lab.wait_ready(time.monotonic() + BOOT_LIMIT_S, progress.show):
            missing = sorted(set(range(options.hosts)) - lab.ready)
            raise Failure(f"host{missing[0]} was not ready after {BOOT_LIMIT_S} s")
        progress.done()
    except BaseException:
        progress.broken()
        raise
    lab.start(options.command, os.getcwd(), environment(options), options.shell)
    status = lab.finish(options.timeout, GRACE_S)
    if not lab.stop(GRACE_S):
        say(f"the hosts did not end within {GRACE_S} s; what they wrote last may be missing")
    return status


def run(options):
    files = prepare()
    signals = hub.Signals()
    with Box() as box:
        files.out = Path(options.out).resolve() if options.out else Path(box.path) / "out"
        try:
            files.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make the folder of --out: {error}") from error
        progress = Progress(options)
        lab = hub.Hub(machine.start(box, options, files), signals)
        try:
            return run_command(lab, options, progress)
        except hub.HostLost as lost:
            box.wait(lost.host, GRACE_S)
            raise Failure(why_lost(box, lost.host)) from lost
        except hub.Ended as ended:
            return ended.status


class Parser(argparse.ArgumentParser):
    def error(self, message):
        say(f"{message}; try {self.prog} --help")
        sys.exit(OWN_FAILURE)


def positive(kind, least=0):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = -1
        if value < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no number of at least {least}")
        return value
    return parse


def add_options(parser):
    add = parser.add_argument
    add("--hosts", type=positive(int, 1), default=2, metavar="N",
        help="hosts, 1 to 8 (default 2); one alone reaches itself")
    add("--nics", type=positive(int, 1), default=1, metavar="N",
        help="NICs and RDMA devices of each host, 1 to 8 (default 1)")
    add("--numa", type=positive(int, 1), default=1, metavar="N",
        help="NUMA nodes of each host, with the NICs spread over them, 1 to 4 (default 1)")
    add("--rate", type=positive(float), metavar="MBPS",
        help="line rate of each NIC in Mbit/s, each way")
    add("--delay", type=positive(float), metavar="MS",
        help="delay of each NIC each way: 75 is a round trip of 150 ms")
    add("--loss", type=positive(float), metavar="PCT", help="percent of packets lost, each way")
    add("--cpus", type=positive(int, 1), metavar="N",
        help="processors of each host (default 2, or one a NUMA node if that is more)")
    add("--memory", default="1G", metavar="SIZE", help="of each host, as 512M or 2G (default 1G)")
    add("--timeout", type=positive(float), default=600, metavar="S",
        help="end the command after S seconds, 0 for never (default 600)")
    add("--quiet", action="store_true", help="say nothing but errors")


def parse(arguments):
    parser = Parser(prog="scripts/rig", description="Real RDMA without RDMA devices: hosts with "
                    "soft-RoCE under emulation.", epilog="scripts/rig run --help has the options.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    command = actions.add_parser("run", help="run a command in the lab", description=RUN_HELP,
                                 usage="scripts/rig run [OPTION]... [--] COMMAND...",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(command)
    command.add_argument("--out", metavar="DIR",
                         help="folder here that is $RIG_OUT on all hosts (made if missing)")
    command.add_argument("--shell", action="store_true",
                         help="give COMMAND this terminal; without COMMAND: a shell")
    command.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    text = "boot two hosts, run rping and ib_write_bw between them, and print rates"
    check = actions.add_parser("check", help=text, description=text,
                               usage="scripts/rig check [OPTION]...")
    add_options(check)
    check.set_defaults(out=None, shell=False, command=["bash", str(HERE / "check.sh")])

    actions.add_parser("prepare", help="fetch the kernel and build what hosts need, now")
    return actions.choices, parser.parse_args(arguments)


def complete(options, error):
    """Fills in what depends on other options, and refuses what does not go together."""
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        if not options.shell:
            error("a COMMAND is needed, or --shell")
        options.command = ["bash", "-l"]
    if options.shell and not (os.isatty(0) and os.isatty(1)):
        error("--shell needs a terminal")
    for name, most in {"hosts": 8, "nics": 8, "numa": 4}.items():
        if getattr(options, name) > most:
            error(f"--{name} is at most {most}")
    if options.hosts == 1 and (options.rate or options.delay or options.loss):
        error("--rate, --delay and --loss shape the wire between hosts: one host has none")
    if options.cpus is None:
        options.cpus = max(2, options.numa)
        options.cpus += -options.cpus % options.numa
    if options.cpus % options.numa:
        error(f"--cpus {options.cpus} cannot be spread evenly over --numa {options.numa}")
    if not re.fullmatch(r"[1-9][0-9]*[MG]", options.memory):
        error(f"--memory '{options.memory}' is no size such as 512M or 2G")


def main(arguments):
    parsers, options = parse(arguments)
    try:
        if options.action == "prepare":
            files = prepare()
            print(f"kernel     {files.kernel}\ninitramfs  {files.initramfs}\ntools      {files.tools}")
            return 0
        complete(options, parsers[options.action].error)
        return run(options)
    except Failure as failure:
        say(failure)
    except OSError as error:
        say(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return OWN_FAILURE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
