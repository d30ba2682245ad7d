#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every source, script, build file and man page names its licence in its first lines.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

while read -r file; do
    head -n 4 -- "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' ||
        violation "$file: no 'SPDX-License-Identifier: BSD-2-Clause' in the first lines"
done < <({
    files '*.c' '*.h' '*.cc' '*.S' '*.ld' '*.map' '*.py' '*.[1-8]' meson.build meson_options.txt
    scripts
} | LC_ALL=C sort -u)
verdict
