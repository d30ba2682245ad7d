# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts beside it. Makes sure that what they need is installed, so that each works
# on a fresh Debian 12 with nothing but git and a shell.
#
#   need build   what compiles pagerail: libraries, CLI, benches
#   need test    what scripts/test runs beside that: linters, sanitizers, fuzzers
#   need rig     what scripts/rig boots its hosts with, and what runs on them
#   need PACKAGE...   anything else, by Debian package name

need_build=(
    meson ninja-build pkg-config gcc g++ libc6-dev
    libibverbs-dev librdmacm-dev libnuma-dev libhwloc-dev libjson-c-dev libbenchmark-dev
)
need_test=(
    libcmocka-dev clang clang-tidy clang-format libclang-rt-14-dev cppcheck shellcheck pyflakes3
    mandoc
)
need_rig=(
    python3 gcc libc6-dev qemu-system-x86 busybox-static kmod cpio xz-utils zstd
    iproute2 rdma-core ibverbs-providers ibverbs-utils rdmacm-utils perftest numactl
)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >&2
}

install_packages() {
    [ "$(id -u)" = 0 ] ||
        die "these packages are missing, install them or run this as root: $*"
    say "installing: $*"
    apt_quietly update || die "apt-get update failed: check the network and /etc/apt/sources.list"
    apt_quietly install -y --no-install-recommends "$@" ||
        die "apt-get could not install: $* (its own message is above)"
}

need() {
    local wanted=() missing=() name
    for name in "$@"; do
        case $name in
        build) wanted+=("${need_build[@]}") ;;
        test) wanted+=("${need_test[@]}") ;;
        rig) wanted+=("${need_rig[@]}") ;;
        *) wanted+=("$name") ;;
        esac
    done
    command -v dpkg-query >/dev/null || {
        say "note: this is no Debian, so nothing is installed for you; needed: ${wanted[*]}"
        return 0
    }
    for name in "${wanted[@]}"; do
        is_installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}
