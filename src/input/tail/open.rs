//! Opening files: only as many as there are descriptors for; the others are closed and opened again in turn.

use super::file::{File, FileId, open};
use super::files::Slot;
use super::read::cut;
use super::rows::sibling;
use super::state::{Grave, State};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Files closed at a time when descriptors are short.
const PARK: usize = 32;

impl State {
    /// Opens what is at `path`, if it still is the file `id`. Other files are closed for the while when descriptors are
    /// short.
    pub fn open_as(&self, path: &Path, id: FileId) -> Option<OwnedFd> {
        if self.files.borrow().open() >= self.budget {
            self.park();
        }
        let mut opened = open(path);
        if opened.as_ref().is_err_and(out_of_descriptors) && self.park() > 0 {
            opened = open(path);
        }
        match opened {
            // Renamed between look and open: the next look finds it.
            Ok(fd) => rustix::fs::fstat(&fd).is_ok_and(|s| FileId::of(&s) == id).then_some(fd),
            Err(e) => {
                self.cannot_open(path, &e);
                None
            }
        }
    }

    /// Closes some files for the while; they are opened again when they have news. Answers how many.
    fn park(&self) -> usize {
        let parked = self.files.borrow_mut().park(PARK);
        if parked > 0 && !self.parking.replace(true) {
            self.say(
                Grave::Warn,
                format_args!(
                    "more files than descriptors ({}): they are closed and opened again in turn. \
                     Raise the limit: ulimit -n (LimitNOFILE=)",
                    self.budget
                ),
            );
        }
        parked
    }

    /// Opens a file that was closed for want of descriptors.
    pub fn unpark(&self, slot: Slot) {
        let parked = |f: &File| f.fd.is_none().then(|| (f.name.clone(), f.id, f.away, f.print));
        let parked = self.files.borrow().get(slot).and_then(parked);
        let Some((name, id, away, print)) = parked else { return };
        let there = rustix::fs::stat(&*name).is_ok_and(|s| FileId::of(&s) == id);
        let fd =
            if there { self.open_as(&name, id) } else { sibling(&name, id.ino).and_then(|at| self.open_as(&at, id)) };
        // Written anew, or another file with its inode.
        let is_other = fd.as_ref().zip(print).is_some_and(|(fd, print)| self.print_of(fd).line != print.line);
        if fd.is_none() && away.is_some() {
            self.cx.lost(
                0,
                &format!(
                    "'{}' went while it was closed for want of descriptors: what was not read of it is lost",
                    name.display()
                ),
            );
        }
        let mut files = self.files.borrow_mut();
        files.set_fd(slot, fd);
        if is_other && let Some(file) = files.get_mut(slot) {
            let cut = cut(file);
            drop(files);
            self.begin_anew(slot, &cut);
        }
    }

    fn cannot_open(&self, path: &Path, why: &io::Error) {
        let path = path.display();
        if out_of_descriptors(why) {
            self.say(
                Grave::Error,
                format_args!(
                    "too many open files: '{path}' and others wait. Raise the limit: ulimit -n (LimitNOFILE=)"
                ),
            );
        } else if why.kind() != io::ErrorKind::NotFound {
            self.say(
                Grave::Error,
                format_args!("cannot read '{path}': {why}. It is tried again every {:?}", self.conf.refresh_interval),
            );
        }
    }
}

fn out_of_descriptors(why: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|e| why.raw_os_error() == Some(e.raw_os_error()))
}
