//! Heads of answers (RFC 9112 §4, §6.3).

use super::AskError;
use crate::net::web::Framing;
use httparse::{EMPTY_HEADER, Response, Status};

/// The longest head, in bytes.
pub const MAX_HEAD: usize = 32 << 10;
/// The most fields of a head.
const MAX_FIELDS: usize = 100;

/// The status line and the fields of an answer, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `200`.
    pub status: u16,
    fields: Vec<(Box<str>, Box<[u8]>)>,
    /// How long the body is; `None` means until the connection ends.
    pub framing: Option<Framing>,
    /// Whether the connection may serve another request behind the body.
    pub keep_alive: bool,
}

impl Head {
    /// Reads a head from the start of `text`: it and its length, `None` when it is not whole yet.
    ///
    /// # Errors
    /// When it is longer than [`MAX_HEAD`], or what it says is malformed or ambiguous.
    pub fn parse(text: &[u8]) -> Result<Option<(Self, usize)>, AskError> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut response = Response::new(&mut fields);
        let len = match response.parse(text) {
            Ok(Status::Complete(len)) if len <= MAX_HEAD => len,
            Ok(Status::Partial) if text.len() < MAX_HEAD => return Ok(None),
            Ok(_) => return Err(AskError::Malformed("its head is longer than 32 KiB")),
            Err(httparse::Error::TooManyHeaders) => return Err(AskError::Malformed("it has more than 100 fields")),
            Err(_) => return Err(AskError::Malformed("its head cannot be read")),
        };
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(AskError::Malformed("its status line is incomplete"));
        };
        let fields = response.headers.iter().map(|h| (h.name.into(), h.value.into())).collect();
        let mut head = Self { status, fields, framing: None, keep_alive: minor >= 1 };
        let (framing, lives) = head.settled()?;
        (head.framing, head.keep_alive) = (framing, head.keep_alive && lives);
        Ok(Some((head, len)))
    }

    /// How long the body is, and whether the connection lives on behind it.
    fn settled(&self) -> Result<(Option<Framing>, bool), AskError> {
        let words = |name| self.all(name).flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        let closes = words("Connection").any(|w| w.eq_ignore_ascii_case(b"close"));
        let mut codings = words("Transfer-Encoding").filter(|w| !w.is_empty());
        let framing = match (codings.next(), codings.next()) {
            _ if self.status < 200 || self.status == 204 || self.status == 304 => Some(Framing::Length(0)),
            (None, _) => {
                let mut lengths = self.all("Content-Length").map(<[u8]>::trim_ascii);
                match (lengths.next(), lengths.next()) {
                    (None, _) => None,
                    (Some(n), None) if !n.is_empty() && n.len() < 19 && n.iter().all(u8::is_ascii_digit) => {
                        let n = std::str::from_utf8(n).ok().and_then(|n| n.parse().ok());
                        Some(Framing::Length(n.ok_or(AskError::Malformed("its length is no number"))?))
                    }
                    _ => return Err(AskError::Malformed("its length is no number")),
                }
            }
            (Some(one), None) if one.eq_ignore_ascii_case(b"chunked") => {
                if self.all("Content-Length").next().is_some() {
                    return Err(AskError::Malformed("it has a length and comes in chunks"));
                }
                Some(Framing::Chunked)
            }
            _ => return Err(AskError::Malformed("its transfer coding is not known")),
        };
        Ok((framing, !closes && framing.is_some()))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// A field's value as text, its name in any case; that of the first one when it is repeated.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Result<Head, AskError> {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(Head::parse(&text.as_bytes()[..text.len() - 1]), Ok(None), "{fields}");
        Head::parse(text.as_bytes()).map(|got| {
            let (head, len) = got.unwrap();
            assert_eq!(len, text.len());
            head
        })
    }

    #[test]
    fn what_a_head_says() {
        let h = head("Content-Length: 5\r\nX-A: b\r\n").unwrap();
        assert_eq!((h.status, h.framing, h.keep_alive), (200, Some(Framing::Length(5)), true));
        assert_eq!((h.text("x-a"), h.text("x-b")), (Some("b"), None));
        let h = head("transfer-encoding: Chunked\r\nConnection: x, Close\r\n").unwrap();
        assert_eq!((h.framing, h.keep_alive), (Some(Framing::Chunked), false));
        let h = head("").unwrap();
        assert_eq!((h.framing, h.keep_alive), (None, false));
        let (h, _) = Head::parse(b"HTTP/1.0 204 No\r\nContent-Length: 9\r\n\r\nx").unwrap().unwrap();
        assert_eq!((h.status, h.framing, h.keep_alive), (204, Some(Framing::Length(0)), false));
    }

    #[test]
    fn what_could_be_taken_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert!(Head::parse(text.as_bytes()).is_err(), "{fields:?}");
        }
        assert!(Head::parse(b"\x16\x03\x01\x00\x01").is_err());
        assert!(Head::parse(&[b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'x'; MAX_HEAD]].concat()).is_err());
        assert!(Head::parse(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101)).as_bytes()).is_err());
    }
}
