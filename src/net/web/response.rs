//! Answers to requests.

use super::Refusal;
use std::borrow::Cow;
use std::io::Write;

/// A status, some fields and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    /// An answer for people; its text ends with a line feed.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let mut body = text.into().into_bytes();
        body.push(b'\n');
        Self { status, fields: Vec::new(), body }.with("Content-Type", "text/plain; charset=utf-8")
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: Vec::new(), body: body.into() }.with("Content-Type", "application/json")
    }

    /// An answer of this content type.
    pub fn plain(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: Vec::new(), body: body.into() }.with("Content-Type", kind)
    }

    /// Adds a field. Line ends in the value become blanks.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        let mut value = value.into();
        if value.contains(['\r', '\n', '\0']) {
            value = Cow::Owned(value.replace(['\r', '\n', '\0'], " "));
        }
        self.fields.push((name.into(), value));
        self
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Appends the answer's bytes: without the body when the request was `HEAD`, saying `close` when the connection ends.
    pub fn write(&self, head_only: bool, close: bool, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        // RFC 9110 §8.6
        if self.status >= 200 && self.status != 204 {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.extend_from_slice(if close { b"Connection: close\r\n\r\n" } else { b"\r\n" });
        if !head_only && self.status != 204 && self.status != 304 {
            out.extend_from_slice(&self.body);
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let response = Self::text(refusal.status, refusal.why);
        if refusal.status == 503 { response.with("Retry-After", "1") } else { response }
    }
}

/// The words for a status (RFC 9110 §15).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(response: &Response, head_only: bool, close: bool) -> String {
        let mut out = Vec::new();
        response.write(head_only, close, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers() {
        assert_eq!(bytes(&Response::new(204), false, false), "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(bytes(&Response::new(201), false, false), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        let json = Response::json(200, "{}").with("X-A", "b\r\nc: d");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: b  c: d\r\nContent-Length: 2\r\n";
        assert_eq!(bytes(&json, false, false), format!("{head}\r\n{{}}"));
        assert_eq!(bytes(&json, true, true), format!("{head}Connection: close\r\n\r\n"));
        let refused: Response = Refusal::new(503, "busy").into();
        assert!(bytes(&refused, false, false).contains("Retry-After: 1\r\n"));
    }
}
