//! Finding the bytes that matter inside JSON strings, eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The eight bytes at `at`, first byte lowest; beyond the end come zeros.
#[inline]
pub fn word(text: &[u8], at: usize) -> u64 {
    match text.get(at..at + 8).and_then(|b| b.try_into().ok()) {
        Some(bytes) => u64::from_le_bytes(bytes),
        None => last_word(text, at),
    }
}

/// [`word`] where fewer than eight bytes are left: by overlapping reads, for most fields of a log are short.
#[inline]
fn last_word(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    let n = rest.len() as u32;
    if n == 0 {
        return 0;
    }
    if let Some(&last) = text.last_chunk() {
        return u64::from_le_bytes(last) >> (8 * (8 - n.min(8)));
    }
    if let (Some(&first), Some(&last)) = (rest.first_chunk(), rest.last_chunk()) {
        return u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(last)) << (8 * (n - 4));
    }
    let byte = |i: usize| rest.get(i).map_or(0, |&b| u64::from(b) << (8 * i));
    byte(0) | byte(1) | byte(2)
}

/// High bits at the bytes of `w` that are `"`, `\` or below 0x20. Exact up to and including the lowest one set.
#[inline]
fn specials(w: u64) -> u64 {
    // Flipping 0x02 brings `"` (0x22) next to the control characters and moves nothing else below 0x21.
    let quote_or_control = (w ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (w ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !w & HIGH
}

/// High bits at the bytes of `w` that are above 0x7e. Exact up to and including the lowest one set.
#[inline]
fn unprintable(w: u64) -> u64 {
    (w | w.wrapping_add(ONES)) & HIGH
}

/// Index of the lowest marked byte.
#[inline]
fn lowest(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The first `"`, `\` or control character at or behind `from` (the text's length when there is none), and whether
/// every byte before it is at most 0x7e. `LONG` when it may well be hundreds of bytes away.
#[inline]
pub fn string_stop<const LONG: bool>(text: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    let mut odd = 0;
    loop {
        // Most strings end within a few words; long ones go on in lanes of vector code.
        for _ in 0..4 {
            let w = word(text, at);
            let marks = specials(w);
            if marks != 0 {
                let n = lowest(marks);
                // The marked byte and those behind it do not count.
                odd |= unprintable(w) & ((1 << (8 * n)) - 1);
                return ((at + n).min(text.len()), odd == 0);
            }
            odd |= unprintable(w);
            at += 8;
        }
        if LONG {
            at = clean_lanes(text, at);
        }
    }
}

/// Where the lanes of 32 bytes end, from `at` on, that hold nothing but printable ASCII without `"` and `\`.
#[inline]
fn clean_lanes(text: &[u8], mut at: usize) -> usize {
    // No early exit inside a lane: that is what lets it become vector code.
    let unclean = |b: u8| (b.wrapping_sub(0x20) > 0x5e) | (b == b'"') | (b == b'\\');
    while let Some(lane) = text.get(at..at + 32)
        && lane.iter().fold(0, |bad, &b| bad | u8::from(unclean(b))) == 0
    {
        at += 32;
    }
    at
}

/// The first byte at or behind `from` that is not ASCII; the text's length when there is none.
#[inline]
pub fn non_ascii(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < text.len() {
        at = ascii_lanes(text, at);
        for _ in 0..4 {
            let found = word(text, at) & HIGH;
            if found != 0 {
                return (at + lowest(found)).min(text.len());
            }
            at += 8;
        }
    }
    text.len()
}

/// Where the lanes of 32 bytes end, from `at` on, that hold nothing but ASCII.
#[inline]
fn ascii_lanes(text: &[u8], mut at: usize) -> usize {
    while let Some(lane) = text.get(at..at + 32)
        && lane.iter().fold(0, |all, &b| all | b) < 0x80
    {
        at += 32;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for len in (0..20).chain([31, 32, 33, 40, 63, 64, 65, 100]) {
            let mut text = vec![b'a'; len];
            assert_eq!(string_stop::<true>(&text, 0), (len, true));
            assert_eq!(non_ascii(&text, 0), len);
            for at in 0..len {
                for b in (0..=255u8).step_by(if len < 12 { 1 } else { 7 }).chain(*b"\"\\\x1f\x20\x7e\x7f\x80\xff") {
                    text[at] = b;
                    let special = b == b'"' || b == b'\\' || b < 0x20;
                    let stop = if special { (at, true) } else { (len, b < 0x7f) };
                    assert_eq!(string_stop::<true>(&text, 0), stop, "{b:#x} at {at} of {len}");
                    assert_eq!(string_stop::<false>(&text, 0), stop, "{b:#x} at {at} of {len}");
                    assert_eq!(non_ascii(&text, 0), if b >= 0x80 { at } else { len });
                    assert_eq!(non_ascii(&text, at + 1), len);
                }
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn neighbours_do_not_disturb() {
        // Borrows and carries between the bytes of a word: every pair of awkward bytes.
        let awkward = [0, 1, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0x5d, 0x7e, 0x7f, 0x80, 0xa2, 0xdc, 0xff];
        for a in awkward {
            for b in awkward {
                for c in awkward {
                    let text = [b'x', a, b, c, b'y', a, c, b, b'z', c];
                    let special = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
                    let at = text.iter().position(special).unwrap_or(text.len());
                    assert_eq!(string_stop::<true>(&text, 0), (at, text[..at].iter().all(|b| *b < 0x7f)), "{text:x?}");
                }
            }
        }
    }
}
