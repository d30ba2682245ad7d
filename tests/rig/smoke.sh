#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Two hosts with two NICs each: names, devices, rig-on and its streams, results, exit status.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

runs_on() {
    rig-on -n "$1" sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null | grep -x "$2" >/dev/null
}

runs_not_on() {
    ! runs_on "$@"
}

check_names() {
    equal 'the host name' "$(hostname)" host0
    equal 'the other host name' "$(rig-on host1 hostname)" host1
    equal 'RIG_HOST there' "$(rig-on host1 printenv RIG_HOST)" host1
    equal 'the address of host1' "$(getent hosts host1 | cut -d' ' -f1)" 10.77.0.2
    equal 'the address of host1-nic1' "$(getent hosts host1-nic1 | cut -d' ' -f1)" 10.77.1.2
    equal 'the folder' "$PWD" "$1"
    equal 'the folder there' "$(rig-on host1 pwd)" "$1"
    echo 'only inside' >"$1/written"
}

check_devices() {
    local host nic
    for host in host0 host1; do
        for nic in 0 1; do
            rig-on -n $host ibv_devinfo -d rxe$nic >info || wrong "no device rxe$nic on $host"
            grep -q 'PORT_ACTIVE' info || wrong "rxe$nic on $host is not active"
            grep -q 'active_mtu:.*4096' info || wrong "rxe$nic on $host has not the full MTU"
        done
    done
}

check_command() {
    status 9 rig-on host1 sh -c 'exit 9'
    status 137 rig-on host1 sh -c 'kill -KILL $$'
    status 127 rig-on host1 /no/such/program 2>/dev/null
    status 125 rig-on host7 true 2>/dev/null
    equal 'the arguments' "$(rig-on host1 printf '%s|' 'a b' '' '*' $'c\nd')" $'a b||*|c\nd|'
    equal 'the environment' "$(SOME='a b' rig-on host1 printenv SOME)" 'a b'
    rig-on host1 sh -c 'echo one; echo two >&2' >one 2>two
    equal 'the output' "$(cat one)" one
    equal 'the errors' "$(cat two)" two
    equal 'what a daemon leaves' "$(rig-on -n host1 sh -c 'sleep 1000 & echo up')" up
}

# More than the streams' credit, both ways at once, and past a stream that nobody reads.
check_streams() {
    local sum
    sum=$(seq 300000 | sha256sum)
    equal 'bytes there' "$(seq 300000 | rig-on host1 sha256sum)" "$sum"
    equal 'bytes back' "$(rig-on -n host1 seq 300000 | sha256sum)" "$sum"
    equal 'bytes there and back' "$(seq 300000 | rig-on host1 cat | sha256sum)" "$sum"
    rig-on -n host1 yes | {
        soon 'the endless command' runs_on host1 yes
        status 0 rig-on host1 true
        head -n 1
    } >first || true # of SIGPIPE
    equal 'the first line' "$(cat first)" y
    soon 'the end of what nobody reads' runs_not_on host1 yes
}

check_signals() {
    rig-on host1 bash -c 'trap "exit 42" TERM; echo up; while :; do sleep 0.1; done' >trap-is-set 2>/dev/null &
    soon 'the trap' grep -q up trap-is-set
    kill -TERM $!
    status 42 wait $!
    rig-on -n host1 cat /dev/zero >/dev/null &
    soon 'the start of cat' runs_on host1 cat
    kill -KILL $!
    wait $! 2>/dev/null || true
    soon 'the end of cat' runs_not_on host1 cat
}

check_rdma() {
    rig-on -n host1 timeout 200 rping -s -C 5 >/dev/null 2>&1 &
    soon 'the server' listens host1
    status 0 timeout 200 rping -c -a host1-nic1 -C 5 >/dev/null 2>&1
    status 0 wait $!
}

# In the outer test's folder: both hosts have it, and what is written here stays inside.
inside() {
    check_names "$1"
    check_devices
    check_command
    check_streams
    check_signals
    check_rdma
    rig-on host1 sh -c 'echo from host1 >"$RIG_OUT/host1"'
    echo from host0 >"$RIG_OUT/host0"
    echo 'this is output'
    echo 'this is an error' >&2
    [ "$failures" = 0 ] || exit 1
    exit 7
}

[ -n "${rig:-}" ] || inside "$@"

cd "$box"
status 7 lab --hosts 2 --nics 2 --out "$box/results/new" -- bash "$self" inside "$box"
equal 'the output' "$(cat "$box/out")" 'this is output'
equal 'the errors' "$(cat "$box/err")" 'this is an error'
equal "host0's result" "$(cat "$box/results/new/host0")" 'from host0'
equal "host1's result" "$(cat "$box/results/new/host1")" 'from host1'
[ ! -e "$box/written" ] || wrong 'what was written inside is seen outside'
nothing_left
finish
