//! What the tasks of one tail input share.

use super::archive::Archives;
use super::begin::Aside;
use super::charset::Charset;
use super::conf::TailConf;
use super::facts::{Clock, Stamp};
use super::file::{File, FileId, size_of};
use super::files::{Files, Slot};
use super::ledger::{Book, Ledger};
use super::losses::Losses;
use super::patterns::Patterns;
use super::rows::Rows;
use super::tag::TagMaker;
use super::watch::Watch;
use crate::input::InputCx;
use crate::rt::Notify;
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// One running tail input.
#[derive(Debug)]
pub struct State {
    /// The engine.
    pub cx: InputCx,
    /// The configuration.
    pub conf: TailConf,
    /// Path and Exclude_Path.
    pub patterns: Patterns,
    /// Makes tags.
    pub tags: TagMaker,
    /// What files are written in, when their text is to be decoded.
    pub charset: Option<Charset>,
    /// Compressed files.
    pub archives: Archives,
    /// The files being followed.
    pub files: RefCell<Files>,
    /// Files that match but are not read now.
    pub aside: RefCell<FxHashMap<FileId, Aside>>,
    /// What the database remembered of files not seen yet.
    pub rows: RefCell<Rows>,
    /// The ledgers, with a database.
    pub book: Option<Rc<Book>>,
    /// inotify for files; `None` when everything is looked at regularly.
    pub file_watch: Option<Watch>,
    /// inotify for directories.
    pub dir_watch: Option<Watch>,
    /// What the watched directories are to this input.
    pub dirs: RefCell<super::dirs::Dirs>,
    /// Notified when a file is queued.
    pub work: Notify,
    /// Notified when the timetable changed: a file is away or unwatched.
    pub plan: Notify,
    /// Notified when a turn took much: then events are not gathered but acted on.
    pub brisk: Notify,
    /// Notified when a scan is over.
    pub scanned: Notify,
    /// The database was damaged: files present at the start are read from their heads, whatever is configured.
    pub from_head: bool,
    /// The first scan is over.
    pub started: Cell<bool>,
    /// Files present at the start that are not read to their end yet.
    pub awaited: Cell<usize>,
    /// No more watches can be had; said once.
    pub watches_full: Cell<bool>,
    /// The number of the present scan.
    pub round: Cell<u32>,
    /// Whether a scan is under way.
    pub scan: Cell<Scan>,
    /// Files that may be open at a time.
    pub budget: usize,
    /// Files had to be closed for want of descriptors; said once.
    pub parking: Cell<bool>,
    /// When the database was written last before this start.
    pub remembered: Stamp,
    /// Notices a clock that is set back.
    pub clock: Clock,
    /// What cuts have cost so far.
    pub losses: Cell<Losses>,
    /// What was said lately.
    pub said: RefCell<RateLimit>,
}

/// Whether a scan is under way, and whether another is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// None.
    Idle,
    /// One.
    Running,
    /// One, and another after it.
    Again,
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grave {
    /// Data may be lost or the input cannot work.
    Error,
    /// Something was got over.
    Warn,
}

impl State {
    /// Says something, the same thing at most once per ten seconds.
    pub fn say(&self, grave: Grave, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        let Some(held) = self.said.borrow_mut().allow(text.as_bytes(), Instant::now()) else { return };
        let again = if held > 0 { format!(" (and {held} times before)") } else { String::new() };
        match grave {
            Grave::Error => log::error!("[{}] {text}{again}", self.cx.label()),
            Grave::Warn => log::warn!("[{}] {text}{again}", self.cx.label()),
        }
    }

    /// Queues a file for reading.
    pub fn queue(&self, slot: Slot) {
        if self.files.borrow_mut().queue(slot) {
            self.work.notify();
        }
    }

    /// The name does not lead to the file any more: it is read to its end and closed when it has been quiet.
    pub fn detach(&self, slot: Slot) {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get(slot) else { return };
        if file.away.is_some() {
            return;
        }
        log::debug!(
            "[{}] '{}' was renamed, replaced or deleted: reading the rest of it",
            self.cx.label(),
            file.name.display()
        );
        if let Some(ledger) = &file.ledger {
            ledger.rename(&file.name, true);
        }
        files.detach(slot, Instant::now());
        drop(files);
        self.plan.notify();
        self.queue(slot);
    }

    /// Takes a file out of the set, and its watch with it.
    pub fn release(&self, slot: Slot) -> Option<Box<File>> {
        let file = self.files.borrow_mut().remove(slot)?;
        if let (Some(watch), Some(inotify)) = (file.watch, &self.file_watch) {
            inotify.remove(watch);
        }
        self.arrived(&file);
        Some(file)
    }

    /// Closes a file that is away and read to its end.
    pub fn close(&self, slot: Slot) {
        let Some(file) = self.release(slot) else { return };
        self.dirs.borrow_mut().settled(&file.name, file.id);
        if let Some(fd) = &file.fd
            && self.conf.file_cache_advise
        {
            let _ = rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed);
        }
        if let Some(ledger) = &file.ledger {
            ledger.finish();
        }
        if file.replaced > 0 {
            let (label, name) = (self.cx.label(), file.name.display());
            log::info!("[{label}] {} lines of '{name}' had bytes that were replaced by U+FFFD", file.replaced);
        }
        log::debug!("[{}] closed '{}' at offset {}", self.cx.label(), file.name.display(), file.offset);
    }

    /// A file awaited since the start is read to its end, or will never be.
    pub fn arrived(&self, file: &File) {
        if file.awaited {
            self.awaited.set(self.awaited.get().saturating_sub(1));
            self.exit_when_done();
        }
    }

    /// Ends the program when all files present at the start are read, if that is asked for.
    pub fn exit_when_done(&self) {
        if self.conf.exit_on_eof && self.started.get() && self.awaited.get() == 0 {
            log::info!("[{}] all files are read to their end: exiting", self.cx.label());
            self.cx.exit(0);
        }
    }

    /// Watches a file, or leaves it to be looked at regularly.
    pub fn watch_file(&self, slot: Slot) {
        let Some(inotify) = &self.file_watch else { return };
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get(slot) else { return };
        let Some(fd) = &file.fd else { return };
        if self.watches_full.get() || super::watch::is_remote(fd) {
            return;
        }
        match inotify.add_file(fd, &file.name) {
            Ok(watch) => files.set_watch(slot, Some(watch)),
            Err(e) => {
                drop(files);
                self.no_watch(&e);
            }
        }
    }

    /// Says why a watch could not be had.
    pub fn no_watch(&self, why: &std::io::Error) {
        use rustix::io::Errno;
        let errno = why.raw_os_error();
        if errno == Some(Errno::NOSPC.raw_os_error()) {
            if !self.watches_full.replace(true) {
                self.say(
                    Grave::Warn,
                    format_args!(
                        "the limit of inotify watches is reached: the other files are looked at every {:?} instead. \
                         Raise it: sysctl fs.inotify.max_user_watches=1048576",
                        self.conf.progress_interval()
                    ),
                );
            }
        } else {
            self.say(Grave::Warn, format_args!("inotify cannot watch ({why}): looking at the files regularly instead"));
        }
    }

    /// The ledger of a file that begins at `offset`.
    pub fn ledger(&self, id: FileId, name: &Rc<Path>, row: Option<i64>, offset: u64) -> Option<Rc<Ledger>> {
        let ledger = Ledger::new(self.book.as_ref()?, id, name, row, offset);
        ledger.mark();
        Some(ledger)
    }

    /// Whether a file has bytes that were not looked at; unknown counts as yes.
    pub fn has_news(file: &File) -> bool {
        let stat = match &file.fd {
            Some(fd) => rustix::fs::fstat(fd),
            None => rustix::fs::stat(&*file.name),
        };
        stat.is_ok_and(|s| size_of(&s) != file.offset + file.unfinished)
    }
}
