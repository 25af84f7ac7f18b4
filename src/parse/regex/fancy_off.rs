//! A build without lookaround and the like: patterns that may need them are refused.

use super::Slots;

/// A compiled pattern; never there in this build.
#[derive(Debug)]
pub(super) enum Fancy {}

impl Fancy {
    /// # Errors
    /// Always.
    pub(super) fn new(_: &str, _: bool) -> Result<Self, (Option<usize>, String)> {
        let what = "lookaround, back-references, atomic groups and possessive repetitions are not in this build";
        Err((None, format!("{what}: build it with the feature `patterns`")))
    }

    /// Never called.
    pub(super) fn search(&self, _: &[u8], _: Option<&str>, _: Option<&mut Slots>) -> bool {
        match *self {}
    }
}
