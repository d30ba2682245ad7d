#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The second half of a host's start, among the outer machine's files: names, addresses, RDMA devices,
# the shape of the wire, then the agent as process 1. From the kernel's command line: RIG_HOST,
# RIG_HOSTS, RIG_NICS (numbers), RIG_MODULES and RIG_TOOLS (folders), RIG_SHAPE (of tc, or nothing).
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

wrong() {
    echo "rig: $*" >/dev/console
    sleep 0.1
    exit 1
}
exec >/dev/console 2>&1

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/rig/out /run/lock /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=mmap out /run/rig/out ||
    wrong "cannot mount the folder of results"
ln -sfn /proc/self/fd /dev/fd
for stream in stdin:0 stdout:1 stderr:2; do
    ln -sfn "/proc/self/fd/${stream#*:}" "/dev/${stream%:*}"
done
# modprobe finds this kernel's other modules.
mkdir -p /lib/modules
[ -d "/lib/modules/$(uname -r)" ] || ln -s "$RIG_MODULES" "/lib/modules/$(uname -r)"

echo "host$RIG_HOST" >/proc/sys/kernel/hostname
{
    echo "127.0.0.1 localhost"
    for host in $(seq 0 $((RIG_HOSTS - 1))); do
        for nic in $(seq 0 $((RIG_NICS - 1))); do
            names=host$host-nic$nic
            [ "$nic" != 0 ] || names="host$host $names"
            echo "10.77.$nic.$((host + 1)) $names"
        done
    done
} >/etc/hosts

# Each NIC is a network of its own: no answers for another's address, no doubt about the way back.
for setting in arp_ignore=1 arp_announce=2 rp_filter=0; do
    echo "${setting#*=}" >"/proc/sys/net/ipv4/conf/all/${setting%=*}"
done
ip link set lo up
for nic in $(seq 0 $((RIG_NICS - 1))); do
    found=$(grep -l "^52:54:00:77:0$RIG_HOST:0$nic\$" /sys/class/net/*/address) ||
        wrong "the network device $nic is missing"
    found=${found%/address}
    ip link set "${found##*/}" name "nic$nic"
    ip link set "nic$nic" mtu 4200 up
    ip address add "10.77.$nic.$((RIG_HOST + 1))/24" dev "nic$nic"
    # shellcheck disable=SC2086 # words are meant
    [ -z "$RIG_SHAPE" ] || tc qdisc add dev "nic$nic" root $RIG_SHAPE ||
        wrong "tc does not take: $RIG_SHAPE"
    rdma link add "rxe$nic" type rxe netdev "nic$nic" || wrong "no soft-RoCE on nic$nic"
done

# The kernel fills the table of addresses by and by; "-x 1" of the benchmarks is the IPv4 one.
for nic in $(seq 0 $((RIG_NICS - 1))); do
    port=/sys/class/infiniband/rxe$nic/ports/1
    until grep -q 'ACTIVE' "$port/state" && grep -qs 'ffff:0a4d' "$port/gids/1"; do
        sleep 0.02
    done
done

for name in /sys/class/virtio-ports/*/name; do
    if [ "$(cat "$name")" = rig ]; then
        port=${name%/name}
        mkdir -p /run/rig/bin
        ln -s "$RIG_TOOLS/rig-on" /run/rig/bin/rig-on
        exec "$RIG_TOOLS/agent" "/dev/${port##*/}" /run/rig/socket "$RIG_HOST"
    fi
done
wrong "the port to the outer machine is missing"
