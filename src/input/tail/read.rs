//! One turn of a file: a bounded read straight into the batch's arena, its whole lines made records.

use super::charset::Charset;
use super::cut::{Cut, Known};
use super::facts;
use super::file::{File, Place, size_of};
use super::join::{Join, Which};
use super::last::{Last, Likeness, REACH};
use super::lines::{HOLE, Lines, Origin, Yield};
use super::long::{Long, cut_at};
use crate::event::{Batch, Span};
use crate::time::Time;
use rustix::fs::SeekFrom;
use std::io::{self, IoSliceMut};
use std::ops::DerefMut;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// What one read asks for while a file is behind, in bytes: the batch stays in the second-level cache.
pub const STEP: usize = 128 * 1024;
/// An unfinished line longer than this is not read again before its end is there, in bytes.
pub const PEEK: u64 = 32 * 1024;

/// Reads files; it holds what all files of an input have in common.
#[derive(Debug)]
pub struct Reader {
    /// How lines become records.
    pub lines: Lines,
    /// The least that one read asks for, in bytes.
    pub chunk: usize,
    /// The most that one turn reads of a file that is far behind, in bytes.
    pub static_batch: usize,
    /// The most that one turn reads of a file that is followed, in bytes.
    pub event_batch: usize,
    /// What files are written in, when their text is to be decoded.
    pub charset: Option<Charset>,
    /// Encoded text of the present turn.
    pub buffer: Vec<u8>,
}

/// What a turn did.
#[derive(Debug, Default)]
pub struct Turn {
    /// Records made and lines that were too long.
    pub made: Yield,
    /// The file was cut or written anew; it is read from its head again.
    pub cut: Option<Cut>,
    /// There is more to read.
    pub more: bool,
    /// The file had grown.
    pub grew: bool,
    /// Bytes taken.
    pub bytes: u64,
}

/// What became of reading on.
#[derive(Debug)]
pub enum Advance {
    /// Whole lines were taken, or none was there.
    Took(Yield),
    /// What stands before the offset is not what was read there.
    Changed,
    /// The file was written anew while it was read.
    Torn,
}

/// Text read at the end of the arena.
#[derive(Debug)]
struct Read {
    /// Where it begins in the arena.
    base: usize,
    /// Its length.
    got: usize,
    /// Nothing follows it, nor ever will.
    last: bool,
    /// What stands before it.
    before: Before,
    /// The file's fingerprint.
    print: u64,
}

/// The bytes before an offset, as far as they are known to the file.
#[derive(Debug)]
pub struct Before {
    bytes: [u8; REACH],
    len: usize,
}

impl Before {
    /// Room for what `last` knows.
    pub fn room(last: &Last) -> Self {
        Self { bytes: [0; REACH], len: last.reach() }
    }

    /// The bytes.
    pub fn all(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The room for them.
    pub fn all_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl Reader {
    /// Reads on in `file`; its records go to the batch that `open` gives, when there is something to read.
    ///
    /// # Errors
    /// What the system answers; the file's offset is where it was.
    pub fn turn<B>(&mut self, file: &mut File, open: impl Fn() -> B, now: Time) -> io::Result<Turn>
    where
        B: DerefMut<Target = Batch>,
    {
        if self.lines.join.is_none() {
            return self.turn_of_lines(file, open, now);
        }
        self.swap(&mut file.open);
        let turn = self.turn_of_lines(file, &open, now);
        self.swap(&mut file.open);
        let mut turn = turn?;
        turn.made.records += self.complete(&mut Default::default(), &file.path, Which::Due, open);
        Ok(turn)
    }

    fn turn_of_lines<B>(&mut self, file: &mut File, open: impl FnOnce() -> B, now: Time) -> io::Result<Turn>
    where
        B: DerefMut<Target = Batch>,
    {
        let mut turn = Turn::default();
        let Some(fd) = &file.fd else { return Ok(turn) };
        let now_seen = facts::now();
        let size = size_of(&rustix::fs::fstat(fd)?);
        if size < file.offset {
            turn.cut = Some(self.cut(file));
            if file.copy_of.is_some() || self.lines.join.is_some() {
                // The next copy was written over this one, and what that holds is another question; or records go on in
                // a copy of this one first.
                turn.more = size > 0;
                return Ok(turn);
            }
        }
        let before = file.offset;
        let available = size - file.offset;
        if available < file.unfinished {
            // Shorter than what was seen of the unfinished line: that was written anew.
            file.unfinished = 0;
        }
        if available > file.unfinished || (file.last_call && available > 0) {
            file.grown = Instant::now();
            turn.grew = available > file.unfinished;
            let mut batch = open();
            let base = batch.arena().len();
            let done = match self.charset {
                None => self.advance(file, &mut batch, available, now),
                Some(charset) => self.advance_encoded(file, &mut batch, available, now, charset),
            };
            if !matches!(&done, Ok(Advance::Took(made)) if made.records > 0) {
                batch.arena_mut().truncate(base);
            }
            match done? {
                Advance::Took(made) => {
                    turn.made = made;
                    turn.bytes = file.offset - before;
                    file.seen = now_seen;
                }
                // Programs that close a list at the end of their file write over that end: no new file.
                Advance::Changed if reads_alike(file) => {}
                Advance::Torn if before > 0 && reads_alike(file) => {}
                Advance::Changed | Advance::Torn => {
                    // Of two cuts the first one tells what was read.
                    let again = self.cut(file);
                    turn.cut.get_or_insert(again);
                }
            }
        }
        if available == 0 {
            if reads_alike(file) {
                file.seen = now_seen;
            } else {
                // Cut, and grown to the very same length since.
                turn.cut = Some(self.cut(file));
            }
        }
        file.size = size;
        turn.more = size > file.offset + file.unfinished;
        Ok(turn)
    }

    /// [`cut`]; whether the file had begun records is told.
    fn cut(&self, file: &mut File) -> Cut {
        Cut { open: self.lines.join.as_ref().is_some_and(Join::is_open), ..cut(file) }
    }

    /// What one read asks for of a file that has `available` bytes more.
    pub fn step(&self, available: u64) -> usize {
        let bound = if available > STEP as u64 { self.static_batch } else { self.event_batch };
        self.chunk.max(STEP).min(bound.max(1))
    }

    /// Reads at most `available` bytes at the file's offset; takes whole lines and leaves the rest for later.
    fn advance(&mut self, f: &mut File, batch: &mut Batch, available: u64, now: Time) -> io::Result<Advance> {
        let Some(fd) = f.fd.as_ref().map(AsFd::as_fd) else { return Ok(Advance::Took(Yield::default())) };
        let step = self.step(available);
        if f.unfinished >= PEEK && !f.last_call {
            let base = batch.arena().len();
            let got = fill(fd, batch, at_most(available - f.unfinished, step), f.offset + f.unfinished)?;
            let fresh = batch.arena().as_slice().get(base..).unwrap_or_default();
            let found = memchr::memchr(b'\n', fresh).is_some();
            batch.arena_mut().truncate(base);
            if !found && f.unfinished + got as u64 <= self.lines.max as u64 {
                f.unfinished += got as u64;
                return Ok(Advance::Took(Yield::default()));
            }
        }
        // As long as one line may be, with its line end.
        let longest = self.lines.max.saturating_add(2);
        let mut want = at_most(available, step);
        let mut read = Read { base: batch.arena().len(), got: 0, last: false, before: Before::room(&f.last), print: 0 };
        // What stands before the offset is read again: a file that was cut and has grown beyond it shows there.
        let Some(n) = fill_both(fd, batch, want, f.offset, &mut read.before)? else { return Ok(Advance::Changed) };
        if f.last.compare(read.before.all()) != Likeness::Same {
            return Ok(Advance::Changed);
        }
        let mut n = n;
        let end = loop {
            let fresh = batch.arena().as_slice().get(read.base + read.got..).unwrap_or_default();
            let last = memchr::memrchr(b'\n', fresh).map(|at| read.got + at + 1);
            read.got += n;
            if last.is_some() {
                break last;
            }
            // No line end: more of the line is needed, up to what is allowed.
            let dropping = matches!(f.place, Place::Dropping(_));
            if n == 0 || read.got >= longest || dropping || read.got as u64 >= available {
                break None;
            }
            want = at_most(available, want.saturating_mul(2).min(longest).max(read.got + 1));
            n = fill(fd, batch, want - read.got, f.offset + read.got as u64)?;
        };
        let text = batch.arena().as_slice().get(read.base..).unwrap_or_default();
        let print = f.print_at(read.before.all(), text, self.lines.max);
        if f.offset == 0 && f.copies.is_some() && !reads_alike(f) || !f.still_holds(read.before.all(), text) {
            return Ok(Advance::Torn);
        }
        f.print = print.settled.then_some(print);
        read.print = print.line;
        read.last = f.last_call && read.got as u64 >= available;
        Ok(Advance::Took(match end {
            Some(end) => self.whole_lines(f, batch, &read, end, now),
            None => self.no_line_end(f, batch, &read, available, now),
        }))
    }

    /// The text holds line ends, the last one before `end`.
    fn whole_lines(&mut self, f: &mut File, batch: &mut Batch, read: &Read, end: usize, now: Time) -> Yield {
        let &Read { base, got, .. } = read;
        batch.arena_mut().truncate(base + end);
        let text = batch.arena().as_slice().get(base..).unwrap_or_default();
        f.last = Last::of_both(read.before.all(), text);
        let skip = match f.place {
            Place::Dropping(_) => memchr::memchr(b'\n', text).map_or(end, |at| at + 1),
            Place::Hole => nuls(text),
            _ if f.offset == 0 => hole_at_start(nuls(text)),
            _ => 0,
        };
        let path = f.path.clone();
        let source = f.source(read.print);
        let origin = Origin { offset: f.offset + skip as u64, path: path.as_os_str().as_bytes(), now, source };
        let made = self.lines.take(batch, base + skip, base + end, &origin);
        f.place = Place::Start;
        f.offset += end as u64;
        f.unfinished = (got - end) as u64;
        if read.last || f.unfinished > self.lines.max as u64 {
            // The next turn deals with it.
            f.unfinished = 0;
        }
        made
    }

    /// The text holds no line end: an unfinished line, a part of a long one, or a hole.
    fn no_line_end(&mut self, f: &mut File, batch: &mut Batch, read: &Read, available: u64, now: Time) -> Yield {
        let &Read { base, got, last, .. } = read;
        let max = self.lines.max;
        let text = batch.arena().as_slice().get(base..).unwrap_or_default();
        f.unfinished = 0;
        if let Place::Dropping(_) = f.place {
            f.last = Last::of_both(read.before.all(), text);
            f.offset += got as u64;
            if last {
                f.place = Place::Start;
            }
            return Yield::default();
        }
        let hole = nuls(text);
        if hole == got && got as u64 >= available && !last {
            // Nothing but NULs up to the end: room that may still be written to.
            f.unfinished = got as u64;
            return Yield::default();
        }
        let at_start = f.offset == 0 && hole_at_start(hole) > 0;
        if hole > 0 && (at_start || f.place == Place::Hole || hole >= HOLE) {
            f.place = Place::Hole;
            f.last.clear();
            f.offset = if hole == got { behind_hole(f, got as u64, available) } else { f.offset + hole as u64 };
            return Yield::default();
        }
        let too_long = got >= max.saturating_add(2);
        if !too_long && !last {
            f.unfinished = got as u64;
            return Yield::default();
        }
        let taken = match self.lines.long {
            _ if !too_long => got,
            Long::Skip => 0,
            _ => cut_at(text, max),
        };
        let passed = if too_long && self.lines.long == Long::Pieces { taken } else { got };
        f.last = Last::of_both(read.before.all(), text.get(..passed).unwrap_or_default());
        let path = f.path.clone();
        let source = f.source(read.print);
        let origin = Origin { offset: f.offset, path: path.as_os_str().as_bytes(), now, source };
        // What is not taken must not stay in the arena before what a parser adds there.
        batch.arena_mut().truncate(base + taken);
        let text = Span::between(base, base + taken);
        if !too_long {
            f.place = Place::Start;
            f.offset += passed as u64;
            return self.lines.take_last(batch, text, &origin);
        }
        let mut made = Yield::default();
        if taken > 0 {
            made = self.lines.take_piece(batch, text, &origin);
        }
        made.long = 1;
        if self.lines.long == Long::Pieces {
            // A line counts once, however many pieces it gives.
            made.long = u64::from(f.place != Place::Piece);
            f.place = Place::Piece;
        } else {
            f.place = if last { Place::Start } else { Place::Dropping(f.offset) };
        }
        f.offset += passed as u64;
        made
    }
}

/// The file does not hold what was read of it any more: it is read from its head.
pub fn cut(file: &mut File) -> Cut {
    let &mut File { offset, place, last, print, size, seen, .. } = file;
    file.rewind();
    Cut { offset, place, known: Known::Text(last), print, size, seen, open: false }
}

/// Whether what stands before the offset is what was read there, but for its end perhaps; that is then known as it is.
pub fn reads_alike(f: &mut File) -> bool {
    let (likeness, now) = compare(f);
    if likeness == Likeness::Edited && f.offset > 0 {
        f.last = Last::of(now.all());
    }
    likeness != Likeness::Other
}

/// Whether a file still holds what was read of it.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub fn is_as_read(f: &File) -> bool {
    compare(f).0 != Likeness::Other
}

/// Compares what stands before the offset with what stood there; of a copy that is not begun the beginning. Nothing that
/// cannot be read is taken for another: the next reading says so.
fn compare(f: &File) -> (Likeness, Before) {
    let begins = f.copies.as_ref().and_then(|c| c.begins).filter(|_| f.offset == 0);
    let (known, from) = match begins {
        Some(begins) => (begins, 0),
        None => (f.last, f.offset.saturating_sub(f.last.reach() as u64)),
    };
    let mut now = Before::room(&known);
    let likeness = match f.fd.as_ref().map(|fd| rustix::io::pread(fd, now.all_mut(), from)) {
        Some(Ok(n)) if n == known.reach() => known.compare(now.all()),
        Some(Ok(_)) => Likeness::Other,
        Some(Err(_)) | None => Likeness::Same,
    };
    (likeness, now)
}

/// Reads `n` bytes at `offset` to the end of the arena, and what stands before them; answers how many there were. `None`
/// when the file ends before the offset.
fn fill_both(
    fd: BorrowedFd<'_>,
    batch: &mut Batch,
    n: usize,
    offset: u64,
    before: &mut Before,
) -> io::Result<Option<usize>> {
    let behind = before.len;
    let got = loop {
        let room = batch.arena_mut().spare(n);
        let mut both = [IoSliceMut::new(before.all_mut()), IoSliceMut::new(room)];
        match rustix::io::preadv(fd, &mut both, offset.saturating_sub(behind as u64)) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let got = got.checked_sub(behind);
    batch.arena_mut().advance(got.unwrap_or(0));
    Ok(got)
}

/// Reads `n` bytes at `offset` to the end of the arena; answers how many there were.
fn fill(fd: BorrowedFd<'_>, batch: &mut Batch, n: usize, offset: u64) -> io::Result<usize> {
    let got = loop {
        match rustix::io::pread(fd, &mut *batch.arena_mut().spare(n), offset) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    batch.arena_mut().advance(got);
    Ok(got)
}

/// Where the data behind a hole begins, or at least a place further on.
pub fn behind_hole(f: &File, read: u64, available: u64) -> u64 {
    let known = f.offset + read;
    let data = f.fd.as_ref().and_then(|fd| rustix::fs::seek(fd, SeekFrom::Data(known)).ok());
    data.unwrap_or(known).clamp(known, f.offset + available)
}

/// How much of a run of NULs at the start of a file is a hole that a truncation left. Fewer than four may be the first
/// character of text in UTF-16 or UTF-32.
fn hole_at_start(nuls: usize) -> usize {
    if nuls > 3 { nuls } else { 0 }
}

fn nuls(text: &[u8]) -> usize {
    text.iter().position(|&b| b != 0).unwrap_or(text.len())
}

/// `n`, or `available` when that is less.
pub fn at_most(available: u64, n: usize) -> usize {
    usize::try_from(available).map_or(n, |a| a.min(n))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
