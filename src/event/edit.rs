//! Editing a batch: records are dropped, moved to the tape's end where they can grow, and swept.

use super::batch::DROPPED;
use super::cell::ESCAPED;
use super::value::unescape;
use super::{Batch, Cell, Kind, Mark, Span};
use crate::time::Time;
use std::ops::Range;

/// How far a batch was filled: [`Batch::stand`].
#[derive(Debug, Clone, Copy)]
pub struct Stand {
    bytes: usize,
    cells: usize,
    records: usize,
}

impl Batch {
    /// How far it is filled, to go back there when what follows turns out to be broken.
    pub fn stand(&self) -> Stand {
        Stand { bytes: self.bytes.len(), cells: self.tape.len(), records: self.recs.len() }
    }

    /// Forgets what was added since then. Nothing of it may have been committed.
    pub fn go_back(&mut self, to: &Stand) {
        self.bytes.truncate(to.bytes);
        self.tape.truncate(to.cells);
        self.recs.truncate(to.records);
    }

    /// The records that no filter has seen yet.
    pub fn fresh(&self) -> Range<usize> {
        self.fresh..self.recs.len()
    }

    /// Marks every record as seen and removes the dropped ones among the fresh; returns how many were dropped.
    pub fn settle(&mut self) -> usize {
        let dropped = self.sweep();
        self.fresh = self.recs.len();
        dropped
    }

    /// Removes the dropped ones among the fresh records, which stay fresh; returns how many there were.
    pub fn sweep(&mut self) -> usize {
        let before = self.recs.len();
        if !self.recs.iter().skip(self.fresh).any(|r| r.first == DROPPED) {
            return 0;
        }
        let mut keep = self.fresh;
        for i in self.fresh..before {
            if self.recs[i].first != DROPPED {
                self.recs[keep] = self.recs[i];
                keep += 1;
            }
        }
        self.recs.truncate(keep);
        before - keep
    }

    /// Drops record `i`; it disappears at the next [`Batch::sweep`].
    pub fn drop_record(&mut self, i: usize) {
        if let Some(r) = self.recs.get_mut(i) {
            (r.first, r.cells, r.meta_cells) = (DROPPED, 0, 0);
        }
    }

    /// Moves record `i` behind all others.
    pub fn move_to_end(&mut self, i: usize) {
        if let Some(&r) = self.recs.get(i)
            && r.first != DROPPED
        {
            self.recs.push(r);
            self.drop_record(i);
        }
    }

    /// Whether record `i` was dropped and not yet swept.
    pub fn is_dropped(&self, i: usize) -> bool {
        self.rec(i).first == DROPPED
    }

    /// Sets the time of record `i`.
    pub fn set_time(&mut self, i: usize, time: Time) {
        if let Some(r) = self.recs.get_mut(i) {
            r.time = time;
        }
    }

    /// The cells of record `i`'s body, to change keys and scalars in place.
    pub fn body_mut(&mut self, i: usize) -> &mut [Cell] {
        let r = self.rec(i);
        let from = r.first as usize;
        self.tape.get_mut(from..from + r.cells as usize).unwrap_or_default()
    }

    /// Makes `cells` the body of record `i`: where its former one stood when they fit there, else at the end of the tape.
    /// A dropped record stays dropped.
    #[inline]
    pub fn set_body(&mut self, i: usize, cells: &[Cell]) {
        let Some(r) = self.recs.get_mut(i).filter(|r| r.first != DROPPED) else { return };
        let (from, room) = (r.first as usize, r.cells as usize);
        r.cells = cells.len() as u32;
        if cells.len() <= room {
            if let Some(place) = self.tape.get_mut(from..from + cells.len()) {
                place.copy_from_slice(cells);
            }
            return;
        }
        if from + room == self.tape.len() {
            self.tape.truncate(from);
        }
        r.first = self.tape.len() as u32;
        self.tape.extend_from_slice(cells);
    }

    /// Moves the body of record `i` to the end of the tape, where it can grow; finish with [`Batch::replace_body`].
    /// When the body already is the end of the tape nothing is copied.
    pub fn reopen(&mut self, i: usize) -> Mark {
        let r = self.rec(i);
        let (from, to) = (r.first as usize, r.first as usize + r.cells as usize);
        if to != self.tape.len() {
            let mark = self.begin();
            if to < self.tape.len() {
                self.tape.extend_from_within(from..to);
            }
            return mark;
        }
        Mark(r.first)
    }

    /// The plain bytes of a text cell as a span of the arena: escaped text is decoded to the arena's end. `None` when it
    /// is not text.
    pub fn plain_text(&mut self, cell: &Cell) -> Option<Span> {
        if cell.kind != Kind::Str {
            return None;
        }
        if cell.flags & ESCAPED == 0 {
            return Some(cell.span());
        }
        let (used, spare) = self.bytes.split_spare(cell.b as usize);
        let raw = used.get(cell.a as usize..(cell.a + cell.b) as usize)?;
        let mut len = 0;
        unescape(raw, |part| {
            if let Some(room) = spare.get_mut(len..len + part.len()) {
                room.copy_from_slice(part);
                len += part.len();
            }
        });
        let start = used.len();
        self.bytes.advance(len);
        Some(Span::between(start, start + len))
    }

    /// The plain bytes of the text cell at `at` of record `i`'s body as a span of the arena: escaped text is decoded
    /// to the arena's end first and the cell points there from then on. `None` when it is not text.
    pub fn text_span(&mut self, i: usize, at: usize) -> Option<Span> {
        let pos = self.rec(i).first as usize + at;
        let cell = *self.tape.get(pos)?;
        let span = self.plain_text(&cell)?;
        if cell.flags & ESCAPED != 0 {
            self.tape[pos] = Cell::str(cell.key, span, 0);
        }
        Some(span)
    }
}
