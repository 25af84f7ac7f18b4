//! The fingerprint of a file: a hash of its first line, which tells it from a later one that has its inode.

use super::last::REACH;
use crate::util::murmur3::murmur3_x64_128;
use std::os::fd::AsFd;

/// The most bytes of a first line that are hashed.
pub const MOST: usize = 256;

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// A hash of the first line.
    pub line: u64,
    /// It will stay the same as the file grows: the first line end is there, or as much as is hashed.
    pub settled: bool,
    /// A hash of the first [`REACH`] bytes, once there are so many. It tells contents apart whose first lines are the same.
    pub head: Option<u64>,
}

impl Print {
    /// Of a file that begins with `head`. Of its first line at most `limit` bytes count, and never more than [`MOST`]:
    /// where lines may not be longer than that, the first record of a file never comes before its print is settled, but
    /// for a last line without a line end.
    pub fn of(head: &[u8], limit: usize) -> Self {
        let limit = limit.min(MOST);
        let first = head.get(..limit).unwrap_or(head);
        let line = memchr::memchr(b'\n', first).and_then(|at| first.get(..=at));
        Self {
            line: murmur3_x64_128(line.unwrap_or(first), 0).0,
            settled: line.is_some() || first.len() == limit,
            head: head.get(..REACH).map(|head| murmur3_x64_128(head, 0).0),
        }
    }

    /// The same of what follows each other.
    pub fn of_both(before: &[u8], text: &[u8], limit: usize) -> Self {
        if before.is_empty() {
            return Self::of(text, limit);
        }
        let (mut both, mut len) = ([0; REACH], 0);
        for (room, &byte) in both.iter_mut().zip(before.iter().chain(text)) {
            *room = byte;
            len += 1;
        }
        Self::of(both.get(..len).unwrap_or_default(), limit)
    }

    /// Of an open file.
    pub fn of_file(fd: impl AsFd, limit: usize) -> Self {
        let mut head = [0; REACH];
        let n = rustix::io::pread(fd, &mut head, 0).unwrap_or(0);
        Self::of(head.get(..n).unwrap_or_default(), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &[u8]) -> u64 {
        Print::of(text, MOST).line
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_settled_one_stays(text in prop::collection::vec(prop::sample::select(b"ab\n".as_slice()), 0..1200), limit in 1usize..400) {
            let whole = Print::of(&text, limit);
            for end in 0..=text.len() {
                let print = Print::of(&text[..end], limit);
                let (line, settled) = (print.line, print.settled);
                prop_assert!(!settled || (line, settled) == (whole.line, whole.settled), "{end}");
                prop_assert!(settled || !text[..end].contains(&b'\n') && end < limit.min(MOST));
                prop_assert!(print.head.is_some() == (end >= REACH) && (end < REACH || print.head == whole.head));
                prop_assert_eq!(Print::of_both(&text[..end.min(REACH)], &text[end.min(REACH)..], limit), whole);
            }
        }
    }

    #[test]
    fn first_lines_are_told_apart() {
        assert_eq!(of(b"one\ntwo\n"), of(b"one\nthree\n"));
        assert_ne!(of(b"one\n"), of(b"ons\n"));
        assert_ne!(of(b"one\n"), of(b"one"));
        let long = vec![b'x'; 300];
        assert_eq!(of(&long[..256]), of(&long));
    }
}
