//! The bytes of a connection as requests, without a socket.

use super::head::{MAX_BLANK, MAX_HEAD, Scan};
use super::{Body, Head, Refusal};
use crate::event::Arena;

/// Bytes of room for what is read next: for heads, and for the chunks of a body.
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

/// What came from a connection and is not used yet: one buffer, in which requests may follow each other (pipelining).
#[derive(Debug, Default)]
pub struct Inlet {
    buf: Vec<u8>,
    from: usize,
    to: usize,
    scan: Scan,
    blank: usize,
}

impl Inlet {
    /// Room to read into; [`Self::filled`] then takes what was read. It is never empty.
    pub fn room(&mut self, in_body: bool) -> &mut [u8] {
        if self.from > 0 {
            self.buf.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        let want = match in_body {
            true => LARGE,
            // A head that is not complete at this length is refused before more is read.
            false => (self.to + SMALL).min(MAX_HEAD + SMALL),
        };
        if self.buf.len() < want.max(self.to + 1) {
            self.buf.resize(want.max(self.to + SMALL), 0);
        }
        self.buf.get_mut(self.to..).unwrap_or_default()
    }

    /// Takes `n` bytes that were read into [`Self::room`].
    pub fn filled(&mut self, n: usize) {
        self.to = (self.to + n).min(self.buf.len());
    }

    /// Whether everything was used.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Gives back what only a body needed.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.buf.len() > MAX_HEAD {
            self.buf = Vec::new();
            (self.from, self.to) = (0, 0);
        }
    }

    /// The next request's head; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When this is no request, or one that is not served: nothing on the connection can be trusted after it.
    pub fn head(&mut self) -> Result<Option<Head>, Refusal> {
        while self.rest().starts_with(b"\r\n") {
            self.from += 2;
            self.blank += 1;
            if self.blank > MAX_BLANK {
                return Err(Refusal::new(400, "too many empty lines before the request"));
            }
        }
        if self.rest() == b"\r" {
            return Ok(None);
        }
        let text = self.buf.get(self.from..self.to).unwrap_or_default();
        let Some(end) = self.scan.end(text)? else { return Ok(None) };
        let head = Head::parse(text.get(..end).unwrap_or_default())?;
        self.from += end;
        (self.scan, self.blank) = (Scan::default(), 0);
        Ok(Some(head))
    }

    /// Moves what is there of a body to `out`; whether the body is complete.
    ///
    /// # Errors
    /// Those of [`Body::take`].
    pub fn body(&mut self, body: &mut Body, out: &mut Arena, limit: usize) -> Result<bool, Refusal> {
        let input = self.buf.get(self.from..self.to).unwrap_or_default();
        self.from += body.take(input, out, limit)?;
        Ok(body.is_done())
    }

    fn rest(&self) -> &[u8] {
        self.buf.get(self.from..self.to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All requests in pieces of a stream, as text, and the status of what was refused.
    fn requests<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Vec<String>, Option<u16>) {
        let mut inlet = Inlet::default();
        let (mut open, mut out, mut found) = (None::<(Head, Body)>, Arena::default(), Vec::new());
        for piece in pieces {
            let mut rest = piece;
            while !rest.is_empty() {
                let room = inlet.room(open.is_some());
                let n = room.len().min(rest.len());
                room[..n].copy_from_slice(&rest[..n]);
                inlet.filled(n);
                rest = &rest[n..];
                loop {
                    if open.is_none() {
                        match inlet.head() {
                            Ok(Some(head)) => {
                                let body = Body::new(head.framing);
                                open = Some((head, body));
                            }
                            Ok(None) => break,
                            Err(e) => return (found, Some(e.status)),
                        }
                    }
                    let Some((head, mut body)) = open.take() else { break };
                    match inlet.body(&mut body, &mut out, limit) {
                        Ok(true) => {
                            let text = String::from_utf8_lossy(out.as_slice()).into_owned();
                            found.push(format!("{} {} {text}", head.method(), head.path()));
                            out.truncate(0);
                        }
                        Ok(false) => {
                            open = Some((head, body));
                            break;
                        }
                        Err(e) => return (found, Some(e.status)),
                    }
                }
            }
        }
        (found, None)
    }

    const STREAM: &str = "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: h\r\n\r\n\
                          PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\nT: u\r\n\r\n\
                          \r\n\r\nGET /d HTTP/1.0\r\n\r\n";

    #[test]
    fn pipelined_requests() {
        let want = vec!["POST /a hello".to_owned(), "GET /b ".into(), "PUT /c hi!".into(), "GET /d ".into()];
        assert_eq!(requests([STREAM.as_bytes()].into_iter(), 9), (want.clone(), None));
        assert_eq!(requests(STREAM.as_bytes().chunks(1), 9), (want, None));
        assert_eq!(requests([STREAM.as_bytes()].into_iter(), 4).1, Some(413));
    }

    #[test]
    fn memory_is_bounded() {
        let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
        assert_eq!(requests(endless.chunks(1000), 9), (vec![], Some(431)));
        assert_eq!(requests(b"\r\n".repeat(9).chunks(3), 9), (vec![], Some(400)));
        let mut inlet = Inlet::default();
        for n in 0..1000 {
            let room = inlet.room(n % 2 == 0);
            assert!(!room.is_empty() && room.len() <= LARGE + MAX_HEAD);
        }
        inlet.shrink();
        assert_eq!(inlet.buf.capacity(), 0);
    }

    proptest! {
        /// However a stream is cut, the same requests are in it.
        #[test]
        fn any_segmentation(cuts in prop::collection::vec(1usize..40, 0..40), changes in prop::collection::vec((0usize..300, any::<u8>()), 0..3)) {
            let mut stream = STREAM.as_bytes().to_vec();
            for (at, b) in changes {
                if let Some(place) = stream.get_mut(at) {
                    *place = b;
                }
            }
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for n in cuts {
                let (piece, more) = rest.split_at(n.min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            pieces.push(rest);
            prop_assert_eq!(requests(pieces.into_iter(), 9), requests(std::iter::once(&stream[..]), 9));
        }
    }
}
