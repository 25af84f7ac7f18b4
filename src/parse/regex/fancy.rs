//! `fancy-regex`, which knows lookaround, back-references and the like; it may take long, and so has limits.

use super::Slots;
use fancy_regex::{BytesMode, Error, Regex, RegexOptionsBuilder};

/// Steps back that it may take for one text; beyond it the text counts as not matching.
const BACKTRACK_LIMIT: usize = 20_000;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Fancy(Box<Regex>);

impl Fancy {
    /// For texts that are UTF-8 (`chars`), or for any bytes.
    ///
    /// # Errors
    /// What is wrong, and where in the pattern if that is known.
    pub(super) fn new(pattern: &str, chars: bool) -> Result<Self, (Option<usize>, String)> {
        let built = match chars {
            true => build(pattern, BytesMode::Unicode),
            // A class that names characters beyond ASCII has no form in bytes.
            false => build(pattern, BytesMode::Ascii).or_else(|_| build(pattern, BytesMode::UnicodeBytes)),
        };
        built.map(|regex| Self(Box::new(regex))).map_err(|e| match &e {
            Error::ParseError(at, _) => (Some(*at), one_line(&e.to_string())),
            _ => (None, one_line(&e.to_string())),
        })
    }

    /// Searches `text`, which `valid` is when it is UTF-8; groups go to `slots` when they are wanted.
    pub(super) fn search(&self, text: &[u8], valid: Option<&str>, slots: Option<&mut Slots>) -> bool {
        let Some(slots) = slots else {
            return valid.map_or_else(|| self.0.is_match(text), |text| self.0.is_match(text)).unwrap_or(false);
        };
        match valid {
            Some(text) => match self.0.captures(text) {
                Ok(Some(found)) => {
                    slots.fill((0..found.len()).map(|group| found.get(group).map(|m| (m.start(), m.end()))));
                    true
                }
                _ => false,
            },
            None => match self.0.captures(text) {
                Ok(Some(found)) => {
                    slots.fill((0..found.len()).map(|group| found.get(group).map(|m| (m.start(), m.end()))));
                    true
                }
                _ => false,
            },
        }
    }
}

fn build(pattern: &str, mode: BytesMode) -> Result<Regex, Error> {
    let mut options = RegexOptionsBuilder::new();
    options.backtrack_limit(BACKTRACK_LIMIT).bytes_mode(mode).max_prog_size(200_000);
    options.build(pattern.to_owned())
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
