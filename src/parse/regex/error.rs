//! What is wrong with a pattern, and where.

use std::fmt;

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexError {
    /// What is wrong, one line.
    pub message: String,
    /// Byte offset into the pattern as the user wrote it, delimiters included.
    pub at: usize,
}

impl RegexError {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), at }
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the pattern)", self.message, self.at)
    }
}

impl std::error::Error for RegexError {}
