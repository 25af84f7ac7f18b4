//! Writing a document: nested maps and lists whose entries count themselves.

use crate::event::cell::CLEAN;
use crate::event::{Batch, Cell, Key, Kind, Span};

/// `Key::of` once, when a decoder is made: a struct of keys with `new()`.
///
/// ```
/// collector::keys! {
///     /// The keys of an example.
///     pub struct Keys { dns, op_code, kind = "type" }
/// }
/// assert_eq!(Keys::new().kind.name(), b"type");
/// ```
#[macro_export]
macro_rules! keys {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $( $field:ident $(= $text:literal)? ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        $vis struct $name { $( #[allow(missing_docs)] pub $field: $crate::event::Key, )* }

        impl $name {
            /// Interns the names.
            pub fn new() -> Self {
                Self { $( $field: $crate::event::Key::of($crate::keys!(@name $field $($text)?)), )* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $text:literal) => { $text };
}

/// A map or a list that is being written; elements of a list stand under [`Key::NONE`].
#[derive(Debug)]
pub struct Doc<'b> {
    batch: &'b mut Batch,
    entries: u32,
}

impl<'b> Doc<'b> {
    /// The body of a record that was begun.
    pub fn new(batch: &'b mut Batch) -> Self {
        Self { batch, entries: 0 }
    }

    /// Text as it came, copied.
    #[inline]
    pub fn text(&mut self, key: Key, text: &[u8]) {
        self.entries += 1;
        self.batch.push_text(key, text);
    }

    /// Printable ASCII without `"` and `\`, copied: it goes into JSON without a look.
    #[inline]
    pub fn plain(&mut self, key: Key, text: &[u8]) {
        let span = self.keep(text);
        self.span(key, span);
    }

    /// Text of [`Doc::keep`], under one more key.
    #[inline]
    pub fn span(&mut self, key: Key, span: Span) {
        self.push(Cell::str(key, span, CLEAN));
    }

    /// Text of [`Doc::keep`] that may be anything, under one more key.
    #[inline]
    pub fn copy(&mut self, key: Key, span: Span) {
        self.push(Cell::str(key, span, 0));
    }

    /// Copies printable ASCII without `"` and `\` for use under several keys.
    pub fn keep(&mut self, text: &[u8]) -> Span {
        self.batch.arena_mut().push(text)
    }

    /// Text that `write` appends to the buffer it is given.
    pub fn write(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.text(key, &text);
    }

    /// Opaque bytes.
    pub fn bin(&mut self, key: Key, bytes: &[u8]) {
        let span = self.batch.arena_mut().push(bytes);
        self.push(Cell::bin(key, span));
    }

    /// A signed integer.
    #[inline]
    pub fn int(&mut self, key: Key, v: i64) {
        self.push(Cell::int(key, v));
    }

    /// An unsigned integer.
    #[inline]
    pub fn uint(&mut self, key: Key, v: u64) {
        self.push(Cell::uint(key, v));
    }

    /// A double.
    pub fn float(&mut self, key: Key, v: f64) {
        self.push(Cell::float(key, v));
    }

    /// A boolean.
    #[inline]
    pub fn bool(&mut self, key: Key, v: bool) {
        self.push(Cell::bool(key, v));
    }

    /// A map that `fill` writes.
    #[inline]
    pub fn map(&mut self, key: Key, fill: impl FnOnce(&mut Doc<'_>)) {
        self.nested(key, Kind::Map, fill);
    }

    /// A list that `fill` writes.
    #[inline]
    pub fn list(&mut self, key: Key, fill: impl FnOnce(&mut Doc<'_>)) {
        self.nested(key, Kind::Array, fill);
    }

    /// A map or a list that is left out when `fill` writes nothing.
    pub fn list_unless_empty(&mut self, key: Key, fill: impl FnOnce(&mut Doc<'_>)) {
        self.unless_empty(key, Kind::Array, fill);
    }

    /// A map that is left out when `fill` writes nothing.
    pub fn map_unless_empty(&mut self, key: Key, fill: impl FnOnce(&mut Doc<'_>)) {
        self.unless_empty(key, Kind::Map, fill);
    }

    /// The key of a name that came from the wire.
    pub fn key(&mut self, name: &[u8]) -> Key {
        self.batch.key(name)
    }

    /// Entries written so far.
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    #[inline]
    fn push(&mut self, cell: Cell) {
        self.entries += 1;
        self.batch.push(cell);
    }

    #[inline]
    fn nested(&mut self, key: Key, kind: Kind, fill: impl FnOnce(&mut Doc<'_>)) {
        let opened = self.batch.open(key, kind);
        let mut inner = Doc::new(self.batch);
        fill(&mut inner);
        let entries = inner.entries;
        self.batch.close(opened, entries);
        self.entries += 1;
    }

    fn unless_empty(&mut self, key: Key, kind: Kind, fill: impl FnOnce(&mut Doc<'_>)) {
        let opened = self.batch.open(key, kind);
        let mut inner = Doc::new(self.batch);
        fill(&mut inner);
        match inner.entries {
            0 => self.batch.abandon(opened),
            entries => {
                self.batch.close(opened, entries);
                self.entries += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::time::Time;

    #[test]
    fn entries_are_counted_at_every_depth() {
        let mut batch = Batch::new(Tag::new("t"));
        let [a, b, c] = ["a", "b", "c"].map(Key::of);
        let mark = batch.begin();
        let mut doc = Doc::new(&mut batch);
        doc.plain(a, b"x");
        doc.map(b, |m| {
            m.int(a, -1);
            m.list(c, |l| {
                l.text(Key::NONE, b"\"");
                l.bool(Key::NONE, true);
            });
            m.list_unless_empty(a, |_| {});
        });
        doc.map_unless_empty(c, |m| m.uint(a, 7));
        batch.finish(mark, Time(0));
        let mut out = Vec::new();
        write_map(batch.body(0), JsonOpts::default(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), r#"{"a":"x","b":{"a":-1,"c":["\"",true]},"c":{"a":7}}"#);
    }
}
