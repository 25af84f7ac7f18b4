//! From a named piece of text to a cell: the types are applied and the time is taken out.

use super::pace::Pace;
use super::time_field::TimeField;
use super::types::{Type, Types};
use crate::event::{Cell, Key, Span};
use crate::time::Time;
use std::rc::Rc;

/// What the line formats (regex, ltsv, logfmt) do with each field.
#[derive(Debug)]
pub struct Fields {
    types: Rc<Types>,
    time: Option<TimeField>,
    bad_bool: Pace,
}

impl Fields {
    /// Fields of these types; `time` is the one that holds the record's time.
    pub fn new(types: Rc<Types>, time: Option<TimeField>) -> Self {
        Self { types, time, bad_bool: Pace::default() }
    }

    /// Whether this is the field that holds the time.
    #[inline]
    pub fn is_time(&self, key: Key) -> bool {
        self.time.as_ref().is_some_and(|t| t.key() == key)
    }

    /// The type of a field.
    pub fn type_of(&self, key: Key) -> Type {
        self.types.of(key)
    }

    /// Reads the time from `text`; `found` keeps what it was when that is not a time. Answers whether the field stays
    /// in the record.
    #[inline]
    pub fn read_time(&mut self, text: &[u8], now: Time, found: &mut Option<Time>) -> bool {
        let Some(field) = &mut self.time else { return true };
        *found = field.read(text, now).or(*found);
        field.keep()
    }

    /// The cell of a field of type `kind` whose text is `text` and stands at `span`.
    #[inline]
    pub fn cell(&mut self, key: Key, kind: Type, text: &[u8], span: Span, now: Time) -> Cell {
        kind.cell(key, text, span).unwrap_or_else(|| self.stays_text(key, span, now))
    }

    #[cold]
    fn stays_text(&mut self, key: Key, span: Span, now: Time) -> Cell {
        if let Some(held) = self.bad_bool.allow(now) {
            let name = String::from_utf8_lossy(key.name());
            log::warn!("[PARSER] key={name} cast error. save as string.{held}");
        }
        Cell::str(key, span, 0)
    }
}
