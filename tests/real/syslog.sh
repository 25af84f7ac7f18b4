#!/usr/bin/env bash
# Unpacks Debian's rsyslog and syslog-ng into DIR, beside the system: nothing is installed, and the two do not exclude each other.
#   tests/real/syslog.sh DIR    prints READY, or "skipped: " and why
# DIR/rsyslogd and DIR/syslog-ng start them.
set -uo pipefail

dir=$1
skip() {
    echo "skipped: $1"
    exit 0
}
works() {
    "$dir/rsyslogd" -v >/dev/null 2>&1 && "$dir/syslog-ng" -V >/dev/null 2>&1
}
works && { echo READY; exit 0; }

command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "rsyslog and syslog-ng: no apt-get"
mkdir -p "$dir/debs" "$dir/root" && cd "$dir/debs" || skip "rsyslog and syslog-ng: $dir cannot be written"
packages=(rsyslog rsyslog-gnutls rsyslog-openssl libestr0 libfastjson4 liblognorm5 syslog-ng-core libivykis0 libpcre3 libjson-c5 libnet1
    libwrap0)
apt-get download -q "${packages[@]}" >/dev/null 2>&1 || {
    # Lists that are old or absent; without privileges there is nothing to do about it.
    apt-get update -q >/dev/null 2>&1
    for package in "${packages[@]}"; do apt-get download -q "$package" >/dev/null 2>&1; done
}
for deb in *.deb; do
    dpkg -x "$deb" "$dir/root" 2>/dev/null || skip "rsyslog and syslog-ng cannot be had"
done

libs=$(find "$dir/root" -type d -path '*/lib/*-linux-*' -prune | paste -sd:)
modules=$(find "$dir/root" -name lmnet.so -printf '%h' -quit)
ng=$(find "$dir/root" -name 'libsyslog-ng-*.so*' | head -n 1)
ng=$(dirname "${ng:-/}")
start() {
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$1" "$2" >"$3" && chmod +x "$3"
}
start "$libs" "$dir/root/usr/sbin/rsyslogd -M $modules" "$dir/rsyslogd"
start "$ng:$libs" "$dir/root/usr/sbin/syslog-ng --module-path=$(find "$ng" -name libafsocket.so -printf '%h' -quit)" "$dir/syslog-ng"
works || skip "rsyslog and syslog-ng do not start here"
echo READY
