//! Going on after a restart: where the database says each file stood.

use super::discover::Opened;
use super::file::{FileId, size_of};
use super::rows::{Row, sibling};
use super::state::{Grave, State};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

impl State {
    /// Rows of files that are not under their names any more: those rotated meanwhile are read to their end, the rest
    /// is forgotten.
    pub fn settle_rows(&self) -> Vec<i64> {
        let astray = self.rows.borrow_mut().take_astray(|path| self.patterns.matches(path));
        let mut stale = Vec::new();
        for row in astray {
            if !self.resume_rotated(&row) {
                log::info!("[{}] '{}' (inode {}) is gone: forgotten", self.cx.label(), row.path().display(), row.inode);
                stale.push(row.id);
            }
        }
        stale
    }

    fn resume_rotated(&self, row: &Row) -> bool {
        let live = row.path();
        let Some(at) = sibling(live, row.inode) else { return false };
        let Ok(stat) = rustix::fs::stat(&at) else { return false };
        let id = FileId::of(&stat);
        let size = size_of(&stat);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        let quiet = SystemTime::now().duration_since(written).is_ok_and(|age| age > self.conf.rotate_wait);
        if self.files.borrow().with_id(id).is_some() || size < row.offset || (size == row.offset && quiet) {
            return false;
        }
        let Some(tag) = self.tag_of(live, id) else { return false };
        let Some(fd) = self.open_as(&at, id) else { return false };
        if !marker_holds(row, fd.as_fd()) {
            return false;
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
        let (path, name, offset) = (live, at.into(), row.offset);
        self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: true, copy_of: None });
        true
    }

    /// Where to go on in a remembered file.
    pub fn resume(&self, row: &Row, path: &Path, fd: impl AsFd, size: u64) -> u64 {
        if row.offset > size {
            self.say(
                Grave::Warn,
                format_args!(
                    "'{}' has {size} bytes, but {} were delivered of it: it was truncated or is another file; reading it from its head",
                    path.display(),
                    row.offset
                ),
            );
            return 0;
        }
        if !marker_holds(row, fd) {
            self.say(
                Grave::Warn,
                format_args!(
                    "'{}' is not what was read of inode {} before: reading it from its head",
                    path.display(),
                    row.inode
                ),
            );
            return 0;
        }
        row.offset
    }
}

fn marker_holds(row: &Row, fd: impl AsFd) -> bool {
    super::marker::holds(row.marker, row.marker_size, row.offset, |at, buffer| {
        rustix::io::pread(fd.as_fd(), buffer, at).unwrap_or(0)
    })
}
