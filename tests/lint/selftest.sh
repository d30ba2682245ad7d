#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every lint finds what it is for: each is given small trees that break its rule, and must answer 1
# and name the file; and a tree that keeps the rule, and must answer 0.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
failures=0
spdx='/* SPDX-License-Identifier: BSD-2-Clause */'

# tree: starts an empty sample tree.
tree() {
    rm -rf "${box:?}/tree"
    mkdir "$box/tree"
}

# put FILE LINE...: writes a file of the sample tree.
put() {
    local file=$box/tree/$1
    shift
    mkdir -p "$(dirname "$file")"
    printf '%s\n' "$@" >"$file"
}

# expect STATUS LINT [TEXT]: runs the lint on the tree; with TEXT, its output must hold it.
expect() {
    local want=$1 lint=$2 text=${3:-} got=0 output
    output=$("$here/$lint.sh" "$box/tree" "$box/tree/build-test" 2>&1) || got=$?
    if [ "$got" != "$want" ] || [[ $output != *"$text"* ]]; then
        echo "$lint.sh answered $got, not $want${text:+ with \"$text\"}, on:"
        (cd "$box/tree" && find . -type f -exec head -n 20 {} +)
        printf '%s\n' "$output"
        failures=$((failures + 1))
    fi
}

# floor A may include floor B only downwards.
floor_case() {
    tree
    put "$2" "$3"
    expect "$1" floors "${4:-}"
}
floor_case 0 rdma/a.c '#include "base/error.h"'
floor_case 0 rdma/local/a.c '#include "rdma/fabric.h"'
floor_case 0 base/a.c '#include <pagerail/error.h>'
floor_case 0 tests/unit/a.c '#include "cli/text.h"'
floor_case 0 qemu-glue/a.c '#include "qemu/osdep.h"'
floor_case 1 base/a.c '#include "rdma/fabric.h"' base/a.c:1
floor_case 1 rdma/a.c '#  include "wire/messages.h"' rdma/a.c:1
floor_case 1 transport/a.c '#include "migrate/loop.h"' transport/a.c:1
floor_case 1 cli/a.c '#include "bench/shim.h"' cli/a.c:1
floor_case 1 rdma/local/a.c '#include "rdma/verbs/device.h"' sibling
floor_case 1 base/a.c '#include "error.h"' 'does not start'
floor_case 1 base/a.c '#include <base/error.h>' 'with quotes'
floor_case 1 include/pagerail/a.h '#include "base/error.h"' 'public header'
floor_case 1 include/pagerail/a.h '#include <base/error.h>' 'public header'
floor_case 1 attic/a.c 'int x;' 'not in tests/lint/floors.table'

tree
put base/a.h "$spdx" '#include <stdint.h>' 'uint8_t pr_a(void);'
put include/pagerail/a.h "$spdx" 'int pagerail_a(void);'
expect 0 headers
tree
put base/a.h "$spdx" 'uint8_t pr_a(void);'
expect 1 headers base/a.h
tree
put include/pagerail/a.h "$spdx" 'int pagerail_a(int class);'
expect 1 headers include/pagerail/a.h
tree
put base/a.h "$spdx" '#ifdef PR_FAULTS' 'bool pr_a(void);' '#endif'
expect 1 headers base/a.h

tree
put base/a.c "$spdx" 'int x;'
put run '#!/bin/sh' '# SPDX-License-Identifier: BSD-2-Clause'
put base/meson.build '# SPDX-License-Identifier: BSD-2-Clause'
put qemu-glue/a.c '/* SPDX-License-Identifier: GPL-2.0-or-later */' 'int x;'
expect 0 spdx
tree
put qemu-glue/a.c "$spdx" 'int x;'
expect 1 spdx qemu-glue/a.c
for name in base/a.c base/a.h bench/a.cc base/meson.build docs/man/a.1; do
    tree
    put "$name" 'int x;'
    expect 1 spdx "$name"
done
tree
put run '#!/bin/sh' 'exit 0'
expect 1 spdx run

tree
put base/a.c "$spdx" 'int x;'
expect 0 format
tree
put base/a.c "$spdx" 'int  x ;'
expect 1 format base/a.c

tree
put run '#!/bin/sh' 'echo "$1"'
expect 0 shell
tree
put run '#!/bin/sh' 'echo $1'
expect 1 shell run

tree
put a.py 'import os' 'print(os.name)'
expect 0 python
tree
put run '#!/usr/bin/env python3' 'print(os.name)'
expect 1 python run:2

tree
put docs/man/a.1 '.Dd November 21, 2026' '.Dt A 1' '.Os' '.Sh NAME' '.Nm a' '.Nd does a'
expect 0 man
tree
put docs/man/a.1 '.Dd November 21, 2026' '.Dt A 1' '.Os' '.Sh NAME' '.Nm a' '.Nd does a' \
    '.Sh DESCRIPTION' '.Bl -bullet' '.It' 'no end'
expect 1 man docs/man/a.1

# page STATUS TEXT LINE...: a page with these lines, beside one file with one function.
page() {
    local want=$1 text=$2
    shift 2
    tree
    put base/a.c "$spdx" 'int pr_a(void) { return 0; }'
    put include/pagerail/a.h "$spdx"
    put docs/a.md "$@"
    expect "$want" docs "$text"
}
page 0 '' 'See `base/a.c:1`, `a.c`, `base/`, `base/*.c`, `base/a.[ch]`, `pagerail/a.h`, `pr_a()`.' \
    '[b](../base/a.c#x) `/dev/null` `build/b.c` `a/b` `local:/path/to.sock`' '```' '`base/b.c`' '```'
page 1 docs/a.md:2 '' 'See `base/b.c`.'
page 1 docs/a.md:1 '`./base/b --help`'
page 1 docs/a.md:1 '`base/a.c` and `b.c`'
page 1 docs/a.md:1 '`base/*.h`'
page 1 docs/a.md:1 '`attic/a.c`'
page 1 pr_b '`pr_b`'
page 1 pr_b '`pr_b()`'
page 1 b.c '[b](../base/b.c)'
page 1 docs/a.md:4 '```' '`base/b.c`' '```' '`base/b.c`'

# database FILE...: a compile database of the tree.
database() {
    local file comma=
    {
        echo '['
        for file in "$@"; do
            echo "$comma{\"directory\": \"$box/tree/build-test\","
            echo "\"command\": \"cc -c ../$file\","
            echo "\"file\": \"../$file\"}"
            comma=,
        done
        echo ']'
    } >"$box/tree/build-test/compile_commands.json"
}
tree
mkdir "$box/tree/build-test"
expect 77 tidy 'skip: '
put base/a.c "$spdx" 'int pr_a(int a);' 'int pr_a(int a)' '{' '    return a;' '}'
database base/a.c
expect 0 tidy
put base/a.c "$spdx" 'int pr_a(int a);' 'int pr_a(int a)' '{' '    int *p = 0;' \
    '    return a ? *p : 0;' '}'
expect 1 tidy base/a.c
# What only cppcheck sees.
put base/a.c "$spdx" '#include <stdio.h>' 'void pr_a(unsigned a);' 'void pr_a(unsigned a)' '{' \
    '    printf("%d", a);' '}'
expect 1 tidy cppcheck

tree
mkdir "$box/tree/build-test"
expect 77 exports 'skip: '
put a.c 'int pagerail_a(void) { return 0; }'
gcc -shared -fPIC -o "$box/tree/build-test/libpagerail.so" "$box/tree/a.c"
expect 0 exports
put a.c 'int pr_a(void) { return 0; }'
gcc -shared -fPIC -o "$box/tree/build-test/libpagerail.so" "$box/tree/a.c"
expect 1 exports pr_a

[ "$failures" = 0 ] || {
    echo "$failures samples were judged wrongly"
    exit 1
}
