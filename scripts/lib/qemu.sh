# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by scripts/build-qemu, in the repository's root, after need.sh and meson.sh. Gets QEMU's
# source, puts the glue in, and builds.
#
# In the cache: source-VERSION/ what apt fetched; tree-VERSION-VARIANT/ where it is built, kept so
# that the next build compiles only what changed; VERSION-VARIANT-KEY/ results.

# shellcheck disable=SC2034 # scripts/build-qemu names them
qemu_versions=(10.0.13 10.2.2)

# The exit status when Debian's archive does not have a version any more.
gone_status=3

gone() {
    say "error: $*"
    exit $gone_status
}

# The suite of Debian's archive that has it.
qemu_suite() {
    case $1 in
    10.0.13) echo trixie ;;
    10.2.2) echo sid ;;
    *) return 1 ;;
    esac
}

need_qemu=(
    gcc libc6-dev ninja-build pkg-config python3 python3-venv dpkg-dev patch xz-utils
    libglib2.0-dev libpixman-1-dev libfdt-dev zlib1g-dev
    qemu-system-data ipxe-qemu
)

# The library's sources, and how it and QEMU are built.
qemu_inputs() {
    echo scripts/build-qemu
    echo scripts/lib/qemu.sh
    [ "$1" = pagerail ] || return 0
    find base include migrate numa pagecopy qemu-glue rdma transport wire \
        meson.build meson_options.txt -type f ! -name '*.md'
}

# qemu_key VARIANT: a hash of all that the result depends on.
qemu_key() {
    qemu_inputs "$1" | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | head -c 12
}

# Debian's archive as this machine reaches it: the first URI of it in apt's own sources.
debian_uri() {
    find /etc/apt -maxdepth 2 \( -path '/etc/apt/sources.list*.list' -o -path '*.sources' -o \
        -path /etc/apt/sources.list \) -type f -exec \
        sed -nE 's/^ *(URIs:|deb(-src)?( \[[^]]*\])?) +([^ ]+).*/\4/p' {} + |
        sed -nE '/\/debian\/?$/{p;q}'
}

# private_apt DIR COMMAND...: apt with sources, lists and cache of its own.
private_apt() {
    local dir=$1 command=$2
    shift 2
    "$command" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/parts" \
        -o Dir::State="$dir/state" -o Dir::State::Lists="$dir/state/lists" -o Dir::Cache="$dir/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# The version of the Debian package that holds QEMU $2.
debian_version() {
    private_apt "$1" apt-cache showsrc --only-source qemu 2>/dev/null |
        sed -nE "s/^Version: (([0-9]+:)?${2//./\\.}\+ds.*)/\1/p" | sort -V | tail -n 1
}

# qemu_fetch VERSION DIR: QEMU's source package, and a meson and a SeaBIOS that are new enough, into
# DIR. An older SeaBIOS than 1.16.3 stands still for half a minute where a SATA drive is empty.
qemu_fetch() {
    local version=$1 dir=$2 apt=$2.apt uri found
    uri=$(debian_uri)
    [ -n "$uri" ] || die "apt has no source of Debian's archive (a URI that ends in /debian): add one"
    rm -rf "$apt" "$dir.new"
    mkdir -p "$apt"/{parts,state/lists/partial,cache/archives/partial} "$dir.new"
    cat >"$apt/parts/qemu.sources" <<SOURCES
Types: deb-src
URIs: $uri
Suites: $(qemu_suite "$version")
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $uri
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    say "fetching the source of QEMU $version from $uri"
    private_apt "$apt" apt-get update >&2 || die "apt-get update of $uri failed: check the network"
    found=$(debian_version "$apt" "$version")
    [ -n "$found" ] || gone "$uri has no QEMU $version any more; it has:" \
        "$(private_apt "$apt" apt-cache showsrc --only-source qemu | sed -n 's/^Version: //p' | xargs)"
    (cd "$dir.new" && private_apt "$apt" apt-get source --download-only "qemu=$found" &&
        private_apt "$apt" apt-get download meson seabios) >&2 ||
        die "apt-get could not fetch QEMU $found, meson or seabios (its own message is above)"
    rm -rf "$apt" "$dir"
    mv "$dir.new" "$dir"
}

qemu_unpack() {
    local source=$1 tree=$2
    say "unpacking QEMU"
    rm -rf "$tree"
    mkdir -p "$tree"
    # Debian's patches belong to it: its tarball is built without the blobs that they do without.
    dpkg-source --no-check -x "$source"/qemu_*.dsc "$tree/source" >"$tree/unpack.log" 2>&1 ||
        die "cannot unpack QEMU's source, see $tree/unpack.log"
    dpkg-deb -x "$source"/meson_*.deb "$tree/meson"
}

# qemu_firmware SOURCE DIR: what QEMU loads into guests, where it looks by itself.
qemu_firmware() {
    local source=$1 dir=$2
    mkdir -p "$dir"
    ln -s /usr/share/qemu/* /usr/lib/ipxe/qemu/* "$dir/"
    dpkg-deb --fsys-tarfile "$source"/seabios_*.deb |
        tar -x -C "$dir" --strip-components=4 ./usr/share/seabios
}

# update FILE TO: copies what differs, so that ninja sees no change where there is none.
update() {
    mkdir -p "${2%/*}"
    cmp -s "$1" "$2" || cp "$1" "$2"
}

# The glue's own files go to migration/pagerail; the patches to what they name, always from the
# files as they were.
qemu_apply_glue() {
    local version=$1 tree=$2 work=$2/patched file
    local patches=(qemu-glue/patches/common/*.patch "qemu-glue/patches/$version"/*.patch)
    rm -rf "$work"
    while read -r file; do
        [ -e "$tree/pristine/$file" ] || {
            mkdir -p "$tree/pristine/$(dirname "$file")"
            cp "$tree/source/$file" "$tree/pristine/$file"
        }
        mkdir -p "$work/$(dirname "$file")"
        cp "$tree/pristine/$file" "$work/$file"
    done < <(sed -nE 's,^\+\+\+ b/([^[:space:]]+).*,\1,p' "${patches[@]}" | sort -u)
    for file in "${patches[@]}"; do
        patch --quiet --fuzz=0 -p1 -d "$work" <"$file" >&2 || die "$file does not apply to QEMU $version"
    done
    while read -r file; do
        update "$work/$file" "$tree/source/$file"
    done < <(cd "$work" && find . -type f -printf '%P\n')
    for file in qemu-glue/*.[ch] qemu-glue/meson.build; do
        update "$file" "$tree/source/migration/pagerail/${file##*/}"
    done
}

# The library, where QEMU's build finds it by pkg-config.
qemu_library() {
    local tree=$1 file
    say "building libpagerail"
    configure "$tree/library" --prefix="$tree/prefix" --libdir=lib -Dbuildtype=release \
        -Db_ndebug=false -Dtests=false -Dbench=false -Dfaults=false
    compile "$tree/library" >&2
    # Headers are installed with their sources' times, which may lie before those of objects that
    # were compiled with older ones: the time of a change is that of its copy.
    rm -rf "$tree/staged"
    meson install -C "$tree/library" --quiet --no-rebuild --destdir "$tree/staged" >&2
    while read -r file; do
        update "$tree/staged$tree/prefix/$file" "$tree/prefix/$file"
    done < <(cd "$tree/staged$tree/prefix" && find include -type f)
    rm -rf "$tree/prefix/lib"
    cp -a "$tree/staged$tree/prefix/lib" "$tree/prefix/lib"
}

qemu_configure() {
    local tree=$1
    [ ! -f "$tree/build/build.ninja" ] || return 0
    mkdir -p "$tree/build"
    say "configuring QEMU"
    (cd "$tree/build" && ../source/configure --python=/usr/bin/python3 \
        --target-list=x86_64-softmmu --without-default-features --disable-install-blobs \
        --disable-download --disable-docs --enable-rdma --enable-tcg --enable-kvm \
        --enable-fdt=system --enable-pixman "--extra-ldflags=-Wl,-rpath,\$ORIGIN/../lib") \
        >"$tree/configure.log" 2>&1 || {
        tail -n 20 "$tree/configure.log" >&2
        rm -f "$tree/build/build.ninja"
        die "QEMU cannot be configured, see $tree/configure.log"
    }
}

# Shows how far ninja is: on a terminal in one line, elsewhere now and then.
show_progress() {
    local every=1 end=$'\r'
    [ -t 2 ] || {
        every=200
        end=$'\n'
    }
    awk -v every="$every" -v end="$end" '
        /^\[[0-9]+\/[0-9]+\]/ { if (NR % every == 0) printf "building QEMU %s   %s", $1, end; fflush() }
        END { if (end != "\n") printf "\n" }' >&2
}

qemu_compile() {
    local tree=$1
    shift
    nice ninja -C "$tree/build" -j "${JOBS:-$(($(nproc) < 2 ? 1 : 2))}" "$@" 2>&1 |
        tee "$tree/build.log" | show_progress || {
        grep -A 20 -m 3 -E '^FAILED|error:' "$tree/build.log" | cut -c 1-300 >&2 ||
            tail -n 20 "$tree/build.log" >&2
        die "QEMU does not build, see $tree/build.log"
    }
}

# The test program, and what finds RDMA devices for it, where this QEMU has that.
qemu_copy_tests() {
    cp "$1/build/tests/qtest/migration-test" "$2/"
    [ ! -e "$1/source/scripts/rdma-migration-helper.sh" ] || {
        mkdir "$2/scripts"
        cp "$1/source/scripts/rdma-migration-helper.sh" "$2/scripts/"
    }
}

# qemu_build VERSION VARIANT CACHE RESULT TESTS
qemu_build() {
    local version=$1 variant=$2 cache=$3 result=$4 tests=$5 start=$SECONDS
    local source=$cache/source-$version tree=$cache/tree-$version-$variant
    if [ "$variant" = pagerail ]; then
        need build "${need_qemu[@]}"
    else
        need "${need_qemu[@]}" libibverbs-dev librdmacm-dev
    fi
    [ -e "$(echo "$source"/seabios_*.deb)" ] || qemu_fetch "$version" "$source"
    [ -f "$tree/meson/usr/bin/meson" ] || qemu_unpack "$source" "$tree"
    if [ "$variant" = pagerail ]; then
        qemu_library "$tree"
        qemu_apply_glue "$version" "$tree"
        export PKG_CONFIG_PATH=$tree/prefix/lib/pkgconfig
    fi
    export PYTHONPATH=$tree/meson/usr/lib/python3/dist-packages
    qemu_configure "$tree"
    qemu_compile "$tree" qemu-system-x86_64 ${tests:+tests/qtest/migration-test}
    rm -rf "$result.new"
    mkdir -p "$result.new/bin" "$result.new/lib"
    cp "$tree/build/qemu-system-x86_64" "$result.new/bin/"
    [ -z "$tests" ] || qemu_copy_tests "$tree" "$result.new/bin"
    [ "$variant" = stock ] || cp -P "$tree/prefix/lib"/libpagerail.so* "$result.new/lib/"
    qemu_firmware "$source" "$result.new/share/qemu"
    "$result.new/bin/qemu-system-x86_64" --version >/dev/null ||
        die "what was built does not start, see $tree"
    rm -rf "$result"
    mv "$result.new" "$result"
    say "built QEMU $version ($variant) in $((SECONDS - start)) s"
}
