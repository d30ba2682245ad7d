#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What the pages name exists: in every Markdown file, outside of code blocks, each path and file name
# in backticks, each of our functions and macros in backticks, and each link that is no URL.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

tree=$(files '*')
# Words of the sources, for names of functions, and what only meson knows.
words=$(files '*.c' '*.h' '*.cc' '*.def' '*.map' meson.build meson_options.txt |
    xargs -r grep -ohE '\b(pr|PR|pagerail|PAGERAIL)_[A-Za-z0-9_]+' | sort -u || true)

# names FILE: "line kind name" of everything that must exist; kind is path, word or link.
names() {
    awk '
        /^[ ]*```/ { fenced = !fenced; next }
        fenced || /^    / { next }
        {
            line = $0
            while (match(line, /\]\([^)#:]+[)#]/)) {
                print FNR, "link", substr(line, RSTART + 2, RLENGTH - 3)
                line = substr(line, RSTART + RLENGTH)
            }
            count = split($0, part, "`")
            for (i = 2; i < count; i += 2) {
                split(part[i], word, " ")
                name = word[1]
                sub(/^\.\//, "", name)
                sub(/:[0-9]+$/, "", name)
                if (name ~ /^(pr|PR|pagerail|PAGERAIL)_[A-Za-z0-9_]+(\(\))?$/) {
                    sub(/\(\)$/, "", name)
                    print FNR, "word", name
                } else if (name ~ /^[A-Za-z0-9_.][][A-Za-z0-9_.*\/-]*$/)
                    print FNR, "path", name
            }
        }' "$1"
}

# A path from the root, or from the page, or as an include of a public header; else, for a bare file
# name, any file of that name.
exists() {
    local path=${1%/} page=$2
    compgen -G "$path" >/dev/null || compgen -G "$(dirname "$page")/$path" >/dev/null ||
        compgen -G "include/$path" >/dev/null && return 0
    [[ $path != */* ]] || return 1
    local file
    while read -r file; do
        # shellcheck disable=SC2053 # a pattern is meant
        [[ ${file##*/} == $path ]] && return 0
    done <<<"$tree"
    return 1
}

# Whether the name must be a file of the tree: a source's ending, or a path below one of our folders.
# What a build makes is not looked for, and NAME stands for something.
is_ours() {
    case $1 in
    build*/* | *.so | *NAME*) return 1 ;;
    *.[ch] | *.'[ch]' | *.cc | *.md | *.sh | *.py | *.def | *.map | *.table | *.build) return 0 ;;
    */*) [ -d "${1%%/*}" ] ;;
    *) return 1 ;;
    esac
}

while read -r page; do
    while read -r line kind name; do
        case $kind in
        link) [ -e "$(dirname "$page")/$name" ] || violation "$page:$line: no $name to link to" ;;
        word) grep -qxF -- "$name" <<<"$words" ||
            violation "$page:$line: no $name in the sources" ;;
        path) ! is_ours "$name" || exists "$name" "$page" ||
            violation "$page:$line: no $name in the tree" ;;
        esac
    done < <(names "$page")
done < <(files '*.md')
verdict
