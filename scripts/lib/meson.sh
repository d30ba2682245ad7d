# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts beside it. Sets up, compiles and tests one build folder.

# configure DIR OPTION...: as `meson setup`, also on a folder that is set up already.
configure() {
    local dir=$1 log again=()
    shift
    [ ! -f "$dir/build.ninja" ] || again=(--reconfigure)
    # Setup lists every probe: show that only when it fails. After a reconfiguration ninja once more
    # believes that build.ninja is out of date; let it say so here.
    log=$(mktemp)
    if ! { meson setup "${again[@]}" "$dir" "$@" && ninja -C "$dir" build.ninja; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# compile DIR [TARGET...]
compile() {
    local dir=$1
    shift
    ninja -C "$dir" -j "$jobs" --quiet "$@" | { grep -v "^ninja: no work to do" || true; }
}

jobs=${JOBS:-$(nproc)}
