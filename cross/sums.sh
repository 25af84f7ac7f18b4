#!/bin/sh
# Writes target/dist/SHA256SUMS: of every program, package, archive and image there.
set -eu
cd "$(dirname "$0")/.."
cd "${CARGO_TARGET_DIR:-target}/dist"
for file in collector[-_]*; do
    [ ! -f "$file" ] || sha256sum "$file"
done >SHA256SUMS.part
mv SHA256SUMS.part SHA256SUMS
