//! Parsers: the text of one record in, cells out. Pure: the time comes in as an argument.

mod cut;
mod decode_field;
mod def;
mod fields;
mod json;
mod logfmt;
mod ltsv;
pub mod multiline;
pub mod pace;
pub mod regex;
mod regex_parser;
mod set;
pub mod syslog;
#[cfg(test)]
mod tests;
mod time_field;
pub mod types;
mod unescape;

pub use def::{Format, ParserConf, ParserDef};
pub use set::{NoParser, ParserSet, STOCK};

use crate::event::{Batch, Span};
use crate::time::Time;

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// Cells were pushed behind the batch's last ones; the time is the one the text holds, where it holds one.
    Hit(Option<Time>),
    /// The text is not of this form; nothing was pushed.
    Miss,
}

/// A parser in use: it may keep caches, so each user has its own.
pub trait Parser {
    /// Parses the arena bytes `text` and pushes the resulting cells to `batch` (between the caller's `begin` and
    /// `finish`). `now` serves formats without a year and the pace of warnings.
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed;
}
