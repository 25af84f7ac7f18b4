//! Going on after a restart: where the database says each file stood.

use super::cut::{Cut, Known};
use super::discover::Opened;
use super::facts::Facts;
use super::file::{FileId, Place, size_of};
use super::files::Slot;
use super::rows::{Row, sibling};
use super::state::State;
use crate::util::sort;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

impl State {
    /// Rows of files that are not under their names any more: those rotated meanwhile are read to their end, the rest
    /// is forgotten.
    pub fn settle_rows(&self) -> Vec<i64> {
        let mut astray = self.rows.borrow_mut().take_astray(|path| self.patterns.matches(path));
        // The oldest first.
        sort::by_key(&mut astray, |row| row.id);
        let mut stale = Vec::new();
        for row in astray {
            if let Some(slot) = self.resume_rotated(&row) {
                self.comes_before(slot);
            } else {
                log::info!("[{}] '{}' (inode {}) is gone: forgotten", self.cx.label(), row.path().display(), row.inode);
                stale.push(row.id);
            }
        }
        stale
    }

    fn resume_rotated(&self, row: &Row) -> Option<Slot> {
        let live = row.path();
        let at = sibling(live, row.inode)?;
        let stat = rustix::fs::stat(&at).ok()?;
        let id = FileId::of(&stat);
        let size = size_of(&stat);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        let quiet = SystemTime::now().duration_since(written).is_ok_and(|age| age > self.conf.rotate_wait);
        if self.files.borrow().with_id(id).is_some() || size < row.offset || (size == row.offset && quiet) {
            return None;
        }
        let tag = self.tag_of(live, id)?;
        let fd = self.open_as(&at, id)?;
        if !marker_holds(row, fd.as_fd()) {
            return None;
        }
        log::info!(
            "[{}] '{}' was rotated to '{}': reading the {} bytes left of it",
            self.cx.label(),
            live.display(),
            at.display(),
            size - row.offset
        );
        let live: Rc<Path> = live.into();
        let ledger = self.ledger(id, &live, Some(row.id), row.offset);
        let copy_of = copied_from(&live, &fd);
        self.watch_target(&live);
        let (path, name, offset, undecided) = (live, at.into(), row.offset, false);
        Some(self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: true, copy_of, undecided }))
    }

    /// What is known of a remembered file's former content, unless it still holds that and more can be read.
    pub fn resume(&self, row: &Row, path: &Path, fd: impl AsFd, size: u64) -> Option<Cut> {
        let (label, path, offset) = (self.cx.label(), path.display(), row.offset);
        if offset > size {
            log::info!(
                "[{label}] '{path}' has {size} bytes, but {offset} were delivered of it: it was cut or is another file"
            );
        } else if !marker_holds(row, fd) {
            log::info!("[{label}] '{path}' is not what was read of inode {} before", row.inode);
        } else if offset > 0 {
            return None;
        }
        let (known, seen) = (Known::Marker(row.marker, row.marker_size), self.remembered);
        Some(Cut { offset, place: Place::Start, known, print: None, size: offset, seen, open: false })
    }
}

/// The file that a rotated one is a copy of: one that was renamed is older than that which has its name now.
fn copied_from(live: &Path, rotated: impl AsFd) -> Option<FileId> {
    let (live, rotated) = (Facts::at(live).ok()?, Facts::of_open(rotated).ok()?);
    (rotated.born > live.born).then_some(live.id)
}

/// Whether a file is the one that a row remembers.
pub fn marker_holds(row: &Row, fd: impl AsFd) -> bool {
    super::marker::holds(row.marker, row.marker_size, row.offset, |at, buffer| {
        rustix::io::pread(fd.as_fd(), buffer, at).unwrap_or(0)
    })
}
