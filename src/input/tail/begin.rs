//! Where reading of a file begins that was not known before, and which files are not read at all.

use super::archive::is_gzip;
use super::charset::Charset;
use super::cut::{Cut, Known};
use super::facts::{self, Facts, Stamp};
use super::file::{FileId, Place, size_of};
use super::last::{Last, REACH};
use super::ledger::Ledger;
use super::state::{Grave, State};
use rustix::fs::Stat;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The longest unfinished line that reading from the end goes back for, in bytes.
const LAST_LINE: usize = 4096;

/// A file that matches but is not read: too old, or not readable as lines.
#[derive(Debug)]
pub struct Aside {
    /// Where reading begins should it come into question.
    pub offset: u64,
    /// What stands before that, if it was read.
    pub last: Last,
    /// When it was looked at.
    pub seen: Stamp,
    /// When it was made, where that is kept: another file may have its inode later.
    pub born: Option<Stamp>,
    /// The ledger of a file that was followed.
    pub ledger: Option<Rc<Ledger>>,
    /// The scan that saw it last.
    pub round: u32,
    /// It is out of the question for good.
    pub refused: bool,
}

/// Where reading a new file begins.
#[derive(Debug)]
pub enum Begin {
    /// At its head, unless the database knows better.
    Head,
    /// At its end, unless the database knows better.
    End,
    /// Where it was when it was let go.
    Again(Aside),
}

/// Where reading begins, as the database and the content of the file have it.
#[derive(Debug)]
pub struct Start {
    /// The offset.
    pub offset: u64,
    /// The ledger; `None` without a database, or as long as the file waits to be known as a copy.
    pub ledger: Option<Rc<Ledger>>,
    /// What was known of it, when it holds another content now.
    pub cut: Option<Cut>,
    /// The file of which it may be a copy.
    pub copy_of: Option<FileId>,
    /// The path under which the database knows it, when that is another.
    pub was: Option<Rc<Path>>,
}

impl Aside {
    /// Whether an open file of this size is the one that was let go, as far as can be told.
    fn is_still(&self, fd: BorrowedFd<'_>, size: u64) -> bool {
        self.offset <= size && (self.last.reach() == 0 || Known::Text(self.last).is_in(fd, self.offset))
    }
}

impl State {
    /// Where reading a new file begins; `None` when it is not to be read.
    pub fn beginning(&self, path: &Path, id: FileId, stat: &Stat) -> Option<Begin> {
        let round = self.round.get();
        let mut aside = self.aside.borrow_mut();
        let birth = || Facts::at(path).ok().and_then(|f| f.birth());
        if aside.get(&id).is_some_and(|known| known.born != birth()) {
            // Another file with its inode.
            let gone = aside.remove(&id);
            if let Some(ledger) = gone.and_then(|aside| aside.ledger) {
                ledger.finish();
            }
        }
        if let Some(known) = aside.get_mut(&id) {
            known.round = round;
            if known.refused && is_gzip(path) {
                if let Some(ledger) = known.ledger.as_ref().filter(|l| *l.name() != *path) {
                    ledger.rename(&path.into(), false);
                }
                drop(aside);
                self.archive_renamed(id, path);
                return None;
            }
            if known.refused || self.is_old(stat) {
                return None;
            }
            let known = aside.remove(&id)?;
            return Some(match (&known.ledger, known.offset) {
                (None, 0) => Begin::Head,
                _ => Begin::Again(known),
            });
        }
        drop(aside);
        if self.is_own_database(path) {
            self.set_aside(path, id, self.refused());
            return None;
        }
        if is_gzip(path) {
            self.meet_archive(path, id, stat, self.is_old(stat));
            return None;
        }
        if is_compressed(path) {
            self.set_aside(path, id, self.refused());
            self.say(
                Grave::Warn,
                format_args!(
                    "'{}' is compressed, and not with gzip: not read. Leave such files out with Exclude_Path",
                    path.display()
                ),
            );
            return None;
        }
        let at_head = match self.started.get() {
            true => self.conf.read_newly_discovered_files_from_head,
            false => self.conf.read_from_head || self.from_head,
        };
        if self.is_old(stat) {
            let offset = if at_head { 0 } else { size_of(stat) };
            self.set_aside(path, id, Aside { offset, refused: false, ..self.refused() });
            return None;
        }
        Some(if at_head { Begin::Head } else { Begin::End })
    }

    /// The database must not be read as a log: each of its changes would make another.
    fn is_own_database(&self, path: &Path) -> bool {
        let text = path.as_os_str().as_bytes();
        let rest = self.conf.db.as_ref().and_then(|db| text.strip_prefix(db.as_bytes()));
        rest.is_some_and(super::rows::belongs)
    }

    /// A file is not read now.
    pub fn set_aside(&self, path: &Path, id: FileId, aside: Aside) {
        let born = Facts::at(path).ok().and_then(|f| f.birth());
        self.aside.borrow_mut().insert(id, Aside { born, ..aside });
    }

    /// What is known of a file that is out of the question.
    pub fn refused(&self) -> Aside {
        let (offset, last, ledger, born, refused) = (0, Last::default(), None, None, true);
        Aside { offset, last, seen: facts::now(), born, ledger, round: self.round.get(), refused }
    }

    /// Whether a file was written longer ago than Ignore_Older.
    pub fn is_old(&self, stat: &Stat) -> bool {
        let limit = self.conf.ignore_older;
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        !limit.is_zero() && SystemTime::now().duration_since(written).is_ok_and(|age| age > limit)
    }

    /// Where reading of an open file begins.
    pub fn start(&self, path: &Rc<Path>, id: FileId, fd: &OwnedFd, size: u64, begin: Begin) -> Start {
        let mut start = Start { offset: 0, ledger: None, cut: None, copy_of: None, was: None };
        let remember = |row, offset| self.ledger(id, path, row, offset);
        let begin = match begin {
            Begin::Again(aside) if aside.ledger.is_some() || aside.last.reach() > 0 => {
                let is_still = aside.is_still(fd.as_fd(), size);
                let Aside { offset, last, seen, ledger, .. } = aside;
                if is_still {
                    start.offset = offset;
                } else {
                    let (place, known, print) = (Place::Start, Known::Text(last), None);
                    start.cut = Some(Cut { offset, place, known, print, size: offset, seen, open: false });
                }
                start.ledger = ledger.or_else(|| remember(None, start.offset));
                return start;
            }
            begin => begin,
        };
        let row = self.rows.borrow_mut().claim(id, path, self.conf.db_compare_filename);
        if let Some(row) = row {
            start.cut = self.resume(&row, path, fd.as_fd(), size);
            start.offset = if start.cut.is_some() { 0 } else { row.offset };
            start.ledger = remember(Some(row.id), start.offset);
            start.was = Some(row.path()).filter(|was| **was != **path).map(Into::into);
            return start;
        }
        match begin {
            // Another file had its name when the program ended: all of it came since.
            Begin::End if !self.started.get() && self.rows.borrow().knows(path) => {}
            Begin::End => start.offset = end_of_lines(fd, size, self.charset),
            Begin::Again(aside) if aside.offset <= size => start.offset = aside.offset,
            Begin::Again(_) => {}
            Begin::Head => start.copy_of = self.perhaps_copy_of(path),
        }
        if start.copy_of.is_none() {
            start.ledger = remember(None, start.offset);
        }
        start
    }
}

/// Whether a file is named like a compressed one, which is no text.
pub fn is_compressed(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    [&b".gz"[..], b".zst", b".xz", b".bz2"].iter().any(|end| name.ends_with(end))
}

/// What stands before the offset at which reading begins.
pub fn last_before(fd: &OwnedFd, offset: u64) -> Last {
    let mut buffer = [0; REACH];
    let from = offset.saturating_sub(REACH as u64);
    let room = buffer.get_mut(..(offset - from) as usize).unwrap_or_default();
    match rustix::io::pread(fd, &mut *room, from) {
        Ok(n) if n == room.len() => Last::of(room),
        _ => Last::default(),
    }
}

/// The start of the last line when that is unfinished, else the end of the file: reading begins with a whole line.
fn end_of_lines(fd: &OwnedFd, size: u64, charset: Option<Charset>) -> u64 {
    let mut buffer = [0; LAST_LINE];
    let from = size.saturating_sub(LAST_LINE as u64);
    let Ok(n) = rustix::io::pread(fd, &mut buffer, from) else { return size };
    let text = buffer.get(..n).unwrap_or_default();
    if let Some(charset) = charset {
        return super::transcode::end_of_lines(charset, fd.as_fd(), text, from + n as u64);
    }
    match memchr::memrchr(b'\n', text) {
        Some(at) => from + at as u64 + 1,
        None if from == 0 => 0,
        None => size,
    }
}
