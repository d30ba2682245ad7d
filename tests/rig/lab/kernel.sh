#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Makes sure that there is a kernel with soft-RoCE and an initramfs for it, in the cache, and prints
# three lines: the kernel image, the initramfs, and the folder of the kernel's modules.
#
#   kernel.sh CACHE
#
# The kernel is Debian's: the newest one installed here, else one unpacked in the cache, else it is
# downloaded. What is cached goes by a name that holds its version or the hash of all that it was
# made from, and appears there whole or not at all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$1

# In this order; what they depend on comes before them.
modules=(
    virtio_pci virtio_console 9pnet_virtio 9p overlay virtio_net
    crc32_generic # rdma_rxe asks for it by the name "crc32" and does not say so to modprobe
    ib_uverbs rdma_ucm rdma_rxe sch_netem sch_tbf
)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

# keep FILE TO: what is done gets its name.
keep() {
    mkdir -p "${2%/*}"
    mv "$1" "$2"
    rm -rf "$work"
    work=
}

# newest_kernel ROOT...: "IMAGE MODULES" of the newest one below the first root that has any; only
# Debian's ordinary kernels count, the -cloud- ones have no soft-RoCE.
newest_kernel() {
    local root release
    for root in "$@"; do
        while read -r release; do
            [ -z "$(find "$root/lib/modules/$release" -name 'rdma_rxe.ko*' -print -quit)" ] || {
                printf '%s\t%s\n' "$root/boot/vmlinuz-$release" "$root/lib/modules/$release"
                return
            }
        done < <(find "$root/boot" -maxdepth 1 -name 'vmlinuz-*-amd64' ! -name '*cloud*' \
            -printf '%f\n' 2>/dev/null | sed 's/^vmlinuz-//' | sort -rV)
    done
}

known_kernel() {
    local cached
    readarray -t cached < <(find "$cache/kernel" -mindepth 1 -maxdepth 1 2>/dev/null | sort -rV)
    newest_kernel '' "${cached[@]}"
}

# Unpacks the kernel that the package linux-image-amd64 stands for.
download() {
    local package deb
    for package in linux-image-amd64 again; do
        package=$(apt-cache depends linux-image-amd64 2>/dev/null |
            sed -nE 's/^ *Depends: (linux-image-.*-amd64)$/\1/p' | head -n 1)
        [ -z "$package" ] || break
        apt-get -q update >&2 || true
    done
    [ -n "$package" ] || die "apt knows no package linux-image-amd64: the rig needs Debian's kernel," \
        "from Debian's archive or installed here (linux-image-amd64)"
    say "downloading $package (70 MB, kept in $cache)"
    work=$(mktemp -d "$cache/unpack.XXXXXX")
    # apt drops its rights for downloads; what it fetches lies in a folder of root's.
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package") >&2 ||
        die "apt-get download $package failed: check the network (its own message is above)"
    deb=$(cd "$work" && ls ./*.deb)
    deb=${deb#./}
    mkdir "$work/tree"
    dpkg-deb -x "$work/$deb" "$work/tree" ||
        die "cannot unpack $deb below $cache: 500 MB of free space are needed there"
    keep "$work/tree" "$cache/kernel/${deb%.deb}"
}

# A bzImage unpacks itself, which takes longest of all under emulation: do it here once. Offsets are
# those of the kernel's boot protocol (Documentation/x86/boot.rst).
u8() { od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' '; }
u32() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }

unpacked_image() {
    local image=$1 sectors start length
    sectors=$(u8 "$image" $((0x1f1)))
    start=$(((sectors + 1) * 512 + $(u32 "$image" $((0x248)))))
    length=$(u32 "$image" $((0x24c)))
    # All packers but gzip are followed by four bytes, the unpacked size.
    payload() { tail -c +$((start + 1)) "$image" | head -c "$1" || true; }
    case $(payload 4 | od -An -tx1 | tr -d ' \n') in
    fd377a58) payload $((length - 4)) | xz -dc ;;
    28b52ffd) payload $((length - 4)) | zstd -dcq ;;
    1f8b*) payload "$length" | gzip -dc ;;
    *) cat "$image" ;; # an unknown packer: QEMU starts the bzImage itself as well
    esac
}

module_text() {
    case $1 in
    *.xz) xz -dc "$1" ;;
    *.zst) zstd -dcq "$1" ;;
    *) cat "$1" ;;
    esac
}

# The files of the modules and of what they depend on, in the order in which to load them.
module_files() {
    local release=$1 root=$2 name
    for name in "${modules[@]}"; do
        modprobe --dirname "$root" --set-version "$release" --show-depends "$name" 2>/dev/null ||
            die "the kernel $release has no module $name: install Debian's linux-image-amd64" \
                "(not linux-image-cloud-amd64)"
    done | sed -nE 's/^insmod ([^ ]*).*/\1/p' | awk '!seen[$0]++'
}

build_vmlinux() {
    work=$(mktemp -d "$cache/build.XXXXXX")
    unpacked_image "$1" >"$work/vmlinux" ||
        die "cannot unpack $1 below $cache: 70 MB of free space are needed there"
    keep "$work/vmlinux" "$2"
}

build_initramfs() {
    local folder=$1 to=$2 release=${1##*/} root=${1%lib/modules/*} file name number=100
    work=$(mktemp -d "$cache/build.XXXXXX")
    [ -e "$folder/modules.dep.bin" ] || depmod --basedir "$root" "$release" ||
        die "depmod cannot list the modules of $folder"
    mkdir -p "$work/root"/{bin,proc,sys,dev,run,modules,lower,upper,new}
    cp /bin/busybox "$work/root/bin/busybox"
    cp "$here/init" "$work/root/init"
    chmod 755 "$work/root/init"
    module_files "$release" "$root" >"$work/files"
    while read -r file; do
        name=${file##*/}
        module_text "$file" >"$work/root/modules/$number-${name%%.*}.ko"
        number=$((number + 1))
    done <"$work/files"
    (cd "$work/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$work/initramfs" ||
        die "cannot write the initramfs below $cache: is there space left?"
    keep "$work/initramfs" "$to"
    find "${to%/*}" -name 'initramfs-*' -mtime +30 -delete # of older versions of these scripts
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

found=$(known_kernel)
[ -n "$found" ] || {
    download
    found=$(known_kernel)
    [ -n "$found" ] || die "the downloaded kernel has no soft-RoCE"
}
IFS=$'\t' read -r image folder <<<"$found"

stamp() {
    sha256sum | head -c 16
}
vmlinux=$cache/boot/vmlinux-${folder##*/}-$(stat -Lc '%n %s %Y' "$image" | stamp)
initramfs=$cache/boot/initramfs-${folder##*/}-$({
    stat -Lc '%n %s %Y' "$image" /bin/busybox
    cat "$here/init" "$0"
} | stamp)
[ -f "$vmlinux" ] || build_vmlinux "$image" "$vmlinux"
[ -f "$initramfs" ] || build_initramfs "$folder" "$initramfs"
printf '%s\n' "$vmlinux" "$initramfs" "$folder"
