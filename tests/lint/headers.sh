#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every header compiles alone, with and without fault points; a public one also as strict C11 and
# as C++.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

common=(-fsyntax-only -Wall -Wextra -Werror -I. -Iinclude)

alone() {
    local header=$1 output
    shift
    output=$("$@" "${common[@]}" -include "$header" - </dev/null 2>&1) || {
        violation "$header: does not compile alone ($*)"
        printf '%s\n' "$output" | sed 's/^/    /'
    }
}

while read -r header; do
    case $header in
    qemu-glue/*) ;; # compiled against QEMU's own headers only
    include/*)
        alone "$header" gcc -x c -std=c11 -pedantic
        alone "$header" g++ -x c++ -std=c++17 -pedantic
        ;;
    *)
        alone "$header" gcc -x c -std=gnu11 -D_GNU_SOURCE
        alone "$header" gcc -x c -std=gnu11 -D_GNU_SOURCE -DPR_FAULTS=1
        ;;
    esac
done < <(files '*.h')
verdict
