#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# clang-format would change nothing. To repair: clang-format -i FILE...
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

command -v clang-format >/dev/null || skip "clang-format is not installed"
while read -r file; do
    clang-format --style=file:"$lint_dir/../../.clang-format" --dry-run -Werror "$file" \
        >/dev/null 2>&1 || violation "$file: not as clang-format writes it"
done < <(files '*.c' '*.h' '*.cc')
verdict
