//! A turn of a file in another encoding: the bytes are read into a buffer that all such files share, their whole lines
//! decoded from there. Offsets are those of the encoded file.

use super::charset::Charset;
use super::decode::{Stand, Text, longest};
use super::file::{File, Place};
use super::last::{Last, Likeness};
use super::lines::Yield;
use super::read::{Advance, PEEK, Reader, STEP, at_most, behind_hole, reads_alike};
use crate::event::{Batch, Source};
use crate::time::Time;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// What the shared buffer keeps between turns, in bytes.
const KEEP: usize = 2 * STEP;

impl Reader {
    /// As [`Self::turn`] asks for: reads at most `available` bytes at the file's offset and takes the whole lines.
    pub fn advance_encoded(
        &mut self,
        f: &mut File,
        batch: &mut Batch,
        available: u64,
        now: Time,
        charset: Charset,
    ) -> io::Result<Advance> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let done = self.advance_in(&mut buffer, f, batch, available, now, charset);
        buffer.truncate(KEEP);
        buffer.shrink_to(KEEP);
        self.buffer = buffer;
        done
    }

    fn advance_in(
        &mut self,
        buffer: &mut Vec<u8>,
        f: &mut File,
        batch: &mut Batch,
        available: u64,
        now: Time,
        charset: Charset,
    ) -> io::Result<Advance> {
        let Some(fd) = f.fd.as_ref().map(AsFd::as_fd) else { return Ok(Advance::Took(Yield::default())) };
        let Some(charset) = (if f.offset == 0 { Some(charset) } else { known(charset, fd)? }) else {
            return Ok(Advance::Changed);
        };
        let step = self.step(available);
        if f.unfinished >= PEEK && !f.last_call && charset != Charset::Auto {
            let from = charset.whole(usize::try_from(f.unfinished).unwrap_or(usize::MAX)) as u64;
            let got = read_on(fd, buffer, at_most(available - from, step), f.offset + from)?;
            let found = charset.line_end(buffer).is_some();
            let unfinished = from + got as u64;
            if !found && unfinished <= self.lines.max as u64 {
                f.unfinished = unfinished;
                return Ok(Advance::Took(Yield::default()));
            }
            buffer.clear();
        }
        // What stands before the offset is read again: a file that was cut and has grown beyond it shows there.
        let behind = f.last.reach();
        read_on(fd, buffer, behind + at_most(available, step), f.offset.saturating_sub(behind as u64))?;
        if f.last.compare(buffer.get(..behind).unwrap_or_default()) != Likeness::Same {
            return Ok(Advance::Changed);
        }
        let mut text = buffer.get(behind..).unwrap_or_default();
        // No line end: more of the line is needed, up to what is allowed.
        while charset.line_end(text).is_none() && !matches!(f.place, Place::Dropping(_)) {
            let want = at_most(available, text.len().saturating_mul(2).min(longest(self.lines.max)));
            if want <= text.len() {
                break;
            }
            let at = f.offset + text.len() as u64;
            let more = want - text.len();
            let got = read_on(fd, buffer, more, at)?;
            text = buffer.get(behind..).unwrap_or_default();
            if got == 0 {
                break;
            }
        }
        let print = f.print_at(buffer.get(..behind).unwrap_or_default(), text, self.lines.max);
        if f.offset == 0 && f.copies.is_some() && !reads_alike(f)
            || !f.still_holds(buffer.get(..behind).unwrap_or_default(), text)
        {
            return Ok(Advance::Torn);
        }
        f.print = print.settled.then_some(print);
        let all = text.len() as u64 >= available;
        let last = f.last_call && all;
        let mut stand = Stand { charset, offset: f.offset, place: f.place };
        let mut marked = 0;
        if f.offset == 0 {
            match charset.at_head(text) {
                Some((charset, mark)) => (stand.charset, marked) = (charset, mark),
                None if last => stand.charset = charset.or_utf8(),
                None => {
                    f.unfinished = text.len() as u64;
                    return Ok(Advance::Took(Yield::default()));
                }
            }
            stand.offset += marked as u64;
        }
        let path = f.path.clone();
        let bytes = text.get(marked..).unwrap_or_default();
        let source = Source { base: stand.offset, ..f.source(print.line) };
        let made = self.lines.take_encoded(
            batch,
            &Text { bytes, all, last, path: path.as_os_str().as_bytes(), now, source },
            &mut stand,
        );
        let taken = usize::try_from(stand.offset - f.offset).unwrap_or(usize::MAX).min(text.len());
        f.last = Last::of(buffer.get(..behind + taken).unwrap_or_default());
        f.unfinished = (text.len() - taken) as u64;
        if taken > 0 && (last || f.unfinished > self.lines.max as u64) {
            // The next turn deals with it.
            f.unfinished = 0;
        }
        let passed = f.offset;
        (f.offset, f.place) = (stand.offset, stand.place);
        if f.place == Place::Hole {
            f.last.clear();
            let on = behind_hole(f, 0, available - (f.offset - passed));
            f.offset = on - on % stand.charset.unit() as u64;
        }
        Ok(Advance::Took(made))
    }
}

/// What the file is written in, of which the head was read before. `None` when the head is not there any more.
fn known(charset: Charset, fd: BorrowedFd<'_>) -> io::Result<Option<Charset>> {
    if charset != Charset::Auto {
        return Ok(Some(charset));
    }
    let mut head = Vec::with_capacity(3);
    read_on(fd, &mut head, 3, 0)?;
    Ok(charset.at_head(&head).map_or_else(|| (!head.is_empty()).then_some(Charset::Utf8), |(charset, _)| Some(charset)))
}

/// Where following a file begins that is not to be read from its head: the start of the last line when that is
/// unfinished, else the end. `end` are the last bytes of the file, which has `size`.
pub fn end_of_lines(charset: Charset, fd: BorrowedFd<'_>, end: &[u8], size: u64) -> u64 {
    let charset = known(charset, fd).ok().flatten().unwrap_or(Charset::Utf8);
    let from = size - end.len() as u64;
    // A whole unit begins at even offsets only.
    let odd = (from % charset.unit() as u64) as usize;
    let text = end.get(odd..).unwrap_or_default();
    match charset.behind_last_line(text) {
        Some(at) => from + (odd + at) as u64,
        None if from == 0 => 0,
        None => size - size % charset.unit() as u64,
    }
}

/// Reads `n` bytes at `offset` to the end of `buffer`; answers how many there were.
fn read_on(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, n: usize, offset: u64) -> io::Result<usize> {
    let len = buffer.len();
    buffer.resize(len.saturating_add(n), 0);
    let got = loop {
        match rustix::io::pread(fd, buffer.get_mut(len..).unwrap_or_default(), offset) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other,
        }
    };
    buffer.truncate(len + got.as_ref().copied().unwrap_or(0));
    Ok(got?)
}
