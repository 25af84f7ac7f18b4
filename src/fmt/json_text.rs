//! Escapes in JSON strings.

/// What begins at a `\`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// One of `\n \t \r \b \f \" \\`: two bytes, and what the writer would write for the same character.
    Canonical,
    /// Another valid escape, of so many bytes: `\/`, `\uXXXX`, or a surrogate pair.
    Other(usize),
    /// None: the offset of the byte that cannot be, or of the text's end.
    Wrong(usize),
}

/// The escape whose `\` is at `at`.
#[inline]
pub fn escape(text: &[u8], at: usize) -> Escape {
    match text.get(at + 1) {
        Some(b'n' | b't' | b'r' | b'b' | b'f' | b'"' | b'\\') => Escape::Canonical,
        Some(b'/') => Escape::Other(2),
        Some(b'u') => match (at + 2..at + 6).find(|&i| !text.get(i).is_some_and(u8::is_ascii_hexdigit)) {
            None => Escape::Other(6),
            Some(wrong) => Escape::Wrong(wrong),
        },
        _ => Escape::Wrong(at + 1),
    }
}

/// Appends what checked JSON source text means. A surrogate without its partner becomes U+FFFD.
pub fn decode(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        let used = match from.get(1) {
            Some(b'u') => {
                let (c, used) = unicode(from);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                used
            }
            Some(&b) => {
                out.push(short(b));
                2
            }
            None => 1,
        };
        rest = from.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The number of escapes in text whose escapes are all canonical: each is two bytes for one.
pub fn count_canonical(raw: &[u8]) -> usize {
    let mut escapes = 0;
    let mut at = 0;
    while let Some(n) = memchr::memchr(b'\\', raw.get(at..).unwrap_or_default()) {
        escapes += 1;
        at += n + 2;
    }
    escapes
}

fn short(b: u8) -> u8 {
    match b {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 0x08,
        b'f' => 0x0c,
        other => other,
    }
}

/// The character of the `\uXXXX` at the start of `text`, together with the one behind it when they are a pair; and the
/// bytes taken.
fn unicode(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |n, &b| Some(n << 4 | char::from(b).to_digit(16)?))
    };
    let Some(first) = unit(0) else { return (char::REPLACEMENT_CHARACTER, text.len().min(6)) };
    if let (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) = (first, unit(6)) {
        let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_told_apart() {
        let table: &[(&str, Escape)] = &[
            (r"\n", Escape::Canonical),
            (r#"\""#, Escape::Canonical),
            (r"\/", Escape::Other(2)),
            (r"\u00e9", Escape::Other(6)),
            (r"\x", Escape::Wrong(1)),
            (r"\", Escape::Wrong(1)),
            (r"\u00g9", Escape::Wrong(4)),
            (r"\u00e", Escape::Wrong(5)),
        ];
        for &(text, expected) in table {
            assert_eq!(escape(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn decoding() {
        let table: &[(&str, &str)] = &[
            ("plain", "plain"),
            (r#"a\n\t\r\b\f\"\\\/z"#, "a\n\t\r\u{8}\u{c}\"\\/z"),
            (r"\u00e9\u0041\u65E5", "éA日"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d!\ude00", "\u{fffd}!\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\u0000", "\0"),
        ];
        for &(raw, expected) in table {
            let mut out = Vec::new();
            decode(raw.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{raw}");
        }
    }
}
