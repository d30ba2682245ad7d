#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a migration over pagerail cannot be combined with is refused by name, on either side, and the
guest goes on."""
import sys

from pair import Boot, Pair, VmError, free_port, guest_goes_on, main
from vm import Vm

CAPABILITIES = ["multifd", "xbzrle", "postcopy-ram", "background-snapshot", "mapped-ram",
                "x-ignore-shared", "x-colo"]
ALSO = {"switchover-ack": ["return-path"]}


def refused(vm, what, command, name, **arguments):
    try:
        vm.qmp(command, **arguments)
    except VmError as error:
        if name not in str(error):
            raise VmError(f"{what} is refused, but not by name: {error}") from None
        return
    raise VmError(f"{what} is not refused")


def switch(vm, names, state):
    vm.qmp("migrate-set-capabilities",
           capabilities=[{"capability": name, "state": state} for name in names])


def capabilities(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    waiting = Vm(box, binary, "defer", pair.boot, mib=256, incoming="defer")
    uri = f"rdma:127.0.0.1:{free_port()}"
    count = 0
    try:
        for name in [*CAPABILITIES, *ALSO]:
            for vm, command in ((pair.vm, "migrate"), (waiting, "migrate-incoming")):
                try:
                    switch(vm, ALSO.get(name, []) + [name], True)
                except VmError:
                    continue  # this QEMU does not have it, or not in this state
                refused(vm, f"{command} with {name}", command, name, uri=uri)
                switch(vm, [name] + ALSO.get(name, []), False)
                count += 1
        guest_goes_on(pair.vm, most_s=2.0)
    finally:
        waiting.kill()
        pair.end()
    return f"{count} refused"


def tls(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    try:
        pair.vm.qmp("migrate-set-parameters", **{"tls-creds": "tls0"})
        refused(pair.vm, "migrate with tls-creds", "migrate", "tls-creds", uri="rdma:127.0.0.1:9")
        pair.vm.qmp("migrate-set-parameters", **{"tls-creds": ""})
        pair.move()
    finally:
        pair.end()
    return "refused; without it the guest was moved"


def nobody_listens(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    try:
        pair.vm.qmp("migrate", uri=f"rdma:127.0.0.1:{free_port()}")
        info = pair.vm.wait_migration("failed", "completed")
        if "start the destination" not in info.get("error-desc", ""):
            raise VmError(f"unclear: {info}")
        guest_goes_on(pair.vm, most_s=1.0)
        pair.move()
    finally:
        pair.end()
    return info["error-desc"]


def other_memory(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    uri = f"rdma:127.0.0.1:{free_port()}"
    waiting = Vm(box, binary, "other", pair.boot, mib=300, incoming=uri)
    try:
        pair.vm.qmp("migrate", uri=uri)
        info = pair.vm.wait_migration("failed", "completed")
        if "pc.ram" not in info.get("error-desc", ""):
            raise VmError(f"unclear: {info}")
        if waiting.wait_exit() != 1:
            raise VmError("the destination did not fail")
        guest_goes_on(pair.vm, most_s=1.0)
    finally:
        waiting.kill()
        pair.end()
    return f"{info['error-desc']} | {waiting.stderr().splitlines()[-1]}"


CASES = {"capabilities": capabilities, "tls": tls, "nobody-listens": nobody_listens,
         "other-memory": other_memory}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
