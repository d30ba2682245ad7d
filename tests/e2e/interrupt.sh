#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# interrupt.sh PAGERAIL: Ctrl-C at any moment leaves the guest whole, and says who has it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
needs_faults

# endless_source: a migration that does not end by itself, so that there is a middle to interrupt.
endless_source() {
    source_fault=precopy.forever
    source_guest --dirty 100M
    source_fault=
}

cancelled() {
    ended "$1" 130
    one_sentence "$1"
    holds "$1" 'j["outcome"] == "cancelled" and j["error"]'
}

gives_up() {
    ended "$1" 1
    one_sentence "$1"
    holds "$1" 'j["outcome"] == "failed" and j["error"]'
}

for signal in INT TERM; do
    echo "case: a destination that waits, SIG$signal"
    destination
    kill "-$signal" "$destination_pid"
    cancelled destination
    holds destination 'j["verified"] is None'
    nothing_left
done

echo 'case: a source before its migration'
destination
source_guest --run-before 60
soon 'the guest' says source 'guest: '
kill -INT "$source_pid"
cancelled source
holds source 'j["verified"] is True'
kill -INT "$destination_pid"
cancelled destination
nothing_left

for pause in 0 0.1 0.4; do
    echo "case: a source in precopy, after $pause s"
    destination
    endless_source
    soon 'precopy' says source 'phase: precopy'
    sleep $pause
    kill -INT "$source_pid"
    cancelled source
    holds source 'j["verified"] is True'
    gives_up destination
    holds destination 'j["verified"] is None'
    nothing_left

    echo "case: a destination in precopy, after $pause s"
    destination
    endless_source
    soon 'precopy' says destination 'phase: precopy'
    sleep $pause
    kill -INT "$destination_pid"
    cancelled destination
    gives_up source
    holds source 'j["verified"] is True'
    nothing_left
done

echo 'case: a source in precopy, killed'
destination
endless_source
soon 'precopy' says source 'phase: precopy'
kill -KILL "$source_pid"
ended source 137
gives_up destination
nothing_left

echo 'case: a destination in precopy, killed'
destination
endless_source
soon 'precopy' says destination 'phase: precopy'
kill -KILL "$destination_pid"
ended destination 137
gives_up source
holds source 'j["verified"] is True'
nothing_left

echo 'case: after the hand-over'
destination --run-after 60
source_guest --dirty 10M
soon 'the move' says destination 'the guest runs here'
soon 'the wait' says source 'waiting for its report'
kill -INT "$source_pid"
ended source 130
holds source 'j["outcome"] == "completed" and j["verified"] is None'
kill -INT "$destination_pid"
ended destination 0
holds destination 'j["outcome"] == "completed" and j["verified"] is True'
nothing_left

echo 'case: a second signal ends at once'
destination
kill -STOP "$destination_pid" # so that both are there when it goes on
kill -INT "$destination_pid"
kill -TERM "$destination_pid"
kill -CONT "$destination_pid"
ended destination 143
rm -f "$box/socket"
finish
