#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# example.sh PAGERAIL MOVE README SOURCE: the example moves its guest, and the C code in the README
# stands in the example's source line for line.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
move=$2 readme=$3 source_file=$4

"$move" at "local:$box/socket" >"$box/destination.out" 2>"$box/destination.err" &
destination_pid=$!
soon 'listening' test -S "$box/socket"
"$move" to "local:$box/socket" >"$box/source.out" 2>"$box/source.err" &
source_pid=$!
ended source 0
ended destination 0
grep -q '^completed.*not here$' "$box/source.out" || wrong 'the source still has the guest'
grep -q '^completed.*is here$' "$box/destination.out" || wrong 'the destination has no guest'
nothing_left

python3 - "$readme" "$source_file" <<'PYTHON' || wrong "$readme quotes code that is not in $source_file"
import re, sys
readme, source = (open(path).read() for path in sys.argv[1:])
quotes = re.findall(r'^```c\n(.*?)^```$', readme, re.M | re.S)
sys.exit(not quotes or not all(quote in source for quote in quotes))
PYTHON
finish
