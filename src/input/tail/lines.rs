//! Lines into records: the text between two line ends becomes one record, in place in the arena.

use super::join::{Join, Place};
use super::long::{Long, cut_at};
use crate::event::{Batch, Cell, Key, Source, Span};
use crate::parse::multiline::Around;
use crate::parse::{Parsed, Parser};
use crate::time::Time;
use memchr::memchr_iter;

/// What records of lines look like.
pub struct Lines {
    /// The key of a line that is not parsed.
    pub key: Key,
    /// The key of the path.
    pub path_key: Option<Key>,
    /// The key of the line's offset in the file.
    pub offset_key: Option<Key>,
    /// Takes lines apart.
    pub parser: Option<Box<dyn Parser>>,
    /// The longest line, in bytes.
    pub max: usize,
    /// What becomes of longer ones.
    pub long: Long,
    /// Empty lines make no record.
    pub skip_empty: bool,
    /// Joins lines that belong together.
    pub join: Option<Join>,
}

/// Where a stretch of text came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// The path, for Path_Key.
    pub path: &'a [u8],
    /// When it was read.
    pub now: Time,
    /// The file; its base is the offset, or one before it.
    pub source: Source,
}

/// What a stretch of text gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Yield {
    /// Records made.
    pub records: u64,
    /// Lines that were longer than allowed.
    pub long: u64,
    /// Lines with bytes that are no text in their encoding.
    pub replaced: u64,
}

/// Line ends looked up together: the arena is only borrowed for the search, the records are pushed after it.
const BLOCK: usize = 256;
/// A run of NULs at the start of a line, inside a file, that no program wrote: a hole left by a crash.
pub const HOLE: usize = 1024;

impl Lines {
    /// Makes the records of the arena bytes from `from` to `to`, which ends behind a line end.
    pub fn take(&mut self, batch: &mut Batch, from: usize, to: usize, origin: &Origin<'_>) -> Yield {
        let mut out = Yield::default();
        self.set_source(batch, origin.source);
        let path = self.path_cell(batch, origin);
        let mut ends = [0u32; BLOCK];
        let mut at = from;
        while at < to {
            let text = batch.arena().as_slice().get(at..to).unwrap_or_default();
            let mut found = 0;
            for (slot, end) in ends.iter_mut().zip(memchr_iter(b'\n', text)) {
                *slot = (at + end) as u32;
                found += 1;
            }
            if found == 0 {
                break;
            }
            let block = ends.get(..found).unwrap_or_default();
            if self.parser.is_none() && path.is_none() && self.offset_key.is_none() && self.join.is_none() {
                at = self.plain(batch, from, at, block, origin, &mut out);
                continue;
            }
            for &end in block {
                let end = end as usize;
                self.line(
                    batch,
                    Span::between(at, end),
                    origin.offset + (at - from) as u64,
                    path,
                    origin.now,
                    &mut out,
                );
                at = end + 1;
            }
        }
        out
    }

    /// The same for a last line without a line end.
    pub fn take_last(&mut self, batch: &mut Batch, text: Span, origin: &Origin<'_>) -> Yield {
        let mut out = Yield::default();
        self.set_source(batch, origin.source);
        let path = self.path_cell(batch, origin);
        self.line(batch, text, origin.offset, path, origin.now, &mut out);
        out
    }

    /// The same for a piece of a line that is too long.
    pub fn take_piece(&mut self, batch: &mut Batch, text: Span, origin: &Origin<'_>) -> Yield {
        let mut out = Yield::default();
        self.set_source(batch, origin.source);
        let path = self.path_cell(batch, origin);
        self.record(batch, text, origin.offset, path, origin.now, &mut out);
        out
    }

    /// The next lines come from here.
    pub fn set_source(&mut self, batch: &mut Batch, source: Source) {
        batch.set_source(source);
        if let Some(join) = &mut self.join {
            join.set_source(source);
        }
    }

    /// The path as a cell, for Path_Key.
    pub fn path_cell(&self, batch: &mut Batch, origin: &Origin<'_>) -> Option<Cell> {
        self.path_key.map(|key| Cell::str(key, batch.arena_mut().push(origin.path), 0))
    }

    /// One block of lines of which each becomes one cell: the path that has to be quick.
    fn plain(
        &mut self,
        batch: &mut Batch,
        from: usize,
        mut at: usize,
        ends: &[u32],
        origin: &Origin<'_>,
        out: &mut Yield,
    ) -> usize {
        let mut spans = [Span::default(); BLOCK];
        let mut ready = 0;
        for &end in ends {
            let end = end as usize;
            let line = batch.arena().as_slice().get(at..end).unwrap_or_default();
            let len = line.len() - usize::from(line.last() == Some(&b'\r'));
            if len > self.max || line.first() == Some(&0) {
                // Uncommon; those before it come before it.
                out.records += flush(batch, self.key, &spans, &mut ready, from, origin);
                let offset = origin.offset + (at - from) as u64;
                self.line(batch, Span::between(at, end), offset, None, origin.now, out);
            } else if (len > 0 || !self.skip_empty)
                && let Some(span) = spans.get_mut(ready)
            {
                *span = Span::between(at, at + len);
                ready += 1;
            }
            at = end + 1;
        }
        out.records += flush(batch, self.key, &spans, &mut ready, from, origin);
        at
    }

    #[inline]
    fn line(&mut self, batch: &mut Batch, text: Span, offset: u64, path: Option<Cell>, now: Time, out: &mut Yield) {
        let bytes = batch.arena().get(text);
        let len = bytes.len() - usize::from(bytes.last() == Some(&b'\r'));
        if len > self.max || bytes.first() == Some(&0) {
            self.odd(batch, text, offset, path, now, out);
        } else if len > 0 || !self.skip_empty {
            self.record(batch, text.sub(0, len), offset, path, now, out);
        }
    }

    /// A line that is too long, or may begin with a hole.
    #[cold]
    fn odd(&mut self, batch: &mut Batch, text: Span, offset: u64, path: Option<Cell>, now: Time, out: &mut Yield) {
        let bytes = batch.arena().get(text);
        let hole = match bytes.first() {
            Some(0) => bytes.iter().position(|&b| b != 0).filter(|&run| run >= HOLE).unwrap_or(0),
            _ => 0,
        };
        let cr = usize::from(bytes.last() == Some(&b'\r'));
        let mut rest = text.sub(hole, bytes.len() - cr);
        let mut offset = offset + hole as u64;
        if rest.len as usize > self.max {
            out.long += 1;
            if self.long == Long::Skip {
                return;
            }
            while rest.len as usize > self.max {
                let cut = cut_at(batch.arena().get(rest), self.max);
                self.record(batch, rest.sub(0, cut), offset, path, now, out);
                if self.long == Long::Truncate {
                    return;
                }
                rest = rest.sub(cut, rest.len as usize);
                offset += cut as u64;
            }
        }
        if rest.len > 0 || !self.skip_empty {
            self.record(batch, rest, offset, path, now, out);
        }
    }

    /// One record of a line, or of a piece of it.
    #[inline]
    pub fn record(
        &mut self,
        batch: &mut Batch,
        text: Span,
        offset: u64,
        path: Option<Cell>,
        now: Time,
        out: &mut Yield,
    ) {
        if self.join.is_some() {
            return self.joined(batch, &Place { text, offset, path, now }, out);
        }
        let mark = batch.begin();
        let mut time = now;
        let parsed = match &mut self.parser {
            Some(parser) => parser.parse(batch, text, now),
            None => Parsed::Miss,
        };
        Around { path, offset_key: self.offset_key }.push(batch, offset);
        match parsed {
            Parsed::Hit(own) => time = own.unwrap_or(now),
            Parsed::Miss => batch.push_span(self.key, text),
        }
        batch.finish_at(mark, time, offset);
        out.records += 1;
    }

    #[inline(never)]
    fn joined(&mut self, batch: &mut Batch, place: &Place, out: &mut Yield) {
        if let Some(join) = &mut self.join {
            out.records += join.line(batch, place, self.key, self.offset_key);
        }
    }
}

/// Makes records of the spans that are ready; answers how many.
fn flush(batch: &mut Batch, key: Key, spans: &[Span], ready: &mut usize, from: usize, origin: &Origin<'_>) -> u64 {
    let texts = spans.get(..std::mem::take(ready)).unwrap_or_default();
    batch.push_texts(key, texts, origin.now, from, origin.offset);
    texts.len() as u64
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("max", &self.max).field("long", &self.long).finish_non_exhaustive()
    }
}
