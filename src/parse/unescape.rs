//! Undoing escapes in text: C style, C style with Unicode, and MySQL's quoting.
//!
//! Each function writes into room that is at least as long as the source and returns how much it wrote: decoding never
//! makes text longer. An escape that means nothing is handled as its function says; no byte is lost but backslashes.

use crate::event::{Batch, Span};

/// Writes into a slice and counts; what would not fit is left out, which cannot happen when the room is long enough.
struct Room<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Room<'_> {
    fn byte(&mut self, b: u8) {
        if let Some(slot) = self.out.get_mut(self.len) {
            *slot = b;
            self.len += 1;
        }
    }

    fn bytes(&mut self, text: &[u8]) {
        if let Some(room) = self.out.get_mut(self.len..self.len + text.len()) {
            room.copy_from_slice(text);
            self.len += text.len();
        }
    }

    fn char(&mut self, c: char) {
        self.bytes(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A way to decode text: source, room for the result, length of the result.
pub type Decode = fn(&[u8], &mut [u8]) -> usize;

/// Decodes the arena bytes `text` to the arena's end.
pub fn decode_in_arena(batch: &mut Batch, text: Span, decode: Decode) -> Span {
    let (used, room) = batch.arena_mut().split_spare(text.len as usize);
    let start = used.len();
    let from = text.at as usize;
    let len = used.get(from..from + text.len as usize).map_or(0, |source| decode(source, room));
    batch.arena_mut().advance(len);
    Span::between(start, start + len)
}

/// Hands the text between backslashes to the room as it is, and what follows a backslash to `escape`, which returns
/// how many bytes of it belong to the escape. A backslash at the very end stays.
fn each_escape(source: &[u8], out: &mut [u8], mut escape: impl FnMut(&[u8], &mut Room<'_>) -> usize) -> usize {
    let mut room = Room { out, len: 0 };
    let mut rest = source;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, after) = rest.split_at(at);
        room.bytes(plain);
        let after = after.get(1..).unwrap_or_default();
        if after.is_empty() {
            room.byte(b'\\');
            return room.len;
        }
        let taken = escape(after, &mut room);
        rest = after.get(taken.max(1)..).unwrap_or_default();
    }
    room.bytes(rest);
    room.len
}

fn letter(b: u8) -> Option<u8> {
    Some(match b {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        b'a' => 7,
        _ => return None,
    })
}

/// `escaped`: `\n \a \b \t \v \f \r \\` are decoded; of any other `\x` the `x` stays.
pub fn escaped(source: &[u8], out: &mut [u8]) -> usize {
    each_escape(source, out, |after, room| {
        let byte = after.first().copied().unwrap_or_default();
        room.byte(letter(byte).unwrap_or(byte));
        1
    })
}

/// `escaped_utf8`: besides the letters of [`escaped`], `\377` (octal), `\xff`, `\u00ff` and `\U000000ff` become
/// the UTF-8 of that character; surrogate pairs are joined. A number that names no character stays as it is written.
pub fn escaped_utf8(source: &[u8], out: &mut [u8]) -> usize {
    each_escape(source, out, |after, room| {
        let byte = after.first().copied().unwrap_or_default();
        let (code, taken) = match byte {
            b'0'..=b'7' => number(after, 0, 3, 8),
            b'x' => number(after, 1, 2, 16),
            b'u' => number(after, 1, 4, 16),
            b'U' => number(after, 1, 8, 16),
            _ => {
                room.byte(letter(byte).unwrap_or(byte));
                return 1;
            }
        };
        if taken == 1 && matches!(byte, b'x' | b'u' | b'U') {
            room.byte(byte); // no digits: only the letter is left, as for any other escape
            return 1;
        }
        if byte == b'u' && (0xd800..0xdc00).contains(&code) {
            let second = after.get(taken..).unwrap_or_default();
            if second.starts_with(b"\\u") {
                let (low, low_taken) = number(second, 2, 4, 16);
                if (0xdc00..0xe000).contains(&low) {
                    let joined = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    room.char(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                    return taken + low_taken;
                }
            }
        }
        match char::from_u32(code) {
            Some(c) => room.char(c),
            None => {
                room.byte(b'\\');
                room.bytes(after.get(..taken).unwrap_or_default());
            }
        }
        taken
    })
}

/// Reads at most `max` digits behind `skip` bytes; returns the number and the bytes taken with the skipped ones.
fn number(text: &[u8], skip: usize, max: usize, radix: u32) -> (u32, usize) {
    let mut value = 0u32;
    let mut taken = skip;
    while taken < skip + max {
        let Some(digit) = text.get(taken).and_then(|&b| char::from(b).to_digit(radix)) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        taken += 1;
    }
    (value, taken)
}

/// `mysql_quoted`: takes off a pair of `'` or `"` around the text and decodes `\n \r \t \\ \' \" \0 \Z` within;
/// other escapes stay as they are, and so does text without quotes.
pub fn mysql_quoted(source: &[u8], out: &mut [u8]) -> usize {
    let inner = match source {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => {
            let mut room = Room { out, len: 0 };
            room.bytes(source);
            return room.len;
        }
    };
    each_escape(inner, out, |after, room| {
        let byte = after.first().copied().unwrap_or_default();
        match byte {
            b'n' => room.byte(b'\n'),
            b'r' => room.byte(b'\r'),
            b't' => room.byte(b'\t'),
            b'\\' | b'\'' | b'"' => room.byte(byte),
            b'0' => room.byte(0),
            b'Z' => room.byte(0x1a),
            _ => room.bytes(&[b'\\', byte]),
        }
        1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use proptest::prelude::*;

    fn check(decode: Decode, table: &[(&str, &str)]) {
        for (source, expected) in table {
            let mut b = Batch::new(Tag::new("t"));
            let span = b.arena_mut().push(source.as_bytes());
            let got = decode_in_arena(&mut b, span, decode);
            assert_eq!(String::from_utf8_lossy(b.arena().get(got)), *expected, "{source:?}");
        }
    }

    #[test]
    fn c_style() {
        let table = [
            (r"plain", "plain"),
            (r"a\nb\tc\r\a\b\v\f", "a\nb\tc\r\x07\x08\x0b\x0c"),
            (r#"\"q\" \/ \q \\n"#, "\"q\" / q \\n"),
            (r"end\", "end\\"),
            (r"\u00e9", "u00e9"),
            ("", ""),
        ];
        check(escaped, &table);
    }

    #[test]
    fn c_style_with_unicode() {
        let table = [
            (r"caf\u00e9\n", "café\n"),
            (r"\xe9 \351 \7 \x4", "é é \x07 \x04"),
            (r"\U0001F600 \ud83d\ude00", "😀 😀"),
            (r"\ud83d! \udc00", r"\ud83d! \udc00"),
            (r"\Uffffffff", r"\Uffffffff"),
            (r"\x \u \U.", "x u U."),
            (r#"\"\'\\\/\q"#, "\"'\\/q"),
            ("é\\", "é\\"),
        ];
        check(escaped_utf8, &table);
    }

    #[test]
    fn mysql() {
        let table = [
            (r"'it\'s\0\Z\n\q'", "it's\0\x1a\n\\q"),
            (r#""a\"b""#, "a\"b"),
            (r"'open", "'open"),
            (r"plain\n", r"plain\n"),
            ("'", "'"),
            ("''", ""),
        ];
        check(mysql_quoted, &table);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn decoding_never_makes_text_longer(source in r#"([\\uUx0-9a-fDd'"n]|\PC){0,40}"#) {
            for decode in [escaped as Decode, escaped_utf8, mysql_quoted] {
                let source = source.as_bytes();
                let mut tight = vec![0; source.len()];
                let mut wide = vec![0; source.len() * 4];
                let (a, b) = (decode(source, &mut tight), decode(source, &mut wide));
                prop_assert_eq!(&tight[..a], &wide[..b]);
            }
        }
    }
}
