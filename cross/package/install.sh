#!/bin/sh
# Installs the program that lies beside this file, its configuration and its service.
#   ./install.sh               installs, or brings up to date; configurations that were changed stay
#   ./install.sh uninstall     takes away what it installed; configurations and state stay
#   ./install.sh purge         takes those away, too, and the user
#   PREFIX=/opt ./install.sh   another place for the program than /usr/local
#   DESTDIR=/mnt/card …        into the tree of another system: no user is made there, nothing is started
set -eu
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PREFIX=${PREFIX:-/usr/local}
ROOT=${DESTDIR:-}
ETC=$ROOT/etc/collector
STATE=/var/lib/collector
# What was installed, to see later what was changed since.
SHIPPED=$ROOT$PREFIX/share/collector
UNIT=$ROOT/etc/systemd/system/collector.service
INIT=$ROOT/etc/init.d/collector

fail() {
    echo "install: $*" >&2
    exit 1
}

has_systemd() {
    if [ -n "$ROOT" ]; then
        [ -d "$ROOT/lib/systemd/system" ] || [ -d "$ROOT/usr/lib/systemd/system" ]
    else
        [ -d /run/systemd/system ] || command -v systemctl >/dev/null
    fi
}

systemd_runs() {
    [ -z "$ROOT" ] && [ -d /run/systemd/system ]
}

# put FROM TO MODE: in one step, so that a program that runs is not written into.
put() {
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.part"
    chmod "$3" "$2.part"
    mv -f "$2.part" "$2"
}

# What names the program stands under PREFIX.
put_service() {
    mkdir -p "$(dirname "$2")"
    sed "s|/usr/bin/collector|$PREFIX/bin/collector|" "$1" >"$2.part"
    chmod "$3" "$2.part"
    mv -f "$2.part" "$2"
}

# keep FROM TO: a configuration. One that was changed stays, and the new one is put beside it when it is another than before.
keep() {
    shipped=$SHIPPED/${2##*/}
    if [ ! -f "$2" ] || cmp -s "$2" "$shipped" || cmp -s "$1" "$2"; then
        cmp -s "$1" "$2" || put "$1" "$2" 0644
        rm -f "$2.new"
    elif ! cmp -s "$1" "$shipped"; then
        put "$1" "$2.new" 0644
        echo "install: $2 was changed and stays; the new one is $2.new"
    fi
    put "$1" "$shipped" 0644
}

make_user() {
    [ -z "$ROOT" ] || return 0
    if ! grep -q '^collector:' /etc/passwd; then
        if command -v useradd >/dev/null; then
            useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /bin/false collector
        else
            addgroup -S collector
            adduser -S -D -H -h "$STATE" -s /bin/false -G collector collector
        fi
    fi
    mkdir -p "$STATE"
    chown collector:collector "$STATE"
    chmod 0750 "$STATE"
}

install_all() {
    [ -f "$HERE/collector" ] || fail "there is no $HERE/collector: run install.sh where the archive was unpacked"
    if [ -z "$ROOT" ] && ! "$HERE/collector" --version >/dev/null 2>&1; then
        fail "$HERE/collector does not run here: this processor ($(uname -m)) needs another archive"
    fi
    make_user
    put "$HERE/collector" "$ROOT$PREFIX/bin/collector" 0755
    keep "$HERE/fluent-bit.conf" "$ETC/fluent-bit.conf"
    keep "$HERE/parsers.conf" "$ETC/parsers.conf"
    mkdir -p "$ROOT/etc/default"
    keep "$HERE/collector.default" "$ROOT/etc/default/collector"
    put "$HERE/install.sh" "$SHIPPED/install.sh" 0755
    if has_systemd; then
        put_service "$HERE/collector.service" "$UNIT" 0644
        start="systemctl enable --now collector"
        if systemd_runs; then
            systemctl daemon-reload
            systemctl try-restart collector.service
        fi
    elif [ -d "$ROOT/etc/init.d" ]; then
        put_service "$HERE/collector.init" "$INIT" 0755
        start="/etc/init.d/collector start"
    else
        start="$PREFIX/bin/collector -c /etc/collector/fluent-bit.conf"
    fi
    echo "install: say in /etc/default/collector and /etc/collector/fluent-bit.conf what goes where, then: $start"
}

uninstall() {
    if systemd_runs && [ -f "$UNIT" ]; then
        systemctl disable --now collector.service
    elif [ -z "$ROOT" ] && [ -x "$INIT" ]; then
        "$INIT" stop
    fi
    rm -f "$UNIT" "$INIT" "$ROOT$PREFIX/bin/collector" "$SHIPPED/install.sh"
    if systemd_runs; then systemctl daemon-reload; fi
}

purge() {
    uninstall
    rm -rf "$ETC" "$ROOT$STATE" "$SHIPPED"
    rm -f "$ROOT/etc/default/collector" "$ROOT/etc/default/collector.new"
    [ -z "$ROOT" ] || return 0
    grep -q '^collector:' /etc/passwd || return 0
    if command -v userdel >/dev/null; then userdel collector; else deluser collector; fi
}

[ -n "$ROOT" ] || [ "$(id -u)" = 0 ] || fail "must be root, or be given a DESTDIR"
case ${1:-install} in
    install) install_all ;;
    uninstall) uninstall ;;
    purge) purge ;;
    *) fail "unknown word $1; there are install, uninstall, purge" ;;
esac
