#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a migration over pagerail cannot be combined with is refused by name, on either side, and
the guest goes on."""
import sys

from pair import Boot, Pair, VmError, free_port, guest_goes_on, main
from vm import Vm

CAPABILITIES = ["multifd", "xbzrle", "postcopy-ram", "background-snapshot", "mapped-ram",
                "x-ignore-shared", "x-colo", "compress", "zero-copy-send", "postcopy-preempt",
                "switchover-ack"]
ALSO = {"switchover-ack": ["return-path"], "postcopy-preempt": ["postcopy-ram"],
        "zero-copy-send": ["multifd"]}
UNKNOWN = {"compress", "zero-copy-send", "x-colo"}  # to some builds of QEMU


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


def refused_with(name, vm, command, uri):
    """True when it was refused by the name of the capability, False when QEMU does not have it."""
    others = ALSO.get(name, [])
    try:
        switch(vm, others + [name], True)
    except VmError as error:
        if name in UNKNOWN:
            return False
        raise VmError(f"{name} cannot be switched on, so not be tried: {error}") from None
    try:
        first = next(one for one in others + [name] if one in CAPABILITIES)
        refused(vm, f"{command} with {name}", command, f"'{first}'", uri=uri)
    finally:
        switch(vm, [name] + others, False)
    return True


def capabilities(box, binary, kernel, initrd):
    pair = Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256)
    waiting = Vm(box, binary, "defer", pair.boot, mib=256, incoming="defer")
    uri = f"rdma:127.0.0.1:{free_port()}"
    count = 0
    try:
        for name in CAPABILITIES:
            for vm, command in ((pair.vm, "migrate"), (waiting, "migrate-incoming")):
                count += refused_with(name, vm, command, uri)
        guest_goes_on(pair.vm, most_s=2.0)
        pair.move()
    finally:
        waiting.kill()
        pair.end()
    return f"{count} times refused on either side; then the guest was moved"


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


def virtio_mem(box, binary, kernel, initrd):
    """On either side. It gives guest memory back to the host by itself."""
    boot = Boot(kernel, initrd, mib=50)
    extra = ["-m", "256M,maxmem=1G", "-object", "memory-backend-ram,id=more,size=256M",
             "-device", "virtio-mem-pci,memdev=more,requested-size=64M"]
    uri = f"rdma:127.0.0.1:{free_port()}"
    source = waiting = None
    try:
        source = Vm(box, binary, "source", boot, mib=256, extra=extra)
        waiting = Vm(box, binary, "defer", boot, mib=256, extra=extra, incoming="defer")
        source.wait_beats(1)
        refused(waiting, "migrate-incoming with virtio-mem", "migrate-incoming", "virtio-mem",
                uri=uri)
        refused(source, "migrate with virtio-mem", "migrate", "virtio-mem", uri=uri)
        guest_goes_on(source, most_s=1.0)
    finally:
        for vm in (source, waiting):
            if vm:
                vm.kill()
    return "refused on both sides"


def incoming_postcopy(box, binary, kernel, initrd):
    """A guest whose own memory is still to come: what is not there yet must not be taken for zero."""
    pair = Pair(box, binary, Boot(kernel, initrd, mib=100), mib=256)
    there, uri = None, f"tcp:127.0.0.1:{free_port()}"
    try:
        there = Vm(box, binary, "postcopy", pair.boot, mib=256, incoming="defer")
        for vm in (pair.vm, there):
            switch(vm, ["postcopy-ram"], True)
        there.qmp("migrate-incoming", uri=uri)
        pair.vm.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 20,
                                                 "max-postcopy-bandwidth": 1 << 20})
        pair.vm.qmp("migrate", uri=uri)
        pair.vm.wait_migration("active")
        pair.vm.qmp("migrate-start-postcopy")
        there.wait_migration("postcopy-active")
        switch(there, ["postcopy-ram"], False)
        refused(there, "migrate in post-copy", "migrate", "post-copy", uri="rdma:127.0.0.1:9")
        pair.vm.qmp("migrate-set-parameters", **{"max-postcopy-bandwidth": 0})
        there.wait_migration("completed")
        pair.vm.kill()
        pair.vm, there = there, None
        pair.move()
    finally:
        if there:
            there.kill()
        pair.end()
    return "refused; once all of it had come the guest was moved"


CASES = {"capabilities": capabilities, "tls": tls, "virtio-mem": virtio_mem,
         "incoming-postcopy": incoming_postcopy}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
