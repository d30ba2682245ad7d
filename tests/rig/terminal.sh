#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# --shell gives the command a terminal of the caller's size; without it, output is seen at once.
# shellcheck source=tests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

inside() {
    tty
    stty size
    until [ -e "$RIG_OUT/go" ]; do
        sleep 0.1
    done
    exit 5
}

[ -n "${rig:-}" ] || inside "$@"

mkdir "$box/results"
TMPDIR=$box/tmp script -qefc "stty rows 33 columns 77; exec '$rig' run --quiet --hosts 1 --cpus 1 \
    --out '$box/results' --shell -- bash '$self' inside" "$box/out" >/dev/null 2>&1 &
soon 'output before the end' grep -q '33 77' "$box/out" || true
says out /dev/pts/
touch "$box/results/go"
status 5 wait $!
nothing_left
finish
