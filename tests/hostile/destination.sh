#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# destination.sh PAGERAIL PEER: `pagerail guest --listen` among strangers, and before a hostile
# source.
# shellcheck disable=SC2119
size=64M
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
peer=$2

descriptors() {
    find "/proc/$destination_pid/fd" -mindepth 1 | wc -l
}

has_as_many() {
    [ "$(descriptors)" = "$1" ]
}

echo 'case: strangers come and go, then the source'
destination
before=$(descriptors)
while read -r name; do
    "$peer" client "$box/socket" "$name" || wrong "'$name' found nobody"
    kill -0 "$destination_pid" 2>/dev/null || {
        wrong "'$name' ended the destination"
        break
    }
done < <("$peer" list client)
soon 'closing all descriptors' has_as_many "$before"
[ "$(grep -c 'turned somebody away' "$box/destination.err")" -lt 10 ] ||
    wrong 'strangers filled the log'
source_guest --dirty 50M
ended source 0
ended destination 0
holds source 'j["outcome"] == "completed" and j["verified"] is True'
nothing_left

# attack NAME MOMENT WORDS: by a source; the destination ends with a sentence that holds the words.
attack() {
    echo "case: $1"
    destination
    "$peer" source "$box/socket" "$1" "$2" 2>"$box/peer.err" || wrong "'$1': $(cat "$box/peer.err")"
    ended destination 1
    one_sentence destination
    grep '^pagerail guest: ' "$box/destination.err" | grep -qF -- "$3" || {
        wrong "'$1': no word of '$3'"
        show_logs
    }
    holds destination 'j["outcome"] == "failed" and j["verified"] is None and j["error"]'
    nothing_left
}
attack 'versions of the future after the knock' 1 'versions 1 to 1, the peer 2 to 3'
attack 'unknown region' 1 "a memory region 'elsewhere'"
attack 'hello after hello' 1 ''
attack 'noise' 1 ''
attack 'noise' 20 'type'
attack 'silence' 4 'source'
attack 'silence' 20 'silent for'
attack 'leaves' 20 'lost the source'
attack 'abort' 20 'the foe has had enough'
attack 'never joins' 1 'lanes of the source'
attack 'wants twice' 1 'twice'
attack 'zeroes past the end' 1 'zero range outside of region'
attack 'zeroes without end' 1 ''
attack 'writes past the window' 1 ''
attack 'ends a future epoch' 1 'out of order'
attack 'releases too early' 1 'release'
attack 'no fence' 1 'no fence'
finish
