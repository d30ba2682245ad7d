#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# faults.sh PAGERAIL: whatever breaks, and whenever, one side at most has the guest, the source's is
# unharmed as long as it was not handed over, and both sides say so.
size=64M
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
needs_faults

# both SOURCE_FAULT DESTINATION_FAULT
both() {
    echo "case: source '$1', destination '$2'"
    source_fault=$1
    destination_fault=$2
    destination
    source_guest --dirty 50M
}

guest_stays() {
    ended source 1
    one_sentence source
    holds source 'j["outcome"] == "failed" and j["error"]'
    holds source 'j["verified"] is True'
}

destination_has_none() {
    ended destination 1
    one_sentence destination
    holds destination 'j["outcome"] == "failed" and j["error"]'
    holds destination 'j["verified"] is None'
    nothing_left
}

for point in guest.dirty_start guest.dirty_sync guest.stop guest.save; do
    both "$point" ''
    guest_stays
    destination_has_none
    both "$point=kill" ''
    ended source 137
    destination_has_none
done

both '' guest.load
guest_stays
destination_has_none

both '' guest.load=kill
guest_stays
ended destination 137
nothing_left

# Silence: the source gives up and goes on; the destination wakes up and must not run the guest.
both '' guest.load=stop
guest_stays
kill -CONT "$destination_pid"
destination_has_none

# After the hand-over the source must not run the guest again, though nobody has it.
both '' guest.run=kill
ended source 1
one_sentence source
holds source 'j["outcome"] == "failed" and j["verified"] is None'
ended destination 137
nothing_left

both '' guest.run
ended source 1
ended destination 1
holds source 'j["outcome"] == "failed" and j["verified"] is None'
holds destination 'j["outcome"] == "failed" and j["verified"] is None'
nothing_left

# The source dies when it has handed over: the destination's guest lives and is right.
both guest.dirty_stop=kill ''
ended source 137
ended destination 0
holds destination 'j["outcome"] == "completed" and j["verified"] is True'
nothing_left

# The destination dies later: the source cannot vouch for the guest.
source_fault='' destination_fault=''
destination --run-after 60
source_guest --dirty 50M
soon 'the move' says destination 'the guest runs here'
kill -KILL "$destination_pid"
ended destination 137
ended source 1
one_sentence source
holds source 'j["outcome"] == "completed" and j["verified"] is None and j["error"]'
nothing_left

# What the transport must not do is seen by the guest: its pages are wrong.
wrong_pages() {
    echo "case: source '$1' loses writes"
    source_fault=$1
    destination
    shift
    source_guest "$@"
    ended source 1
    ended destination 1
    for side in source destination; do
        holds $side 'j["verified"] is False and j["error"] and j["outcome"] == "failed"'
        holds $side 'j["guest_at_destination"]["wrong_pages"] > 0'
    done
    nothing_left
}
wrong_pages dirty.clear_late --dirty 500M
wrong_pages zero.forget --dirty 500M --pattern zeroing --fill random
finish
