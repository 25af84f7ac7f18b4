#!/usr/bin/env bash
# Makes a small Debian for qemu-system-aarch64, of packages as they are unpacked. At its first start it installs PACKAGE, as a user would.
#   cross/boot.sh DIR PACKAGE PORT
# DIR then holds vmlinuz, initrd.gz and disk.img; DIR/parts keeps what was fetched for the next time. The system begins with what is in
# cross/boot: units for that, the network and a writer of logs, and the configuration, which sends to PORT of this machine. Prints
# READY, or in one line why that cannot be had here.
#   KERNEL   another package of a kernel: linux-image-6.12-arm64-16k has pages of 16 KiB
set -euo pipefail
[ $# -eq 3 ] || {
    echo "boot: DIR PACKAGE PORT?" >&2
    exit 2
}
mkdir -p "$1/parts"
DIR=$(realpath "$1") PACKAGE=$(realpath "$2") PORT=$3
: "${KERNEL:=linux-image-arm64}"
PARTS=$DIR/parts
cd "$(dirname "$0")"
# In the order in which they are loaded.
MODULES="crc16 crc32c_generic libcrc32c mbcache jbd2 ext4 virtio_mmio virtio_blk failover net_failover virtio_net"
export PATH=$PATH:/usr/sbin:/sbin

skip() {
    echo "skipped: $*"
    exit
}

for tool in qemu-system-aarch64 qemu-aarch64-static apt-get dpkg-deb mkfs.ext4; do
    command -v "$tool" >/dev/null || skip "$tool is not here: scripts/setup.sh boards installs it"
done
[ "$(id -u)" -eq 0 ] || skip "the files of a system belong to root: only root can make one"

# Debian's packages for the processor, with lists of our own: this machine's are for another one.
fetch() {
    local apt=$PARTS/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    rm -f "$apt"/archives/linux-image-*
    local options=(-q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o "Dir::State::lists=$apt/lists"
        -o Dir::State::status=/dev/null -o "Dir::Cache=$apt" -o Acquire::Languages=none -o APT::Install-Recommends=false)
    {
        apt-get "${options[@]}" update &&
            apt-get "${options[@]}" --download-only install '?essential' systemd-sysv udev kmod iproute2 busybox-static "$KERNEL"
    } >"$PARTS/log" 2>&1 || skip "apt-get has no packages for arm64: $PARTS/log"
}

unpack() {
    dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2" "${@:3}"
}

# The kernel, the files of the system, and what the kernel begins with.
prepare() {
    local root=$PARTS/root initrd=$PARTS/initrd kernel deb module
    rm -rf "$root" "$initrd" "$PARTS/kernel" "$PARTS/status"
    mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,dev,proc,sys,run,tmp,var/lib/dpkg/info} "$initrd"/{bin,modules} "$PARTS/kernel"
    for folder in bin sbin lib; do
        ln -s "usr/$folder" "$root/$folder"
    done
    for deb in "$PARTS"/apt/archives/*.deb; do
        case ${deb##*/} in
            "$KERNEL"_*) ;;
            linux-image-*) kernel=$deb ;;
            *)
                # With what dpkg has to know of it.
                unpack "$deb" "$root" -v | sed 's|^\./$|/.|; s|^\.||; s|/$||' >"$root/var/lib/dpkg/info/$(dpkg-deb -f "$deb" Package).list"
                dpkg-deb -f "$deb" | sed '1a Status: install ok installed' >>"$PARTS/status"
                echo >>"$PARTS/status"
                ;;
        esac
    done
    mv "$PARTS/status" "$root/var/lib/dpkg/status"
    # Nothing is configured; these few files are what a system must have.
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    echo "root:*:0:0:99999:7:::" >"$root/etc/shadow"
    : >"$root/etc/machine-id"
    echo board >"$root/etc/hostname"
    unpack "$kernel" "$PARTS/kernel"
    cp "$PARTS"/kernel/boot/vmlinuz-* "$PARTS/vmlinuz"
    for module in $MODULES; do
        find "$PARTS/kernel" -name "$module.ko*" -exec cp {} "$initrd/modules/" \;
    done
    find "$initrd/modules" -name "*.xz" -exec unxz {} +
    echo "$MODULES" >"$initrd/modules/order"
    cp "$root/bin/busybox" "$initrd/bin/"
    cp boot/init "$initrd/init"
    (cd "$initrd" && find . | qemu-aarch64-static bin/busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$PARTS/initrd.gz"
    rm -rf "$initrd" "$PARTS/kernel"
}

wanted=$(sha256sum boot.sh boot/init && echo "$KERNEL")
if [ "$(cat "$PARTS/of" 2>/dev/null)" != "$wanted" ]; then
    fetch
    prepare
    echo "$wanted" >"$PARTS/of"
fi
rm -rf "$DIR/root"
cp -al "$PARTS/root" "$DIR/root"
cp -r boot/etc boot/root boot/usr "$DIR/root/"
cp "$PACKAGE" "$DIR/root/root/collector.deb"
sed -i "s/PORT/$PORT/" "$DIR/root/root/fluent-bit.conf"
mkdir -p "$DIR/root/etc/systemd/system/multi-user.target.wants"
for unit in boot/etc/systemd/system/*.service; do
    ln -sf "../${unit##*/}" "$DIR/root/etc/systemd/system/multi-user.target.wants/"
done
cp "$PARTS/vmlinuz" "$PARTS/initrd.gz" "$DIR/"
rm -f "$DIR/disk.img"
truncate -s 600M "$DIR/disk.img"
mkfs.ext4 -q -F -d "$DIR/root" "$DIR/disk.img"
rm -rf "$DIR/root"
echo READY
