//! Finding the next message in bytes whose place in the stream is not known: after a gap, in the middle of a connection.

use super::head::{self, Looks, Start};
use memchr::{memchr, memmem, memrchr};

/// The beginning of a request line that is kept in the hope of its end, in bytes; servers take 8 KiB.
const LINE_MAX: usize = 8 * 1024;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) requests: bool,
    pub(super) responses: bool,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A message begins here.
    At(usize),
    /// One may begin here.
    Perhaps(usize),
    /// None begins here.
    No,
}

/// Looks for the beginning of a message. Both the beginning of `buf` (of a segment, mostly) and of a line count as such; a
/// status line counts elsewhere, too, when a header line follows.
pub(super) fn seek(buf: &[u8], wanted: Wanted) -> Found {
    for hit in memmem::find_iter(buf, b"HTTP/") {
        let line = memrchr(b'\n', buf.get(..hit).unwrap_or_default()).map_or(0, |at| at + 1);
        let rest = buf.get(hit..).unwrap_or_default();
        let response = wanted.responses && head::looks(rest) == Looks::Response;
        if response && (hit == line || is_followed_by_header(rest)) {
            return Found::At(hit);
        }
        if wanted.requests && hit > line && is_request(buf.get(line..).unwrap_or_default()) {
            return Found::At(line);
        }
    }
    let tail = memrchr(b'\n', buf).map_or(0, |at| at + 1);
    match buf.get(tail..).unwrap_or_default() {
        [] => Found::No,
        text if may_begin(text, wanted) => Found::Perhaps(tail),
        _ => Found::No,
    }
}

/// Whether the first line, which has to be there as a whole, is a request's.
fn is_request(text: &[u8]) -> bool {
    let Some(end) = memchr(b'\n', text) else { return false };
    let line = text.get(..end).unwrap_or_default();
    matches!(head::start(line.strip_suffix(b"\r").unwrap_or(line)), Some(Start::Request { method, version, .. })
        if version.0 >= 1 && (head::is_known_method(method) || method.iter().all(u8::is_ascii_uppercase)))
}

fn is_followed_by_header(text: &[u8]) -> bool {
    let (_, next) = head::line(text);
    let name = next.iter().take_while(|b| head::is_token(**b)).count();
    name > 0 && next.get(name) == Some(&b':')
}

/// Whether a line that has not ended may be a start line.
fn may_begin(text: &[u8], wanted: Wanted) -> bool {
    match head::looks(text) {
        Looks::Short => true,
        Looks::Response => wanted.responses,
        Looks::Request => {
            let method = text.split(|b| *b == b' ').next().unwrap_or_default();
            wanted.requests && text.len() < LINE_MAX && head::is_known_method(method)
        }
        Looks::Neither => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Wanted = Wanted { requests: true, responses: true };

    #[test]
    fn messages_are_found() {
        for (text, wanted, found) in [
            ("GET / HTTP/1.1\r\n", BOTH, Found::At(0)),
            ("HTTP/1.1 200 OK\r\n", BOTH, Found::At(0)),
            ("rest of a body\nHTTP/1.0 304 Not Modified\r\n", BOTH, Found::At(15)),
            ("of a body.HTTP/1.0 304 Not Modified\r\nDate: x", BOTH, Found::At(10)),
            ("see HTTP/1.1 200 OK\r\n<br>", BOTH, Found::No),
            ("ody\r\nPOST /x HTTP/1.1\r\n", BOTH, Found::At(5)),
            ("the GET / HTTP/1.1\r\n line", BOTH, Found::No),
            ("say HTTP/1.1 \r\nPURGE /x HTTP/1.1\n", BOTH, Found::At(15)),
            ("ody\r\nPOST /x HTT", BOTH, Found::Perhaps(5)),
            ("ody\r\nHTTP/1.1 2", BOTH, Found::Perhaps(5)),
            ("ody\r\nPO", BOTH, Found::Perhaps(5)),
            ("ody\r\n{\"a\"", BOTH, Found::No),
            ("GET / HTTP/1.1\r\n", Wanted { requests: false, responses: true }, Found::No),
            ("HTTP/1.1 200 OK\r\n", Wanted { requests: true, responses: false }, Found::No),
            ("", BOTH, Found::No),
        ] {
            assert_eq!(seek(text.as_bytes(), wanted), found, "{text}");
        }
        let long = ["GET /", &"x".repeat(LINE_MAX)].concat();
        assert_eq!(seek(long.as_bytes(), BOTH), Found::No);
    }
}
