#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# QEMU's own migration-test with the glue: all its precopy cases, on TCG, since /dev/kvm may be there
# and not run a guest. Its cases over rdma: ask a script of QEMU's for an address that has an RDMA
# device; here they are told the loopback one, and so go over the same-host fabric. With CASES, which
# is for the lab, these and QEMU's own script. Prints one line per case as the programs beside it do.
#
#   migration-test.sh QEMU [CASES]      (scripts/build-qemu --tests)
set -euo pipefail
qemu=$1
cases=${2:-/x86_64/migration/precopy}
test=${qemu%/*}/migration-test
[ -x "$test" ] || {
    echo "FAIL migration-test: there is none beside $qemu: build it by scripts/build-qemu --tests"
    exit 1
}
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
if [ $# -gt 1 ]; then
    folder=${qemu%/*} # where QEMU's own helper script lies
else
    folder=$box
    mkdir "$box/scripts"
    cat >"$box/scripts/rdma-migration-helper.sh" <<'HELPER'
#!/bin/sh
if [ "$IP_FAMILY" = ipv6 ]; then printf '[::1]'; else printf 127.0.0.1; fi
HELPER
    chmod 755 "$box/scripts/rdma-migration-helper.sh"
fi
hide_kvm='[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm; exec "$@"'
cd "$folder"
status=0
QTEST_QEMU_BINARY=$qemu timeout 600 unshare -m sh -c "$hide_kvm" sh \
    "$test" --tap --full -r "$cases" >"$box/tap" 2>&1 || status=$?
sed -nE 's/^ok [0-9]+ (.*) # SKIP *(.*)/SKIP \1: \2/p; t
    s/^ok [0-9]+ (.*)/PASS \1:/p; s/^not ok [0-9]+ -? ?(.*)/FAIL \1:/p' "$box/tap"
[ "$status" = 0 ] || {
    tail -n 15 "$box/tap"
    echo "FAIL migration-test: it ended with status $status"
}
exit "$status"
