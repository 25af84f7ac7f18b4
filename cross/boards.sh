#!/usr/bin/env bash
# Tests the programs of target/dist as boards run them, and prints a table (Makefile: boards).
#   cross/boards.sh                                all that are there, then the next two
#   cross/boards.sh aarch64-unknown-linux-musl …   some targets alone
#   cross/boards.sh limits                         with 64 MiB of memory, and on a slow card: this machine's own program
#   cross/boards.sh boot                           the package of Debian, on a board that is booted and loses its power
# Programs for other processors run under qemu-user, so what depends on pace, memory or the kernel's calls for packets and serial ports is
# skipped there, and said. Logs stay in target/boards.
#   BOARDS_TESTS   names of tests, or parts of them, in place of all
#   KERNEL         another kernel for the board that is booted (cross/boot.sh)
set -euo pipefail
cd "$(dirname "$0")/.."

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
DIST=$TARGET_DIR/dist
LOGS=$TARGET_DIR/boards
VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
ALL=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf arm-unknown-linux-musleabihf)
# What depends on the size of a page if anything does: files, sockets, captures, the database, chunk files.
LARGE_PAGES="tail:: storage:: pcap_files:: sockets:: running:: board_life::"

fail() {
    echo "boards: $*" >&2
    exit 1
}

# The words before a program: what runs it here, as the processor of the least board.
emulator() {
    case $1 in
        "$(uname -m)"-*) ;;
        aarch64-*) echo qemu-aarch64-static ;;
        armv7-*) echo qemu-arm-static -cpu cortex-a7 ;;
        arm-*) echo qemu-arm-static -cpu arm1176 ;;
        *) fail "unknown target $1; there are ${ALL[*]}" ;;
    esac
}

rows=() failures=0

# suite NAME PROGRAM RUNNER TEST…: a row of the table.
suite() {
    local name=$1 program=$2 runner=$3 log=$LOGS/$1 begin=$SECONDS summary passed failed skipped again alone test
    shift 3
    echo "boards: $name${runner:+ ($runner)}"
    COLLECTOR_BIN=$program COLLECTOR_RUNNER=$runner cargo test --test it -- --test-threads $(($(nproc) * 2)) "$@" >"$log.log" 2>"$log.err" || :
    summary=$(sed -n 's/^test result: [A-Za-z]*\. \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log.log")
    [ -n "$summary" ] || fail "$name: the tests did not come to their end: $log.err"
    read -r passed failed <<<"$summary"
    # In whole or in part, each counted once.
    skipped=$(sed -n 's/^skipped: \([a-z0-9_:]*\): .*/\1/p' "$log.err" | sort -u | wc -l)
    # An emulated program on a busy machine may be too slow for a test: each that failed is run alone.
    mapfile -t again < <(sed -n 's/^test \([a-z0-9_:]*\) \.\.\. FAILED/\1/p' "$log.log")
    alone=0
    for test in "${again[@]}"; do
        if COLLECTOR_BIN=$program COLLECTOR_RUNNER=$runner cargo test --test it -- --exact "$test" >"$log.again" 2>&1; then
            alone=$((alone + 1)) failed=$((failed - 1))
            echo "    passed when alone: $test"
        else
            failures=1
            echo "    failed: $test"
        fi
    done
    rows+=("| \`$name\` | $((passed - skipped)) | $alone | $skipped | $failed | $((SECONDS - begin)) s |")
}

program() {
    echo "$DIST/collector-$VERSION-$1"
}

# shows NAME WORDS: what a run says of itself, and whether it succeeded.
shows() {
    grep -E "^($2|skipped:|test result)" "$LOGS/$1.log" || :
    grep -q '^test result: ok' "$LOGS/$1.log" || failures=1
}

limits() {
    local file
    file=$(program "$(uname -m)-unknown-linux-musl")
    [ -f "$file" ] || fail "no $file: make cross TARGET=$(uname -m)-unknown-linux-musl"
    echo "boards: little memory, a slow card"
    COLLECTOR_BIN=$file cargo test --test it -- --include-ignored --nocapture --test-threads 1 board_limits:: >"$LOGS/limits.log" 2>&1 || :
    # Behind the name of its test.
    sed -i 's/^test board_limits::[a-z0-9_]* \.\.\. \(.\)/\1/' "$LOGS/limits.log"
    shows limits '[0-9]+ '
}

boot() {
    local file=$DIST/collector_${VERSION}_arm64.deb
    if [ ! -f "$file" ]; then
        echo "skipped: boot: no $file: make cross TARGET=aarch64-unknown-linux-musl"
        return
    fi
    echo "boards: a board is booted, and cut off from its power"
    COLLECTOR_BOARD=$file cargo test --test it -- --include-ignored --nocapture boot:: >"$LOGS/boot.log" 2>&1 || :
    shows boot 'first|service|cut|[0-9]+ lines'
}

scripts/setup.sh boards
mkdir -p "$LOGS"
targets=("$@")
if [ $# -eq 0 ]; then
    for target in "${ALL[@]}"; do
        if [ -f "$(program "$target")" ]; then targets+=("$target"); else echo "skipped: $target is not built: make cross TARGET=$target"; fi
    done
    targets+=(limits boot)
fi
read -ra tests <<<"${BOARDS_TESTS:-}"
for target in "${targets[@]}"; do
    case $target in
        limits) limits && continue ;;
        boot) boot && continue ;;
    esac
    runner=$(emulator "$target")
    file=$(program "$target")
    [ -f "$file" ] || fail "no $file: make cross TARGET=$target"
    if [ -n "$runner" ] && ! command -v "${runner%% *}" >/dev/null; then
        echo "skipped: $target: no ${runner%% *}"
        continue
    fi
    suite "$target" "$file" "$runner" "${tests[@]}"
    if [ -z "${BOARDS_TESTS:-}" ] && [[ $target == aarch64-* && -n $runner ]]; then
        # musl's allocator and this emulator's heap do not always agree on such pages; where addresses are not drawn by lot, they do.
        # shellcheck disable=SC2086
        suite "$target-64k-pages" "$file" "setarch -R $runner -p 65536" $LARGE_PAGES
    fi
done
if [ ${#rows[@]} -gt 0 ]; then
    echo "| Program | Passed | Passed when alone | Skipped, or in part | Failed | Time |"
    echo "|---|---|---|---|---|---|"
    printf '%s\n' "${rows[@]}"
fi
exit "$failures"
