//! Records of several lines that wait for more: taken as complete in time, at the end, or by the next file.

use super::file::File;
use super::files::{Files, Slot};
use super::join::{Open, Which};
use super::read::Reader;
use super::state::State;
use crate::event::Tag;
use crate::input::Ack;
use std::time::Instant;

impl State {
    /// When the next open record is complete unless a line comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.files.borrow().next_due().map(|(due, _)| due)
    }

    /// Notes when the open records of a file are complete.
    pub fn note_due(reader: &Reader, files: &mut Files, slot: Slot) {
        let due = files.get(slot).and_then(|file| reader.due(&file.open));
        files.set_due(slot, due);
    }

    /// Writes records of one file for which no line came in time; what is to be committed then.
    pub fn complete_due(&self, reader: &mut Reader) -> Option<(Tag, Option<Ack>)> {
        let (due, slot) = self.files.borrow().next_due()?;
        if due > Instant::now() {
            return None;
        }
        self.complete_one(reader, slot, Which::Due)
    }

    /// At the end, what no database remembers the beginning of is written as it is; the rest is read again.
    pub fn complete_rest(&self, reader: &mut Reader) {
        let open: Vec<Slot> = {
            let files = self.files.borrow();
            let is_lost = |file: &super::file::File| file.ledger.is_none() && !file.open.is_empty();
            files.iter().filter(|(_, file)| is_lost(file)).map(|(slot, _)| slot).collect()
        };
        for slot in open {
            if let Some((tag, ack)) = self.complete_one(reader, slot, Which::All) {
                self.cx.commit_now(&tag, ack);
            }
        }
    }

    fn complete_one(&self, reader: &mut Reader, slot: Slot, which: Which) -> Option<(Tag, Option<Ack>)> {
        let mut files = self.files.borrow_mut();
        let file = files.get_mut(slot)?;
        let tag = file.tag.clone();
        let made = reader.complete(&mut file.open, &file.path, which, || self.cx.batch(&tag));
        let end = file.resume_at();
        let commit =
            (made > 0).then(|| (tag, file.ledger.as_ref().map(|l| l.enter_with(end, reader.take_inherited()))));
        Self::note_due(reader, &mut files, slot);
        commit
    }

    /// Whether the file before this one under its path is to be read first. If that is read to its end, this one takes over what
    /// it has begun: a program that is told of a rotation goes on in the new file, perhaps in the middle of a record, and
    /// one whose file is copied and cut goes on at its head.
    pub fn awaits_former(&self, reader: &Reader, slot: Slot) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(before) = files.get(slot).and_then(|f| f.before) else { return false };
        let former = files.with_id(before).filter(|&former| former != slot);
        let is_new = files.get(slot).is_some_and(|f| f.offset == 0 && f.open.is_empty());
        if let Some(former) = former.filter(|_| is_new) {
            if files.get(former).is_some_and(File::is_behind) {
                files.queue(former);
                files.queue(slot);
                return true;
            }
            Self::take_over(&mut files, former, slot);
            Self::note_due(reader, &mut files, former);
            Self::note_due(reader, &mut files, slot);
        }
        if let Some(file) = files.get_mut(slot) {
            file.before = None;
        }
        false
    }

    fn take_over(files: &mut Files, former: Slot, heir: Slot) {
        let Some(file) = files.get_mut(former).filter(|f| !f.open.is_empty() && !Self::has_news(f)) else { return };
        let mut open = std::mem::take(&mut file.open);
        for group in open.groups_mut() {
            let entry = file.ledger.as_ref().map(|ledger| (ledger.clone(), ledger.reserve(file.offset)));
            group.kept.get_or_insert_default().0.extend(entry);
        }
        if let Some(file) = files.get_mut(heir) {
            file.open = open;
        }
    }

    /// A file that was followed before this start was renamed: the one that has its name now may go on with its records.
    pub fn comes_before(&self, former: Slot) {
        let mut files = self.files.borrow_mut();
        let Some((id, path)) = files.get(former).and_then(|f| Some((f.id, f.former_of.clone()?))) else { return };
        let Some(heir_slot) = files.named(&path).filter(|&heir| heir != former) else { return };
        let Some(heir) = files.get_mut(heir_slot).filter(|f| f.offset == 0) else { return };
        // Of several the last one; those before it come before each other.
        let other = heir.before.replace(id).filter(|&other| other != id);
        let Some(other) = other.and_then(|other| files.with_id(other)) else { return };
        let born = |slot| files.get(slot).map_or(0, |f| f.birth);
        let (older, newer) = if born(other) <= born(former) { (other, former) } else { (former, other) };
        let Some([older_id, newer_id]) = files.get(older).zip(files.get(newer)).map(|(a, b)| [a.id, b.id]) else {
            return;
        };
        if let Some(file) = files.get_mut(heir_slot) {
            file.before = Some(newer_id);
        }
        if let Some(file) = files.get_mut(newer).filter(|f| f.offset == 0) {
            file.before = Some(older_id);
        }
    }

    /// A file that was renamed while nobody looked, and holds the beginning of a record perhaps, is remembered under its former
    /// name: from there the next start knows which file goes on with it.
    pub fn keep_name(&self, slot: Slot) {
        let joins = !self.conf.multiline_parser.is_empty() || self.conf.multiline || self.conf.docker_mode;
        let files = self.files.borrow();
        let Some(file) = files.get(slot).filter(|f| joins && f.offset < f.owed) else { return };
        if let (Some(ledger), Some(was)) = (&file.ledger, &file.former_of) {
            ledger.rename(was, false);
        }
    }

    /// A file was cut: what it had begun goes on in its copy, which is read next, or is complete where there is none. Answers how
    /// many records that made.
    pub fn hand_to_copy(&self, reader: &mut Reader, slot: Slot, mut open: Open, stood: u64) -> u64 {
        let mut files = self.files.borrow_mut();
        let Some((path, tag, copy)) = files.get(slot).map(|f| (f.path.clone(), f.tag.clone(), f.before)) else {
            return 0;
        };
        let copy = copy.and_then(|id| files.with_id(id)).filter(|&copy| copy != slot);
        if let Some(copy) = copy
            && let Some(file) = files.get_mut(copy).filter(|f| f.offset == stood && f.open.is_empty())
        {
            file.open = open;
            Self::note_due(reader, &mut files, copy);
            return 0;
        }
        drop(files);
        reader.complete(&mut open, &path, Which::All, || self.cx.batch(&tag))
    }
}
