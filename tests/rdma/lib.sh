# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the tests beside it, in the lab: a guest at host0 that goes to host1.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/../rig/lib.sh"

pagerail=${pagerail:-}
size=64M
uri=rdma:host1:4444
source_pid=
destination_pid=
failures_before=0

# A side's words, in files of host0, whose clock then tells when the last one came; its figures are
# $RIG_OUT/SIDE.json.
logs=/tmp/logs
[ -n "${rig:-}" ] || mkdir -p "$logs"

show_logs() {
    local side
    for side in source destination; do
        [ ! -s "$logs/$side.log" ] || sed "s/^/  $side: /" "$logs/$side.log"
    done
}

has_said() {
    grep -qsF -- "$2" "$logs/$1.log"
}

# destination OPTION...: starts one on host1, by $on_destination if something is to be put before
# it, and waits until it listens.
destination() {
    start_destination "$@"
    soon 'listening' has_said destination 'waiting at' || show_logs
}

start_destination() {
    rm -f "$RIG_OUT/destination.json"
    rig-on -n host1 "${on_destination[@]}" "$pagerail" guest --listen "$uri" --size "$size" \
        --run-after 0.3 --json "$RIG_OUT/destination.json" "$@" >"$logs/destination.log" 2>&1 &
    destination_pid=$!
}

# source_guest OPTION...: starts one here, by $on_source.
source_guest() {
    rm -f "$RIG_OUT/source.json"
    "${on_source[@]}" "$pagerail" guest --to "$uri" --size "$size" \
        --run-before 0.2 --run-after 0.3 --json "$RIG_OUT/source.json" "$@" \
        >"$logs/source.log" 2>&1 &
    source_pid=$!
}
on_source=()
on_destination=()

# ended source|destination STATUS: waits for its end.
ended() {
    local got=0 pid=$source_pid
    [ "$1" = source ] || pid=$destination_pid
    soon "the $1's end" is_over "$pid" || kill -KILL "$pid"
    wait "$pid" 2>/dev/null || got=$? # without the shell's own word on kills
    equal "the $1's status" "$got" "$2"
}

is_over() {
    ! grep '^State:' "/proc/$1/status" 2>/dev/null | grep -qv zombie
}

told() {
    printf '%-24s %s\n' "$1:" "$2"
}

# How much longer than documented something may take on emulated hosts of a busy machine.
patience_s=40

start_clock() {
    struck=$EPOCHREALTIME
}

# gives_up SIDE WHAT WITHIN_S SENTENCE: with this sentence, so long after start_clock.
gives_up() {
    local after
    soon "a complaint of the $1" has_said "$1" 'pagerail guest: ' || return 0
    after=$(bc <<<"$(stat -c %.Y "$logs/$1.log") - $struck")
    ended "$1" 1
    told "$2" "$(printf '%5.1f s, %-11s %s' "$after" "$1:" "$(of "$1" 'j["error"]')")"
    holds "$1" 'j["outcome"] == "failed" and j["error"]'
    has_said "$1" "$4" || wrong "$2: the $1 did not say: $4"
    [ "$(bc <<<"$after < $3 + $patience_s")" = 1 ] || wrong "$2: the $1 took $after s"
}

# source_stays WHAT WITHIN_S SENTENCE: gives up, and its guest runs on and is right.
source_stays() {
    gives_up source "$@"
    holds source 'j["verified"] is True and j["guest_at_source"]["wrong_pages"] == 0'
}

# destination_ends WHAT WITHIN_S SENTENCE: and never had a guest.
destination_ends() {
    gives_up destination "$@"
    holds destination 'j["verified"] is None'
}

# holds source|destination EXPRESSION...: of the JSON files, in Python: j the side's, o the other's,
# None if there is none.
holds() {
    python3 - "$RIG_OUT" "$1" "${@:2}" <<'PYTHON' || wrong "the $1's JSON, see above"
import json, os, sys
folder, side = sys.argv[1:3]

def load(name):
    path = os.path.join(folder, name + '.json')
    return json.load(open(path)) if os.path.exists(path) else None

j = load(side)
o = load('destination' if side == 'source' else 'source')
wrong = [e for e in sys.argv[3:] if j is None or not eval(e)]
for e in wrong:
    print('not so:', e)
sys.exit(bool(wrong))
PYTHON
}

# of source|destination EXPRESSION: its value.
of() {
    python3 -c "import json, sys; j = json.load(open('$RIG_OUT/$1.json')); print($2)"
}

# parts DEFAULT... -- [PART]...: runs these functions, or only those that were asked for.
parts() {
    local all=()
    while [ "$1" != -- ]; do
        all+=("$1")
        shift
    done
    shift
    [ $# -gt 0 ] || set -- "${all[@]}"
    while [ $# -gt 0 ]; do
        "$1"
        shift
    done
    finish
}

# After each part: what was wrong in it is shown, and nothing of it is left on any host.
part_ends() {
    local host left found
    for host in host0 host1; do
        found=0
        left=$(rig-on -n $host pgrep -xl 'pagerail|again') || found=$?
        # 1 is pgrep's word for none; that the host cannot be asked is no such answer.
        [ "$found" = 1 ] || wrong "left on $host (status $found): $left"
        nothing_held $host
    done
    [ "$failures" = "$failures_before" ] || show_logs
    failures_before=$failures
}
