#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# No finding of pyflakes in any Python program: a name that is not there shows only when its line
# is reached.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

command -v pyflakes3 >/dev/null || skip "pyflakes3 is not installed"
programs() {
    { files '*.py'; files '*' | while read -r file; do
        [[ $(head -c 64 -- "$file" | tr -d '\0' | head -n 1) =~ ^#!.*python3 ]] && echo "$file"
    done; } | LC_ALL=C sort -u
}

# What it cannot know is used elsewhere is marked as for flake8.
while IFS=: read -r file line column what; do
    sed -n "${line}p" "$file" | grep -q '# noqa' || violation "$file:$line:$column:$what"
done < <(programs | xargs -r -d '\n' pyflakes3 2>&1)
verdict
