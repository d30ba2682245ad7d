#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# No finding of shellcheck in any script.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

command -v shellcheck >/dev/null || skip "shellcheck is not installed"
while read -r file; do
    # SC2016: awk programs and `bash -c` texts are meant to stay unexpanded. SC2317: does not see
    # functions that are called by a name in a variable.
    output=$(shellcheck -x -e SC1091,SC2016,SC2317 -f gcc "$file") || {
        violation "$file: shellcheck finds fault"
        printf '%s\n' "$output" | sed 's/^/    /'
    }
done < <(scripts)
verdict
