//! One tailed file: its identity, how far it is read, and what is still to happen to it.

use super::facts::{Facts, Stamp};
use super::join::{Open, begun_at};
use super::last::{Last, REACH};
use super::ledger::Ledger;
use super::print::Print;
use super::siblings::Copies;
use crate::event::{Source, Tag};
use rustix::fs::{Mode, OFlags, Stat};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// What stays the same however a file is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
}

impl FileId {
    /// The identity of what `stat` describes.
    #[allow(clippy::unnecessary_cast)]
    pub fn of(stat: &Stat) -> Self {
        // The types differ between platforms.
        Self { dev: stat.st_dev as u64, ino: stat.st_ino as u64 }
    }
}

/// Where in a line an offset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the start of a line.
    Start,
    /// Inside a long line that began at this offset and whose rest is dropped.
    Dropping(u64),
    /// Inside a long line that is delivered in pieces.
    Piece,
    /// Inside a run of NULs that no program wrote.
    Hole,
}

/// A file being read. There may be thousands that are quiet: it holds no buffer.
#[derive(Debug)]
pub struct File {
    /// Device and inode.
    pub id: FileId,
    /// The path as it was matched: tag and Path_Key come from it, whatever the file is called later.
    pub path: Rc<Path>,
    /// The name it has now, as far as known.
    pub name: Rc<Path>,
    /// The tag of its records.
    pub tag: Tag,
    /// The open file; `None` while descriptors are short.
    pub fd: Option<OwnedFd>,
    /// The inotify watch; without one the file is looked at regularly.
    pub watch: Option<i32>,
    /// Offset of the next byte to read.
    pub offset: u64,
    /// What the bytes at `offset` are part of.
    pub place: Place,
    /// What stands before `offset`: when it does not any more, the file was written anew.
    pub last: Last,
    /// The fingerprint, once it is settled.
    pub print: Option<Print>,
    /// When it, or the file that it is a copy of, was made, in nanoseconds since 1970; 0 where that is not known.
    pub birth: u64,
    /// The file that this one is a copy of: its lines are known as lines of that one.
    pub copy_of: Option<FileId>,
    /// Whether it is one is still to be found out: nothing is read before.
    pub undecided: bool,
    /// What is known of its own copies.
    pub copies: Option<Box<Copies>>,
    /// Its size at the last look, in bytes.
    pub size: u64,
    /// When it was last made sure that it holds what was read of it.
    pub seen: Stamp,
    /// Bytes behind `offset` known to hold no line end.
    pub unfinished: u64,
    /// Lines so far with bytes that are no text in their encoding.
    pub replaced: u64,
    /// When the file was last seen to grow.
    pub grown: Instant,
    /// No pattern leads to the file any more since then: renamed, replaced or deleted.
    pub away: Option<Instant>,
    /// It stands in the queue of files to read.
    pub queued: bool,
    /// The next end of file is final: an unfinished line is taken as it is.
    pub last_call: bool,
    /// Present at the start and not yet read to its end (for Exit_On_Eof).
    pub awaited: bool,
    /// The scan that saw it last.
    pub round: u32,
    /// Records of several lines that it has begun and not ended.
    pub open: Open,
    /// When the first of them is complete unless a line comes; as [`super::files::Files::set_due`] was told.
    pub due: Option<Instant>,
    /// The file that holds what was written before the head of this one: records may go on here that began there.
    pub before: Option<FileId>,
    /// The path that leads to a newer file by now.
    pub former_of: Option<Rc<Path>>,
    /// Its size when that became so, in bytes: what the newer file waits for.
    pub owed: u64,
    /// The last attempt to read it failed.
    pub unreadable: bool,
    /// How far it is delivered; `None` without a database.
    pub ledger: Option<Rc<Ledger>>,
}

impl File {
    /// Where reading would have to begin after a restart, were everything read so far delivered.
    pub fn resume_at(&self) -> u64 {
        let read = match self.place {
            Place::Dropping(from) => from,
            _ => self.offset,
        };
        begun_at(&self.open).map_or(read, |begun| begun.min(read))
    }

    /// Its size now, in bytes.
    pub fn size_now(&self) -> Option<u64> {
        let stat = rustix::fs::fstat(self.fd.as_ref()?).ok()?;
        Some(size_of(&stat))
    }

    /// Whether text is still to be read that was written before the newer file under its path.
    pub fn is_behind(&self) -> bool {
        let read = self.offset + self.unfinished;
        !self.unreadable && !self.undecided && read < self.owed && self.size_now().is_some_and(|size| read < size)
    }

    /// What records read at the offset come from.
    pub fn source(&self, print: u64) -> Source {
        let id = self.copy_of.filter(|_| !self.undecided).unwrap_or(self.id);
        // A file that was deleted and begun anew may have the inode and the lines of the one before, but not its birth.
        let print = print ^ self.birth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Source { dev: id.dev, ino: id.ino, print, base: self.offset }
    }

    /// The fingerprint, when `text` follows `before` at the offset. The system is asked for it once per file at most.
    /// `longest` is how long a line may be, in bytes.
    pub fn print_at(&self, before: &[u8], text: &[u8], longest: usize) -> Print {
        let is_all = self.offset == before.len() as u64;
        match (self.print, &self.fd) {
            (Some(known), _) if self.offset > 0 && (known.head.is_some() || !is_all) => known,
            (None, Some(fd)) if !is_all => Print::of_file(fd, longest),
            _ => Print::of_both(before, text, longest),
        }
    }

    /// Whether `before` and `text`, which were read around the offset, still stand there. A writer goes from the head to
    /// the end: a file that was written anew while its text was read shows at the beginning of that.
    pub fn still_holds(&self, before: &[u8], text: &[u8]) -> bool {
        let Some(fd) = &self.fd else { return true };
        let text = text.get(..text.len().min(REACH - before.len())).unwrap_or_default();
        let mut now = [0; REACH];
        let Some(now) = now.get_mut(..before.len() + text.len()) else { return true };
        let at = self.offset.saturating_sub(before.len() as u64);
        rustix::io::pread(fd, &mut *now, at).is_ok_and(|n| n == now.len())
            && now.starts_with(before)
            && now.ends_with(text)
    }

    /// Goes back to the head of the file.
    pub fn rewind(&mut self) {
        (self.offset, self.unfinished, self.place, self.print) = (0, 0, Place::Start, None);
        self.last.clear();
    }
}

/// When an open file was made, or the file at `path` that it is a copy of; 0 where the file system does not keep that.
pub fn birth(fd: impl AsFd, copy_of: Option<FileId>, path: &Path) -> u64 {
    let facts = match copy_of {
        Some(live) => Facts::at(path).ok().filter(|f| f.id == live),
        None => Facts::of_open(fd).ok(),
    };
    facts.and_then(|f| f.birth()).map_or(0, |born| born as u64)
}

/// Opens a file for reading without ever waiting for it.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Size of a file as `stat` tells it.
pub fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
