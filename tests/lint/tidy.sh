#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# clang-tidy (with the repository's .clang-tidy) and cppcheck find nothing in the C that the build
# folder compiles. LINT_JOBS=N sets how many run at once.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

command -v clang-tidy >/dev/null || skip "clang-tidy is not installed"
command -v cppcheck >/dev/null || skip "cppcheck is not installed"
[ -f "$build/compile_commands.json" ] || skip "$build has no compile_commands.json"

export tidy_build=$build tidy_config=$lint_dir/../../.clang-tidy

# gcc's options that clang does not know are no finding. Tests run under ASan and TSan, so they do
# without the path-sensitive analyzer, which is slow and is misled by <sys/queue.h>.
tidy_one() {
    local less=
    case $1 in
    */tests/*) less='--checks=-clang-analyzer-*' ;;
    esac
    clang-tidy --quiet --config-file="$tidy_config" -p "$tidy_build" \
        --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument \
        ${less:+"$less"} "$1" 2>/dev/null
}
export -f tidy_one

# The sources of the compile database that lie in this tree (cmocka tests included).
sources() {
    sed -nE 's/^ *"file": "(.*)",?$/\1/p' "$build/compile_commands.json" | LC_ALL=C sort -u |
        while read -r file; do
            file=$(cd "$build" && realpath "$file")
            case $file in
            "$build"/*) ;;
            "$root"/*.c) echo "$file" ;;
            esac
        done
}

output=$(sources | xargs -r -P "${LINT_JOBS:-2}" -I{} bash -c 'tidy_one "$1"' _ {}) || {
    printf '%s\n' "${output//"$root/"/}"
    violation "clang-tidy finds fault, see above"
}

# clang and gcc judge leaks, unset values and formats better.
output=$(cppcheck --quiet --project="$build/compile_commands.json" -j "${LINT_JOBS:-2}" \
    --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=memleak --suppress=uninitvar \
    --suppress=wrongPrintfScanfArgNum --suppress='*:*/tests/*' \
    --template='{file}:{line}: {id}: {message}' 2>&1) || {
    printf '%s\n' "${output//"$root/"/}"
    violation "cppcheck finds fault, see above"
}
verdict
