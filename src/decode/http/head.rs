//! The head of a message: its start line and header lines (RFC 9112 §2 to §5), read leniently.

use memchr::{memchr, memchr_iter, memrchr};
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::combinator::opt;

/// Longest head, in bytes: pieces of it are told by 16-bit lengths, and servers refuse less than that.
pub(super) const HEAD_MAX: usize = u16::MAX as usize;
/// Header lines of one message that may come into a document; servers take 100 or so.
pub(super) const HEADERS_MAX: usize = 256;
/// Longest method; the longest registered one has 17 bytes.
const METHOD_MAX: usize = 32;

/// `HTTP/major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Version(pub(super) u8, pub(super) u8);

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// RFC 9112 §3.
    Request { method: &'a [u8], target: &'a [u8], version: Version },
    /// RFC 9112 §4; the phrase may be empty.
    Response { status: u16, phrase: &'a [u8], version: Version },
}

/// What the first bytes of a message can still become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    Request,
    Response,
    /// Too short to tell.
    Short,
    Neither,
}

/// One header line, a folded one (RFC 9112 §5.2) with its line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// Where the value begins in the head.
    pub(super) at: usize,
}

/// Whether `b` may stand in a token (RFC 9110 §5.6.2).
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// Methods that are known, for telling a request by its first word: RFC 9110 §9.3, WebDAV, UPnP, RPC over HTTP.
pub(super) fn is_known_method(word: &[u8]) -> bool {
    const KNOWN: [&[u8]; 45] = [
        b"GET",
        b"POST",
        b"HEAD",
        b"PUT",
        b"DELETE",
        b"OPTIONS",
        b"PATCH",
        b"CONNECT",
        b"TRACE",
        b"PROPFIND",
        b"PROPPATCH",
        b"MKCOL",
        b"COPY",
        b"MOVE",
        b"LOCK",
        b"UNLOCK",
        b"REPORT",
        b"SEARCH",
        b"MERGE",
        b"MKACTIVITY",
        b"MKCALENDAR",
        b"CHECKOUT",
        b"CHECKIN",
        b"UNCHECKOUT",
        b"VERSION-CONTROL",
        b"BASELINE-CONTROL",
        b"MKWORKSPACE",
        b"UPDATE",
        b"LABEL",
        b"ACL",
        b"BIND",
        b"UNBIND",
        b"REBIND",
        b"LINK",
        b"UNLINK",
        b"ORDERPATCH",
        b"PURGE",
        b"NOTIFY",
        b"SUBSCRIBE",
        b"UNSUBSCRIBE",
        b"M-SEARCH",
        b"RPC_IN_DATA",
        b"RPC_OUT_DATA",
        b"CCM_POST",
        b"BITS_POST",
    ];
    KNOWN.contains(&word)
}

/// What a message that begins with `buf` can be; one look at its first bytes.
pub(super) fn looks(buf: &[u8]) -> Looks {
    const STATUS: &[u8] = b"HTTP/#.# ###";
    let like = |(b, s): (&u8, &u8)| if *s == b'#' { b.is_ascii_digit() } else { b == s };
    if buf.iter().zip(STATUS).all(like) {
        return if buf.len() >= STATUS.len() { Looks::Response } else { Looks::Short };
    }
    match buf.iter().take(METHOD_MAX + 1).position(|b| !is_token(*b)) {
        Some(0) => Looks::Neither,
        Some(at) => match buf.get(at..) {
            // The target begins with something that can be seen.
            Some([b' ' | b'\t', next, ..]) if *next > b' ' => Looks::Request,
            Some([b' ' | b'\t', b' ' | b'\t', ..]) => Looks::Request,
            Some([b' ' | b'\t']) => Looks::Short,
            _ if buf.starts_with(b"HTTP/") && odd_status(buf) => Looks::Response,
            _ => Looks::Neither,
        },
        None if buf.len() > METHOD_MAX => Looks::Neither,
        None => Looks::Short,
    }
}

/// A status line that is not written as it should be, but cannot be anything else: `HTTP/1. 200`.
fn odd_status(buf: &[u8]) -> bool {
    let line = buf.get(..memchr(b'\n', buf).unwrap_or(buf.len()).min(64)).unwrap_or_default();
    matches!(start(line), Some(Start::Response { .. })) || (line.len() < 12 && line.len() == buf.len())
}

/// Behind the empty line of the head that begins `buf`; or, when it is not there yet, from where to look next time.
/// Line ends may lack their CR (RFC 9112 §2.2).
pub(super) fn end(buf: &[u8], from: usize) -> Result<usize, usize> {
    for at in memchr_iter(b'\n', buf.get(from..).unwrap_or_default()) {
        let at = from + at;
        match buf.get(at + 1..).unwrap_or_default() {
            [b'\n', ..] => return Ok(at + 2),
            [b'\r', b'\n', ..] => return Ok(at + 3),
            [] | [b'\r'] => return Err(at),
            _ => {}
        }
    }
    Err(buf.len())
}

/// The line that begins `text` without its end, and what follows it; all of it when no line ends.
pub(super) fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr(b'\n', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Reads a start line, given without its line end. `None` when it is none.
pub(super) fn start(line: &[u8]) -> Option<Start<'_>> {
    if line.starts_with(b"HTTP/") { status_line(line).ok().map(|(_, s)| s) } else { request_line(line) }
}

/// The start line of a head of which only `text` was captured: a status line with its status, a request line with its whole
/// target. A version that is not there is 0.0, and a phrase may be missing.
pub(super) fn cut_start(text: &[u8]) -> Option<Start<'_>> {
    if text.contains(&b'\n') {
        return start(line(text).0);
    }
    if let Some(status @ Start::Response { .. }) = text.get(..13).filter(|t| t.ends_with(b" ")).and_then(start) {
        return Some(status);
    }
    let mut words = text.split(|b| is_blank(*b));
    let (method, target) = (words.next()?, words.next()?);
    // Something must follow the target, or it may be longer.
    words.next().filter(|_| is_known_method(method) && !target.is_empty())?;
    Some(Start::Request { method, target, version: Version(0, 0) })
}

/// `HTTP/1.1 200 OK`. More than three digits (a fourth is dropped), a missing phrase and a missing minor version are taken.
fn status_line(line: &[u8]) -> IResult<&[u8], Start<'_>> {
    let (rest, version) = version(line)?;
    let (rest, _) = take_while1(is_blank).parse(rest)?;
    let (rest, digits) = take_while_m_n(3, 3, |b: u8| b.is_ascii_digit()).parse(rest)?;
    let status = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    let (rest, _) = take_while(|b: u8| b.is_ascii_digit()).parse(rest)?;
    Ok((&[], Start::Response { status, phrase: rest.trim_ascii(), version }))
}

/// `HTTP/1.1`; the digit behind the dot may be missing.
fn version(text: &[u8]) -> IResult<&[u8], Version> {
    // Nearly every message has this form.
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', rest @ ..] = text {
        return Ok((rest, Version(1, minor - b'0')));
    }
    let digit = |i| take_while_m_n(1, 1, |b: u8| b.is_ascii_digit()).parse(i);
    let (rest, _) = tag(&b"HTTP/"[..]).parse(text)?;
    let (rest, major): (&[u8], &[u8]) = digit(rest)?;
    let (rest, _) = opt(tag(&b"."[..])).parse(rest)?;
    let (rest, minor) = opt(digit).parse(rest)?;
    let number = |d: &[u8]| d.first().map_or(0, |d| d - b'0');
    Ok((rest, Version(number(major), number(minor.unwrap_or_default()))))
}

/// `GET /path HTTP/1.1`. Blanks inside the target are taken as its part (RFC 9112 §3 allows to split at the last one); a
/// line without a version is HTTP/0.9, if its method is a known one.
fn request_line(line: &[u8]) -> Option<Start<'_>> {
    let at = line.iter().take(METHOD_MAX + 1).position(|b| !is_token(*b))?;
    let (method, rest) = line.split_at_checked(at)?;
    if method.is_empty() || !rest.first().copied().is_some_and(is_blank) {
        return None;
    }
    let rest = rest.trim_ascii();
    let last = memrchr(b' ', rest).or_else(|| memrchr(b'\t', rest));
    let (target, word) = match last {
        Some(at) => (rest.get(..at)?.trim_ascii(), rest.get(at + 1..)?),
        None => (rest, &[][..]),
    };
    match version(word) {
        Ok(([], version)) if !target.is_empty() => Some(Start::Request { method, target, version }),
        _ if is_known_method(method) && !rest.is_empty() && !rest.starts_with(b"HTTP/") && is_simple(rest) => {
            Some(Start::Request { method, target: rest, version: Version(0, 9) })
        }
        _ => None,
    }
}

/// Whether an HTTP/0.9 target is one: a path, without blanks.
fn is_simple(target: &[u8]) -> bool {
    target.starts_with(b"/") && target.iter().all(u8::is_ascii_graphic)
}

/// The header lines of a head, its start line left out.
pub(super) fn headers(head: &[u8]) -> Headers<'_> {
    Headers { rest: line(head).1, len: head.len() }
}

/// See [`headers`]. Lines that have no name are left out.
#[derive(Debug, Clone)]
pub(super) struct Headers<'a> {
    rest: &'a [u8],
    /// Of the whole head.
    len: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        loop {
            let text = self.rest;
            let mut end = memchr(b'\n', text)?;
            // Folded lines belong to the value.
            while let Some(b' ' | b'\t') = text.get(end + 1) {
                match memchr(b'\n', text.get(end + 1..)?) {
                    Some(more) => end += 1 + more,
                    None => break,
                }
            }
            let begin = self.len - text.len();
            self.rest = text.get(end + 1..)?;
            let line = text.get(..end)?;
            let Some(colon) = memchr(b':', line) else {
                if line.is_empty() || line == b"\r" {
                    return None;
                }
                continue;
            };
            let (name, value) = line.split_at_checked(colon)?;
            let (name, value) = (name.trim_ascii(), value.get(1..)?);
            if !name.is_empty() {
                let at = begin + colon + 1 + (value.len() - value.trim_ascii_start().len());
                return Some(Header { name, value: value.trim_ascii(), at });
            }
        }
    }
}

/// Appends a header's value; the ends of folded lines become one blank.
pub(super) fn unfold(value: &[u8], out: &mut Vec<u8>) {
    if memchr(b'\n', value).is_none() {
        return out.extend_from_slice(value);
    }
    for (i, part) in value.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(part.trim_ascii());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(method: &'a str, target: &'a str, version: (u8, u8)) -> Option<Start<'a>> {
        let version = Version(version.0, version.1);
        Some(Start::Request { method: method.as_bytes(), target: target.as_bytes(), version })
    }

    fn response(status: u16, phrase: &str, version: (u8, u8)) -> Option<Start<'_>> {
        Some(Start::Response { status, phrase: phrase.as_bytes(), version: Version(version.0, version.1) })
    }

    #[test]
    fn request_lines() {
        assert_eq!(start(b"GET / HTTP/1.1"), request("GET", "/", (1, 1)));
        assert_eq!(start(b"M-SEARCH * HTTP/1.0"), request("M-SEARCH", "*", (1, 0)));
        assert_eq!(start(b"FROB /x HTTP/1.1"), request("FROB", "/x", (1, 1)));
        assert_eq!(start(b"GET  \t/a b?c=d e  HTTP/1.1 "), request("GET", "/a b?c=d e", (1, 1)));
        assert_eq!(start(b"CONNECT a.b:443 HTTP/1.1"), request("CONNECT", "a.b:443", (1, 1)));
        assert_eq!(start(b"GET /simple"), request("GET", "/simple", (0, 9)));
        assert_eq!(
            start(b"GET /\xc3\xa4 HTTP/1."),
            Some(Start::Request { method: b"GET", target: b"/\xc3\xa4", version: Version(1, 0) })
        );
        for bad in [
            "",
            "GET",
            "GET ",
            "FROB /x",
            "GET HTTP/1.1",
            "G\u{e9}T / HTTP/1.1",
            "hello big world",
            "GET / SIP/2.0",
            "OPTIONS sip:a@b SIP/2.0",
            " / HTTP/1.1",
        ] {
            assert_eq!(start(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn status_lines() {
        assert_eq!(start(b"HTTP/1.1 200 OK"), response(200, "OK", (1, 1)));
        assert_eq!(start(b"HTTP/1.0 404 not  here "), response(404, "not  here", (1, 0)));
        assert_eq!(start(b"HTTP/1.1 204"), response(204, "", (1, 1)));
        assert_eq!(start(b"HTTP/1. 200 ok"), response(200, "ok", (1, 0)));
        assert_eq!(start(b"HTTP/1.1 2000 ok"), response(200, "ok", (1, 1)));
        for bad in ["HTTP/1.1", "HTTP/1.1 2", "HTTP/x 200 OK", "http/1.1 200 OK", "HTTP/1.1 OK"] {
            assert_eq!(start(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn looks_at_first_bytes() {
        let full = b"HTTP/1.1 200 OK\r\n";
        for n in 0..=full.len() {
            let expected = if n < 12 { Looks::Short } else { Looks::Response };
            assert_eq!(looks(&full[..n]), expected, "{n}");
        }
        for n in 0..8 {
            let expected = if n < 5 { Looks::Short } else { Looks::Request };
            assert_eq!(looks(&b"GET /abc HTTP/1.1"[..n]), expected, "{n}");
        }
        assert_eq!(looks(b"\x16\x03\x01"), Looks::Neither);
        assert_eq!(looks(b"{\"a\": 1}"), Looks::Neither);
        assert_eq!(looks(b"HTTP/1. 200 ok\r\n"), Looks::Response);
        assert_eq!(looks(&[b'A'; 40]), Looks::Neither);
        assert_eq!(looks(b"Host: x\r\n"), Looks::Neither);
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end(b"a\r\n\r\nrest", 0), Ok(5));
        assert_eq!(end(b"a\n\nrest", 0), Ok(3));
        assert_eq!(end(b"a\n\r\nrest", 0), Ok(4));
        assert_eq!(end(b"a\r\nb: c\r\n", 0), Err(8));
        // Nothing is looked at twice, and nothing is missed: any cut gives the same end.
        let text = b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\nbody";
        let whole = end(text, 0);
        for cut in 0..text.len() {
            let from = match end(&text[..cut], 0) {
                Ok(at) => {
                    assert_eq!(Ok(at), whole);
                    continue;
                }
                Err(from) => from,
            };
            assert_eq!(end(text, from), whole, "cut at {cut}");
        }
    }

    #[test]
    fn header_lines() {
        let head = b"GET / HTTP/1.1\r\nHost:a\r\nX-Long: one\r\n  two\r\n\tthree\r\nbroken\nnAme : v \r\n: none\r\nEmpty:\r\n\r\n";
        let all: Vec<_> = headers(head)
            .map(|h| {
                let mut value = Vec::new();
                unfold(h.value, &mut value);
                assert_eq!(&head[h.at..h.at + h.value.len()], h.value);
                (h.name.to_vec(), value)
            })
            .collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"Host", b"a"), (b"X-Long", b"one two three"), (b"nAme", b"v"), (b"Empty", b"")];
        assert_eq!(all, expected.map(|(n, v)| (n.to_vec(), v.to_vec())));
    }
}
