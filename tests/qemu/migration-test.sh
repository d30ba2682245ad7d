#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# QEMU's own migration-test with the glue, its precopy cases unless others are named, on TCG: /dev/kvm
# may be there and not run a guest. Prints one line per case as the programs beside it do.
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
cat >"$box/qemu-system-x86_64" <<WRAPPER
#!/bin/sh
exec "$qemu" -L /usr/share/qemu -L /usr/share/seabios -L /usr/lib/ipxe/qemu "\$@"
WRAPPER
chmod 755 "$box/qemu-system-x86_64"
hide_kvm='[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm; exec "$@"'
cd "${qemu%/*}" # where its helper script lies
status=0
QTEST_QEMU_BINARY=$box/qemu-system-x86_64 \
    unshare -m sh -c "$hide_kvm" sh "$test" --tap -p "$cases" >"$box/tap" 2>&1 ||
    status=$?
sed -nE 's/^ok [0-9]+ (.*) # SKIP *(.*)/SKIP \1: \2/p; t
    s/^ok [0-9]+ (.*)/PASS \1:/p; s/^not ok [0-9]+ -? ?(.*)/FAIL \1:/p' "$box/tap"
[ "$status" = 0 ] || {
    tail -n 15 "$box/tap"
    echo "FAIL migration-test: it ended with status $status"
}
exit "$status"
