#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every #include "folder/..." goes to its own folder or to a lower floor of floors.table, and the
# public headers see nothing internal.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

# awk prints "file:line: what is wrong" per violation.
findings=$(files '*.c' '*.h' '*.cc' '*.inc' '*.def' | xargs -r awk -v table="$lint_dir/floors.table" '
    function top(path) { return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "" }
    # "a/b/c.h" -> "b", "a/c.h" -> "": the sub-folder below the top one.
    function sub_folder(path,   parts, n) { n = split(path, parts, "/"); return n > 2 ? parts[2] : "" }
    function say(what) { print FILENAME ":" FNR ": " what }
    BEGIN {
        while ((getline line < table) > 0) {
            sub(/#.*/, "", line)
            if (split(line, word, " ") < 2)
                continue
            floor[word[2]] = word[1] + 0
            foreign[word[2]] = word[3] == "foreign"
        }
    }
    FNR == 1 {
        here = top(FILENAME)
        if (here != "include" && !(here in floor))
            say("folder \"" here "\" is not in tests/lint/floors.table")
    }
    !/^[ \t]*#[ \t]*include[ \t]*["<]/ { next }
    {
        quoted = /^[ \t]*#[ \t]*include[ \t]*"/
        path = $0
        sub(/^[^"<]*["<]/, "", path)
        sub(/[">].*/, "", path)
        there = top(path)
    }
    here == "include" {
        if (quoted || there in floor)
            say("a public header includes \"" path "\": only <pagerail/...> and system headers")
        next
    }
    !quoted {
        if (there in floor && path !~ /^rdma\/rdma_(cma|verbs)\.h$/) # librdmacm has a folder like ours
            say("<" path "> is our own: include it with quotes")
        next
    }
    !(here in floor) { next }
    !(there in floor) {
        if (!foreign[here])
            say("\"" path "\" does not start with one of our folders")
        next
    }
    there == here {
        mine = sub_folder(FILENAME)
        theirs = sub_folder(path)
        if (here != "tests" && mine != "" && theirs != "" && mine != theirs)
            say(here "/" mine " includes \"" path "\" of its sibling folder")
        next
    }
    floor[there] >= floor[here] {
        say(here " (floor " floor[here] ") includes \"" path "\" (floor " floor[there] ")")
    }
')
while read -r finding; do
    [ -z "$finding" ] || violation "$finding"
done <<<"$findings"
verdict
