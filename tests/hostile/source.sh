#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# source.sh PAGERAIL PEER: `pagerail guest --to` a stranger, and a hostile destination: the guest runs
# on at the source, and every page of it is right.
size=64M
# shellcheck source=tests/e2e/lib.sh disable=SC2119
. "$(dirname "$0")/../e2e/lib.sh"
peer=$2

listens() {
    grep -qs "$box/socket" /proc/net/unix
}

# attack KIND NAME MOMENT WORDS
attack() {
    echo "case: $1 '$2'"
    "$peer" "$1" "$box/socket" "$2" "$3" 2>"$box/peer.err" &
    destination_pid=$!
    soon 'listening' listens
    source_guest --dirty 50M
    ended source 1
    one_sentence source
    grep '^pagerail guest: ' "$box/source.err" | grep -qF -- "$4" || {
        wrong "'$2': no word of '$4'"
        show_logs
    }
    holds source 'j["outcome"] == "failed" and j["verified"] is True and j["error"]'
    kill -KILL "$destination_pid" 2>/dev/null || true
    wait "$destination_pid" 2>/dev/null || true
    destination_pid=
    rm -f "$box/socket" "$box/peer.err"
    nothing_left
}
attack server 'closes at once' 1 'without a reason'
attack server 'silence' 1 'did not answer in time'
attack server 'HTTP' 1 'no pagerail'
attack server 'other version' 1 'version 2 of the local fabric'
attack server 'refusal that rings the bell' 1 ''
attack server 'welcome with other files' 1 ''
attack server 'welcome with a wrong secret' 1 ''
attack destination 'versions of the future' 1 'versions 2 to 3, the peer 1 to 1'
attack destination 'more lanes than wanted' 1 'not offered'
attack destination 'a tiny pin budget' 1 'pin budget'
attack destination 'noise' 1 ''
attack destination 'noise' 20 'type'
attack destination 'silence' 20 'silent for'
attack destination 'leaves' 20 'lost the destination'
attack destination 'abort' 20 'the foe has had enough'
attack destination 'grants wild addresses' 1 ''
attack destination 'acks too early' 1 'out of order'
attack destination 'ready too early' 1 'ready before'
attack destination 'never ready' 1 'not ready'
attack destination 'no room for device state' 1 'within the time'
attack destination 'early bye' 20 'bye'
finish
