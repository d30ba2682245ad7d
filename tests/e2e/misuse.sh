#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# misuse.sh PAGERAIL: bad command lines change nothing; what cannot work fails with a sentence. The
# whole table of bad options is in tests/unit/test_guest_options.c.
size=16M
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

refused() {
    local status=0
    "$pagerail" guest "$@" >"$box/source.out" 2>"$box/source.err" || status=$?
    [ $status = 2 ] || wrong "guest $*: status $status, not 2"
    [ ! -s "$box/source.out" ] || wrong "guest $*: wrote to stdout"
    [ "$(wc -l <"$box/source.err")" = 1 ] || wrong "guest $*: not one line: $(cat "$box/source.err")"
    nothing_left
}
refused --size 0
refused --size 100T
refused --size many
refused --to "local:$box/a" --listen "local:$box/b"
refused --to "pigeon:$box/a"
refused --listen "pigeon:$box/a" --json "$box/json.json"
refused --listen "local:$box/a" --pattern nonsense
refused --dirty -5
refused --hugepages 3M
refused --json "$box/none/x.json"
[ ! -e "$box/json.json" ] || wrong 'a bad command line wrote a file'

echo 'case: nobody listens'
source_guest
ended source 1
one_sentence source
holds source 'j["outcome"] == "failed" and j["verified"] is True'
nothing_left

echo 'case: the folder is not there'
source_guest --to "local:$box/none/socket"
ended source 1
one_sentence source
"$pagerail" guest --listen "local:$box/none/socket" --size 16M 2>"$box/destination.err" &&
    wrong 'listening in a folder that is not there worked'
one_sentence destination

echo 'case: the sizes differ'
destination
source_guest --size 32M
ended source 1
one_sentence source
holds source 'j["verified"] is True'
ended destination 1
one_sentence destination
nothing_left

echo 'case: somebody listens there already'
destination
status=0
"$pagerail" guest --listen "local:$box/socket" --size 16M 2>"$box/source.err" || status=$?
[ $status = 1 ] || wrong "a second listener ended with $status"
one_sentence source
source_guest
ended source 0
ended destination 0
nothing_left

echo 'case: alone'
"$pagerail" guest --size 16M --run-after 0.2 --json "$box/source.json" >"$box/source.out" 2>&1 ||
    wrong 'a guest alone fails'
holds source 'j["outcome"] == "completed" and j["verified"] is True and j["role"] == "alone"'

echo 'case: quiet says nothing'
"$pagerail" guest --size 16M --run-after 0 --quiet >"$box/source.out" 2>&1
[ ! -s "$box/source.out" ] || wrong "--quiet wrote: $(cat "$box/source.out")"
finish
