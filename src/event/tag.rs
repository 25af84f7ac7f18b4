//! Tags: the route label of a record.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A tag; cheap to clone, may travel to worker threads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag of this text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Part `n` of the tag between dots, counted from 0.
    pub fn part(&self, n: usize) -> Option<&str> {
        self.0.split('.').nth(n)
    }
}

impl Deref for Tag {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag hashes and compares as its text, so that maps can be asked without making one.
impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
