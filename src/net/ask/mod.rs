//! An HTTP/1.1 client on the event thread: GET, with a body that is read as it arrives (RFC 9110, RFC 9112).
//!
//! For answers that may take hours to end (a watch) or be larger than memory (a list). Requests with a body go through
//! [`HttpClient`](super::HttpClient), which blocks on workers.

mod answer;
mod head;

pub use answer::Answer;
pub use head::{Head, MAX_HEAD};

use super::upstream::{Conn, Upstream};
use std::fmt;
use std::time::Duration;

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// No connection, or it broke.
    Io(String),
    /// The server was silent for so long.
    Silent(Duration),
    /// What came is not HTTP.
    Malformed(&'static str),
    /// The request cannot be written down: a control character in its path or in a field.
    Unsound(&'static str),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => f.write_str(why),
            Self::Silent(time) => write!(f, "the server was silent for {time:?}"),
            Self::Malformed(why) => write!(f, "the answer is not HTTP: {why}"),
            Self::Unsound(what) => write!(f, "the {what} of the request holds a control character"),
        }
    }
}

/// Asks for `target` (path and query, percent signs in place) with these fields; `Host` is one of them. `patience` is how long
/// the server may be silent before its answer has begun.
///
/// A kept connection that turns out to be dead is replaced by a new one, once.
///
/// # Errors
/// When there is no connection, no answer in time, or none that is HTTP.
pub async fn get(
    upstream: &Upstream,
    target: &str,
    fields: &[(&str, &str)],
    patience: Duration,
) -> Result<Answer, AskError> {
    let text = request(target, fields)?;
    let conn = upstream.get().await.map_err(AskError::Io)?;
    let reused = conn.is_reused();
    match exchange(conn, &text, patience).await {
        // It may only have been closed meanwhile.
        Err(AskError::Io(_)) if reused => {
            exchange(upstream.fresh().await.map_err(AskError::Io)?, &text, patience).await
        }
        done => done,
    }
}

async fn exchange(mut conn: Conn, text: &[u8], patience: Duration) -> Result<Answer, AskError> {
    let written = crate::rt::timeout(patience, conn.write_all(text)).await;
    written.ok_or(AskError::Silent(patience))?.map_err(|e| AskError::Io(answer::words(&e)))?;
    Answer::begin(conn, patience).await
}

fn request(target: &str, fields: &[(&str, &str)]) -> Result<Vec<u8>, AskError> {
    if !target.starts_with('/') || target.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(AskError::Unsound("path"));
    }
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(b"GET ");
    text.extend_from_slice(target.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields {
        if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return Err(AskError::Unsound("field"));
        }
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    Ok(text)
}

#[cfg(test)]
mod tests;
