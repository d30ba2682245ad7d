#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs on host0 of the lab: does RDMA work between the first two hosts, and how fast.
set -euo pipefail

# soon COMMAND...: repeats it until it succeeds.
soon() {
    local tries=300
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || {
            echo "did not happen within 60 s: $*" >&2
            return 1
        }
        sleep 0.2
    done
}

listening() {
    [[ $(rig-on -n "$1" rdma resource show cm_id) == *LISTEN* ]]
}

# between SERVER CLIENT: runs the first command on host1, and the second here once that listens.
between() {
    rig-on -n host1 timeout 120 bash -c "$1" >/dev/null 2>&1 &
    local server=$!
    soon listening host1
    timeout 120 bash -c "$2" || {
        kill $server
        wait $server || true
        return 1
    }
    wait $server
}

# ib_write_bw with -R connects twice, the second time perhaps before its server listens again: it
# may be refused then, which is no fault of the lab.
write_rate() {
    local common="-R -F -d rxe$1 -s $2 -D 4"
    for _ in 1 2 3 4 5; do
        between "ib_write_bw $common" "ib_write_bw $common host1-nic$1" >"$RIG_OUT/rate" 2>&1 && {
            awk -v bytes="$2" '$1 == bytes { print $4 }' "$RIG_OUT/rate"
            return
        }
    done
    cat "$RIG_OUT/rate" >&2
}

echo "host0: $(uname -r), $(nproc) processors"
rdma link
between 'rping -s -C 10' 'rping -c -a host1 -C 10' 2>"$RIG_OUT/rping" || {
    cat "$RIG_OUT/rping" >&2
    exit 1
}
echo 'rping: 10 of 10'
for nic in $(seq 0 $((RIG_NICS - 1))); do
    for bytes in 65536 1048576; do
        rate=$(write_rate "$nic" $bytes)
        echo "ib_write_bw -R, rxe$nic, messages of $((bytes / 1024)) KiB: ${rate:?no rate} MiB/s"
    done
done
