#!/usr/bin/env python3
"""Makes src/decode/dns/suffixes.bin from the Public Suffix List (https://publicsuffix.org/list/public_suffix_list.dat).

    scripts/suffixes.py public_suffix_list.dat src/decode/dns/suffixes.bin

The table is open addressing over 32-bit little-endian slots: 29 bits of a rule's hash above 3 bits that say what the
rule is. src/decode/dns/suffix.rs reads it and must compute the same hash. Rules with other letters than ASCII stand in
it twice: as UTF-8 and in Punycode.
"""
import struct
import sys

SLOTS = 1 << 14
RULE, WILD, EXCEPT = 1, 2, 4
MASK = (1 << 64) - 1


def hashed(name: bytes) -> int:
    """FNV-1a from the last byte to the first, then the finaliser of SplitMix64."""
    h = 0xCBF29CE484222325
    for byte in reversed(name):
        h = (h ^ byte) * 0x100000001B3 & MASK
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & MASK
    h = (h ^ h >> 27) * 0x94D049BB133111EB & MASK
    return h ^ h >> 31


def ascii_form(name: str) -> str:
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in name.split(".")
    )


def main() -> None:
    rules: dict[bytes, int] = {}
    version, labels = "?", 0
    for line in open(sys.argv[1], encoding="utf-8"):
        line = line.split()[0] if line.split() and not line.startswith("//") else line.strip()
        if line.startswith("// VERSION:"):
            version = line.removeprefix("// VERSION: ")
        if not line or line.startswith("//"):
            continue
        kind, name = RULE, line.lower()
        if name.startswith("!"):
            kind, name = EXCEPT, name[1:]
        elif name.startswith("*."):
            kind, name = WILD, name[2:]
        assert "*" not in name, line
        labels = max(labels, name.count(".") + 1)
        for form in {name, ascii_form(name)}:
            rules[form.encode()] = rules.get(form.encode(), 0) | kind
    table = [0] * SLOTS
    for name, kind in rules.items():
        h = hashed(name)
        at, print_ = h >> 50, h & 0x1FFFFFFF
        while table[at]:
            assert table[at] >> 3 != print_, f"{name} has the hash of another rule"
            at = (at + 1) % SLOTS
        table[at] = print_ << 3 | kind
    assert len(rules) < SLOTS * 3 // 4, "make SLOTS larger, here and in suffix.rs"
    open(sys.argv[2], "wb").write(struct.pack(f"<{SLOTS}I", *table))
    print(f"{version}: {len(rules)} rules of at most {labels} labels, {SLOTS * 4} bytes")


main()
