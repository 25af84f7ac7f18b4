//! Discovery: which files there are, which are new, and where reading each of them begins.

use super::archive::is_gzip;
use super::charset::Charset;
use super::file::{File, FileId, Place, size_of};
use super::files::Slot;
use super::last::{Last, REACH};
use super::ledger::Ledger;
use super::state::{Aside, Grave, Scan, State};
use crate::event::Tag;
use crate::rt::yield_now;
use rustix::fs::{FileType, Stat};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// Paths looked at before other tasks have their turn.
const AT_ONCE: usize = 128;
/// The longest unfinished line that reading from the end goes back for, in bytes.
const LAST_LINE: usize = 4096;

/// Where reading a new file begins.
#[derive(Debug)]
enum Begin {
    /// At its head, unless the database knows better.
    Head,
    /// At its end, unless the database knows better.
    End,
    /// Where it was when it was let go.
    Again(u64, Option<Rc<Ledger>>),
}

/// A file to be followed.
#[derive(Debug)]
pub struct Opened {
    /// The path as it was matched.
    pub path: Rc<Path>,
    /// The name it has now.
    pub name: Rc<Path>,
    /// The tag of its records.
    pub tag: Tag,
    /// Device and inode.
    pub id: FileId,
    /// The open file.
    pub fd: OwnedFd,
    /// Where reading begins.
    pub offset: u64,
    /// Its ledger; `None` without a database.
    pub ledger: Option<Rc<Ledger>>,
    /// No pattern leads to it any more.
    pub away: bool,
    /// The file that it is a copy of.
    pub copy_of: Option<FileId>,
    /// Whether it is one is to be found out.
    pub undecided: bool,
}

impl State {
    /// Expands the patterns and looks at every file; notices those that went. Asked for during a scan, another follows.
    pub async fn scan(&self) {
        if self.scan.get() != Scan::Idle {
            return self.scan.set(Scan::Again);
        }
        loop {
            self.scan.set(Scan::Running);
            self.scan_once().await;
            if self.scan.replace(Scan::Idle) == Scan::Running {
                return;
            }
        }
    }

    async fn scan_once(&self) {
        let round = self.round.get().wrapping_add(1);
        self.round.set(round);
        self.watch_directories();
        let found = self.patterns.find();
        for (place, why) in &found.unreadable {
            self.say(
                Grave::Warn,
                format_args!(
                    "cannot look into '{}': {why}; files there are not read. Allow reading and searching it",
                    place.display()
                ),
            );
        }
        if found.paths.is_empty() && !self.started.get() {
            log::info!("[{}] no file matches '{}' yet", self.cx.label(), self.conf.path.0.join(", "));
        }
        for (n, path) in found.paths.iter().enumerate() {
            self.look(path);
            if n % AT_ONCE == AT_ONCE - 1 {
                yield_now().await;
            }
        }
        drop(found);
        // Files whose name was not found any more.
        let missed: Vec<Rc<Path>> = {
            let files = self.files.borrow();
            let missed = |f: &File| f.away.is_none() && f.round != round;
            files.iter().filter(|(_, f)| missed(f)).map(|(_, f)| f.name.clone()).collect()
        };
        for path in missed {
            self.look(&path);
        }
        self.aside.borrow_mut().retain(|_, aside| {
            let there = aside.round == round;
            if !there && let Some(ledger) = &aside.ledger {
                ledger.finish();
            }
            there
        });
    }

    /// Looks at what is under a name now.
    pub fn look(&self, path: &Path) {
        let known = self.files.borrow().named(path);
        let stat = match rustix::fs::stat(path) {
            Ok(stat) => stat,
            Err(e) => {
                let e = io::Error::from(e);
                match (known, e.kind()) {
                    (Some(slot), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => self.detach(slot),
                    (None, io::ErrorKind::NotFound) => {}
                    _ => self.say(Grave::Warn, format_args!("cannot look at '{}': {e}", path.display())),
                }
                return;
            }
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return;
        }
        let id = FileId::of(&stat);
        if let Some(slot) = known {
            if self.unchanged(slot, id, &stat) {
                return;
            }
            self.detach(slot);
        }
        self.adopt(path, id, &stat);
    }

    /// The name still leads to the same file: queues it when it has news. Lets go of it when it is too old.
    fn unchanged(&self, slot: Slot, id: FileId, stat: &Stat) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(slot) else { return false };
        if file.id != id {
            return false;
        }
        file.round = self.round.get();
        if let Some(copies) = file.copies.as_mut().filter(|_| !file.queued) {
            copies.let_go(self.conf.rotate_wait);
        }
        let news = size_of(stat) != file.offset + file.unfinished;
        let expired = self.conf.ignore_active_older_files && !news && !file.queued && self.is_old(stat);
        drop(files);
        if news {
            self.queue(slot);
        } else if expired && let Some(file) = self.release(slot) {
            log::debug!("[{}] '{}' is older than Ignore_Older: let go", self.cx.label(), file.name.display());
            let (offset, round) = (file.resume_at(), self.round.get());
            self.aside.borrow_mut().insert(id, Aside { offset, ledger: file.ledger, round, refused: false });
        }
        true
    }

    /// A file is under this name that was not there before: one that was renamed, or a new one.
    fn adopt(&self, path: &Path, id: FileId, stat: &Stat) {
        let known = self.files.borrow().with_id(id);
        if let Some(slot) = known {
            return self.found_again(slot, path);
        }
        let Some(begin) = self.beginning(path, id, stat) else { return };
        let Some(tag) = self.tag_of(path, id) else { return };
        let Some(fd) = self.open_as(path, id) else { return };
        let size = size_of(stat);
        let path: Rc<Path> = path.into();
        let (mut before, mut copy_of) = (None, None);
        let (ledger, offset) = match begin {
            Begin::Again(offset, ledger) if offset <= size => (ledger, offset),
            Begin::Again(_, ledger) => {
                if let Some(ledger) = &ledger {
                    ledger.restart(0);
                }
                (ledger, 0)
            }
            Begin::Head | Begin::End => {
                let row = self.rows.borrow_mut().claim(id, &path, self.conf.db_compare_filename);
                let offset = match (&row, begin) {
                    (Some(row), _) => {
                        before = self.resume(row, &path, fd.as_fd(), size);
                        if before.is_some() { 0 } else { row.offset }
                    }
                    (None, Begin::End) => end_of_lines(&fd, size, self.charset),
                    (None, _) => {
                        copy_of = self.perhaps_copy_of(&path);
                        0
                    }
                };
                let ledger = || self.ledger(id, &path, row.as_ref().map(|r| r.id), offset);
                // One that waits to be known as a copy is not remembered as a file of its own.
                (copy_of.is_none().then(ledger).flatten(), offset)
            }
        };
        let (name, undecided) = (path.clone(), copy_of.is_some());
        let slot = self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: false, copy_of, undecided });
        if let Some(cut) = before {
            self.settle_copies(slot, Some(&cut));
        }
    }

    /// Begins to follow an open file.
    pub fn follow(&self, opened: Opened) -> Slot {
        let Opened { path, name, tag, id, fd, offset, ledger, away, copy_of, undecided } = opened;
        let awaited = self.conf.exit_on_eof && !self.started.get();
        if let Some(ledger) = &ledger {
            // Writes the row of a new file, and the new name of a known one. A rotated file is remembered under the name
            // that it had: from there a restart finds it wherever it went.
            ledger.rename(&path, away);
        }
        log::debug!("[{}] following '{}' (inode {}) from offset {offset}", self.cx.label(), name.display(), id.ino);
        let file = File {
            id,
            path,
            name,
            tag,
            watch: None,
            offset,
            place: Place::Start,
            last: last_before(&fd, offset),
            print: None,
            copy_of,
            undecided,
            copies: None,
            size: offset,
            seen: super::facts::now(),
            fd: Some(fd),
            unfinished: 0,
            replaced: 0,
            grown: Instant::now(),
            away: away.then(Instant::now),
            queued: false,
            last_call: false,
            awaited,
            round: self.round.get(),
            ledger,
        };
        if awaited {
            self.awaited.set(self.awaited.get() + 1);
        }
        let link = file.away.is_none().then(|| file.name.clone());
        let slot = self.files.borrow_mut().insert(file);
        self.watch_file(slot);
        if let Some(link) = link {
            self.watch_target(&link);
        }
        self.plan.notify();
        self.queue(slot);
        slot
    }

    /// The tag of a file, which is not read without one.
    pub fn tag_of(&self, path: &Path, id: FileId) -> Option<Tag> {
        let tag = self.tags.tag(path);
        if tag.is_none() {
            self.set_aside(id, 0, true);
            self.say(
                Grave::Error,
                format_args!(
                    "Tag_Regex does not match '{}': the file is not read. Correct Tag_Regex or exclude it",
                    path.display()
                ),
            );
        }
        tag
    }

    /// A known file under another name: it was renamed to one that matches, or has two.
    fn found_again(&self, slot: Slot, path: &Path) {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(slot) else { return };
        if file.away.is_none() {
            let own = rustix::fs::stat(&*file.name).ok().map(|s| FileId::of(&s));
            if own == Some(file.id) {
                // A second name of the same file: read once, under the first.
                return;
            }
        }
        let path: Rc<Path> = path.into();
        file.round = self.round.get();
        if let Some(ledger) = &file.ledger {
            ledger.rename(&path, false);
        }
        files.attach(slot, &path);
        drop(files);
        self.queue(slot);
    }

    /// Follows a rotated file that is not known, under the name it was rotated from.
    pub fn adopt_rotated(&self, at: &Path, live: &Path) {
        let Ok(stat) = rustix::fs::stat(at) else { return };
        let id = FileId::of(&stat);
        let known = self.files.borrow().with_id(id);
        if let Some(slot) = known {
            let mut files = self.files.borrow_mut();
            if let Some(file) = files.get_mut(slot)
                && file.away.is_some()
            {
                file.name = at.into();
            }
            return;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || is_compressed(at) {
            return;
        }
        let Some(tag) = self.tag_of(live, id) else { return };
        let Some(fd) = self.open_as(at, id) else { return };
        log::debug!(
            "[{}] '{}' was rotated from '{}' before it was seen",
            self.cx.label(),
            at.display(),
            live.display()
        );
        let live: Rc<Path> = live.into();
        let ledger = self.ledger(id, &live, None, 0);
        let (path, name) = (live, at.into());
        let (copy_of, undecided) = (None, false);
        self.follow(Opened { path, name, tag, id, fd, offset: 0, ledger, away: true, copy_of, undecided });
    }

    /// Where reading a new file begins; `None` when it is not to be read.
    fn beginning(&self, path: &Path, id: FileId, stat: &Stat) -> Option<Begin> {
        let round = self.round.get();
        let mut aside = self.aside.borrow_mut();
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
            return Some(match (known.ledger, known.offset) {
                (None, 0) => Begin::Head,
                (ledger, offset) => Begin::Again(offset, ledger),
            });
        }
        drop(aside);
        if self.is_own_database(path) {
            self.set_aside(id, 0, true);
            return None;
        }
        if is_gzip(path) {
            self.meet_archive(path, id, stat, self.is_old(stat));
            return None;
        }
        if is_compressed(path) {
            self.set_aside(id, 0, true);
            self.say(
                Grave::Warn,
                format_args!(
                    "'{}' is compressed, and not with gzip: not read. Leave such files out with Exclude_Path",
                    path.display()
                ),
            );
            return None;
        }
        let at_head =
            if self.started.get() { self.conf.read_newly_discovered_files_from_head } else { self.conf.read_from_head };
        if self.is_old(stat) {
            self.set_aside(id, if at_head { 0 } else { size_of(stat) }, false);
            return None;
        }
        Some(if at_head { Begin::Head } else { Begin::End })
    }

    /// The database must not be read as a log: each of its changes would make another.
    fn is_own_database(&self, path: &Path) -> bool {
        let text = path.as_os_str().as_bytes();
        let rest = self.conf.db.as_ref().and_then(|db| text.strip_prefix(db.as_bytes()));
        rest.is_some_and(|rest| [&b""[..], b"-wal", b"-shm", b"-journal"].contains(&rest))
    }

    fn set_aside(&self, id: FileId, offset: u64, refused: bool) {
        let aside = Aside { offset, ledger: None, round: self.round.get(), refused };
        self.aside.borrow_mut().insert(id, aside);
    }

    fn is_old(&self, stat: &Stat) -> bool {
        let limit = self.conf.ignore_older;
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        !limit.is_zero() && SystemTime::now().duration_since(written).is_ok_and(|age| age > limit)
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
