#!/usr/bin/env bash
# Makes the container image: target/dist/collector-VERSION-image.tar, an OCI image layout with a program for each processor.
#   cross/image.sh                all processors: amd64 arm64 armv7 armv6
#   cross/image.sh amd64 arm64    some of them
# Programs that are in target/dist already are taken as they are; others are built (cross/build.sh). Then the image is checked and, where
# its program runs on this machine, tested as a container.
set -euo pipefail
cd "$(dirname "$0")/.."

MAX_MIB=8
DIST=$(realpath -m "${CARGO_TARGET_DIR:-target}/dist")
VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ $# -gt 0 ] || set -- amd64 arm64 armv7 armv6

programs=() missing=()
for processor in "$@"; do
    case $processor in
        amd64) target=x86_64-unknown-linux-musl ;;
        arm64) target=aarch64-unknown-linux-musl ;;
        armv7) target=armv7-unknown-linux-musleabihf ;;
        armv6) target=arm-unknown-linux-musleabihf ;;
        *) echo "image: unknown processor $processor; there are amd64, arm64, armv7, armv6" >&2; exit 2 ;;
    esac
    file=$DIST/collector-$VERSION-$target
    [ -f "$file" ] || missing+=("$target")
    programs+=(--program "$processor=$file")
done
[ ${#missing[@]} -eq 0 ] || cross/build.sh "${missing[@]}"

# The authorities as Debian packages them: those of this machine may hold some that are nobody else's business.
certificates=$DIST/ca-certificates.crt
if [ ! -f "$certificates" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download ca-certificates >/dev/null && dpkg -x ca-certificates_*.deb .) || {
        echo "image: could not fetch Debian's ca-certificates" >&2
        exit 1
    }
    LC_ALL=C sh -c 'cat "$1"/usr/share/ca-certificates/mozilla/*.crt' sh "$work" >"$certificates.part"
    mv "$certificates.part" "$certificates"
fi

image=$DIST/collector-$VERSION-image.tar
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH
cross/oci.py pack "$image" --version "$VERSION" --certificates "$certificates" --rootfs "$DIST/rootfs" "${programs[@]}" >/dev/null
cross/oci.py check "$image" --max-mib "$MAX_MIB"
cross/sums.sh

case "$(uname -m): $* " in
    "x86_64:"*" amd64 "*)
        COLLECTOR_ROOTFS="$DIST/rootfs" COLLECTOR_BIN="$DIST/collector-$VERSION-x86_64-unknown-linux-musl" COLLECTOR_IMAGE="$image" \
            cargo test --test it -- --include-ignored --nocapture image::
        ;;
    *) echo "image: not tested: none of its programs runs here" ;;
esac
