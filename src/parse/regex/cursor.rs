//! A place in the pattern being translated.

use super::error::RegexError;

/// Reads a pattern from left to right.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
    /// Added to positions in messages: where `text` begins in what the user wrote.
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, offset: usize) -> Self {
        Self { text, pos: 0, offset }
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    pub(super) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Reads `expected` when it stands here.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let hit = self.rest().starts_with(expected);
        if hit {
            self.pos += expected.len();
        }
        hit
    }

    /// Reads what stands before `stop` and `stop` itself; `None`, reading nothing, when there is no `stop`.
    pub(super) fn until(&mut self, stop: char) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(stop)?;
        self.pos += before.len() + stop.len_utf8();
        Some(before)
    }

    /// Reads up to `max` digits of base `radix`; `None` when there is none.
    pub(super) fn number(&mut self, radix: u32, max: usize) -> Option<u32> {
        let rest = self.rest();
        let digits = rest.chars().take(max).take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(rest.get(..digits)?, radix).ok()?;
        self.pos += digits;
        Some(value)
    }

    /// An error at `at`, a position of this cursor.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> RegexError {
        RegexError::new(self.offset + at, message)
    }
}
