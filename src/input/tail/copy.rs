//! Copy-and-cut rotation. The copies stand beside the file: the one that was made before the cut is read on where the file
//! stood, and those of contents that came and went between two looks are read from their heads.
//!
//! The content of a copy is over when the file itself holds another one *after* the copy was looked at: the copy was
//! complete then, and nothing of it will ever be read from the file. Until that is sure it is left alone.

use super::begin::last_before;
use super::cut::{Cut, Known, Present, present};
use super::discover::Opened;
use super::facts::{self, Facts, Stamp};
use super::file::FileId;
use super::files::Slot;
use super::last::REACH;
use super::ledger::Ledger;
use super::print::Print;
use super::read::reads_alike;
use super::siblings::{Copies, Search, Sibling};
use super::state::State;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// What the files beside one that was cut are to it.
#[derive(Debug, Default)]
struct Sorted {
    /// The copy that was made before the cut.
    own: Option<Sibling>,
    /// Others that hold nothing more than that.
    same: Vec<Sibling>,
    /// Copies of contents that were never seen, the oldest first.
    unseen: Vec<Sibling>,
    /// Some have to be looked at again: those made since then.
    next: Option<Stamp>,
}

impl State {
    /// Looks for the copies of a file that was cut, or of which some are to be looked at again; has them read.
    pub fn settle_copies(&self, slot: Slot, cut: Option<&Cut>) {
        let Some((name, facts, mut copies)) = self.take_copies(slot) else { return };
        let now = facts::now();
        let since = [cut.map(|c| c.seen), copies.since].into_iter().flatten().min().unwrap_or(now);
        let since = since.saturating_sub(self.clock.set_back());
        let beyond = cut.filter(|c| c.offset > 0).map(|c| c.offset);
        let mut found = self.siblings(&Search { live: &name, facts, copies: &copies, since, beyond });
        found.retain(|s| !self.is_remembered(s, &name));
        let Sorted { own, same, unseen, next } = self.sort_siblings(slot, cut, found, since);
        // Nothing is read of it yet: another content may come and go before that.
        let is_empty = self.files.borrow().get(slot).is_some_and(|f| f.offset == 0);
        copies.since = next.into_iter().chain(is_empty.then_some(now)).min();
        for s in own.iter().chain(&same).chain(&unseen) {
            copies.settled(s.facts.id, s.facts.written);
        }
        if let Some(live) = self.files.borrow_mut().get_mut(slot) {
            live.copies = Some(copies);
        }
        if let Some(cut) = cut {
            self.report_cut(&name, cut, own.as_ref().or(same.last()), unseen.len());
        }
        if let (Some(own), Some(cut)) = (own, cut) {
            self.read_on(slot, own, cut);
        }
        for sibling in same {
            self.pass_over(slot, sibling);
        }
        for sibling in unseen {
            self.read_whole(slot, sibling);
        }
        // The older text first.
        self.files.borrow_mut().move_back(slot);
    }

    /// A file that holds another content than before, of which nothing was read yet.
    pub fn begin_anew(&self, slot: Slot, cut: &Cut) {
        self.settle_copies(slot, Some(cut));
        let ledger = self.files.borrow().get(slot).and_then(|f| f.ledger.clone());
        if let Some(ledger) = ledger {
            ledger.restart(0);
        }
    }

    fn take_copies(&self, slot: Slot) -> Option<(Rc<Path>, Facts, Box<Copies>)> {
        let mut files = self.files.borrow_mut();
        let file = files.get_mut(slot)?;
        let facts = Facts::of_open(file.fd.as_ref()?).ok()?;
        Some((file.name.clone(), facts, file.copies.take().unwrap_or_default()))
    }

    fn sort_siblings(&self, slot: Slot, cut: Option<&Cut>, mut found: Vec<Sibling>, since: Stamp) -> Sorted {
        let mut sorted = Sorted::default();
        if let Some(cut) = cut {
            (sorted.own, sorted.same) = take_own(cut, &mut found);
            sorted.same.extend(found.extract_if(.., |s| self.is_part_of(s, cut)));
        }
        let mut files = self.files.borrow_mut();
        let Some(live) = files.get_mut(slot) else { return sorted };
        for sibling in found.into_iter().filter(|s| s.fresh) {
            let what = match sibling.facts.size {
                // Just made: it will hold something.
                0 => Present::Perhaps,
                size => present(live, sibling.fd.as_fd(), size),
            };
            match what {
                Present::Read => {}
                Present::Perhaps => {
                    let Facts { born, written, .. } = sibling.facts;
                    let made = if born >= since { born } else { written };
                    sorted.next = Some(sorted.next.map_or(made, |next| next.min(made)));
                }
                Present::Other => sorted.unseen.push(sibling),
            }
        }
        if live.offset > 0 && !reads_alike(live) {
            // Cut again since: what is over is to be seen when that was noticed.
            sorted.unseen.clear();
            sorted.next = Some(since);
        }
        sorted
    }

    /// Whether the database knows a sibling as a copy, and how far it was read.
    fn is_remembered(&self, s: &Sibling, live: &Path) -> bool {
        let rows = self.rows.borrow();
        rows.named(live, s.facts.id.ino).is_some_and(|row| super::resume::marker_holds(row, s.fd.as_fd()))
    }

    /// Whether a copy holds only the beginning of what was read before the cut.
    fn is_part_of(&self, s: &Sibling, cut: &Cut) -> bool {
        let Some(print) = cut.print.filter(|_| s.facts.size < cut.offset) else { return false };
        let other = self.print_of(&s.fd);
        match (print.head, other.head) {
            (Some(own), Some(other)) => own == other,
            // Short contents may have their first line in common: only one that is old enough is taken for the same.
            _ => print.line == other.line && s.facts.born < cut.seen,
        }
    }

    /// The fingerprint of an open file.
    pub fn print_of(&self, fd: &OwnedFd) -> Print {
        Print::of_file(fd, usize::try_from(self.conf.buffer_max_size.0).unwrap_or(usize::MAX))
    }

    /// Reads on in the copy of a file where the file itself stood.
    fn read_on(&self, slot: Slot, copy: Sibling, cut: &Cut) {
        let Some((path, id, ledger)) = self.live(slot) else { return };
        if copy.facts.size <= cut.offset && !cut.open && ledger.as_ref().is_none_or(|l| l.is_settled()) {
            return self.pass_over(slot, copy);
        }
        let heir = self.ledger(copy.facts.id, &path, None, cut.offset);
        if let (Some(ledger), Some(heir), Known::Text(_)) = (&ledger, &heir, cut.known) {
            ledger.bequeath(heir);
        }
        let copied = copy.facts.id;
        let waiting = self.files.borrow().with_id(copied);
        let read_by = match waiting {
            Some(waiting) => {
                self.decide(waiting, cut.offset, heir, Some(id));
                Some(waiting)
            }
            None => self.follow_copy(path, copy, cut.offset, heir, id),
        };
        let mut files = self.files.borrow_mut();
        if let Some(file) = read_by.and_then(|slot| files.get_mut(slot)) {
            file.place = cut.place;
            file.owed = file.size_now().unwrap_or(0);
            if let Some(live) = files.get_mut(slot) {
                live.before = Some(copied);
            }
        }
    }

    /// All that a copy holds was read elsewhere. One that the patterns lead to is followed from its end.
    fn pass_over(&self, slot: Slot, copy: Sibling) {
        let Some((path, id, _)) = self.live(slot) else { return };
        let (copied, size) = (copy.facts.id, copy.facts.size);
        let waiting = self.files.borrow().with_id(copied);
        if let Some(waiting) = waiting {
            self.decide(waiting, size, None, Some(id));
        } else if self.patterns.matches(&copy.path) {
            let ledger = self.ledger(copied, &path, None, size);
            self.follow_copy(path, copy, size, ledger, id);
        }
    }

    /// Reads the copy of a content that was never seen.
    fn read_whole(&self, slot: Slot, copy: Sibling) {
        let Some((path, id, _)) = self.live(slot) else { return };
        let waiting = self.files.borrow().with_id(copy.facts.id);
        if let Some(waiting) = waiting {
            return self.decide(waiting, 0, None, None);
        }
        let ledger = self.ledger(copy.facts.id, &path, None, 0);
        let begins = last_before(&copy.fd, copy.facts.size.min(REACH as u64));
        let slot = self.follow_copy(path, copy, 0, ledger, id);
        let mut files = self.files.borrow_mut();
        if let Some(file) = slot.and_then(|slot| files.get_mut(slot)) {
            file.copies.get_or_insert_default().begins = Some(begins);
        }
    }

    fn live(&self, slot: Slot) -> Option<(Rc<Path>, FileId, Option<Rc<Ledger>>)> {
        self.files.borrow().get(slot).map(|f| (f.path.clone(), f.id, f.ledger.clone()))
    }

    fn follow_copy(
        &self,
        path: Rc<Path>,
        copy: Sibling,
        offset: u64,
        ledger: Option<Rc<Ledger>>,
        copy_of: FileId,
    ) -> Option<Slot> {
        let tag = self.tags.tag(&path)?;
        let Sibling { path: name, fd, facts: Facts { id, size, .. }, .. } = copy;
        let (name, copy_of, undecided) = (name.into(), Some(copy_of), false);
        let slot = self.follow(Opened { path, name, tag, id, fd, offset, ledger, away: true, copy_of, undecided });
        if let Some(file) = self.files.borrow_mut().get_mut(slot) {
            file.size = size;
        }
        Some(slot)
    }

    /// Whether a file being followed is a copy of `live` that holds another content now. It is let go of then.
    pub fn is_rewritten_copy(&self, slot: Slot, live: FileId) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.get_mut(slot).filter(|f| f.copy_of == Some(live)) else { return false };
        if file.undecided {
            return true;
        }
        if reads_alike(file) {
            return false;
        }
        drop(files);
        self.let_go_of_copy(slot);
        true
    }

    /// A copy that was being read is overwritten by the next one.
    pub fn let_go_of_copy(&self, slot: Slot) {
        let Some(copy) = self.files.borrow().get(slot).map(|f| (f.name.clone(), f.offset, f.size)) else { return };
        let (name, offset, size) = copy;
        self.report_overwritten(&name, offset, size);
        self.close(slot);
    }
}

/// Takes out the copy that was made before the cut, and others that hold the same.
fn take_own(cut: &Cut, among: &mut Vec<Sibling>) -> (Option<Sibling>, Vec<Sibling>) {
    let holds = |s: &Sibling| cut.offset > 0 && s.facts.size >= cut.offset && cut.known.is_in(s.fd.as_fd(), cut.offset);
    if !cut.known.is_certain() {
        // A few bytes stand in many files: the first one made since then.
        let at = among.iter().position(|s| s.fresh && holds(s));
        return (at.map(|at| among.remove(at)), Vec::new());
    }
    let mut same: Vec<Sibling> = among.extract_if(.., |s| holds(s)).collect();
    let longest = (0..same.len()).max_by_key(|&at| same.get(at).map(|s| s.facts.size));
    (longest.map(|at| same.remove(at)), same)
}
