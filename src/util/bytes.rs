//! Fast scans over bytes, written so that the compiler turns them into vector code, and a comparison that is not fast.

/// Bytes looked at together: one vector register.
const LANE: usize = 16;

/// Compares secrets, in a time that does not tell how many bytes are right.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |d, (a, b)| d | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differ) == 0
}

/// Whether every byte may stand in a JSON string as it is: printable ASCII (0x20 to 0x7e) but `"` and `\`.
#[inline]
pub fn is_clean(bytes: &[u8]) -> bool {
    // The last block may overlap the one before it, so that no single bytes are left over.
    if let (Some(_), Some(last)) = (bytes.get(LANE..), bytes.last_chunk()) {
        return lanes_are_clean(bytes.as_chunks().0, last);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return unclean_marks(u64::from_le_bytes(*first)) | unclean_marks(u64::from_le_bytes(*last)) == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let both = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
        return unclean_marks(both) == 0;
    }
    !bytes.iter().any(|&b| is_unclean(b))
}

/// Least and greatest values are kept per place of the lane, and looked at once at the end: that becomes vector code.
fn lanes_are_clean(lanes: &[[u8; LANE]], last: &[u8; LANE]) -> bool {
    // A byte is unclean when its distance from `"` or `\` is 0, or when it is not within 0x20 to 0x7e.
    let mut least = [u8::MAX; LANE];
    let mut greatest = [0; LANE];
    for lane in lanes.iter().chain([last]) {
        for ((least, greatest), &b) in least.iter_mut().zip(&mut greatest).zip(lane) {
            *least = (*least).min(b ^ b'"').min(b ^ b'\\');
            *greatest = (*greatest).max(b.wrapping_sub(0x20));
        }
    }
    !least.contains(&0) && greatest.iter().fold(0, |all, &g| all.max(g)) <= 0x5e
}

/// How many bytes at the start are clean in the sense of [`is_clean`].
pub fn clean_prefix(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(word) = bytes.get(len..).and_then(<[u8]>::first_chunk) {
        let unclean = unclean_marks(u64::from_le_bytes(*word));
        if unclean != 0 {
            return len + unclean.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest.iter().position(|&b| is_unclean(b)).unwrap_or(rest.len())
}

/// Sets the high bit of every byte that is not clean. Bytes above such a one may be marked for no reason, so only the
/// lowest mark counts.
const fn unclean_marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    let high = word | word.wrapping_add(ONES);
    let zero = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
    (low | high | zero) & (ONES << 7)
}

/// How many bytes at the start are ASCII (below 0x80).
pub fn ascii_prefix(bytes: &[u8]) -> usize {
    let (lanes, _) = bytes.as_chunks::<LANE>();
    let sure = lanes.iter().take_while(|lane| lane.iter().fold(0, |acc, &b| acc | b) < 0x80).count() * LANE;
    let rest = bytes.get(sure..).unwrap_or_default();
    sure + rest.iter().position(|&b| b >= 0x80).unwrap_or(rest.len())
}

/// The number written by `digits`, when there is at least one, all are digits and the number fits.
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

const fn is_unclean(b: u8) -> bool {
    (b.wrapping_sub(0x20) > 0x5e) | (b == b'"') | (b == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_set_is_exact() {
        for b in 0..=255u8 {
            let clean = (0x20..=0x7e).contains(&b) && b != b'"' && b != b'\\';
            assert_eq!(is_clean(&[b]), clean, "{b:#x}");
        }
    }

    #[test]
    fn every_position_and_length() {
        for len in 0..100 {
            let mut text = vec![b'a'; len];
            assert!(is_clean(&text));
            assert_eq!(clean_prefix(&text), len);
            assert_eq!(ascii_prefix(&text), len);
            for at in 0..len {
                for bad in [b'"', b'\\', 0, 0x1f, 0x7f, 0x80, 0xff] {
                    text[at] = bad;
                    assert!(!is_clean(&text), "{len} {at} {bad:#x}");
                    assert_eq!(clean_prefix(&text), at);
                    assert_eq!(ascii_prefix(&text), if bad < 0x80 { len } else { at });
                }
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn numbers() {
        let table: &[(&str, Option<u64>)] = &[
            ("", None),
            ("0", Some(0)),
            ("0042", Some(42)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1a", None),
        ];
        for &(text, expected) in table {
            assert_eq!(parse_u64(text.as_bytes()), expected, "{text:?}");
        }
    }
}
