#!/bin/sh
# Builds with none, each and all of the cargo features: nothing may be unused or missing, and what is left must work.
#   scripts/features.sh           all of them
#   scripts/features.sh kafka es  these alone
set -eu
cd "$(dirname "$0")/.."

lint() {
    echo "== ${1:-none}"
    cargo clippy --quiet --no-default-features --features "$1" -- -D warnings
}

if [ $# -gt 0 ]; then
    for feature; do lint "$feature"; done
    exit
fi
each=$(sed -n '/^\[features\]/,/^\[dependencies\]/s/^\([a-z][a-z-]*\) = \[.*/\1/p' Cargo.toml)
lint ""
for feature in $each; do lint "$feature"; done
echo "== all"
cargo clippy --quiet --all-features --all-targets -- -D warnings
for few in "" tiny; do
    echo "== tests with ${few:-none}"
    cargo clippy --quiet --no-default-features --features "$few" --all-targets -- -D warnings
    cargo test --quiet --no-default-features --features "$few" --lib --test it
done
