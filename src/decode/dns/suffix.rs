//! The public suffix of a name: where the part ends that anybody may register under (publicsuffix.org).
//!
//! The list is kept as a table of hashes, 64 KiB, that `scripts/suffixes.py` makes from it: of a rule 29 bits of its
//! hash remain beside its place, so that a name which is on no list is taken for one once in 10⁸ times. In exchange a
//! look-up is a pass over a few bytes with one memory access for each label, and nothing is built or allocated.
//! The `psl` crate has exact code in place of a table, at 750 KiB of program. Both parts of the list count, the
//! registries' and the private one (`github.io`), and an unlisted top-level domain is a suffix by itself.

/// The list of 2026-10-22 (version in the list's own header), under the MPL 2.0.
static TABLE: &[u8] = include_bytes!("suffixes.bin");

/// log2 of the number of slots, 4 bytes each.
const SLOT_BITS: u32 = 14;
/// The longest rule has six labels; an asterisk stands for one more.
const LABELS_MAX: usize = 7;

/// The name itself is a suffix.
const RULE: u32 = 1;
/// Every name one label longer is one (`*.ck`).
const WILD: u32 = 2;
/// It is none although a wildcard says so (`!www.ck`).
const EXCEPT: u32 = 4;

/// Where the parts of a name begin, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// The registered domain: the public suffix with one more label.
    pub registered: usize,
    /// The public suffix.
    pub suffix: usize,
}

/// Splits a name without its trailing dot (RFC 1035 text: a dot behind a backslash is part of a label). `None` when it
/// is a public suffix itself, or has empty labels.
pub(super) fn split(name: &[u8]) -> Option<Split> {
    let mut hash = FNV_BASIS;
    // A name that no rule fits has its last label as suffix.
    let mut suffix = None;
    let mut wild = false;
    let mut label_end = name.len();
    for depth in 0.. {
        let at = label_start(name.get(..label_end)?);
        let label = name.get(at..label_end).filter(|label| !label.is_empty())?;
        if let Some(suffix) = suffix.filter(|_| depth == LABELS_MAX) {
            return registered(name, suffix);
        }
        hash = label.iter().rev().fold(hash, |hash, byte| fnv(hash, byte.to_ascii_lowercase()));
        let kind = look_up(finished(hash));
        if kind & EXCEPT != 0 {
            return Some(Split { registered: at, suffix: label_end + 1 });
        }
        if suffix.is_none() || wild || kind & RULE != 0 {
            suffix = Some(at);
        }
        wild = kind & WILD != 0;
        match at.checked_sub(1) {
            Some(dot) => label_end = dot,
            None => break,
        }
        hash = fnv(hash, b'.');
    }
    registered(name, suffix?)
}

/// One label more than the suffix.
fn registered(name: &[u8], suffix: usize) -> Option<Split> {
    let dot = suffix.checked_sub(1)?;
    let registered = label_start(name.get(..dot)?);
    (registered < dot).then_some(Split { registered, suffix })
}

/// Where the last label of `name` begins.
fn label_start(name: &[u8]) -> usize {
    let mut end = name.len();
    while let Some(dot) = name.get(..end).and_then(|head| head.iter().rposition(|b| *b == b'.')) {
        let escapes = name.get(..dot).map_or(0, |head| head.iter().rev().take_while(|b| **b == b'\\').count());
        if escapes % 2 == 0 {
            return dot + 1;
        }
        end = dot;
    }
    0
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// One step of FNV-1a; names are hashed from their end.
#[inline]
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// The finaliser of SplitMix64: FNV alone leaves its upper bits poor for short names.
#[inline]
fn finished(mut h: u64) -> u64 {
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// What the list says of a name with this hash: [`RULE`], [`WILD`], [`EXCEPT`].
fn look_up(hash: u64) -> u32 {
    let (slots, _) = TABLE.as_chunks::<4>();
    let print = hash as u32 & 0x1fff_ffff;
    let first = (hash >> (64 - SLOT_BITS)) as usize;
    // A third of the slots is empty, so that the walk is short.
    for step in 0..slots.len() {
        let slot = slots.get((first + step) & ((1 << SLOT_BITS) - 1)).map_or(0, |s| u32::from_le_bytes(*s));
        if slot == 0 {
            break;
        }
        if slot >> 3 == print {
            return slot & 7;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (registered domain, public suffix), empty when there is none.
    fn parts(name: &str) -> (&str, &str) {
        split(name.as_bytes()).map_or(("", ""), |s| (&name[s.registered..], &name[s.suffix..]))
    }

    #[test]
    fn plain_rules() {
        assert_eq!(parts("elastic.co"), ("elastic.co", "co"));
        assert_eq!(parts("a.b.www.Example.CO.uk"), ("Example.CO.uk", "CO.uk"));
        assert_eq!(parts("foo.github.io"), ("foo.github.io", "github.io"));
        assert_eq!(parts("co.uk"), ("", ""));
        assert_eq!(parts("com"), ("", ""));
    }

    #[test]
    fn wildcards_and_their_exceptions() {
        assert_eq!(parts("ck"), ("", ""));
        assert_eq!(parts("any.ck"), ("", ""));
        assert_eq!(parts("b.any.ck"), ("b.any.ck", "any.ck"));
        assert_eq!(parts("www.ck"), ("www.ck", "ck"));
        assert_eq!(parts("a.www.ck"), ("www.ck", "ck"));
        assert_eq!(parts("kawasaki.jp"), ("kawasaki.jp", "jp"));
        assert_eq!(parts("c.kobe.jp"), ("", ""));
        assert_eq!(parts("a.b.c.kobe.jp"), ("b.c.kobe.jp", "c.kobe.jp"));
        assert_eq!(parts("a.city.kobe.jp"), ("city.kobe.jp", "kobe.jp"));
    }

    #[test]
    fn unlisted_domains_end_in_their_last_label() {
        assert_eq!(parts("printer.local"), ("printer.local", "local"));
        assert_eq!(parts("4.3.2.1.in-addr.arpa"), ("1.in-addr.arpa", "in-addr.arpa"));
        assert_eq!(parts("localhost"), ("", ""));
    }

    #[test]
    fn other_letters_in_both_forms() {
        assert_eq!(parts("食狮.公司.cn"), ("食狮.公司.cn", "公司.cn"));
        assert_eq!(parts("www.xn--85x722f.xn--55qx5d.cn"), ("xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn"));
        assert_eq!(parts("a.xn--p1ai"), ("a.xn--p1ai", "xn--p1ai"));
    }

    #[test]
    fn odd_names() {
        for name in ["", ".", "..", ".com", "a..com", "com.", "a..co.uk", "x..a.com"] {
            assert_eq!(parts(name), ("", ""), "{name:?}");
        }
        assert_eq!(parts(r"a\.b.com"), (r"a\.b.com", "com"));
        assert_eq!(parts(r"a\\.b.com"), ("b.com", "com"));
        let long = format!("{}example.com", "a.".repeat(120));
        assert_eq!(parts(&long), ("example.com", "com"));
    }
}
