//! Messages in a stream: RFC 6587, both ways, told apart by the first bytes of a connection.

use crate::event::{Batch, Span};

/// Memory of a connection's carry that is kept for the messages that follow, and not counted.
const SMALL: usize = 4096;
/// Digits of the largest count that is believed to be one.
const MAX_DIGITS: usize = 10;

crate::conf_enum! {
    /// How messages stand in a stream (RFC 6587).
    pub enum Format {
        /// As the first bytes of each connection say: a count and `<`, else lines.
        Auto = "auto",
        /// Each message ends with LF or NUL.
        Newline = "newline",
        /// Each message has its length before it.
        OctetCounting = "octet_counting",
    }
}

/// What a piece of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A message, or its first part.
    Message,
    /// What follows the first part of a message that was longer than the limit.
    Rest,
}

/// One connection's place in its stream. It holds the beginning of a message, at most a limit and a read of it.
#[derive(Debug)]
pub struct Frames {
    format: Format,
    carry: Vec<u8>,
    /// Bytes that are left of a counted message longer than the limit.
    left: u64,
    /// Within a line longer than the limit.
    cut: bool,
}

/// One step through the stream: the bytes `from..to` are a piece, unless empty; `used` are done with.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: usize,
    to: usize,
    used: usize,
    piece: Piece,
}

enum Header {
    Count { count: u64, len: usize },
    Unfinished,
    None,
}

impl Frames {
    /// At the beginning of a stream.
    pub fn new(format: Format) -> Self {
        Self { format, carry: Vec::new(), left: 0, cut: false }
    }

    /// What came of an unfinished message: to be put before the next bytes.
    pub fn carry(&self) -> &[u8] {
        &self.carry
    }

    /// Bytes of memory that an unfinished message takes.
    pub fn held(&self) -> usize {
        if self.carry.capacity() > SMALL { self.carry.capacity() } else { self.carry.len() }
    }

    /// For a long unfinished message: room for `n` more of its bytes, so that it is not moved with each read. Give the room that was not
    /// filled back with [`Self::filled`].
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        let len = self.carry.len();
        self.carry.resize(len + n, 0);
        self.carry.get_mut(len..).unwrap_or_default()
    }

    /// Keeps the first `n` bytes of the room of `room` bytes; whether the message may be complete, or over `max`, now.
    pub fn filled(&mut self, room: usize, n: usize, max: usize) -> bool {
        let before = self.carry.len().saturating_sub(room);
        self.carry.truncate(before + n);
        let new = self.carry.get(before..).unwrap_or_default();
        self.carry.len() > max || self.format != Format::Newline || memchr::memchr2(b'\n', 0, new).is_some()
    }

    /// Takes the arena's bytes from `from` on, which are the carry and what came behind it: `each` gets the messages, and the
    /// unfinished end is kept. With `end` nothing follows. A message longer than `max` comes in pieces. Answers how many pieces
    /// were not a message's whole.
    pub fn take(
        &mut self,
        batch: &mut Batch,
        from: usize,
        max: usize,
        end: bool,
        mut each: impl FnMut(&mut Batch, Span, Piece),
    ) -> usize {
        let all = Span::between(from, batch.arena().len());
        let total = all.len as usize;
        let (mut used, mut cut) = (0, 0);
        while let Some(step) = self.step(batch.arena().get(all.sub(used, total)), max.max(16), end) {
            let piece = all.sub(used + step.from, used + step.to);
            used += step.used;
            cut += usize::from(step.piece == Piece::Rest);
            if piece.len > 0 {
                each(batch, piece, step.piece);
            }
        }
        self.carry.clear();
        self.carry.extend_from_slice(batch.arena().get(all.sub(used, total)));
        // A long message's memory is not kept for the short ones that follow.
        if self.carry.is_empty() && self.carry.capacity() > SMALL {
            self.carry = Vec::new();
        }
        // Nothing refers to the unfinished end.
        if batch.arena().len() == from + total {
            batch.arena_mut().truncate(from + used);
        }
        cut
    }

    fn step(&mut self, text: &[u8], max: usize, end: bool) -> Option<Step> {
        if text.is_empty() {
            return None;
        }
        if self.left > 0 {
            let want = usize::try_from(self.left).map_or(max, |left| left.min(max));
            if text.len() < want && !end {
                return None;
            }
            let n = want.min(text.len());
            self.left -= n as u64;
            return Some(Step { from: 0, to: n, used: n, piece: Piece::Rest });
        }
        if self.format == Format::Auto {
            self.format = match header(text) {
                Header::Count { len, .. } if text.get(len) == Some(&b'<') => Format::OctetCounting,
                Header::Count { len, .. } if text.len() == len && !end => return None,
                Header::Unfinished if !end => return None,
                _ => Format::Newline,
            };
        }
        match self.format {
            Format::OctetCounting => self.counted(text, max, end),
            _ => self.line(text, max, end),
        }
    }

    fn counted(&mut self, text: &[u8], max: usize, end: bool) -> Option<Step> {
        // Some end counted messages with LF or NUL all the same, and do not count it.
        if !self.cut && matches!(text.first(), Some(b'\n' | b'\r' | b'\0' | b' ')) {
            return Some(Step { from: 0, to: 0, used: 1, piece: Piece::Message });
        }
        match header(text) {
            Header::Count { count, len } if !self.cut => {
                let body = text.len() - len;
                let take = usize::try_from(count).map_or(max, |n| n.min(max));
                if body < take && !end {
                    return None;
                }
                let n = take.min(body);
                self.left = count - n as u64;
                let to =
                    len + n - if self.left == 0 { trailing(text.get(len..len + n).unwrap_or_default()) } else { 0 };
                Some(Step { from: len, to, used: len + n, piece: Piece::Message })
            }
            Header::Unfinished if !end && !self.cut => None,
            // No count where one should be: the line is kept, and counts are looked for behind it.
            _ => self.line(text, max, end),
        }
    }

    fn line(&mut self, text: &[u8], max: usize, end: bool) -> Option<Step> {
        let found = memchr::memchr2(b'\n', 0, text.get(..max.saturating_add(1)).unwrap_or(text));
        let piece = if self.cut { Piece::Rest } else { Piece::Message };
        let (to, used) = match found {
            Some(at) => (at - trailing(text.get(..at).unwrap_or_default()), at + 1),
            None if text.len() <= max && !end => return None,
            None => (text.len().min(max), text.len().min(max)),
        };
        self.cut = found.is_none();
        Some(Step { from: 0, to, used, piece })
    }
}

/// Bytes at the end of a message that are no part of it: LF, CR, NUL.
pub fn trailing(message: &[u8]) -> usize {
    message.iter().rev().take_while(|b| matches!(b, b'\n' | b'\r' | b'\0')).count()
}

/// `MSG-LEN SP` (RFC 6587 section 3.4.1).
fn header(text: &[u8]) -> Header {
    if !matches!(text.first(), Some(b'1'..=b'9')) {
        return Header::None;
    }
    let mut count: u64 = 0;
    for (i, b) in text.iter().take(MAX_DIGITS + 1).enumerate() {
        match b {
            b'0'..=b'9' if i < MAX_DIGITS => count = count * 10 + u64::from(b - b'0'),
            b' ' => return Header::Count { count, len: i + 1 },
            _ => return Header::None,
        }
    }
    Header::Unfinished
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use proptest::prelude::*;

    /// Feeds the pieces as an input does; a message as it is, the rest of one in brackets.
    fn run(format: Format, max: usize, pieces: &[&[u8]]) -> Vec<String> {
        let mut frames = Frames::new(format);
        let mut batch = Batch::new(Tag::new("t"));
        let mut got = Vec::new();
        for (i, piece) in pieces.iter().chain([&b"".as_slice()]).enumerate() {
            let from = batch.arena().len();
            batch.arena_mut().push(frames.carry());
            batch.arena_mut().push(piece);
            frames.take(&mut batch, from, max, i == pieces.len(), |batch, span, piece| {
                let text = String::from_utf8_lossy(batch.arena().get(span)).into_owned();
                got.push(if piece == Piece::Rest { format!("[{text}]") } else { text });
            });
            assert!(frames.carry().len() <= max + piece.len() + MAX_DIGITS + 1);
        }
        assert!(frames.carry().is_empty(), "the end leaves nothing behind");
        got
    }

    fn check(text: &str, want: &[&str]) {
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(run(Format::Auto, 16, &[a, b]), want, "{text:?} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(run(Format::Auto, 16, &bytes), want, "{text:?} in bytes");
    }

    #[test]
    fn lines() {
        check("<1>a\n<2>b\0<3>c\r\n\n<4>d", &["<1>a", "<2>b", "<3>c", "<4>d"]);
        check("84027: a\n12 b\n", &["84027: a", "12 b"]);
        check("0123456789abcdefXYZ\nnext\n", &["0123456789abcdef", "[XYZ]", "next"]);
        check("0123456789abcdef\nnext\n", &["0123456789abcdef", "next"]);
    }

    #[test]
    fn counts() {
        check("4 <1>a6 <2>b\nc", &["<1>a", "<2>b\nc"]);
        check("5 <1>a\n4 <2>b\n4 <3>c", &["<1>a", "<2>b", "<3>c"]);
        check("10 <1>short", &["<1>short"]);
        check("19 <1>3456789abcdefXYZ4 <2>b", &["<1>3456789abcdef", "[XYZ]", "<2>b"]);
        check("4 <1>ahello\n4 <2>b", &["<1>a", "hello", "<2>b"]);
    }

    #[test]
    fn huge_counts_hold_nothing() {
        check("9999999999 <1>ab", &["<1>ab"]);
        check("99999999999 <1>a\nb\n", &["99999999999 <1>a", "b"]);
    }

    #[test]
    fn formats_can_be_told() {
        assert_eq!(run(Format::Newline, 16, &[b"4 <1>a\n"]), ["4 <1>a"]);
        assert_eq!(run(Format::OctetCounting, 16, &[b"1 a2 bb"]), ["a", "bb"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(bytes in proptest::collection::vec(prop::sample::select(b"<1>a \n\0\r90".to_vec()), 0..60), cut: usize) {
            let cut = cut % (bytes.len() + 1);
            let (a, b) = bytes.split_at(cut);
            prop_assert_eq!(run(Format::Auto, 16, &[a, b]), run(Format::Auto, 16, &[&bytes]));
        }
    }
}
