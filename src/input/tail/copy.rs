//! Copy-and-cut rotation: what was written between the last look and the cut stands in the copy, and is read from there.

use super::discover::{Opened, is_compressed};
use super::file::{FileId, open, size_of};
use super::last::Likeness;
use super::read::{Before, Cut};
use super::state::State;
use rustix::fs::FileType;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Fewer known bytes than this do not make sure that a file is the copy.
const ENOUGH: usize = 16;

impl State {
    /// Looks for the copy of a file that was cut, and reads the rest of it.
    pub fn adopt_copy(&self, live: &Path, cut: &Cut) {
        if cut.last.reach() < ENOUGH {
            return;
        }
        let Some((at, id, fd)) = self.find_copy(live, cut) else { return };
        let copy_of = self.files.borrow().named(live).and_then(|slot| Some(self.files.borrow().get(slot)?.id));
        let live: Rc<Path> = live.into();
        let Some(tag) = self.tags.tag(&live) else { return };
        let label = self.cx.label();
        log::info!("[{label}] '{}' is a copy of it: reading that from offset {}", at.display(), cut.offset);
        let ledger = self.ledger(id, &live, None, cut.offset);
        let (path, name, offset) = (live, at.into(), cut.offset);
        self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: true, copy_of });
    }

    /// The newest file beside `live`, named like it, that holds what was read of it and more.
    fn find_copy(&self, live: &Path, cut: &Cut) -> Option<(PathBuf, FileId, OwnedFd)> {
        let real = live.canonicalize().ok()?;
        let (dir, stem) = (real.parent()?, real.file_stem()?);
        let mut newest: Option<(i128, PathBuf, FileId, OwnedFd)> = None;
        for entry in std::fs::read_dir(dir).ok()?.flatten() {
            let name = entry.file_name();
            if !name.as_bytes().starts_with(stem.as_bytes()) || is_compressed(Path::new(&name)) {
                continue;
            }
            let at = dir.join(name);
            let Ok(stat) = rustix::fs::stat(&at) else { continue };
            let id = FileId::of(&stat);
            let time = stat.st_mtime as i128 * 1_000_000_000 + stat.st_mtime_nsec as i128;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
                || size_of(&stat) <= cut.offset
                || self.files.borrow().with_id(id).is_some()
                || newest.as_ref().is_some_and(|(newer, ..)| *newer >= time)
            {
                continue;
            }
            let Ok(fd) = open(&at) else { continue };
            if holds(&fd, cut) {
                newest = Some((time, at, id, fd));
            }
        }
        newest.map(|(_, at, id, fd)| (at, id, fd))
    }
}

/// Whether what stood before the offset stands there in this file too.
fn holds(fd: &OwnedFd, cut: &Cut) -> bool {
    let mut now = Before::room(&cut.last);
    let room = now.all_mut();
    let (known, from) = (room.len(), cut.offset.saturating_sub(room.len() as u64));
    rustix::io::pread(fd, room, from).is_ok_and(|n| n == known) && cut.last.compare(now.all()) == Likeness::Same
}
