#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# again.sh AGAIN: 50 migrations to and fro in one pair of processes leave nothing behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
again=$1
# meson has freed memory written to, and buffers that were never used then become resident.
export MALLOC_PERTURB_=0

"$again" "local:$box/second" "local:$box/first" 50 second >"$box/second.out" 2>"$box/second.err" &
destination_pid=$!
soon 'listening' grep -qs waiting "$box/second.out"
"$again" "local:$box/first" "local:$box/second" 50 first >"$box/first.out" 2>"$box/first.err" &
source_pid=$!
ended source 0
ended destination 0
grep after "$box/first.out" "$box/second.out"
nothing_left
finish
