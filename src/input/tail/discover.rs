//! Discovery: which files there are, which are new, and where reading each of them begins.

use super::begin::{Aside, Start, is_compressed, last_before};
use super::file::{File, FileId, Place, birth, size_of};
use super::files::Slot;
use super::last::Last;
use super::ledger::Ledger;
use super::state::{Grave, Scan, State};
use crate::event::Tag;
use crate::rt::yield_now;
use rustix::fs::{FileType, Stat};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Paths looked at before other tasks have their turn.
const AT_ONCE: usize = 128;

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
                return self.scanned.notify();
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
            let (offset, seen, refused) = (file.resume_at(), file.seen, false);
            let last = if offset == file.offset { file.last } else { Last::default() };
            let aside = Aside { offset, last, seen, ledger: file.ledger.clone(), refused, ..self.refused() };
            self.set_aside(&file.name, id, aside);
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
        let Start { offset, ledger, cut, copy_of, was } = self.start(&path, id, &fd, size, begin);
        let (name, undecided) = (path.clone(), copy_of.is_some());
        let slot = self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: false, copy_of, undecided });
        if let Some(cut) = &cut {
            self.begin_anew(slot, cut);
        }
        if let Some(was) = was.filter(|_| cut.is_none_or(|cut| cut.offset == 0)) {
            // Renamed while nobody looked.
            self.files.borrow_mut().set_former(slot, was);
            self.comes_before(slot);
            self.keep_name(slot);
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
            birth: birth(&fd, copy_of, &path),
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
            open: Default::default(),
            due: None,
            before: None,
            former_of: None,
            owed: 0,
            unreadable: false,
            ledger,
        };
        if awaited {
            self.awaited.set(self.awaited.get() + 1);
        }
        let link = file.away.is_none().then(|| file.name.clone());
        let slot = {
            let mut files = self.files.borrow_mut();
            let former = files.former(&file.path).filter(|_| offset == 0 && file.copy_of.is_none()).map(|f| f.id);
            let before = former.filter(|&id| id != file.id);
            files.insert(File { before, ..file })
        };
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
            self.set_aside(path, id, self.refused());
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

    /// Follows a rotated file that is not known, under the name it was rotated from. Answers which file is followed there.
    pub fn adopt_rotated(&self, at: &Path, live: &Path) -> Option<FileId> {
        let stat = rustix::fs::stat(at).ok()?;
        let id = FileId::of(&stat);
        if self.went(id, at) {
            return Some(id);
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || is_compressed(at) {
            return None;
        }
        let tag = self.tag_of(live, id)?;
        let fd = self.open_as(at, id)?;
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
        Some(id)
    }

    /// A file was found at `at`; whether it is followed. One that no pattern leads to has that name from now on.
    pub fn went(&self, id: FileId, at: &Path) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(slot) = files.with_id(id) else { return false };
        if let Some(file) = files.get_mut(slot).filter(|f| f.away.is_some()) {
            file.name = at.into();
        }
        true
    }
}
