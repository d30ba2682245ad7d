#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What users get wrong: each is told so in one sentence, and nothing has changed."""
import sys

from failure import check_end
from pair import Boot, Pair, VmError, free_port, guest_goes_on, main
from refuse import refused
from vm import Vm

GARBAGE = ["rdma:", "rdma::", "rdma:host", "rdma:127.0.0.1", "rdma:127.0.0.1:0x1z",
           "rdma:127.0.0.1:99999", "rdma:127.0.0.1:-1", "rdma:[::1:4444"]


def small(where, **options):
    box, binary, kernel, initrd = where
    return Pair(box, binary, Boot(kernel, initrd, mib=50), mib=256, **options)


def failed(pair, uri, *words):
    """A migration to uri fails, says so with one of the words, and the guest goes on."""
    try:
        pair.vm.qmp("migrate", uri=uri)
        info = pair.vm.wait_migration("failed", "completed")
        said = info.get("error-desc", "")
    except VmError as error:
        said = str(error)
    if not any(word in said for word in words):
        raise VmError(f"{uri}: unclear: '{said}'")
    if "\n" in said:
        raise VmError(f"{uri}: more than a sentence: '{said}'")
    guest_goes_on(pair.vm, most_s=1.0)
    return said


def nobody_listens(*where):
    pair = small(where)
    try:
        said = failed(pair, f"rdma:127.0.0.1:{free_port()}", "start the destination first")
        pair.move()
    finally:
        pair.end()
    return said


def start_failing(where, incoming, **options):
    """A destination that must end at once; what it says."""
    box, binary, kernel, initrd = where
    try:
        vm = Vm(box, binary, "refused", Boot(kernel, initrd), mib=256, incoming=incoming, **options)
        vm.kill()
    except VmError as error:
        said = str(error).split("\n")
        if len(said) == 1 and "ended: " in said[0]:
            return said[0].split("ended: ")[1]
        raise VmError(f"-incoming {incoming}: not one line: {said}") from None
    raise VmError(f"-incoming {incoming} is taken")


def port_in_use(*where):
    pair = small(where)
    try:
        uri = pair.await_guest()
        said = start_failing(where, uri)
        if uri.rsplit(":", maxsplit=1)[1] not in said:
            raise VmError(f"unclear: {said}")
        pair.move()  # the first one still gets it
    finally:
        pair.end()
    return said


def garbage(*where):
    pair, said = small(where), []
    try:
        for uri in GARBAGE:
            said.append(start_failing(where, uri))
            failed(pair, uri, "rdma", "host", "port", "address")
        pair.move()
    finally:
        pair.end()
    return " | ".join(said)


def other_blocks(*where):
    """A device with memory of its own that the other side does not have, either way round."""
    pair, said = small(where), []
    vga = small(where, extra=["-device", "VGA,romfile="])
    try:
        for source, other in ((pair, vga), (vga, pair)):
            uri = other.await_guest()
            said.append(failed(source, uri, "memory region"))
            check_end(other.waiting, "other blocks")
            other.waiting = None
            source.move()
    finally:
        vga.end()
        pair.end()
    return said[0]


def other_size(*where):
    pair, larger = small(where), None
    try:
        uri = f"rdma:127.0.0.1:{free_port()}"
        larger = Vm(pair.box, pair.binary, "larger", pair.boot, mib=300, incoming=uri)
        said = failed(pair, uri, "pc.ram")
        check_end(larger, "other size")
        pair.move()
    finally:
        if larger:
            larger.kill()
        pair.end()
    return said


def commands(*where):
    """Commands at the wrong time."""
    pair = small(where)
    try:
        pair.vm.qmp("migrate_cancel")  # QEMU has always taken this for done
        if pair.vm.migration().get("status"):
            raise VmError(f"a cancel of nothing left a migration: {pair.vm.migration()}")
        uri = pair.await_guest()
        pair.vm.qmp("migrate-set-parameters", **{"max-bandwidth": 10 << 20})

        def at_the_wrong_time(old, new):
            old.wait_migration("active")
            refused(old, "a second migrate", "migrate", "in progress", uri=uri)
            refused(old, "migrate-pause", "migrate-pause", "migrate-pause")
            refused(old, "migrate-continue", "migrate-continue", "expected state",
                    state="pre-switchover")
            refused(old, "migrate-start-postcopy", "migrate-start-postcopy", "postcopy")
            refused(old, "device_add", "device_add", "while migrating", driver="e1000", id="late")
            refused(new, "a second migrate-incoming", "migrate-incoming", "incoming", uri=uri)
            old.qmp("migrate-set-parameters", **{"max-bandwidth": 0})

        pair.move(at_the_wrong_time)
    finally:
        pair.end()
    return "each refused by name; the guest was moved"


CASES = {"nobody-listens": nobody_listens, "port-in-use": port_in_use, "garbage": garbage,
         "other-blocks": other_blocks, "other-size": other_size, "commands": commands}

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
