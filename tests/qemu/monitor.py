#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""pagerail's own migration parameters, by QMP and HMP, and its figures in query-migrate."""
import socket
import sys
from pathlib import Path

from pair import Boot, Pair, VmError, free_port, guest_goes_on, main
from refuse import refused
from vm import Vm


def check(what, found, wanted):
    if found != wanted:
        raise VmError(f"{what} is {found!r}, not {wanted!r}")


def hmp(vm, line):
    return vm.qmp("human-monitor-command", **{"command-line": line})


def parameters(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    try:
        now = pair.vm.qmp("query-migrate-parameters")
        check("the default", [now[f"rdma-{name}"] for name in ("fabric", "rails", "lanes", "pin-budget")],
              ["auto", "", 0, 0])
        pair.vm.qmp("migrate-set-parameters", **{"rdma-fabric": "local", "rdma-lanes": 3,
                                                 "rdma-pin-budget": 64 << 20})
        for line, wanted in (("rdma-fabric", "local"), ("rdma-lanes", "3"),
                             ("rdma-pin-budget", f"{64 << 20} bytes")):
            if f"{line}: {wanted}" not in hmp(pair.vm, "info migrate_parameters"):
                raise VmError(f"info migrate_parameters has no '{line}: {wanted}'")
        for line, words in (("rdma-fabric tin", "tin"), ("rdma-lanes 257", "rdma-lanes"),
                            ("rdma-lanes -1", "rdma-lanes"), ("rdma-pin-budget 1", "256 KiB"),
                            ("rdma-rails rxe0", "fabric local has none"),
                            (f"rdma-rails {300 * 'x'}", "255 bytes")):
            if words not in hmp(pair.vm, f"migrate_set_parameter {line}"):
                raise VmError(f"'{line}' is not refused")
        check("HMP's answer", hmp(pair.vm, "migrate_set_parameter rdma-lanes 2"), "")
        rdma = pair.move()["rdma"]
        check("fabric and lanes", (rdma["fabric"], rdma["lanes"]), ("local", 2))
        if rdma["registered-bytes"] > 64 << 20:
            raise VmError(f"more is registered than the pin budget allows: {rdma}")
    finally:
        pair.end()
    return f"moved over {rdma['lanes']} lanes with {rdma['registered-bytes'] >> 20} MiB registered"


def own_address():
    """One of this machine's that is not a loopback one; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return probe.getsockname()[0]


def moved_locally(pair, source, destination, host):
    """A move between the sides' choices of fabric; both say once how it goes."""
    old = pair.vm
    old.qmp("migrate-set-parameters", **{"rdma-fabric": source})
    uri = f"rdma:{host}:{free_port()}"
    new = pair.waiting = Vm(pair.box, pair.binary, f"{source}-{destination}-{host}", pair.boot,
                            mib=256, incoming="defer")
    new.qmp("migrate-set-parameters", **{"rdma-fabric": destination})
    new.qmp("migrate-incoming", uri=uri)
    pair.uri = uri
    check("the fabric", pair.move()["rdma"]["fabric"], "local")
    check("complaints", new.complaints(), [])
    for vm in (old, new):
        check(f"how often {vm.name} said how it goes",
              vm.stderr().count(f"{uri} goes between two processes of this machine"), 1)


def not_by(pair, fabric, host):
    """A migration by that fabric to there must fail; why it did."""
    pair.vm.qmp("migrate-set-parameters", **{"rdma-fabric": fabric})
    pair.vm.qmp("migrate", uri=f"rdma:{host}:{free_port()}")
    info = pair.vm.wait_migration("failed", "completed")
    check(f"a migration by {fabric} to {host}", info["status"], "failed")
    guest_goes_on(pair.vm, most_s=1.0)
    return info["error-desc"]


def fabrics(box, binary, kernel, initrd):
    """auto and local go by the same-host fabric wherever the peer is here; verbs is refused where
    there is no device, on either side, and so is a device by name; local where the peer is another
    host."""
    if list(Path("/sys/class").glob("infiniband/*")):
        return "skip: this machine has RDMA devices"
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    waiting = Vm(box, binary, "waiting", pair.boot, mib=256, incoming="defer")
    try:
        said = [not_by(pair, "verbs", "127.0.0.1"), not_by(pair, "local", "192.0.2.1")]
        pair.vm.qmp("migrate-set-parameters", **{"rdma-fabric": "auto", "rdma-rails": "no-such"})
        said.append(not_by(pair, "auto", "127.0.0.1"))
        if "RDMA device" not in said[-1]:
            raise VmError(f"a device that is none: {said[-1]}")
        pair.vm.qmp("migrate-set-parameters", **{"rdma-rails": ""})
        waiting.qmp("migrate-set-parameters", **{"rdma-fabric": "verbs"})
        refused(waiting, "migrate-incoming by verbs", "migrate-incoming", "no RDMA device",
                uri=f"rdma:127.0.0.1:{free_port()}")
        moved_locally(pair, "auto", "local", "127.0.0.1")
        moved_locally(pair, "local", "auto", "localhost")
        if own := own_address():
            moved_locally(pair, "auto", "auto", own)
    finally:
        waiting.kill()
        pair.end()
    return " | ".join(said)


def figures(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd), mib=512)
    try:
        pair.vm.qmp("migrate-set-capabilities",
                    capabilities=[{"capability": "rdma-pin-all", "state": True}])
        pair.vm.qmp("migrate", uri=pair.await_guest())
        info = pair.vm.wait_migration("completed", "failed")
        # Since 10.2 all but the most common figures are behind -a, which older ones do not know.
        shown = hmp(pair.vm, "info migrate") + hmp(pair.vm, "info migrate -a")
        ram, rdma = info["ram"], info["rdma"]
        check("bytes", rdma["bytes"], ram["normal-bytes"])
        check("zero pages", rdma["zero-pages"], ram["duplicate"])
        check("pending bytes", rdma["pending-bytes"], 0)
        rails = rdma["rails"]
        check("the rails", [(r["name"], r["state"], r["bytes"], r["lanes"]) for r in rails],
              [("local", "up", rdma["bytes"], rdma["lanes"])])
        if "rdma rail local: up" not in shown or "rdma downtime" not in shown:
            raise VmError(f"info migrate does not show all: {shown}")
        check("registered bytes >= RAM", rdma["registered-bytes"] >= ram["total"], True)
        if ram["transferred"] < rdma["bytes"] + rdma["stream-bytes"] // 2:
            raise VmError(f"too little counts as transferred: {info}")
        parts = rdma["copy-time"] + rdma["load-time"] + rdma["resume-time"]
        if not 0 < parts <= (info["downtime"] + 1) * 1000:
            raise VmError(f"the downtime is less than its parts: {info}")
    finally:
        pair.end()
    return (f"downtime {info['downtime']} ms: last pages {rdma['copy-time']} us, load "
            f"{rdma['load-time']} us, resume {rdma['resume-time']} us; "
            f"{rdma['cpu-time'] / 1000:.0f} ms of processor time")


CASES = {"parameters": parameters, "fabrics": fabrics, "figures": figures}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
