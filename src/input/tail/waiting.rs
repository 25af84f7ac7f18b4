//! A new file whose name says that it may be a copy of one being followed, and which the patterns lead to as well: it is
//! not read before it is known what it is.

use super::begin::last_before;
use super::cut::{Present, present};
use super::facts::Facts;
use super::file::{FileId, birth};
use super::files::Slot;
use super::ledger::Ledger;
use super::names::origins;
use super::read::reads_alike;
use super::state::State;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

/// What a file that waits is.
enum Verdict {
    /// That is not known yet.
    Wait,
    /// It went before that was known: what it held is in the other one.
    Close,
    /// A copy that was read up to this size, and of which file.
    Known(u64, FileId),
    /// A file of its own, or the copy of something that was never seen.
    Other,
}

impl State {
    /// The file being followed of which a new one at `path` may be a copy.
    pub fn perhaps_copy_of(&self, path: &Path) -> Option<FileId> {
        if !self.started.get() {
            return None;
        }
        let files = self.files.borrow();
        let live = origins(path).iter().find_map(|name| files.get(files.named(name)?).filter(|f| !f.undecided))?;
        // One that was renamed is older than the one that has its name now.
        let (own, other) = (Facts::of_open(live.fd.as_ref()?).ok()?, Facts::at(path).ok()?);
        (other.born >= own.born).then_some(live.id)
    }

    /// Finds out what a file that waits is. It goes on waiting while it holds what the other one holds.
    pub fn judge(&self, slot: Slot) {
        match self.verdict(slot) {
            Verdict::Wait => {}
            Verdict::Close => self.close(slot),
            Verdict::Known(size, copy_of) => self.decide(slot, size, None, Some(copy_of)),
            Verdict::Other => self.decide(slot, 0, None, None),
        }
    }

    fn verdict(&self, slot: Slot) -> Verdict {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get(slot) else { return Verdict::Wait };
        let wait = if file.last_call { Verdict::Close } else { Verdict::Wait };
        let Some((fd, facts)) = file.fd.as_ref().and_then(|fd| Some((fd, Facts::of_open(fd).ok()?))) else {
            return wait;
        };
        let live = file.copy_of.and_then(|id| files.with_id(id)).filter(|&live| live != slot);
        let Some((live_slot, live)) = live.and_then(|at| Some((at, files.get(at)?))) else { return Verdict::Other };
        if facts.size == 0 {
            return wait;
        }
        if live.copies.as_ref().is_some_and(|c| c.has_read(&facts)) {
            // It was read and closed, and has another name now.
            return Verdict::Known(facts.size, live.id);
        }
        if present(live, fd.as_fd(), facts.size) != Present::Other {
            return wait;
        }
        if files.get_mut(live_slot).is_some_and(|live| live.offset > 0 && !reads_alike(live)) {
            // Cut meanwhile: what this one is to that is seen then.
            drop(files);
            self.queue(live_slot);
            return Verdict::Wait;
        }
        Verdict::Other
    }

    /// A file that waited is read from `offset` on, as a copy or as a file of its own.
    pub fn decide(&self, slot: Slot, offset: u64, ledger: Option<Rc<Ledger>>, copy_of: Option<FileId>) {
        let Some((id, name)) = self.files.borrow().get(slot).map(|f| (f.id, f.name.clone())) else { return };
        let ledger = ledger.or_else(|| self.ledger(id, &name, None, offset));
        if let Some(ledger) = &ledger {
            ledger.rename(&name, false);
        }
        if let Some(file) = self.files.borrow_mut().get_mut(slot) {
            (file.undecided, file.offset, file.copy_of, file.ledger) = (false, offset, copy_of, ledger);
            if let Some(fd) = &file.fd {
                file.birth = birth(fd, copy_of, &file.path);
                file.last = last_before(fd, offset);
            }
        }
        self.queue(slot);
    }
}
