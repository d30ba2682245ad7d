# SPDX-License-Identifier: BSD-2-Clause
"""One host of the lab as a QEMU command line, and the wires between hosts."""
import os
import socket
from pathlib import Path

MTU = 4200  # room for RDMA packets of 4096 bytes
PORT_FD_NAME = "rig"


def quoted(path):
    """A path as a value in QEMU's comma-separated options."""
    return str(path).replace(",", ",,")


def wires(hosts, nics):
    """For each host and NIC the options that plug it in, and the sockets that they name.

    Two hosts share a socket. More are a star: host0's QEMU holds a hub for each NIC, with its own NIC
    and one socket to each other host. Alone, a NIC is in a hub with nothing else, so its link is up.
    """
    plugs = [[[] for _ in range(nics)] for _ in range(hosts)]
    sockets = [[] for _ in range(hosts)]

    def stream(host, nic, name, sock):
        sockets[host].append(sock)
        plugs[host][nic] += ["-netdev", f"stream,id={name},server=off,addr.type=fd,"
                                        f"addr.str={sock.fileno()}"]

    for nic in range(nics):
        pairs = [socket.socketpair() for _ in range(1, hosts)]
        for other, (near, far) in enumerate(pairs, start=1):
            stream(0, nic, f"net{nic}" if hosts == 2 else f"wire{nic}-{other}", near)
            stream(other, nic, f"net{nic}", far)
        if hosts != 2:
            plugs[0][nic] += ["-netdev", f"hubport,id=net{nic},hubid={nic}"]
            for other in range(1, hosts):
                plugs[0][nic] += ["-netdev", f"hubport,id=port{nic}-{other},hubid={nic},"
                                             f"netdev=wire{nic}-{other}"]
    return plugs, sockets


def shape(options):
    """What tc is told of each NIC, or nothing. netem keeps a rate too, and a delay needs its queue."""
    rate = f"rate {options.rate:g}mbit" if options.rate else ""
    if options.delay or options.loss:
        delay = f"delay {options.delay:g}ms" if options.delay else ""
        loss = f"loss {options.loss:g}%" if options.loss else ""
        return " ".join(f"netem {delay} {loss} {rate} limit 20000".split())
    if options.rate:
        # A bucket of 4 ms, but no less than some packets; a queue that no sender here overruns.
        burst_bytes = max(64 * 1024, int(options.rate * 1e6 / 8 * 0.004))
        return f"tbf {rate} burst {burst_bytes} limit 256mb"
    return ""


def kernel_line(host, options, files):
    variables = {"RIG_HOST": host, "RIG_HOSTS": options.hosts, "RIG_NICS": options.nics,
                 "RIG_SHAPE": shape(options), "RIG_TOOLS": files.tools,
                 "RIG_MODULES": files.modules}
    # The emulated clock is good, but a busy outer machine makes it look bad to the kernel, which
    # would then take a slow one. Self-tests and the like only take time.
    settings = ("console=ttyS0 quiet loglevel=3 panic=-1 oops=panic tsc=reliable mitigations=off "
                "nowatchdog rcupdate.rcu_cpu_stall_suppress=1 cryptomgr.notests audit=0 "
                "random.trust_cpu=on no_timer_check")
    return " ".join([settings, *(f'{name}="{value}"' for name, value in variables.items())])


def nodes(options):
    """Processors and memory, on as many NUMA nodes as asked for."""
    if options.numa == 1:
        return ["-smp", str(options.cpus), "-m", options.memory]
    each = options.cpus // options.numa
    amount, unit = int(options.memory[:-1]), options.memory[-1]
    share_mib = amount * (1024 if unit == "G" else 1) // options.numa
    arguments = ["-smp", f"{options.cpus},sockets={options.numa},cores={each}",
                 "-m", f"{share_mib * options.numa}M"]
    for node in range(options.numa):
        arguments += ["-object", f"memory-backend-ram,id=memory{node},size={share_mib}M",
                      "-numa", f"node,nodeid={node},memdev=memory{node},"
                               f"cpus={node * each}-{(node + 1) * each - 1}",
                      "-device", f"pxb-pcie,id=bus{node},bus=pcie.0,bus_nr={32 * (node + 1)},"
                                 f"numa_node={node}"]
    return arguments


def nic_devices(host, options, plugs):
    arguments = []
    for nic in range(options.nics):
        bus = ""
        if options.numa > 1:
            arguments += ["-device", f"pcie-root-port,id=slot{nic},bus=bus{nic % options.numa},"
                                     f"chassis={nic + 1},slot={nic + 1}"]
            bus = f",bus=slot{nic}"
        arguments += plugs[nic]
        arguments += ["-device", f"virtio-net-pci,netdev=net{nic},host_mtu={MTU},romfile=,"
                                 f"mac=52:54:00:77:0{host}:0{nic}{bus}"]
    return arguments


def command(host, options, files, plugs, port, console):
    """QEMU's command line for one host; port is its socket to the hub, console a file to write."""
    return [
        "qemu-system-x86_64", "-name", f"host{host}", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-machine", "q35,smm=off,vmport=off,hpet=off",
        "-accel", "tcg,thread=multi", "-cpu", "max", *nodes(options),
        "-kernel", files.kernel, "-initrd", files.initramfs,
        "-append", kernel_line(host, options, files),
        "-chardev", f"file,id=console,path={quoted(console)}", "-serial", "chardev:console",
        "-device", "virtio-serial-pci,bus=pcie.0", "-chardev", f"socket,id=port,fd={port.fileno()}",
        "-device", "virtserialport,chardev=port,name=rig",
        "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,bus=pcie.0,fsdev=root,mount_tag=root",
        "-fsdev", f"local,id=out,path={quoted(files.out)},security_model=none,multidevs=remap",
        "-device", "virtio-9p-pci,bus=pcie.0,fsdev=out,mount_tag=out",
        *nic_devices(host, options, plugs),
    ]


def start(box, options, files):
    """Starts all hosts; the sockets to their agents, by host."""
    plugs, sockets = wires(options.hosts, options.nics)
    ports = []
    for host in range(options.hosts):
        ours, theirs = socket.socketpair()
        given = [theirs, *sockets[host]]
        with open(Path(box.path) / f"host{host}.qemu", "wb") as complaints:
            box.start(command(host, options, files, plugs[host], theirs,
                              Path(box.path) / f"host{host}.console"),
                      pass_fds=[sock.fileno() for sock in given],
                      stdout=complaints, stderr=complaints,
                      env={**os.environ, "LC_ALL": "C"})
        for sock in given:
            sock.close()
        ports.append(ours)
    return ports
