//! Files that outlive the process: their formats, and the calls on them that may block and so run on a worker.
//!
//! Chunk files hold records until every output has taken them, the rejected-records file those that nobody took. The
//! event thread decides when what is called.

pub mod chunk_file;
pub mod dir;
pub mod files;
pub mod fluent_bit;
pub mod frame;
mod load;
pub mod pack;
mod pen;
pub mod rejected;
mod wire;

#[cfg(test)]
mod testing;

pub use chunk_file::Contents;
pub use dir::{Found, LockGuard};
pub use files::Files;
pub use frame::{Head, State};
pub use load::{Loaded, load};

use std::fmt;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where it shows, in bytes from the start of what was read.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

impl std::error::Error for Damage {}
