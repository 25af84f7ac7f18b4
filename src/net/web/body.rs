//! Bodies of requests: by length, or in chunks (RFC 9112 §7.1).

use super::Refusal;
use crate::event::Arena;

/// Bytes of chunk extensions and trailers that a body may have; all of them are overlooked.
const MAX_EXTRA: usize = 8 << 10;
/// Digits of a chunk's size.
const MAX_DIGITS: u8 = 8;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It says at each chunk how long that is.
    Chunked,
}

/// Takes a body out of the bytes of a connection.
#[derive(Debug)]
pub struct Body {
    state: State,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of a body with a length are missing.
    Length(u64),
    /// In the digits of a chunk's size: how many there were, and their value.
    Size(u8, u64),
    /// In an extension behind a size.
    Extension(u64),
    /// Before the line feed behind a size.
    SizeEnd(u64),
    /// So many bytes of a chunk are missing.
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer, or of the empty line at the end.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

impl Body {
    /// A body of which nothing was read.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Size(0, 0),
        };
        Self { state, extra: 0 }
    }

    /// Whether it was read to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The bytes that are missing of a body with a length.
    pub fn missing(&self) -> Option<u64> {
        match self.state {
            State::Length(n) => Some(n),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// `n` bytes of a body with a length were read past this.
    pub fn skip(&mut self, n: usize) {
        if let State::Length(left) = self.state {
            self.state = length(left.saturating_sub(n as u64));
        }
    }

    /// Takes what belongs to the body from the start of `input` and appends it to `out`, which is to hold at most `limit`
    /// bytes. Returns how many bytes of `input` it used: all of them, unless the body ended.
    ///
    /// # Errors
    /// 413 as soon as it is known that the body is too long, 400 when the chunks are malformed.
    pub fn take(&mut self, input: &[u8], out: &mut Arena, limit: usize) -> Result<usize, Refusal> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match self.state {
                State::Done => break,
                State::Length(left) => {
                    fits(left, out, limit)?;
                    let n = copy(input, used, left, out);
                    used += n;
                    self.state = length(left - n as u64);
                }
                State::Data(left) => {
                    let n = copy(input, used, left, out);
                    used += n;
                    let left = left - n as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                }
                _ => {
                    self.state = self.step(byte)?;
                    used += 1;
                    if let State::Data(size) = self.state {
                        fits(size, out, limit)?;
                    }
                }
            }
        }
        Ok(used)
    }

    /// One byte of what stands between the chunks.
    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        const MALFORMED: Refusal = Refusal::new(400, "the chunks of the body are malformed");
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Ok(match (self.state, byte, digit) {
            (State::Size(n, size), _, Some(digit)) if n < MAX_DIGITS => State::Size(n + 1, size << 4 | digit),
            (State::Size(1.., size), b';', _) => State::Extension(size),
            (State::Size(1.., size) | State::Extension(size), b'\r', _) => State::SizeEnd(size),
            (State::SizeEnd(0), b'\n', _) => State::Line,
            (State::SizeEnd(size), b'\n', _) => State::Data(size),
            (State::DataCr, b'\r', _) => State::DataLf,
            (State::DataLf, b'\n', _) => State::Size(0, 0),
            (State::Line, b'\r', _) => State::LastLf,
            (State::LastLf, b'\n', _) => State::Done,
            (State::Trailer, b'\r', _) => State::TrailerLf,
            (State::TrailerLf, b'\n', _) => State::Line,
            (State::Extension(_) | State::Line | State::Trailer, b'\t' | b' '..=b'~' | 0x80.., _) => {
                self.extra += 1;
                if self.extra > MAX_EXTRA {
                    return Err(Refusal::new(400, "more than 8 KiB of chunk extensions and trailers"));
                }
                if let State::Extension(size) = self.state { State::Extension(size) } else { State::Trailer }
            }
            _ => return Err(MALFORMED),
        })
    }
}

/// Where a body with so many missing bytes stands.
fn length(left: u64) -> State {
    if left == 0 { State::Done } else { State::Length(left) }
}

fn fits(more: u64, out: &Arena, limit: usize) -> Result<(), Refusal> {
    if more > limit.saturating_sub(out.len()) as u64 {
        return Err(Refusal::new(413, "the body is longer than the limit"));
    }
    Ok(())
}

/// Appends up to `left` bytes of `input` from `at` on; returns how many.
fn copy(input: &[u8], at: usize, left: u64, out: &mut Arena) -> usize {
    let rest = input.get(at..).unwrap_or_default();
    let part = rest.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(rest);
    out.push(part);
    part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body holds, how many bytes it took, and whether that was all of it.
    fn read(framing: Framing, input: &[u8], limit: usize) -> Result<(Vec<u8>, usize, bool), u16> {
        let (mut body, mut out) = (Body::new(framing), Arena::default());
        let used = body.take(input, &mut out, limit).map_err(|e| e.status)?;
        Ok((out.as_slice().to_vec(), used, body.is_done()))
    }

    #[test]
    fn lengths() {
        assert_eq!(read(Framing::Length(3), b"abcd", 3), Ok((b"abc".to_vec(), 3, true)));
        assert_eq!(read(Framing::Length(3), b"ab", 3), Ok((b"ab".to_vec(), 2, false)));
        assert_eq!(read(Framing::Length(0), b"ab", 3), Ok((b"".to_vec(), 0, true)));
        assert_eq!(read(Framing::Length(4), b"a", 3), Err(413));
        assert_eq!(read(Framing::Length(u64::MAX), b"a", 3), Err(413));
    }

    #[test]
    fn chunks() {
        let all = b"3\r\nabc\r\n00A;x=\"y\";z\r\n0123456789\r\n0\r\nT: x\r\nU: y\r\n\r\nGET";
        let want = b"abc0123456789".to_vec();
        assert_eq!(read(Framing::Chunked, all, 13), Ok((want.clone(), all.len() - 3, true)));
        assert_eq!(read(Framing::Chunked, all, 12), Err(413));
        let (mut body, mut out) = (Body::new(Framing::Chunked), Arena::default());
        for b in all.chunks(1) {
            body.take(b, &mut out, 13).unwrap();
        }
        assert!(body.is_done());
        assert_eq!(out.as_slice(), want);
        assert_eq!(read(Framing::Chunked, b"0\r\n\r\n", 0), Ok((vec![], 5, true)));
    }

    #[test]
    fn malformed_chunks() {
        let long = [b"1;".as_slice(), &[b'x'; MAX_EXTRA + 1]].concat();
        let texts: [&[u8]; 17] = [
            b"\r\n",
            b";\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1\n",
            b"1\r\r",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\r\r",
            b"000000001",
            b"0\r\n\n",
            b"0\r\na\n",
            b"1;\0",
            &long,
        ];
        for text in texts {
            assert_eq!(read(Framing::Chunked, text, 100), Err(400), "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(read(Framing::Chunked, b"FFFFFFFF\r\n", 100), Err(413));
    }
}
