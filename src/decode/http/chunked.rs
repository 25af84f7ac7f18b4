//! Chunked bodies (RFC 9112 §7.1), byte by byte: nothing needs to be shown twice.

use memchr::memchr;

/// Longest chunk extension, in bytes: nobody uses them, attackers fill them.
const EXTENSION_MAX: u32 = 4096;
/// Longest trailer section, in bytes.
const TRAILER_MAX: u32 = super::head::HEAD_MAX as u32;

/// Where in the chunks the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a size, `digits` of them read.
    Size { value: u64, digits: u8 },
    /// Behind the digits, in extensions or before the line's end.
    Extension { size: u64, seen: u32 },
    /// In the data of a chunk.
    Data(u64),
    /// Before the line end that follows the data.
    DataEnd,
    /// In the trailers: bytes of this line, and of all.
    Trailer { line: u32, seen: u32 },
}

/// What some bytes of a chunked body were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// All of the bytes; no data among them.
    More,
    /// The last so many of the used bytes are data.
    Data(usize),
    /// The body's end stands behind the used bytes.
    End,
    /// Not chunks.
    Bad,
}

impl Chunked {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { value: 0, digits: 0 };

    /// Reads on in `buf`: how many bytes were used, and what they were.
    pub(super) fn read(&mut self, buf: &[u8]) -> (usize, Piece) {
        let mut at = 0;
        while let Some(&b) = buf.get(at) {
            match *self {
                Self::Size { value, digits } => {
                    at += 1;
                    match char::from(b).to_digit(16) {
                        // 16 digits hold 64 bits; leading zeros beyond are nobody's.
                        Some(d) if digits < 16 => {
                            *self = Self::Size { value: value << 4 | u64::from(d), digits: digits + 1 }
                        }
                        None if digits == 0 && (b == b' ' || b == b'\t') => {}
                        None if digits > 0 && matches!(b, b';' | b' ' | b'\t' | b'\r') => {
                            *self = Self::Extension { size: value, seen: 0 };
                        }
                        None if digits > 0 && b == b'\n' => *self = Self::sized(value),
                        _ => return (at, Piece::Bad),
                    }
                }
                Self::Extension { size, seen } => {
                    let rest = buf.get(at..).unwrap_or_default();
                    let (used, ended) = memchr(b'\n', rest).map_or((rest.len(), false), |n| (n + 1, true));
                    at += used;
                    let seen = seen.saturating_add(u32::try_from(used).unwrap_or(u32::MAX));
                    if seen > EXTENSION_MAX {
                        return (at, Piece::Bad);
                    }
                    *self = if ended { Self::sized(size) } else { Self::Extension { size, seen } };
                }
                Self::Data(left) => {
                    let rest = buf.len() - at;
                    let n = usize::try_from(left).map_or(rest, |left| left.min(rest));
                    self.skip(n as u64);
                    return (at + n, Piece::Data(n));
                }
                Self::DataEnd => {
                    at += 1;
                    match b {
                        b'\r' => {}
                        b'\n' => *self = Self::START,
                        _ => return (at, Piece::Bad),
                    }
                }
                Self::Trailer { line, seen } => {
                    at += 1;
                    let seen = seen.saturating_add(1);
                    match b {
                        b'\n' if line == 0 => return (at, Piece::End),
                        b'\n' => *self = Self::Trailer { line: 0, seen },
                        b'\r' => *self = Self::Trailer { line, seen },
                        _ => *self = Self::Trailer { line: line.saturating_add(1), seen },
                    }
                    if seen > TRAILER_MAX {
                        return (at, Piece::Bad);
                    }
                }
            }
        }
        (at, Piece::More)
    }

    /// Data bytes that follow at once.
    pub(super) fn data_left(&self) -> u64 {
        if let Self::Data(left) = self { *left } else { 0 }
    }

    /// Leaves `n` data bytes out; at most [`Chunked::data_left`].
    pub(super) fn skip(&mut self, n: u64) {
        if let Self::Data(left) = self {
            *self = match left.saturating_sub(n) {
                0 => Self::DataEnd,
                left => Self::Data(left),
            };
        }
    }

    fn sized(size: u64) -> Self {
        if size == 0 { Self::Trailer { line: 0, seen: 0 } } else { Self::Data(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, how many bytes were used, and whether the end was found, reading `step` bytes at a time.
    fn read(text: &[u8], step: usize) -> (Vec<u8>, usize, Piece) {
        let (mut state, mut data, mut at) = (Chunked::START, Vec::new(), 0);
        let mut piece = Piece::More;
        while at < text.len() {
            let end = (at + step).min(text.len());
            let (used, found) = state.read(&text[at..end]);
            if let Piece::Data(n) = found {
                data.extend_from_slice(&text[at + used - n..at + used]);
            }
            at += used;
            piece = found;
            if matches!(found, Piece::End | Piece::Bad) {
                break;
            }
        }
        (data, at, piece)
    }

    #[test]
    fn any_cut_gives_the_same() {
        let text = b"5;a=\"b\"\r\nhello\r\n 00001 \r\n,\r\n6\n world\nA\r\n0123456789\r\n0;x\r\nTrailer: v\r\nB: c\r\n\r\nnext";
        for step in 1..text.len() {
            assert_eq!(read(text, step), (b"hello, world0123456789".to_vec(), text.len() - 4, Piece::End), "{step}");
        }
    }

    #[test]
    fn what_is_no_chunk() {
        for bad in ["g\r\n", "\r\n", "-1\r\n", "0x5\r\n", "10000000000000000\r\n", "3\r\nabcd", "5:\r\n"] {
            let (_, _, piece) = read(bad.as_bytes(), 100);
            assert_eq!(piece, Piece::Bad, "{bad}");
        }
        let long = ["1;".to_owned(), "x".repeat(5000)].concat();
        assert_eq!(read(long.as_bytes(), 100).2, Piece::Bad);
        let trailers = ["0\r\n".to_owned(), "a: b\r\n".repeat(20_000)].concat();
        assert_eq!(read(trailers.as_bytes(), 1000).2, Piece::Bad);
    }

    #[test]
    fn the_largest_chunk() {
        let mut state = Chunked::START;
        assert_eq!(state.read(b"ffffffffffffffff\r\nab"), (20, Piece::Data(2)));
        assert_eq!(state.data_left(), u64::MAX - 2);
        state.skip(u64::MAX - 2);
        assert_eq!(state, Chunked::DataEnd);
    }
}
