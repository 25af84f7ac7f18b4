#!/usr/bin/env bash
# Packs programs for installing: for each a Debian package and a tarball with install.sh, beside it.
#   cross/package.sh                               every whole program in target/dist
#   cross/package.sh DIR/collector-0.1.0-TARGET …  some; a name with -tiny- gets no package: copy that file
# The same program packed twice gives the same bytes: times are SOURCE_DATE_EPOCH, which is the last commit's where it is not set.
#   PACKAGE_REVISION      what Debian's version gets behind a hyphen
#   PACKAGE_COMPRESSION   xz (as it is meant), gzip, or none for a trial
set -euo pipefail
cd "$(dirname "$0")/.."

DIST=${CARGO_TARGET_DIR:-target}/dist
VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
COMPRESSION=${PACKAGE_COMPRESSION:-xz}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fail() {
    echo "package: $*" >&2
    exit 1
}

command -v dpkg-deb >/dev/null || fail "no dpkg-deb: install dpkg"
case $COMPRESSION in
    xz) pack=(xz -6 -c) suffix=.xz ;;
    gzip) pack=(gzip -9nc) suffix=.gz ;;
    none) pack=(cat) suffix='' ;;
    *) fail "unknown compression $COMPRESSION; there are xz, gzip, none" ;;
esac

# A file of ours, with its rights: put FROM TO MODE
put() {
    mkdir -p "$(dirname "$2")"
    install -m "$3" "$1" "$2"
}

# What Debian calls the processor, and the version: the packages of the two kinds of 32-bit boards are both of armhf.
debian() {
    arch='' least='' version=$VERSION
    case $1 in
        x86_64-*) arch=amd64 ;;
        aarch64-*) arch=arm64 ;;
        armv7-*) arch=armhf least=armv7 ;;
        arm-*) arch=armhf version=$VERSION+armv6 ;;
        *) fail "$1: which Debian architecture is that?" ;;
    esac
    version+=${PACKAGE_REVISION:+-$PACKAGE_REVISION}
}

deb() {
    local program=$1 target=$2 to=$3 root=$WORK/deb arch least version
    debian "$target"
    rm -rf "$root"
    put "$program" "$root/usr/bin/collector" 0755
    put cross/package/collector.service "$root/usr/lib/systemd/system/collector.service" 0644
    put cross/package/fluent-bit.conf "$root/etc/collector/fluent-bit.conf" 0644
    put cross/package/parsers.conf "$root/etc/collector/parsers.conf" 0644
    put cross/package/collector.default "$root/etc/default/collector" 0644
    put cross/package/copyright "$root/usr/share/doc/collector/copyright" 0644
    gzip -9nc CHANGELOG.md >"$WORK/changelog.gz"
    put "$WORK/changelog.gz" "$root/usr/share/doc/collector/changelog.gz" 0644
    gzip -9nc docs/boards.md >"$WORK/boards.md.gz"
    put "$WORK/boards.md.gz" "$root/usr/share/doc/collector/boards.md.gz" 0644

    local size
    size=$(du -sk --apparent-size "$root" | cut -f1)
    mkdir -p "$root/DEBIAN"
    (cd "$root" && find etc -type f | LC_ALL=C sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
    (cd "$root" && find etc usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    cat >"$root/DEBIAN/control" <<EOF
Package: collector
Version: $version
Architecture: $arch
Maintainer: collector developers
Installed-Size: $size
Depends: passwd
Section: admin
Priority: optional
Description: log and packet collector
 Reads Fluent Bit's configurations, tails files, the journal and syslog, captures packets, and delivers to search engines, brokers and
 other collectors. What it has read and not yet delivered outlives kills and outages. One static program.
EOF
    local script
    for script in preinst postinst prerm postrm; do
        sed "s/@LEAST@/$least/" "cross/package/$script" >"$root/DEBIAN/$script"
        chmod 0755 "$root/DEBIAN/$script"
    done
    plain "$root"
    dpkg-deb --root-owner-group -Z"$COMPRESSION" --build "$root" "$to/collector_${version}_$arch.deb" >/dev/null
    echo "$to/collector_${version}_$arch.deb"
}

# Rights and times that do not depend on who packs, or when.
plain() {
    find "$1" -type d -exec chmod 0755 {} +
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

tarball() {
    local program=$1 target=$2 to=$3 name=collector-$VERSION-$2
    local root=$WORK/tar/$name file
    rm -rf "$WORK/tar"
    put "$program" "$root/collector" 0755
    put cross/package/install.sh "$root/install.sh" 0755
    put cross/package/collector.init "$root/collector.init" 0755
    for file in collector.service collector.default fluent-bit.conf parsers.conf; do
        put "cross/package/$file" "$root/$file" 0644
    done
    plain "$root"
    tar -C "$WORK/tar" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf "$WORK/tar.tar" "$name"
    "${pack[@]}" <"$WORK/tar.tar" >"$to/$name.tar$suffix"
    echo "$to/$name.tar$suffix"
}

programs=("$@")
if [ $# -eq 0 ]; then
    for file in "$DIST/collector-$VERSION"-*; do
        case ${file#"$DIST/collector-$VERSION-"} in
            tiny-* | *.* | image*) ;;
            *-linux-*) programs+=("$file") ;;
        esac
    done
fi
[ ${#programs[@]} -gt 0 ] || fail "no programs in $DIST: make cross builds them"
for program in "${programs[@]}"; do
    [ -f "$program" ] || fail "there is no $program"
    target=${program##*/collector-"$VERSION"-}
    [ "$target" != "$program" ] || fail "$program is not called collector-$VERSION-TARGET"
    to=$(dirname "$program")
    deb "$program" "$target" "$to"
    tarball "$program" "$target" "$to"
done
