#!/usr/bin/env bash
# Installs what a fresh Debian or Ubuntu machine with a Rust toolchain still lacks.
#   scripts/setup.sh build    a C compiler (for SQLite and the TLS library)
#   scripts/setup.sh test     also a JDK and Maven, for the tests against a real search engine, and faketime for those
#                             whose clock jumps
#   scripts/setup.sh bench    also Python 3, which runs the program and measures it
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "setup: no cargo. Install a Rust toolchain, 1.89 or newer, then run this again." >&2
    exit 1
fi

packages=()
optional=()
command -v cc >/dev/null || packages+=(build-essential)
case "${1:-build}" in
    build) ;;
    test)
        command -v java >/dev/null || optional+=(default-jdk-headless)
        command -v mvn >/dev/null || optional+=(maven)
        command -v faketime >/dev/null || optional+=(faketime)
        ;;
    bench) command -v python3 >/dev/null || packages+=(python3) ;;
    *) echo "setup: build, test or bench?" >&2; exit 2 ;;
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
    "${root[@]}" apt-get update -q >/dev/null &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${wanted[@]}" >/dev/null
}

if ! install; then
    echo "setup: cannot install ${wanted[*]}: as root, run 'apt-get install ${wanted[*]}'." >&2
    [ "${#packages[@]}" -eq 0 ] || exit 1
    echo "setup: going on without; the tests that need them say that they were skipped." >&2
fi
