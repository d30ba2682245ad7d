#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# libpagerail.so exports what starts with pagerail_ and nothing else.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

library=$(find "$build" -maxdepth 2 -name 'libpagerail.so*' -type f 2>/dev/null | head -n 1)
[ -n "$library" ] || skip "$build holds no libpagerail.so"
while read -r symbol; do
    violation "${library#"$root/"}: exports $symbol"
done < <(nm -D --defined-only "$library" |
    awk '$2 != "A" { sub(/@.*/, "", $3); if ($3 !~ /^pagerail_/) print $3 }')
verdict
