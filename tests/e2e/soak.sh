#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# soak.sh PAGERAIL [RUNS]: 4 GiB at 500 MiB/s, every pattern, many times. Runs under
# `scripts/test --soak` only.
size=4G
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
for run in $(seq "${2:-20}"); do
    for pattern in seq uniform hot zipf alternate zeroing; do
        destination
        source_guest --dirty 500M --pattern $pattern
        ended source 0
        ended destination 0
        holds source 'j["verified"] is True' 'j["downtime_guest_ms"] < 500'
        holds destination 'j["verified"] is True'
        nothing_left
        echo "run $run, $pattern: $(head -n 1 "$box/source.out")"
    done
done
finish
