//! A batch: the records of one tag, built cell by cell and edited in place.

use super::cell::{CLEAN, ESCAPED};
use super::value::{Cells, Record, Value};
use super::{Arena, Cell, Key, Kind, Source, Span, Tag};
use crate::time::Time;

/// Where a record stands on the tape. A dropped record has `first == DROPPED`.
#[derive(Debug, Clone, Copy)]
pub struct Rec {
    /// Its timestamp.
    pub time: Time,
    pub(super) first: u32,
    pub(super) cells: u32,
    pub(super) meta_first: u32,
    pub(super) meta_cells: u32,
    /// Which of the batch's sources it came from, and where in it.
    pub(super) source: u32,
    pub(super) at: u32,
}

impl Rec {
    pub(super) const NONE: Self =
        Self { time: Time(0), first: 0, cells: 0, meta_first: 0, meta_cells: 0, source: 0, at: 0 };
}

/// [`Rec::first`] of a dropped record.
pub(super) const DROPPED: u32 = u32::MAX;

/// The tape's length when a record was begun: hand it back to finish or abandon that record.
#[derive(Debug, Clone, Copy)]
pub struct Mark(pub(super) u32);

/// Records of one tag in one arena. Appending never moves a record; filters edit the tape, not the bytes.
///
/// Records are built so: [`Batch::begin`], the `push_*` functions, then [`Batch::finish`] (or [`Batch::abandon`]).
/// Records that no filter has seen yet are the [`Batch::fresh`] ones.
#[derive(Debug)]
pub struct Batch {
    tag: Tag,
    pub(super) bytes: Arena,
    pub(super) tape: Vec<Cell>,
    pub(super) recs: Vec<Rec>,
    pub(super) fresh: usize,
    /// The first is the batch itself, for records that cannot be read again.
    pub(super) sources: Vec<Source>,
    /// The number of the next record of the batch itself.
    pub(super) serial: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new(tag: Tag) -> Self {
        let sources = vec![Source::unique()];
        Self { tag, bytes: Arena::default(), tape: Vec::new(), recs: Vec::new(), fresh: 0, sources, serial: 0 }
    }

    /// Empties the batch for another tag and keeps at most `keep` bytes of its memory.
    pub fn recycle(&mut self, tag: Tag, keep: usize) {
        self.tag = tag;
        self.bytes.truncate(0);
        self.tape.clear();
        self.recs.clear();
        self.fresh = 0;
        self.sources.clear();
        self.sources.push(Source::unique());
        self.serial = 0;
        self.bytes.shrink(keep);
        self.tape.shrink_to(keep / size_of::<Cell>());
        self.recs.shrink_to(keep / size_of::<Rec>());
    }

    /// The tag of every record here.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.recs.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.recs.is_empty()
    }

    /// Memory held, in bytes: what the limits count.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.tape.capacity() * size_of::<Cell>()
            + self.recs.capacity() * size_of::<Rec>()
            + self.sources.capacity() * size_of::<Source>()
    }

    /// Memory in use, in bytes: when a batch is full is decided by this.
    pub fn used(&self) -> usize {
        self.bytes.len() + self.tape.len() * size_of::<Cell>() + self.recs.len() * size_of::<Rec>()
    }

    /// The bytes.
    #[inline]
    pub fn arena(&self) -> &Arena {
        &self.bytes
    }

    /// The bytes, to read or copy more into.
    #[inline]
    pub fn arena_mut(&mut self) -> &mut Arena {
        &mut self.bytes
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.recs.len()).map(|index| Record { batch: self, index })
    }

    /// Record `i`; an impossible index gives an empty record.
    #[inline]
    pub fn record(&self, i: usize) -> Record<'_> {
        Record { batch: self, index: i }
    }

    #[inline]
    pub(super) fn rec(&self, i: usize) -> Rec {
        self.recs.get(i).copied().unwrap_or(Rec::NONE)
    }

    /// The body of record `i`.
    #[inline]
    pub fn body(&self, i: usize) -> Cells<'_> {
        let r = self.rec(i);
        self.cells(r.first, r.cells)
    }

    /// The metadata of record `i`.
    pub fn meta(&self, i: usize) -> Cells<'_> {
        let r = self.rec(i);
        self.cells(r.meta_first, r.meta_cells)
    }

    /// Time, metadata and body of record `i`.
    #[inline]
    pub(super) fn parts(&self, i: usize) -> (Time, Cells<'_>, Cells<'_>) {
        let r = self.rec(i);
        (r.time, self.cells(r.meta_first, r.meta_cells), self.cells(r.first, r.cells))
    }

    #[inline]
    fn cells(&self, first: u32, cells: u32) -> Cells<'_> {
        let from = first as usize;
        Cells { batch: self, run: self.tape.get(from..from + cells as usize).unwrap_or_default() }
    }

    /// The name of a key as this batch knows it.
    #[inline]
    pub fn key_name(&self, key: Key) -> &[u8] {
        match key.local_at() {
            None => key.name(),
            Some(at) => {
                let head = self.bytes.get(Span { at, len: 4 });
                let len = head.try_into().map_or(0, u32::from_le_bytes);
                self.bytes.get(Span { at: at + 4, len })
            }
        }
    }

    /// The key for a name that came with data: interned where the table has room, else kept in the arena.
    pub fn key(&mut self, name: &[u8]) -> Key {
        match Key::intern(name) {
            Some(key) => key,
            None => {
                let at = self.bytes.push(&(name.len() as u32).to_le_bytes()).at;
                self.bytes.push(name);
                Key::local(at)
            }
        }
    }

    /// [`Batch::key`] for a name that already stands in the arena.
    pub fn key_at(&mut self, name: Span) -> Key {
        if let Some(key) = Key::intern(self.bytes.get(name)) {
            return key;
        }
        let name = self.bytes.get(name).to_vec();
        self.key(&name)
    }

    // ---- building ----

    /// Begins a record (or a new body for an old one) at the end of the tape.
    #[inline]
    pub fn begin(&self) -> Mark {
        Mark(self.tape.len() as u32)
    }

    /// Cells pushed since `mark`, as a map that can be read.
    #[inline]
    pub fn since(&self, mark: Mark) -> Cells<'_> {
        Cells { batch: self, run: self.tape.get(mark.0 as usize..).unwrap_or_default() }
    }

    /// The bytes and the tape at once, for decoders: they read the one, append to both, and leave whole values only.
    #[inline]
    pub fn parts_mut(&mut self) -> (&mut Arena, &mut Vec<Cell>) {
        (&mut self.bytes, &mut self.tape)
    }

    /// Makes a map that was pushed as one value a record: the cell at `at`, counted from `mark`. Other cells since
    /// `mark` stay unused. Returns false, and leaves everything as it is, when there is no map.
    pub fn finish_map(&mut self, mark: Mark, at: usize, time: Time) -> bool {
        let head = mark.0 as usize + at;
        match self.tape.get(head) {
            Some(&Cell { kind: Kind::Map, b: cells, .. }) => {
                self.own(Rec { time, first: head as u32 + 1, cells, ..Rec::NONE });
                true
            }
            _ => false,
        }
    }

    /// Removes the value whose head is cell `at` counted from `mark`, with all that is nested in it.
    pub fn remove_since(&mut self, mark: Mark, at: usize) {
        let from = mark.0 as usize + at;
        if let Some(head) = self.tape.get(from) {
            let to = (from + head.width()).min(self.tape.len());
            self.tape.drain(from..to);
        }
    }

    /// Makes a map that was pushed as one value the metadata of record `i`: the cell at `at`, counted from `mark`.
    pub fn meta_map(&mut self, i: usize, mark: Mark, at: usize) {
        let head = mark.0 as usize + at;
        if let (Some(&Cell { kind: Kind::Map, b: cells, .. }), Some(r)) = (self.tape.get(head), self.recs.get_mut(i)) {
            (r.meta_first, r.meta_cells) = (head as u32 + 1, cells);
        }
    }

    /// How many cells the value at `at`, counted from `mark`, takes; 0 when there is none.
    pub fn width(&self, mark: Mark, at: usize) -> usize {
        self.tape.get(mark.0 as usize + at).map_or(0, Cell::width)
    }

    /// Makes the cells since `mark` a record.
    #[inline]
    pub fn finish(&mut self, mark: Mark, time: Time) {
        let cells = self.tape.len() as u32 - mark.0;
        self.own(Rec { time, first: mark.0, cells, ..Rec::NONE });
    }

    /// Forgets the cells since `mark`.
    pub fn abandon(&mut self, mark: Mark) {
        self.tape.truncate(mark.0 as usize);
    }

    /// Makes the cells since `mark` the body of record `i`, in place of its former one.
    pub fn replace_body(&mut self, i: usize, mark: Mark) {
        let cells = self.tape.len() as u32 - mark.0;
        if let Some(r) = self.recs.get_mut(i) {
            (r.first, r.cells) = (mark.0, cells);
        }
    }

    /// Makes the cells since `mark` the metadata of record `i`.
    pub fn replace_meta(&mut self, i: usize, mark: Mark) {
        let cells = self.tape.len() as u32 - mark.0;
        if let Some(r) = self.recs.get_mut(i) {
            (r.meta_first, r.meta_cells) = (mark.0, cells);
        }
    }

    /// Appends a cell.
    #[inline]
    pub fn push(&mut self, cell: Cell) {
        self.tape.push(cell);
    }

    /// Appends text that already stands in the arena.
    #[inline]
    pub fn push_span(&mut self, key: Key, span: Span) {
        self.tape.push(Cell::str(key, span, 0));
    }

    /// Copies `text` into the arena and appends it.
    pub fn push_text(&mut self, key: Key, text: &[u8]) {
        let span = self.bytes.push(text);
        self.tape.push(Cell::str(key, span, 0));
    }

    /// Opens a map or an array under `key`; close it with [`Batch::close`].
    pub fn open(&mut self, key: Key, kind: Kind) -> Mark {
        let mark = self.begin();
        self.tape.push(Cell::nested(key, kind, 0, 0));
        mark
    }

    /// Closes what [`Batch::open`] opened; `entries` is their number.
    pub fn close(&mut self, opened: Mark, entries: u32) {
        let inner = (self.tape.len() as u32).saturating_sub(opened.0 + 1);
        if let Some(c) = self.tape.get_mut(opened.0 as usize) {
            (c.a, c.b) = (entries, inner);
        }
    }

    /// Appends a copy of one value of record `i`'s body: the cell at `at` of its run with all that is nested in it,
    /// under `key`.
    pub fn copy_value(&mut self, i: usize, at: usize, key: Key) {
        let r = self.rec(i);
        let from = r.first as usize + at;
        let Some(head) = self.tape.get(from).copied() else { return };
        let start = self.tape.len();
        self.tape.extend_from_within(from..(from + head.width()).min(start));
        if let Some(c) = self.tape.get_mut(start) {
            c.key = key;
        }
    }

    /// Appends a copy of `cells` (absolute positions on this batch's tape are not needed: nesting is relative).
    pub fn push_cells(&mut self, cells: &[Cell]) {
        self.tape.extend_from_slice(cells);
    }

    /// Appends a value of another batch under `key`, copying its text here.
    pub fn push_value(&mut self, key: Key, value: &Value<'_>) {
        match value {
            Value::Null => self.push(Cell::null(key)),
            Value::Bool(v) => self.push(Cell::bool(key, *v)),
            Value::Int(v) => self.push(Cell::int(key, *v)),
            Value::Uint(v) => self.push(Cell::uint(key, *v)),
            Value::Float(v) => self.push(Cell::float(key, *v)),
            Value::Str(t) => {
                let span = self.bytes.push(t.raw());
                let flags = (u8::from(t.is_clean()) * CLEAN) | (u8::from(t.is_escaped()) * ESCAPED);
                self.push(Cell::str(key, span, flags));
            }
            Value::Bin(v) => {
                let span = self.bytes.push(v);
                self.push(Cell::bin(key, span));
            }
            Value::Map(cells) => self.push_nested(key, Kind::Map, *cells),
            Value::Array(cells) => self.push_nested(key, Kind::Array, *cells),
        }
    }

    fn push_nested(&mut self, key: Key, kind: Kind, cells: Cells<'_>) {
        let opened = self.open(key, kind);
        let mut entries = 0;
        for (k, v) in cells {
            let k = if kind == Kind::Array { Key::NONE } else { self.adopt_key(k, cells.batch) };
            self.push_value(k, &v);
            entries += 1;
        }
        self.close(opened, entries);
    }

    /// The key here that has the name of `key` in batch `from`.
    pub fn adopt_key(&mut self, key: Key, from: &Self) -> Key {
        if key.local_at().is_none() { key } else { self.key(from.key_name(key)) }
    }

    /// Appends a copy of a record of another batch.
    pub fn push_record(&mut self, r: &Record<'_>) {
        let mark = self.begin();
        for (k, v) in r.body() {
            let k = self.adopt_key(k, r.batch);
            self.push_value(k, &v);
        }
        self.finish(mark, r.time());
        self.set_position(r.batch.position(r.index));
        if !r.meta().is_empty() {
            let mark = self.begin();
            for (k, v) in r.meta() {
                let k = self.adopt_key(k, r.batch);
                self.push_value(k, &v);
            }
            self.replace_meta(self.recs.len() - 1, mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(v: Option<Value<'_>>) -> String {
        match v {
            Some(Value::Str(t)) => String::from_utf8_lossy(&t.bytes()).into_owned(),
            other => format!("{other:?}"),
        }
    }

    fn sample() -> Batch {
        let mut b = Batch::new(Tag::new("t"));
        for n in 0..3i64 {
            let m = b.begin();
            b.push_text(Key::of("log"), format!("line {n}").as_bytes());
            b.push(Cell::int(Key::of("n"), n));
            let map = b.open(Key::of("m"), Kind::Map);
            b.push_text(Key::of("x"), b"y");
            b.close(map, 1);
            b.push(Cell::bool(Key::of("last"), true));
            b.finish(m, Time(n));
        }
        b
    }

    #[test]
    fn records_read_back() {
        let b = sample();
        let r = b.record(1);
        assert_eq!(r.time(), Time(1));
        assert_eq!(text(r.body().find(Key::of("log"))), "line 1");
        assert!(matches!(r.body().find(Key::of("n")), Some(Value::Int(1))));
        assert!(matches!(r.body().find(Key::of("last")), Some(Value::Bool(true))));
        let Some(Value::Map(m)) = r.body().find(Key::of("m")) else { panic!("no map") };
        assert_eq!(text(m.find(Key::of("x"))), "y");
        assert!(r.body().find(Key::of("x")).is_none(), "nested keys are not top-level keys");
        assert_eq!(r.body().count_entries(), 4);
    }

    #[test]
    fn many_texts_are_as_many_records() {
        let mut b = sample();
        let at = b.arena_mut().push(b"onetwo");
        b.set_source(Source { dev: 1, ino: 2, print: 3, base: 100 });
        b.push_texts(Key::of("log"), &[at.sub(0, 3), at.sub(3, 6)], Time(8), at.at as usize, 104);
        b.push_texts(Key::of("log"), &[], Time(9), 0, 107);
        let last: Vec<_> = b.records().skip(3).map(|r| (r.time(), text(r.body().find(Key::of("log"))))).collect();
        assert_eq!(last, [(Time(8), "one".to_owned()), (Time(8), "two".to_owned())]);
        assert_eq!(b.record(4).body().count_entries(), 1);
        assert_eq!((b.position(3).offset, b.position(4).offset), (104, 107));
        assert_eq!(b.position(4).source.ino, 2);
    }

    #[test]
    fn dropped_records_disappear_and_empty_ones_stay() {
        let mut b = sample();
        let m = b.begin();
        b.finish(m, Time(9));
        b.drop_record(0);
        b.drop_record(2);
        assert_eq!(b.settle(), 2);
        assert_eq!(b.records().map(|r| r.time().0).collect::<Vec<_>>(), [1, 9]);
        assert!(b.fresh().is_empty());
    }

    #[test]
    fn a_reopened_body_can_grow() {
        let mut b = sample();
        for i in 0..3 {
            let m = b.reopen(i);
            b.push_text(Key::of("more"), b"z");
            b.replace_body(i, m);
        }
        for r in b.records() {
            assert_eq!(text(r.body().find(Key::of("more"))), "z");
            assert_eq!(r.body().count_entries(), 5);
        }
    }

    #[test]
    fn escaped_text_decodes_into_the_arena() {
        let mut b = Batch::new(Tag::new("t"));
        let raw = b.arena_mut().push(br#"a\"b\n\\c"#);
        let m = b.begin();
        b.push(Cell::str(Key::of("log"), raw, ESCAPED));
        b.finish(m, Time(0));
        assert_eq!(text(b.record(0).body().find(Key::of("log"))), "a\"b\n\\c");
        let span = b.text_span(0, 0).unwrap();
        assert_eq!(b.arena().get(span), b"a\"b\n\\c");
        assert_eq!(b.text_span(0, 0), Some(span), "decoded once");
    }

    #[test]
    fn records_copy_between_batches() {
        let mut from = sample();
        let long = "k".repeat(300);
        let local = from.key(long.as_bytes());
        let m = from.begin();
        from.push_text(local, b"v");
        from.finish(m, Time(3));
        let mut to = Batch::new(Tag::new("u"));
        to.arena_mut().push(b"something before");
        for r in from.records() {
            to.push_record(&r);
        }
        assert_eq!(to.len(), 4);
        assert_eq!(text(to.record(2).body().find(Key::of("log"))), "line 2");
        let (k, v) = to.record(3).body().next().unwrap();
        assert_eq!((to.key_name(k), text(Some(v)).as_str()), (long.as_bytes(), "v"));
    }
}
