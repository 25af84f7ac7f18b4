//! Heads of requests (RFC 9112 §3, §5, §6), read strictly.

use super::{Framing, Refusal};
use httparse::{EMPTY_HEADER, Error, Request, Status};

/// The longest head, in bytes.
pub const MAX_HEAD: usize = 16 << 10;
/// The longest request line, in bytes.
const MAX_LINE: usize = 8 << 10;
/// The most fields of a head.
pub const MAX_FIELDS: usize = 100;
/// Empty lines that may stand before a request (RFC 9112 §2.2 asks to overlook at least one).
pub(super) const MAX_BLANK: usize = 4;

/// The request line and the fields of a request, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    text: Box<[u8]>,
    method: Part,
    target: Part,
    fields: Vec<(Part, Part)>,
    /// How long the body is.
    pub framing: Framing,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// A part of the head's text: 16 bits are enough for [`MAX_HEAD`].
type Part = (u16, u16);

impl Head {
    /// `POST`.
    pub fn method(&self) -> &str {
        self.part(self.method)
    }

    /// The path of the target as it was written, percent signs and all; it begins with `/`, or is `*`.
    pub fn path(&self) -> &str {
        let target = self.part(self.target);
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What stands behind the `?` of the target; empty when there is none.
    pub fn query(&self) -> &str {
        self.part(self.target).split_once('?').map_or("", |(_, query)| query)
    }

    /// A field's value, its name in any case; that of the first one when it is repeated.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// [`Self::field`] as text; `None` when it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.field(name)?).ok()
    }

    /// All fields in the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|&(name, value)| (self.part(name), self.bytes(value)))
    }

    fn bytes(&self, (from, to): Part) -> &[u8] {
        self.text.get(usize::from(from)..usize::from(to)).unwrap_or_default()
    }

    fn part(&self, part: Part) -> &str {
        std::str::from_utf8(self.bytes(part)).unwrap_or_default()
    }

    /// Reads a head that ends with its empty line, and nothing behind it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut request = Request::new(&mut fields);
        match request.parse(text) {
            Ok(Status::Complete(n)) if n == text.len() => {}
            Ok(_) => return Err(Refusal::new(400, "the request has no proper end")),
            Err(e) => return Err(malformed(e)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Refusal::new(400, "the request line is incomplete"));
        };
        let target = path_of(target, method)?;
        // All of these are parts of `text`, which is shorter than 64 KiB.
        let place = |part: &[u8]| {
            let from = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            (from as u16, (from + part.len()) as u16)
        };
        let facts = Facts::of(request.headers, minor)?;
        Ok(Self {
            method: place(method.as_bytes()),
            target: place(target.as_bytes()),
            fields: request.headers.iter().map(|f| (place(f.name.as_bytes()), place(f.value))).collect(),
            framing: facts.framing()?,
            keep_alive: facts.keep_alive,
            expects_continue: facts.expects_continue,
            text: text.into(),
        })
    }
}

fn malformed(e: Error) -> Refusal {
    match e {
        Error::TooManyHeaders => Refusal::new(431, "more than 100 header fields"),
        Error::Version => Refusal::new(505, "not HTTP/1.0 or HTTP/1.1"),
        Error::HeaderName => Refusal::new(400, "a header field's name is malformed, or a field is folded"),
        Error::HeaderValue => Refusal::new(400, "a header field's value holds a control character"),
        _ => Refusal::new(400, "the request line is malformed"),
    }
}

/// The path and query of a target (RFC 9112 §3.2): of an absolute one without scheme and host.
fn path_of<'a>(target: &'a str, method: &str) -> Result<&'a str, Refusal> {
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(target);
    }
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    match rest.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..))) {
        Some(path) => Ok(path),
        None => Err(Refusal::new(400, "the request's target is no path")),
    }
}

/// What the fields say about the message itself.
struct Facts<'a> {
    minor: u8,
    host: usize,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    keep_alive: bool,
    expects_continue: bool,
}

impl<'a> Facts<'a> {
    fn of(fields: &[httparse::Header<'a>], minor: u8) -> Result<Self, Refusal> {
        let mut facts =
            Self { minor, host: 0, length: None, coding: None, keep_alive: minor >= 1, expects_continue: false };
        for f in fields {
            let is = |name: &str| f.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                if facts.length.replace(f.value).is_some() {
                    return Err(Refusal::new(400, "Content-Length is repeated"));
                }
            } else if is("transfer-encoding") {
                if facts.coding.replace(f.value).is_some() {
                    return Err(Refusal::new(400, "Transfer-Encoding is repeated"));
                }
            } else if is("host") {
                facts.host += 1;
            } else if is("connection") {
                for word in f.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    if word.eq_ignore_ascii_case(b"close") {
                        facts.keep_alive = false;
                        break;
                    }
                    facts.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("expect") {
                if !f.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::new(417, "Expect is only known as 100-continue"));
                }
                facts.expects_continue = minor >= 1;
            }
        }
        if facts.host > 1 || (facts.host == 0 && minor >= 1) {
            return Err(Refusal::new(400, "HTTP/1.1 asks for one Host field"));
        }
        Ok(facts)
    }

    /// RFC 9112 §6.3, of which the parts that have been used for smuggling are refused.
    fn framing(&self) -> Result<Framing, Refusal> {
        match (self.length, self.coding) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(_), Some(_)) => Err(Refusal::new(400, "Content-Length and Transfer-Encoding in one request")),
            (None, Some(_)) if self.minor == 0 => Err(Refusal::new(400, "Transfer-Encoding in HTTP/1.0")),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (None, Some(_)) => Err(Refusal::new(501, "Transfer-Encoding is only served as chunked")),
            (Some(length), None) => number(length).map(Framing::Length),
        }
    }
}

/// A length: digits only, no sign, no blanks, no list.
fn number(text: &[u8]) -> Result<u64, Refusal> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::new(400, "Content-Length is not a number"));
    }
    Ok(text.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}

/// Looks for the end of a head that arrives in pieces; each byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    line: usize,
}

impl Scan {
    /// The length of the head at the start of `text`, which grew since the last call; `None` when it goes on.
    pub(super) fn end(&mut self, text: &[u8]) -> Result<Option<usize>, Refusal> {
        if text.first().is_some_and(|b| !b.is_ascii_alphabetic()) {
            return Err(Refusal::new(400, "this is no HTTP request (TLS needs: tls on)"));
        }
        while let Some(n) = memchr::memchr(b'\n', text.get(self.at..).unwrap_or_default()) {
            let end = self.at + n + 1;
            match text.get(self.line..end) {
                Some(b"\r\n") => return if end > MAX_HEAD { Err(LONG) } else { Ok(Some(end)) },
                Some([.., b'\r', b'\n']) => {}
                _ => return Err(Refusal::new(400, "a line ends without a carriage return")),
            }
            if self.line == 0 && end > MAX_LINE {
                return Err(LONG_LINE);
            }
            (self.at, self.line) = (end, end);
        }
        self.at = text.len();
        match text.len() {
            n if self.line == 0 && n > MAX_LINE => Err(LONG_LINE),
            n if n > MAX_HEAD => Err(LONG),
            _ => Ok(None),
        }
    }
}

const LONG: Refusal = Refusal::new(431, "the header fields are longer than 16 KiB");
const LONG_LINE: Refusal = Refusal::new(414, "the request line is longer than 8 KiB");

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, Refusal> {
        let end = Scan::default().end(text.as_bytes())?;
        assert_eq!(end, Some(text.len()), "{text:?}");
        Head::parse(text.as_bytes())
    }

    fn refused(text: &str) -> u16 {
        head(text).expect_err(text).status
    }

    #[test]
    fn what_a_head_says() {
        let h = head("POST /a%20b/c?x=1&y HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nX-A:  b c \r\n\r\n").unwrap();
        assert_eq!((h.method(), h.path(), h.query()), ("POST", "/a%20b/c", "x=1&y"));
        assert_eq!((h.framing, h.keep_alive, h.expects_continue), (Framing::Length(12), true, false));
        assert_eq!((h.text("x-a"), h.field("host"), h.field("none")), (Some("b c"), Some(&b"h"[..]), None));
        assert_eq!(h.fields().count(), 3);
        let h = head("GET http://h:1/p HTTP/1.1\r\nhost: h\r\nConnection: x, Close\r\n\r\n").unwrap();
        assert_eq!((h.path(), h.query(), h.framing, h.keep_alive), ("/p", "", Framing::Length(0), false));
        let h = head("PUT / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert!(h.keep_alive);
        assert!(!head("PUT / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        let h = head("P / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n").unwrap();
        assert_eq!((h.framing, h.expects_continue), (Framing::Chunked, true));
        assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().path(), "*");
    }

    #[test]
    fn what_could_be_taken_in_two_ways_is_refused() {
        let with = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 1 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 1\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "A: b\r\n c\r\n",
            " A: b\r\n",
            "A\r\n",
            "A: b\rc\r\n",
            "A: \0\r\n",
            ": b\r\n",
            "Host: i\r\n",
        ] {
            assert_eq!(with(fields), 400, "{fields:?}");
        }
        for fields in ["Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n"] {
            assert_eq!(with(fields), 501, "{fields:?}");
        }
        assert_eq!(with("Expect: more\r\n"), 417);
        assert_eq!(with(&"A: b\r\n".repeat(100)), 431);
        assert_eq!(with(&format!("A: {}\r\n", "b".repeat(MAX_HEAD))), 431);
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\n", 505),
            ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
        ] {
            assert_eq!(refused(text), status, "{text:?}");
        }
    }

    #[test]
    fn the_end_is_found_in_pieces_and_limits_hold() {
        let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nrest";
        let mut scan = Scan::default();
        let found: Vec<_> = (1..=text.len()).filter_map(|n| scan.end(&text[..n]).unwrap()).collect();
        assert_eq!(found[0], text.len() - 4);
        let end = |text: &[u8]| Scan::default().end(text).map_err(|e| e.status);
        assert_eq!(end(b"GET / HTTP/1.1\nHost: h\n\n"), Err(400));
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: h\n\r\n"), Err(400));
        assert_eq!(end(b"\x16\x03\x01"), Err(400));
        assert_eq!(end(&[b'G'; MAX_LINE]), Ok(None));
        assert_eq!(end(&[b'G'; MAX_LINE + 1]), Err(414));
        assert_eq!(end(&[b"G\r\n".as_slice(), &[b'x'; MAX_HEAD]].concat()), Err(431));
        assert_eq!(end(b""), Ok(None));
    }
}
