//! Building and reading a batch, the part about where records come from.

use super::batch::Rec;
use super::{Batch, Cell, Key, Mark, Position, Source, Span};
use crate::time::Time;

impl Batch {
    /// [`Batch::finish`] for a record of the file that [`Batch::set_source`] named: its line begins at `offset` there.
    #[inline]
    pub fn finish_at(&mut self, mark: Mark, time: Time, offset: u64) {
        let cells = self.tape.len() as u32 - mark.0;
        let (source, base) = self.present();
        let at = offset.wrapping_sub(base) as u32;
        self.recs.push(Rec { time, first: mark.0, cells, source, at, ..Rec::NONE });
    }

    /// Makes a record of one text each, all under `key`: the quick way for lines that stand in the arena. They come from
    /// the file that [`Batch::set_source`] named; the arena's byte `from` stands at `offset` there.
    pub fn push_texts(&mut self, key: Key, texts: &[Span], time: Time, from: usize, offset: u64) {
        let first = self.tape.len() as u32;
        self.tape.extend(texts.iter().map(|&text| Cell::str(key, text, 0)));
        let (source, base) = self.present();
        let shift = (offset.wrapping_sub(base) as u32).wrapping_sub(from as u32);
        let rec = |(n, text): (u32, &Span)| {
            let at = text.at.wrapping_add(shift);
            Rec { time, first: first + n, cells: 1, source, at, ..Rec::NONE }
        };
        self.recs.extend((0u32..).zip(texts).map(rec));
    }

    /// Names the file that the next records come from, and an offset at or before the first of them.
    pub fn set_source(&mut self, source: Source) {
        let last = self.sources.last();
        // Places are counted in 32 bits from the base.
        let known = last.is_some_and(|l| l.is_same(&source) && source.base.wrapping_sub(l.base) < 1 << 30);
        if !known {
            self.sources.push(source);
        }
    }

    /// Where record `i` came from.
    pub fn position(&self, i: usize) -> Position {
        let r = self.rec(i);
        let source = self.sources.get(r.source as usize).copied().unwrap_or_default();
        Position { source, offset: source.base.wrapping_add(r.at.into()) }
    }

    /// Gives the last record a position of its own, for copies and for what comes back from a disk.
    pub fn set_position(&mut self, position: Position) {
        let source = Source { base: position.offset, ..position.source };
        let near = |s: &Source| s.is_same(&source) && source.base.wrapping_sub(s.base) < 1 << 31;
        let index = self.sources.iter().rposition(near).unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        let base = self.sources.get(index).map_or(0, |s| s.base);
        if let Some(r) = self.recs.last_mut() {
            (r.source, r.at) = (index as u32, source.base.wrapping_sub(base) as u32);
        }
    }

    /// A number that no other batch has, nor this one once it is used again: what was put into its arena stays there.
    #[inline]
    pub fn number(&self) -> u64 {
        self.sources.first().map_or(0, |s| s.print)
    }

    /// The source that was named last, and its base.
    #[inline]
    fn present(&self) -> (u32, u64) {
        (self.sources.len() as u32 - 1, self.sources.last().map_or(0, |s| s.base))
    }

    /// Adds a record that cannot be read again.
    #[inline]
    pub(super) fn own(&mut self, rec: Rec) {
        self.recs.push(Rec { at: self.serial, ..rec });
        self.serial = self.serial.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;

    #[test]
    fn every_record_has_a_position_of_its_own() {
        let file = |base| Source { dev: 1, ino: 2, print: 3, base };
        let mut b = Batch::new(Tag::new("t"));
        for n in 0..3 {
            let m = b.begin();
            b.finish(m, Time(n));
        }
        for (n, offset) in [10u64, 5_000_000_000, 20, 5_000_000_001].into_iter().enumerate() {
            b.set_source(file(offset));
            let m = b.begin();
            b.finish_at(m, Time(n as i64), offset);
        }
        b.drop_record(1);
        b.settle();
        let at = |b: &Batch| {
            (0..b.len()).map(|i| b.position(i)).map(|p| (p.source.ino, p.source.print, p.offset)).collect::<Vec<_>>()
        };
        let own = b.position(0).source.print;
        assert_eq!(at(&b)[2..], [(2, 3, 10), (2, 3, 5_000_000_000), (2, 3, 20), (2, 3, 5_000_000_001)]);
        assert_eq!(at(&b)[..2], [(0, own, 0), (0, own, 2)]);
        let mut copy = Batch::new(Tag::new("u"));
        b.records().for_each(|r| copy.push_record(&r));
        assert_eq!(at(&copy), at(&b), "a copy comes from where its original came from");
        assert_ne!(Batch::new(Tag::new("t")).position(0).source.print, own);
    }
}
