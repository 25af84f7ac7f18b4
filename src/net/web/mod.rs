//! An HTTP/1.1 server (RFC 9110, RFC 9112): requests are read strictly, bodies have limits, answers are written whole.
//!
//! [`Inlet`] makes requests of bytes and knows no socket; [`Connection`] feeds it from one. What two readers of one stream
//! could take for different requests (request smuggling, RFC 9112 §11.2) is refused and the connection closed: both
//! lengths at once, repeated or odd ones, bare line feeds, folded fields, blanks before a colon.

mod body;
mod connection;
mod head;
mod held;
mod inlet;
mod response;
mod tell;

pub use body::{Body, Framing};
pub use connection::{Connection, Failure, Limits};
pub use head::{Head, MAX_FIELDS, MAX_HEAD};
pub use held::{Held, Share};
pub use inlet::Inlet;
pub use response::{Response, reason};
pub use tell::tell;

use std::fmt;

/// Why a request is not served: the status to answer with, and the reason in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// What is wrong with the request.
    pub why: &'static str,
}

impl Refusal {
    /// This status, for this reason.
    pub const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.why, self.status)
    }
}
