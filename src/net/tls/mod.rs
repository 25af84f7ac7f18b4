//! TLS for clients and servers: rustls as a pure state machine; the socket stays with [`Stream`](super::Stream).
//!
//! Names are checked by default, which Fluent Bit does not do (`tls.verify_hostname off` there).

#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod files;
#[cfg(not(feature = "tls"))]
mod off;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod renew;
#[cfg(feature = "tls")]
mod server;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod suites;
#[cfg(feature = "tls")]
mod verify;
#[cfg(feature = "tls")]
mod words;

#[cfg(feature = "tls")]
pub use client::ClientTls;
#[cfg(not(feature = "tls"))]
pub use off::{ClientTls, ServerTls, Session};
#[cfg(feature = "tls")]
pub use server::ServerTls;
#[cfg(feature = "tls")]
pub use session::Session;
#[cfg(all(feature = "http-client", feature = "tls"))]
pub(super) use words::{tls_words, told};

/// A `tls.*` key that cannot be honoured: for `MakeCx::refuse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub help: &'static str,
}

impl Problem {
    fn new(key: &'static str, why: impl Into<String>, help: &'static str) -> Self {
        Self { key, why: why.into(), help }
    }
}

#[cfg(all(test, feature = "tls"))]
pub(crate) mod tests;
