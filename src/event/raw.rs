//! Records as their batch keeps them, for what writes whole batches down and reads them back.

use super::batch::{DROPPED, Rec};
use super::{Batch, Cell, Mark, Source};
use crate::time::Time;

/// A record: its two runs of cells, and its place by the number of its source.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Its timestamp.
    pub time: Time,
    /// The cells of its body.
    pub body: &'a [Cell],
    /// The cells of its metadata.
    pub meta: &'a [Cell],
    /// Which of [`Batch::sources`] it came from.
    pub source: u32,
    /// Its offset, counted from the base of that source.
    pub at: u32,
}

/// How much a batch held: [`Batch::shorten`] goes back to it.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    bytes: usize,
    tape: usize,
    recs: usize,
    sources: usize,
}

impl Batch {
    /// Record `i` as it is kept; `None` when there is none, or when it was dropped and not yet swept.
    #[inline]
    pub fn raw(&self, i: usize) -> Option<Raw<'_>> {
        let r = self.recs.get(i).filter(|r| r.first != DROPPED)?;
        let cells = |first: u32, n: u32| {
            let from = first as usize;
            self.tape.get(from..from + n as usize).unwrap_or_default()
        };
        let (body, meta) = (cells(r.first, r.cells), cells(r.meta_first, r.meta_cells));
        Some(Raw { time: r.time, body, meta, source: r.source, at: r.at })
    }

    /// Where the records of this batch came from; [`Raw::source`] counts in it.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Adds a source and returns its number.
    pub fn add_source(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        self.sources.len() as u32 - 1
    }

    /// Makes the cells since `mark` a record, the first `body` of them its body, the others its metadata.
    pub fn finish_raw(&mut self, mark: Mark, body: usize, time: Time, source: u32, at: u32) {
        let all = self.tape.len().saturating_sub(mark.0 as usize);
        let cells = body.min(all) as u32;
        let (first, meta_first, meta_cells) = (mark.0, mark.0 + cells, all as u32 - cells);
        self.recs.push(Rec { time, first, cells, meta_first, meta_cells, source, at });
    }

    /// Makes room for that many more records.
    pub fn reserve(&mut self, records: usize) {
        self.recs.reserve(records);
    }

    /// How much there is now.
    pub fn extent(&self) -> Extent {
        let (bytes, tape) = (self.bytes.len(), self.tape.len());
        Extent { bytes, tape, recs: self.recs.len(), sources: self.sources.len() }
    }

    /// Forgets all that was added since `extent` was taken.
    pub fn shorten(&mut self, extent: Extent) {
        self.bytes.truncate(extent.bytes);
        self.tape.truncate(extent.tape);
        self.recs.truncate(extent.recs);
        self.sources.truncate(extent.sources);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Key, Tag};

    #[test]
    fn a_record_is_taken_apart_and_put_together() {
        let mut b = Batch::new(Tag::new("t"));
        let mark = b.begin();
        b.push(Cell::int(Key::of("a"), 1));
        b.push(Cell::int(Key::of("b"), 2));
        let source = b.add_source(Source { dev: 1, ino: 2, print: 3, base: 10 });
        b.finish_raw(mark, 1, Time(5), source, 7);
        let raw = b.raw(0).unwrap();
        assert_eq!((raw.time, raw.source, raw.at), (Time(5), 1, 7));
        assert_eq!((raw.body[0].bits(), raw.meta[0].bits()), (1, 2));
        assert_eq!(b.position(0).offset, 17);
        let before = b.extent();
        let mark = b.begin();
        b.push_text(Key::of("a"), b"text");
        b.add_source(Source::default());
        b.finish(mark, Time(6));
        b.shorten(before);
        assert_eq!((b.len(), b.sources().len(), b.arena().len(), b.begin().0), (1, 2, 0, 2));
        b.drop_record(0);
        assert!(b.raw(0).is_none() && b.raw(1).is_none());
    }
}
