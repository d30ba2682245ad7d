#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2119 # its functions take options of their own
# pattern.sh PAGERAIL PATTERN: a guest that writes by this pattern moves and is right afterwards, and
# both sides' files tell the same story.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
pattern=$2

destination
source_guest --dirty 100M --pattern "$pattern"
ended source 0
ended destination 0
for side in source destination; do
    holds $side \
        'j["schema"] == "pagerail-guest-1"' \
        "j['role'] == '$side'" \
        'j["outcome"] == "completed" and j["error"] is None' \
        'j["verified"] is True' \
        'j["fabric"] == "local"' \
        "j['guest']['pattern'] == '$pattern'" \
        'j["guest"]["size_bytes"] == 256 << 20' \
        '0 < j["downtime_ms"] < j["total_ms"]' \
        'j["downtime_guest_ms"] > 0' \
        'j["cpu_s_source"] > 0 and j["cpu_s_destination"] > 0' \
        'j["pages_sent"] > 0 and j["bytes_sent"] == 4096 * j["pages_sent"]' \
        'j["pages_sent"] + j["zero_pages"] >= 65536' \
        'len(j["rounds"]) >= 1 and j["rounds"][0]["pages"] > 0' \
        'j["guest_at_destination"]["page_writes"] > j["guest_at_source"]["page_writes"] > 0' \
        'j["guest_at_destination"]["wrong_pages"] == 0'
done
cp "$box/destination.json" "$box/other.json"
holds source 'j["rounds"] == json.load(open(sys.argv[1].replace("source", "other")))["rounds"]'
holds source 'j["bytes_sent"] >= sum(r["bytes"] for r in j["rounds"])'
holds source 'j["downtime"]["copy_ms"] >= 0'
nothing_left
finish
