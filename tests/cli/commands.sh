#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The command table: help, version, misuse, and that each command is documented.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 2
silent out
says err 'usage: pagerail'
run 0 --help
silent err
says out 'usage: pagerail'
run 0 -h
run 0 --version
says out 'pagerail 0.'
run 2 frobnicate
silent out
says err "there is no command 'frobnicate'; try \`pagerail --help\`"
[ "$(wc -l <"$box/err")" = 1 ] || wrong 'an unknown command takes more than one sentence'

# Commands stand in the help as "  name   summary".
run 0 --help
mapfile -t commands < <(sed -nE 's/^  ([a-z-]+) +[a-z].*/\1/p' "$box/out")
[ "${#commands[@]}" -gt 0 ] || wrong 'pagerail --help lists no command'

# documented COMMAND: it has help and a manual page, and the page names every option of the help.
documented() {
    local command=$1 page=$source_root/docs/man/pagerail-$1.1 option
    run 0 "$command" --help
    silent err
    says out "usage: pagerail $command"
    grep -q "^\.Xr pagerail-$command 1" "$source_root/docs/man/pagerail.1" ||
        wrong "pagerail(1) does not name $command"
    [ -f "$page" ] || {
        wrong "$page does not exist"
        return
    }
    while read -r option; do
        grep -qE "Fl Fl $option\b" "$page" || wrong "$page does not explain --$option"
    done < <(grep -oE -- '--[a-z][a-z-]+' "$box/out" | sed 's/^--//' | sort -u)
    run 2 "$command" --no-such-option
    silent out
    says err "pagerail $command: "
    says err "pagerail $command --help"
}
for command in "${commands[@]}"; do
    documented "$command"
done

# Output that cannot be written is a failure.
status=0
"$pagerail" --help >/dev/full 2>"$box/err" || status=$?
[ "$status" = 1 ] || wrong "a full disk gives exit status $status, not 1"
says err 'cannot write'
finish
