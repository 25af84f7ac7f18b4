//! The fingerprint of a file: a hash of its first line, which tells it from a later one that has its inode.

use crate::util::murmur3::murmur3_x64_128;

/// The most bytes that are hashed.
pub const MOST: usize = 256;

/// The fingerprint of a file that begins with `head`, and whether it will stay the same as the file grows: the first line
/// end or `limit` bytes are there. `limit` is at most [`MOST`], and less where lines may not be that long: the first
/// record of a file never comes before its fingerprint is settled, but for a last line without a line end.
pub fn of(head: &[u8], limit: usize) -> (u64, bool) {
    let limit = limit.min(MOST);
    let head = head.get(..limit).unwrap_or(head);
    let line = memchr::memchr(b'\n', head).and_then(|at| head.get(..=at));
    let (text, settled) = (line.unwrap_or(head), line.is_some() || head.len() == limit);
    (murmur3_x64_128(text, 0).0, settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_settled_one_stays(text in prop::collection::vec(prop::sample::select(b"ab\n".as_slice()), 0..600), limit in 1usize..400) {
            let whole = of(&text, limit);
            for end in 0..=text.len() {
                let (print, settled) = of(&text[..end], limit);
                prop_assert!(!settled || (print, settled) == whole, "{end}");
                prop_assert!(settled || !text[..end].contains(&b'\n') && end < limit.min(MOST));
            }
        }
    }

    #[test]
    fn first_lines_are_told_apart() {
        assert_eq!(of(b"one\ntwo\n", MOST), of(b"one\nthree\n", MOST));
        assert_ne!(of(b"one\n", MOST), of(b"ons\n", MOST));
        assert_ne!(of(b"one\n", MOST), of(b"one", MOST));
        let long = vec![b'x'; 300];
        assert_eq!(of(&long[..256], MOST), of(&long, MOST));
    }
}
