# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the lints. Every lint is called as `<lint>.sh [ROOT [BUILD]]`: the tree to look at
# (default: this repository) and its build folder, for those that need one. It prints one line per
# violation, "path[:line]: what is wrong", and exits 0 (clean), 1 (violations) or 77 (cannot run
# here, the line "skip: ..." says why).
set -euo pipefail

lint_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "${1:-$lint_dir/../..}" && pwd)
# shellcheck disable=SC2034 # the lints that need a build folder read it
build=$(realpath -m "${2:-$root/build-test}")
cd "$root"

violations=0

violation() {
    printf '%s\n' "$*"
    violations=$((violations + 1))
}

skip() {
    echo "skip: $*"
    exit 77
}

verdict() {
    [ "$violations" = 0 ] || {
        echo "$violations violations"
        exit 1
    }
    exit 0
}

# files GLOB...: the tree's own files whose names match, without build folders.
files() {
    local glob expr=()
    for glob in "$@"; do
        expr+=(-o -name "$glob")
    done
    find . \( -name .git -o -path './build*' -o -path ./shared \) -prune -o \
        -type f \( "${expr[@]:1}" \) -print | sed 's,^\./,,' | LC_ALL=C sort
}

# scripts: every shell script, by name or by its first line.
scripts() {
    { files '*.sh'; files '*' | while read -r file; do
        [[ $(head -c 64 -- "$file" | tr -d '\0' | head -n 1) =~ ^#!.*(ba)?sh ]] && echo "$file"
    done; } | LC_ALL=C sort -u
}
