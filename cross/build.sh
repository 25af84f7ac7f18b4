#!/usr/bin/env bash
# Builds static programs for other processors, on an x86-64 Debian or Ubuntu machine with cargo and Python 3.
#   cross/build.sh                                 all targets
#   cross/build.sh aarch64-unknown-linux-musl …    some of them
#   CROSS_SET=tiny cross/build.sh …                the smallest program: the feature and the profile tiny (docs/features.md)
# The programs go to target/dist/collector-VERSION-TARGET, tiny ones to collector-VERSION-tiny-TARGET, with SHA256SUMS; the others get a
# Debian package and an archive for installing (cross/package.sh). The toolchain is kept in target/cross, nothing is installed
# elsewhere: a Rust compiler with the sources of its standard library, flex and bison, and the sources of libpcap from Debian;
# zig, which compiles C and links, from PyPI with fixed hashes.
#   CROSS_HOME     another folder for the toolchain
#   CROSS_PROFILE  another profile of Cargo.toml than the set's: release, or tiny
set -euo pipefail
cd "$(dirname "$0")/.."

ALL=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf arm-unknown-linux-musleabihf)
TARGETS=("${@:-${ALL[@]}}")
OUT=${CARGO_TARGET_DIR:-target}
mkdir -p "${CROSS_HOME:=$OUT/cross}" "$OUT/dist"
HOME_DIR=$(realpath "$CROSS_HOME")
SET=${CROSS_SET:-full}
VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# What panics ends the program at once, so that no tables for unwinding are needed, nor the reader of debug information
# that would print a trace.
NO_TABLES="-fno-unwind-tables -fno-asynchronous-unwind-tables"

# What holds for every build: flags in the environment take the place of the configured ones.
FLAGS=$(sed -n 's/^rustflags = //p' .cargo/config.toml | python3 -c 'import json, sys; print(*json.load(sys.stdin))')

fail() {
    echo "cross: $*" >&2
    exit 1
}

# What a set of features is built with, and what its file's name says.
case $SET in
    full) FEATURES=() PROFILE=${CROSS_PROFILE:-release} LABEL= ;;
    # What panics ends the program without a word: the words are a tenth of it.
    tiny) FEATURES=(--no-default-features --features tiny) PROFILE=${CROSS_PROFILE:-tiny} LABEL=tiny-
        FLAGS+=" -Zunstable-options -Cpanic=immediate-abort" ;;
    *) fail "unknown set $SET; there are full and tiny" ;;
esac

[ "$(uname -m)" = x86_64 ] || fail "the toolchain that is fetched here runs on x86-64 only"
for tool in cargo python3 apt-get dpkg make; do
    command -v "$tool" >/dev/null || fail "no $tool"
done
CARGO=$(rustup which cargo 2>/dev/null || command -v cargo)

# Unpacks Debian packages, and those that they need and this machine lacks, into the toolchain's folder.
unpack() {
    local missing
    missing=$(apt-get -s --no-install-recommends install "$@" 2>/dev/null | awk '$1 == "Inst" { print $2 }') ||
        fail "apt-get knows no $*: try 'apt-get update'"
    [ -n "$missing" ] || return 0
    mkdir -p "$HOME_DIR/debs"
    # shellcheck disable=SC2086
    (cd "$HOME_DIR/debs" && apt-get -q -o APT::Sandbox::User=root download $missing >/dev/null && for deb in *.deb; do dpkg -x "$deb" ..; rm "$deb"; done) ||
        fail "could not fetch $*"
}

rust() {
    local bin=$HOME_DIR/usr/bin/rustc
    if [ ! -x "$bin" ]; then
        echo "cross: fetching Rust"
        unpack rustc-web rust-web-src
        # Installed already.
        [ -x "$bin" ] || bin=/usr/bin/rustc
    fi
    cat >"$HOME_DIR/rustc" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$HOME_DIR/usr/lib/x86_64-linux-gnu exec $bin "\$@"
EOF
    chmod +x "$HOME_DIR/rustc"
    "$HOME_DIR/rustc" -V
}

zig() {
    local want
    want=$(sha256sum cross/requirements.txt)
    if [ "$(cat "$HOME_DIR/zig/of" 2>/dev/null)" != "$want" ]; then
        echo "cross: fetching zig"
        rm -rf "$HOME_DIR/zig"
        python3 -m venv "$HOME_DIR/zig" || fail "no venv for python3: install python3-venv"
        "$HOME_DIR/zig/bin/pip" -q install --no-deps --require-hashes -r cross/requirements.txt
        echo "$want" >"$HOME_DIR/zig/of"
    fi
    echo "zig $("$HOME_DIR/zig/bin/python" -m ziglang version)"
}

# libpcap as a static library for the target, for live capture. Only what reads from network interfaces: no D-Bus,
# Bluetooth or USB.
pcap() {
    local target=$1 zig_target=$2 host=$3 dir=$HOME_DIR/pcap-$1 sources=$HOME_DIR/sources
    [ -f "$dir/libpcap.a" ] && return
    echo "cross: libpcap for $target"
    [ -x "$HOME_DIR/usr/bin/bison" ] || unpack flex bison m4
    mkdir -p "$sources"
    if ! compgen -G "$sources/libpcap_*.orig.tar.*z" >/dev/null; then
        fetch_source libpcap "$sources"
    fi
    rm -rf "$dir.build" && mkdir -p "$dir.build" "$dir"
    tar xf "$(compgen -G "$sources/libpcap_*.orig.tar.*z" | sort -V | tail -n 1)" -C "$dir.build" --strip-components 1
    (
        cd "$dir.build"
        # shellcheck disable=SC2030,SC2031
        export PATH="$HOME_DIR/usr/bin:$PATH" M4="$HOME_DIR/usr/bin/m4" BISON_PKGDATADIR="$HOME_DIR/usr/share/bison"
        [ -x "$M4" ] || M4=$(command -v m4)
        [ -d "$BISON_PKGDATADIR" ] || unset BISON_PKGDATADIR
        zig="$HOME_DIR/zig/bin/python -m ziglang"
        CC="$zig cc -target $zig_target" CFLAGS="-Os -ffunction-sections -fdata-sections $NO_TABLES" AR="$zig ar" RANLIB="$zig ranlib" \
            ./configure -q --host="$host" --with-pcap=linux --disable-shared --disable-dbus --disable-usb --disable-bluetooth \
            --disable-rdma --without-libnl --without-dag --without-snf --without-turbocap
        make -s libpcap.a
    ) >"$dir/log" 2>&1 || fail "libpcap did not build: $dir/log"
    mv "$dir.build/libpcap.a" "$dir/"
    cp "$dir.build/VERSION" "$dir/"
    rm -rf "$dir.build"
}

# The upstream archive of a Debian source package, with lists of our own: the machine's need not have any of sources.
fetch_source() {
    local package=$1 into=$2 apt=$HOME_DIR/apt
    mkdir -p "$apt/lists/partial" "$apt/parts"
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"$apt/parts/${file##*/}"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/${file##*/}"
    done
    local options=(-q -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$apt/parts"
        -o "Dir::State::lists=$apt/lists")
    apt-get "${options[@]}" update >/dev/null
    (cd "$into" && apt-get "${options[@]}" --download-only source "$package" >/dev/null) || fail "could not fetch the sources of $package"
}

build() {
    local target=$1 zig_target host flags=$FLAGS
    case $target in
        x86_64-unknown-linux-musl | aarch64-unknown-linux-musl) host=${target/unknown-/} zig_target=$host ;;
        armv7-unknown-linux-musleabihf) host=arm-linux-musleabihf zig_target="$host -mcpu=cortex_a7" ;;
        arm-unknown-linux-musleabihf) host=arm-linux-musleabihf zig_target="$host -mcpu=arm1176jzf_s" ;;
        *) fail "unknown target $target; there are ${ALL[*]}" ;;
    esac
    # Thumb instructions are of two bytes, most of them.
    [ "$SET $target" != "tiny armv7-unknown-linux-musleabihf" ] || flags+=" -Ctarget-feature=+thumb-mode"
    pcap "$target" "$zig_target" "$host"
    echo "cross: building for $target"
    declare -x "CFLAGS_${target//-/_}=$NO_TABLES"
    # shellcheck disable=SC2031
    RUSTC="$HOME_DIR/rustc" RUSTC_BOOTSTRAP=1 PATH="$HOME_DIR/zig/bin:$(dirname "$CARGO"):$PATH" \
        LIBPCAP_LIBDIR="$HOME_DIR/pcap-$target" LIBPCAP_VER=$(cat "$HOME_DIR/pcap-$target/VERSION") \
        RUSTFLAGS="$flags -C link-self-contained=no -C force-unwind-tables=no -L native=$HOME_DIR/pcap-$target ${CROSS_RUSTFLAGS:-}" \
        cargo-zigbuild build -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size --locked --profile "$PROFILE" "${FEATURES[@]}" --bin collector --target "$target"
    local name=collector-$VERSION-$LABEL$target
    cp "$OUT/$target/$PROFILE/collector" "$OUT/dist/$name"
}

rust
zig
for target in "${TARGETS[@]}"; do
    build "$target"
done
if [ "$SET" = full ]; then
    cross/package.sh "${TARGETS[@]/#/$OUT/dist/collector-$VERSION-}"
fi
cross/sums.sh
ls -l "$OUT/dist"
