//! A record of which more lines may come.

use crate::event::{Batch, Cell, Cells, Key, Source, Tag, Value};
use crate::time::Time;
use std::time::Instant;

/// Added, in a record's metadata, where it was cut at the limit.
const CUT: &str = "multiline_truncated";
/// Memory that an emptied group keeps, in bytes.
const KEEP: usize = 64 << 10;

/// What stands around a line in the records of its reader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// The path.
    pub path: Option<Cell>,
    /// The key of the offset of the first line.
    pub offset_key: Option<Key>,
}

impl Around {
    /// Writes it, for a line that begins at `offset`, in bytes.
    #[inline]
    pub fn push(self, batch: &mut Batch, offset: u64) {
        if let Some(cell) = self.path {
            batch.push(cell);
        }
        if let Some(key) = self.offset_key {
            batch.push(Cell::uint(key, offset));
        }
    }
}

/// A record that is not complete, or was completed just now. `K` is what its reader keeps with it.
#[derive(Debug)]
pub struct Group<K> {
    /// Which definition it belongs to.
    pub(super) choice: usize,
    /// The stream's name among those that are mixed.
    pub(super) name: Vec<u8>,
    /// The last rule that took a line of it.
    pub(super) rule: Option<usize>,
    /// The fields of its first line, as the only record; none for a line without a parser.
    pub(super) head: Batch,
    /// The field that is joined; `None` for a line as a whole.
    pub(super) key: Option<Key>,
    pub(super) content: Vec<u8>,
    pub(super) time: Time,
    pub(super) source: Source,
    pub(super) offset: u64,
    pub(super) touched: Instant,
    /// It was longer than allowed: the rest is another record.
    pub(super) cut: bool,
    /// What its reader keeps with it.
    pub kept: K,
}

impl<K: Default> Group<K> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            choice: 0,
            name: Vec::new(),
            rule: None,
            head: Batch::new(Tag::new("")),
            key: None,
            content: Vec::new(),
            time: Time(0),
            source: Source::default(),
            offset: 0,
            touched: now,
            cut: false,
            kept: K::default(),
        }
    }

    /// Empties it for another record.
    pub(super) fn recycle(&mut self) {
        self.name.clear();
        self.content.clear();
        self.content.shrink_to(KEEP);
        let tag = self.head.tag().clone();
        self.head.recycle(tag, KEEP);
        (self.rule, self.key, self.cut, self.kept) = (None, None, false, K::default());
    }
}

impl<K> Group<K> {
    /// The metadata of its first record.
    pub(super) fn set_meta(&mut self, meta: Cells<'_>) {
        let mark = self.head.begin();
        for (name, value) in meta {
            let name = self.head.key(meta.name(name));
            self.head.push_value(name, &value);
        }
        self.head.replace_meta(0, mark);
    }

    /// When the last line was added.
    pub fn touched(&self) -> Instant {
        self.touched
    }

    /// Memory that it holds, in bytes.
    pub fn memory(&self) -> usize {
        self.head.memory() + self.content.capacity() + self.name.capacity()
    }

    /// Where its first line begins in its file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes the record to `batch`; `raw` is the key of a line as a whole.
    pub fn write(&self, batch: &mut Batch, raw: Key, around: Around) {
        batch.set_source(self.source);
        let mark = batch.begin();
        let Some(key) = self.key else {
            around.push(batch, self.offset);
            batch.push_text(raw, &self.content);
            batch.finish_at(mark, self.time, self.offset);
            return self.say_cut(batch);
        };
        for (name, value) in self.head.body(0) {
            let name = batch.adopt_key(name, &self.head);
            match value {
                Value::Str(_) if name == key => batch.push_text(key, &self.content),
                other => batch.push_value(name, &other),
            }
        }
        around.push(batch, self.offset);
        batch.finish_at(mark, self.time, self.offset);
        if !self.head.meta(0).is_empty() {
            let mark = batch.begin();
            for (name, value) in self.head.meta(0) {
                let name = batch.adopt_key(name, &self.head);
                batch.push_value(name, &value);
            }
            batch.replace_meta(batch.len().saturating_sub(1), mark);
        }
        self.say_cut(batch);
    }

    fn say_cut(&self, batch: &mut Batch) {
        if self.cut {
            let last = batch.len().saturating_sub(1);
            let mark = batch.begin();
            let old: Vec<Cell> = batch.meta(last).run().to_vec();
            batch.push_cells(&old);
            batch.push(Cell::bool(Key::of(CUT), true));
            batch.replace_meta(last, mark);
        }
    }
}
