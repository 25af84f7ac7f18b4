//! The files beside one that was cut which may be copies of it.

use super::begin::is_compressed;
use super::facts::{Facts, Stamp};
use super::file::{FileId, open};
use super::last::Last;
use super::names::{is_alike, is_numbered};
use super::state::State;
use crate::util::sort;
use std::collections::VecDeque;
use std::fs::DirEntry;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Looks at a directory in which names move meanwhile.
const LOOKS: usize = 8;
/// Copies that are remembered as read.
const REMEMBERED: usize = 64;
/// New copies of one file that are kept open until it is known what is to be read of them.
const HELD: usize = 64;

/// What is known of the copies of a file.
#[derive(Debug, Default)]
pub struct Copies {
    /// Some may still have to be read: those made since then are to be looked at again.
    pub since: Option<Stamp>,
    /// Those that were read, and when they were written; the last one read stands at the end.
    read: VecDeque<(FileId, Stamp)>,
    /// New ones, oldest first: they may be deleted before their turn comes.
    held: VecDeque<Held>,
    /// Of a copy that is to be read whole: its first bytes, by which it is known before anything is read.
    pub begins: Option<Last>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    fd: OwnedFd,
    id: FileId,
    since: Instant,
}

impl Copies {
    /// A copy is being read, or holds nothing new.
    pub fn settled(&mut self, id: FileId, written: Stamp) {
        self.read.retain(|(known, _)| *known != id);
        self.read.push_back((id, written));
        if self.read.len() > REMEMBERED {
            self.read.pop_front();
        }
        self.held.retain(|h| h.id != id);
    }

    /// Lets go of new ones that came so long ago that no cut followed.
    pub fn let_go(&mut self, wait: Duration) {
        self.held.retain(|h| h.since.elapsed() <= wait);
    }

    /// Whether a copy was read, or is being read, as it is.
    pub fn has_read(&self, facts: &Facts) -> bool {
        self.knows(facts.id) == Some(facts.written)
    }

    fn knows(&self, id: FileId) -> Option<Stamp> {
        self.read.iter().find(|(known, _)| *known == id).map(|(_, written)| *written)
    }
}

/// A file that may be a copy.
#[derive(Debug)]
pub struct Sibling {
    /// Its path.
    pub path: PathBuf,
    /// The open file.
    pub fd: OwnedFd,
    /// What the system knows of it.
    pub facts: Facts,
    /// It was made, or written anew, since the time asked for.
    pub fresh: bool,
}

/// What is looked for.
#[derive(Debug)]
pub struct Search<'a> {
    /// The name of the file that was cut.
    pub live: &'a Path,
    /// The file that was cut.
    pub facts: Facts,
    /// What is known of its copies.
    pub copies: &'a Copies,
    /// Copies made since then are of interest,
    pub since: Stamp,
    /// and those that hold more than this, whenever they were made.
    pub beyond: Option<u64>,
}

impl State {
    /// Copies that may hold what was not read yet, the oldest first.
    pub fn siblings(&self, search: &Search<'_>) -> Vec<Sibling> {
        // A link's copies stand where it leads.
        let real = match std::fs::symlink_metadata(search.live) {
            Ok(m) if m.is_symlink() => search.live.canonicalize().unwrap_or_else(|_| search.live.into()),
            _ => search.live.to_path_buf(),
        };
        let mut found = Vec::new();
        for held in &search.copies.held {
            if let (Ok(facts), Ok(fd)) = (Facts::of_open(&held.fd), held.fd.try_clone())
                && let Some(fresh) = self.may_be_copy(&facts, true, search)
            {
                found.push(Sibling { path: held.path.clone(), fd, facts, fresh });
            }
        }
        for _ in 0..LOOKS {
            if self.look_beside(&real, search, &mut found) {
                break;
            }
        }
        sort::by_key(&mut found, |s: &Sibling| (s.facts.written, s.facts.born));
        found
    }

    /// One look into the directory; `false` when names moved meanwhile, so that a file may have been missed.
    fn look_beside(&self, real: &Path, search: &Search<'_>, found: &mut Vec<Sibling>) -> bool {
        let dir = real.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (Some(live), Ok(entries)) = (real.file_name(), std::fs::read_dir(dir)) else { return true };
        let mut calm = true;
        let alike = |entry: &DirEntry| {
            is_alike(entry.file_name().as_bytes(), live.as_bytes()) && !is_compressed(Path::new(&entry.file_name()))
        };
        for entry in entries.flatten().filter(alike) {
            let name = entry.file_name();
            let path = if dir == Path::new(".") { PathBuf::from(&name) } else { dir.join(&name) };
            if entry.file_type().is_ok_and(|t| !t.is_file()) {
                continue;
            }
            let Ok(facts) = Facts::at(&path) else {
                calm = false;
                continue;
            };
            calm &= facts.id.ino == entry.ino();
            if found.iter().any(|s| s.facts.id == facts.id) {
                continue;
            }
            let numbered = is_numbered(name.as_bytes(), live.as_bytes());
            let Some(fresh) = self.may_be_copy(&facts, numbered, search) else { continue };
            let opened = open(&path).ok().and_then(|fd| Some((Facts::of_open(&fd).ok()?, fd)));
            match opened {
                Some((now, fd)) if now.id == facts.id => {
                    found.push(Sibling { path, fd, facts: now, fresh });
                }
                _ => calm = false,
            }
        }
        calm
    }

    /// Whether a file beside one that was cut comes into question, and if so, whether it is new.
    fn may_be_copy(&self, facts: &Facts, numbered: bool, search: &Search<'_>) -> Option<bool> {
        if !facts.regular || facts.id == search.facts.id || facts.size == 0 && !facts.is_new() {
            return None;
        }
        if search.copies.has_read(facts) {
            return None;
        }
        let read = search.copies.knows(facts.id);
        let slot = self.files.borrow().with_id(facts.id);
        let waits = slot.is_some_and(|slot| self.files.borrow().get(slot).is_some_and(|f| f.undecided));
        if slot.is_some_and(|slot| !self.is_rewritten_copy(slot, search.facts.id)) {
            return None;
        }
        // One that was renamed is older than the one that has its name now.
        let made = numbered && facts.born >= search.since.max(search.facts.born);
        let rewritten = read.is_some() && facts.written >= search.since;
        let fresh = waits || made || rewritten;
        (fresh || search.beyond.is_some_and(|n| facts.size >= n)).then_some(fresh)
    }

    /// Keeps a new file open that may be a copy of `live`.
    pub fn hold(&self, path: &Path, live: &Path) {
        let mut files = self.files.borrow_mut();
        let Some(slot) = files.named(live) else { return };
        let Ok(facts) = Facts::at(path) else { return };
        if !facts.regular || files.with_id(facts.id).is_some() || is_compressed(path) {
            return;
        }
        let Some(live) = files.get_mut(slot) else { return };
        let since = live.copies.as_ref().and_then(|c| c.since).map_or(live.seen, |since| since.min(live.seen));
        let copies = live.copies.get_or_insert_default();
        if facts.born < since || copies.knows(facts.id).is_some() || copies.held.iter().any(|h| h.id == facts.id) {
            return;
        }
        let Ok(fd) = open(path) else { return };
        if Facts::of_open(&fd).is_ok_and(|now| now.id == facts.id) {
            copies.held.push_back(Held { path: path.into(), fd, id: facts.id, since: Instant::now() });
        }
        if copies.held.len() > HELD {
            copies.held.pop_front();
        }
        if live.offset == 0 {
            // What it holds may have come and gone while nothing was read of the file.
            copies.since.get_or_insert(since);
        }
        drop(files);
        self.queue(slot);
    }
}
