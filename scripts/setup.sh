#!/usr/bin/env bash
# Installs what a fresh Debian or Ubuntu machine with a Rust toolchain still lacks.
#   scripts/setup.sh build    a C compiler (for SQLite and the TLS library), libpcap (for live capture)
#   scripts/setup.sh test     also a JDK and Maven, for the tests against a real search engine, faketime for those whose
#                             clock jumps, InfluxDB, and nginx, dnsmasq, openssl, ip and ping for those that capture packets
#   scripts/setup.sh boards   also emulators: of a processor, and of a whole board
#   scripts/setup.sh bench    also Python 3, which runs the program and measures it, and valgrind, which counts
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "setup: no cargo. Install a Rust toolchain, 1.89 or newer, then run this again." >&2
    exit 1
fi

packages=()
optional=()
command -v cc >/dev/null || packages+=(build-essential)

# Whether programs can be linked with libpcap: its header is not needed.
links_pcap() {
    command -v cc >/dev/null && echo 'int main(void) { return 0; }' | cc -x c - -lpcap -o /dev/null 2>/dev/null
}
links_pcap || packages+=(libpcap-dev)

case "${1:-build}" in
    build) ;;
    test)
        command -v java >/dev/null || optional+=(default-jdk-headless)
        command -v mvn >/dev/null || optional+=(maven)
        command -v faketime >/dev/null || optional+=(faketime)
        [ -x /usr/sbin/nginx ] || optional+=(nginx-light)
        command -v influxd >/dev/null || optional+=(influxdb)
        [ -x /usr/sbin/dnsmasq ] || optional+=(dnsmasq-base)
        command -v openssl >/dev/null || optional+=(openssl)
        command -v ip >/dev/null || [ -x /sbin/ip ] || optional+=(iproute2)
        command -v ping >/dev/null || optional+=(iputils-ping)
        [ -x /lib/systemd/systemd-journal-remote ] || optional+=(systemd systemd-journal-remote)
        command -v redis-server >/dev/null || optional+=(redis-server)
        [ -x /usr/sbin/mosquitto ] || optional+=(mosquitto)
        command -v mosquitto_pub >/dev/null || optional+=(mosquitto-clients)
        command -v gnutls-cli >/dev/null || optional+=(gnutls-bin)
        ;;
    boards)
        command -v qemu-aarch64-static >/dev/null || optional+=(qemu-user-static)
        command -v qemu-system-aarch64 >/dev/null || optional+=(qemu-system-arm)
        [ -x /sbin/mkfs.ext4 ] || optional+=(e2fsprogs)
        ;;
    bench)
        command -v python3 >/dev/null || packages+=(python3)
        command -v valgrind >/dev/null || optional+=(valgrind)
        ;;
    *) echo "setup: build, test, boards or bench?" >&2; exit 2 ;;
esac

wanted=("${packages[@]}" "${optional[@]}")
[ "${#wanted[@]}" -eq 0 ] && exit 0

install() {
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
        root=(sudo -n)
    fi
    command -v apt-get >/dev/null || return 1
    echo "setup: installing ${wanted[*]}"
    # RUNLEVEL=1: what is installed for the tests is not started as a service.
    "${root[@]}" apt-get update -q >/dev/null &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -yq --no-install-recommends "${wanted[@]}" >/dev/null
}

if ! install; then
    echo "setup: cannot install ${wanted[*]}: as root, run 'apt-get install ${wanted[*]}'." >&2
    case " ${packages[*]} " in *" libpcap-dev "*)
        echo "setup: without libpcap-dev a build without live capture is possible (packets of files are still read):" >&2
        echo "    cargo build --release --no-default-features --features tls,http,es,sqlite,encodings" >&2
        ;;
    esac
    [ "${#packages[@]}" -eq 0 ] || exit 1
    echo "setup: going on without; the tests that need them say that they were skipped." >&2
fi
