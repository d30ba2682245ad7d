#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""pagerail's own migration parameters, by QMP and HMP, and its figures in query-migrate."""
import sys

from pair import Boot, Pair, VmError, free_port, main


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
        for line, refused in (("rdma-fabric tin", "tin"), ("rdma-lanes 257", "rdma-lanes"),
                              ("rdma-lanes -1", "rdma-lanes"), ("rdma-pin-budget 1", "256 KiB"),
                              ("rdma-rails rxe0", "fabric local has none"),
                              (f"rdma-rails {300 * 'x'}", "255 bytes")):
            if refused not in hmp(pair.vm, f"migrate_set_parameter {line}"):
                raise VmError(f"'{line}' is not refused")
        check("HMP's answer", hmp(pair.vm, "migrate_set_parameter rdma-lanes 2"), "")
        rdma = pair.move()["rdma"]
        check("fabric and lanes", (rdma["fabric"], rdma["lanes"]), ("local", 2))
        if rdma["registered-bytes"] > 64 << 20:
            raise VmError(f"more is registered than the pin budget allows: {rdma}")
    finally:
        pair.end()
    return f"moved over {rdma['lanes']} lanes with {rdma['registered-bytes'] >> 20} MiB registered"


def fabrics(box, binary, kernel, initrd):
    """verbs is refused where there is no device, and so is a device by name; local wherever the
    host is another one."""
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    said = []
    try:
        for fabric, host in (("verbs", "127.0.0.1"), ("local", "192.0.2.1")):
            pair.vm.qmp("migrate-set-parameters", **{"rdma-fabric": fabric})
            pair.vm.qmp("migrate", uri=f"rdma:{host}:{free_port()}")
            info = pair.vm.wait_migration("failed", "completed")
            check(f"a migration by {fabric} to {host}", info["status"], "failed")
            said.append(info["error-desc"])
        pair.vm.qmp("migrate-set-parameters", **{"rdma-fabric": "auto", "rdma-rails": "no-such"})
        pair.vm.qmp("migrate", uri=f"rdma:127.0.0.1:{free_port()}")
        info = pair.vm.wait_migration("failed", "completed")
        check("a migration by a device that is none", info["status"], "failed")
        if "RDMA device" not in info["error-desc"]:
            raise VmError(f"unclear: {info['error-desc']}")
        pair.vm.qmp("migrate-set-parameters", **{"rdma-rails": ""})
        pair.move()
    finally:
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
