//! Fast scans over bytes, written so that the compiler turns them into vector code.

/// Bytes looked at together: long enough for two 16-byte registers, short enough for short fields.
const LANE: usize = 32;

/// Whether every byte may stand in a JSON string as it is: printable ASCII (0x20 to 0x7e) but `"` and `\`.
pub fn is_clean(bytes: &[u8]) -> bool {
    let (lanes, rest) = bytes.as_chunks::<LANE>();
    lanes.iter().all(lane_is_clean) && !rest.iter().fold(false, |bad, &b| bad | is_unclean(b))
}

/// How many bytes at the start are clean in the sense of [`is_clean`].
pub fn clean_prefix(bytes: &[u8]) -> usize {
    let (lanes, _) = bytes.as_chunks::<LANE>();
    let sure = lanes.iter().take_while(|lane| lane_is_clean(lane)).count() * LANE;
    let rest = bytes.get(sure..).unwrap_or_default();
    sure + rest.iter().position(|&b| is_unclean(b)).unwrap_or(rest.len())
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

fn lane_is_clean(lane: &[u8; LANE]) -> bool {
    // No early exit inside a lane: that is what lets it become vector code.
    !lane.iter().fold(false, |bad, &b| bad | is_unclean(b))
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
