//! Reading a batch: borrowed records, maps and values.

use super::cell::{self, CLEAN, ESCAPED};
use super::{Batch, Cell, Key, Kind, Position};
use crate::time::Time;
use std::borrow::Cow;

/// One record of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub(super) batch: &'a Batch,
    pub(super) index: usize,
}

impl<'a> Record<'a> {
    /// Its place in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its timestamp.
    pub fn time(&self) -> Time {
        self.batch.rec(self.index).time
    }

    /// Its body.
    #[inline]
    pub fn body(&self) -> Cells<'a> {
        self.batch.body(self.index)
    }

    /// Time, metadata and body at once.
    #[inline]
    pub fn parts(&self) -> (Time, Cells<'a>, Cells<'a>) {
        self.batch.parts(self.index)
    }

    /// Its metadata map, empty for most records.
    pub fn meta(&self) -> Cells<'a> {
        self.batch.meta(self.index)
    }

    /// Where it came from.
    pub fn position(&self) -> Position {
        self.batch.position(self.index)
    }

    /// The batch it stands in.
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }
}

/// The entries of a map or the elements of an array, in order.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    pub(super) batch: &'a Batch,
    pub(super) run: &'a [Cell],
}

impl<'a> Cells<'a> {
    /// The cells themselves, nested ones included.
    #[inline]
    pub fn run(&self) -> &'a [Cell] {
        self.run
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    /// The number of entries; walks them.
    pub fn count_entries(&self) -> usize {
        self.count()
    }

    /// The last value under `key`, as JSON readers see duplicates.
    #[inline]
    pub fn find(&self, key: Key) -> Option<Value<'a>> {
        self.value_at(cell::last_under(self.run, key)?)
    }

    /// The value whose head is cell `i` of the run.
    #[inline]
    pub fn value_at(&self, i: usize) -> Option<Value<'a>> {
        let (head, rest) = self.run.get(i..)?.split_first()?;
        Some(Value::of(self.batch, head, rest))
    }

    /// Key and text of the entry at cell `i` of the run; `None` when it is no text.
    #[inline]
    pub fn text_entry(&self, i: usize) -> Option<(Key, Text<'a>)> {
        let cell = self.run.get(i).filter(|c| c.kind == Kind::Str)?;
        Some((cell.key, Text { raw: self.batch.arena().get(cell.span()), flags: cell.flags }))
    }

    /// The key of the first entry, and the cells that it takes.
    #[inline]
    pub fn head(&self) -> Option<(Key, usize)> {
        self.run.first().map(|head| (head.key, head.width()))
    }

    /// What stands behind the first `n` cells.
    #[inline]
    pub fn behind(&self, n: usize) -> Self {
        Self { batch: self.batch, run: self.run.get(n..).unwrap_or_default() }
    }

    /// The text whose cell is cell `i` of the run; `None` when it is no text.
    #[inline]
    pub fn text_at(&self, i: usize) -> Option<Text<'a>> {
        self.text_entry(i).map(|(_, text)| text)
    }

    /// The first entry's index in the run under `key`.
    #[inline]
    pub fn position(&self, key: Key) -> Option<usize> {
        cell::first_under(self.run, key)
    }

    /// The name of a key of this run.
    #[inline]
    pub fn name(&self, key: Key) -> &'a [u8] {
        self.batch.key_name(key)
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = (Key, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.run.split_first()?;
        let value = Value::of(self.batch, head, rest);
        self.run = self.run.get(head.width()..).unwrap_or_default();
        Some((head.key, value))
    }
}

/// A value, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A double.
    Float(f64),
    /// Text.
    Str(Text<'a>),
    /// Opaque bytes.
    Bin(&'a [u8]),
    /// A map.
    Map(Cells<'a>),
    /// An array.
    Array(Cells<'a>),
}

impl<'a> Value<'a> {
    /// The value of `cell`, whose nested cells stand at the start of `rest`.
    #[inline]
    pub(super) fn of(batch: &'a Batch, cell: &Cell, rest: &'a [Cell]) -> Self {
        let nested = || Cells { batch, run: rest.get(..cell.b as usize).unwrap_or_default() };
        match cell.kind {
            Kind::Null => Self::Null,
            Kind::Bool => Self::Bool(cell.a != 0),
            Kind::Int => Self::Int(cell.bits() as i64),
            Kind::Uint => Self::Uint(cell.bits()),
            Kind::Float => Self::Float(f64::from_bits(cell.bits())),
            Kind::Str => Self::Str(Text { raw: batch.arena().get(cell.span()), flags: cell.flags }),
            Kind::Bin => Self::Bin(batch.arena().get(cell.span())),
            Kind::Map => Self::Map(nested()),
            Kind::Array => Self::Array(nested()),
        }
    }

    /// The text of a string value.
    pub fn as_text(&self) -> Option<Text<'a>> {
        match self {
            Self::Str(t) => Some(*t),
            _ => None,
        }
    }
}

/// Text of a record: bytes, not necessarily UTF-8, perhaps still in JSON's escaped form.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
    flags: u8,
}

impl<'a> Text<'a> {
    /// Plain bytes.
    pub fn plain(raw: &'a [u8]) -> Self {
        Self { raw, flags: 0 }
    }

    /// The stored bytes: JSON source text when [`Self::is_escaped`].
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether the stored bytes are known to be printable ASCII that goes into JSON as it is.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.flags & CLEAN != 0
    }

    /// Whether [`Self::raw`] is JSON source text that may not go into JSON as it is.
    #[inline]
    pub fn is_unclean_source(&self) -> bool {
        self.flags == ESCAPED
    }

    /// Whether [`Self::raw`] is JSON source text.
    #[inline]
    pub fn is_escaped(&self) -> bool {
        self.flags & ESCAPED != 0
    }

    /// Appends the bytes that the text means.
    pub fn decode(&self, out: &mut Vec<u8>) {
        if self.is_escaped() {
            unescape(self.raw, |part| out.extend_from_slice(part));
        } else {
            out.extend_from_slice(self.raw);
        }
    }

    /// The bytes that the text means; `scratch` holds them where they are not stored as such.
    #[inline]
    pub fn meant<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        if !self.is_escaped() {
            return self.raw;
        }
        scratch.clear();
        self.decode(scratch);
        scratch
    }

    /// The bytes that the text means.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        if !self.is_escaped() {
            return Cow::Borrowed(self.raw);
        }
        let mut out = Vec::with_capacity(self.raw.len());
        self.decode(&mut out);
        Cow::Owned(out)
    }
}

/// Hands out the pieces of canonical JSON source text with its short escapes decoded.
pub(super) fn unescape(raw: &[u8], mut put: impl FnMut(&[u8])) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        put(&rest[..at]);
        let byte = match rest.get(at + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(&other) => other,
            None => return,
        };
        put(&[byte]);
        rest = &rest[at + 2..];
    }
    put(rest);
}
