#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Nothing is left of a lab, however it ends: no process, no file.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

small=(--hosts 1 --cpus 1 --memory 400M)
lab_pid=

# In the background, as a process of its own that can be killed.
start_lab() {
    : >"$box/out"
    TMPDIR=$box/tmp "$rig" run --quiet "${small[@]}" "$@" >"$box/out" 2>"$box/err" &
    lab_pid=$!
}

# What its child runs: QEMU, as `comm` says it, or the keeper.
lab_child() {
    local pid
    for pid in $(lab_processes); do
        [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != *"$1"* ]] || echo "$pid"
    done 2>/dev/null
}

has_child() {
    [ -n "$(lab_child "$1")" ]
}

ends_with() {
    status "$1" wait $lab_pid 2>/dev/null
    nothing_left
}

start_lab --hosts 2 -- true
soon 'the boot' has_child '-name host1'
kill -INT $lab_pid
ends_with 130

start_lab -- sh -c 'echo up; exec sleep 1000'
soon 'the command' grep -q up "$box/out"
kill -INT $lab_pid
ends_with 130

start_lab -- bash -c 'trap "echo told; exit 5" TERM; echo up; while :; do sleep 0.1; done'
soon 'the command' grep -q up "$box/out"
kill -TERM $lab_pid
ends_with 5
says out told

start_lab -- sh -c 'echo up; exec sleep 1000'
soon 'the command' grep -q up "$box/out"
kill -KILL $lab_pid
ends_with 137

start_lab -- sh -c 'echo up; exec sleep 1000'
soon 'the command' grep -q up "$box/out"
for pid in $(lab_child qemu-system) $(lab_child rig-keeper); do
    kill -KILL "$pid"
done
ends_with 125
says err 'host0 is lost'

status 137 lab "${small[@]}" -- sh -c 'kill -KILL $$'
nothing_left

status 125 lab "${small[@]}" --hosts 2 -- rig-on host1 sh -c 'echo c >/proc/sysrq-trigger; exec sleep 1000'
says err 'host1 is lost: its kernel crashed: sysrq triggered crash'
nothing_left

status 124 lab "${small[@]}" --timeout 1 -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
says err 'took longer than 1 s'
nothing_left
finish
