//! Where a message ends: the stream is walked value by value, each byte once, however small the pieces are that it comes in.

use crate::fmt::msgpack_read::{Head, head};
use std::fmt;

/// Why a stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A message longer than the limit, or one that declares to be.
    TooLong,
    /// A byte that begins no value of msgpack.
    Broken,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a message longer than the limit",
            Self::Broken => "a byte that is no msgpack",
        })
    }
}

/// How far the message at the front of a stream is known.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Bytes that are walked or jumped over; may lie beyond what has come so far.
    at: usize,
    /// Values that still follow.
    left: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Frame {
    /// The length of the message that `bytes` begin with, once it is whole; the next call is then about the next one. Until
    /// then `bytes` may only grow.
    ///
    /// # Errors
    /// When it is, or declares to be, longer than `max` bytes, or is no msgpack.
    pub fn next(&mut self, bytes: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
        while self.left > 0 && self.at < bytes.len() {
            let Some((head, next)) = head(bytes, self.at).map_err(|_| FrameError::Broken)? else { break };
            self.at = next;
            self.left -= 1;
            match head {
                Head::Str(n) | Head::Bin(n) | Head::Ext(_, n) => self.at = self.at.saturating_add(n),
                Head::Array(n) => self.left = self.left.saturating_add(n),
                Head::Map(n) => self.left = self.left.saturating_add(n.saturating_mul(2)),
                _ => {}
            }
            // No value is shorter than a byte.
            if self.at.saturating_add(self.left) > max {
                return Err(FrameError::TooLong);
            }
        }
        if self.left > 0 || self.at > bytes.len() {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).at))
    }

    /// Bytes that the message has at least.
    pub fn least(&self) -> usize {
        self.at.saturating_add(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::msgpack_read::skip;
    use proptest::prelude::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let one: &[u8] = b"\x93\xa1t\x05\x81\xa1a\xdb\x00\x00\x00\x03xyz";
        let all = [one, one, b"\xc0"].concat();
        for step in 1..all.len() {
            let (mut frame, mut begin, mut ends) = (Frame::default(), 0, Vec::new());
            for end in (0..=all.len()).step_by(step).chain([all.len()]) {
                while let Some(n) = frame.next(&all[begin..end], 100).unwrap() {
                    begin += n;
                    ends.push(begin);
                }
            }
            assert_eq!(ends, [one.len(), 2 * one.len(), all.len()], "{step}");
        }
    }

    #[test]
    fn what_declares_too_much_is_refused_at_once() {
        for bytes in [
            &b"\x93\xa1t\xdd\xff\xff\xff\xff"[..],
            b"\x93\xa1t\xc6\x7f\xff\xff\xff",
            b"\x93\xa1t\xdf\xff\xff\xff\xff",
            b"\xdb\x00\x00\x04\x00",
            b"\xc9\xff\xff\xff\xff\x00",
        ] {
            assert_eq!(Frame::default().next(bytes, 1000), Err(FrameError::TooLong), "{bytes:x?}");
        }
        assert_eq!(Frame::default().next(b"\x92\xc1", 1000), Err(FrameError::Broken));
        assert_eq!(Frame::default().next(b"\xdb\x00\x00\x03\xe3", 1000), Ok(None), "1000 bytes in all");
    }

    proptest! {
        #[test]
        fn it_agrees_with_skip(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200usize) {
            let mut frame = Frame::default();
            let first = frame.next(&bytes[..cut.min(bytes.len())], 1 << 40);
            let got = match first {
                Ok(None) => frame.next(&bytes, 1 << 40),
                other => other,
            };
            match skip(&bytes, 0) {
                Ok(expected) if got != Err(FrameError::TooLong) => prop_assert_eq!(got, Ok(expected)),
                Ok(expected) => prop_assert_eq!(expected, None),
                Err(_) => prop_assert!(got.is_err()),
            }
        }
    }
}
