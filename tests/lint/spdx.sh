#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every source, script, build file and man page names its licence in its first lines: ours is
# BSD-2-Clause; what is compiled into QEMU has QEMU's.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

while read -r file; do
    case $file in
    qemu-glue/*) licence=GPL-2.0-or-later ;;
    *) licence=BSD-2-Clause ;;
    esac
    head -n 4 -- "$file" | grep -q "SPDX-License-Identifier: $licence" ||
        violation "$file: no 'SPDX-License-Identifier: $licence' in the first lines"
done < <({
    files '*.c' '*.h' '*.cc' '*.S' '*.ld' '*.map' '*.py' '*.[1-8]' meson.build meson_options.txt
    scripts
} | LC_ALL=C sort -u)
verdict
