#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# mandoc finds no fault with any manual page.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

command -v mandoc >/dev/null || skip "mandoc is not installed"
while read -r file; do
    # Which other pages are installed here says nothing about this one.
    output=$(mandoc -T lint -W style "$file" 2>&1 |
        grep -vE 'referenced manual not found|outdated mandoc.db' || true)
    [ -z "$output" ] || violation "${output//mandoc: /}"
done < <(files '*.[1-8]')
verdict
