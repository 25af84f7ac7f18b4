//! Records of several lines that wait for more: taken as complete in time, at the end, or by the next file.

use super::files::{Files, Slot};
use super::join::{Elsewhere, Which};
use super::read::Reader;
use super::state::State;
use crate::event::Tag;
use crate::input::Ack;
use std::time::Instant;

impl State {
    /// When the next open record is complete unless a line comes.
    pub fn next_due(&self, reader: &Reader) -> Option<Instant> {
        reader.lines.join.as_ref()?;
        self.files.borrow().iter().filter_map(|(_, file)| reader.due(&file.open)).min()
    }

    /// Writes records of one file for which no line came in time; what is to be committed then.
    pub fn complete_due(&self, reader: &mut Reader) -> Option<(Tag, Option<Ack>)> {
        let now = Instant::now();
        let slot = {
            reader.lines.join.as_ref()?;
            let files = self.files.borrow();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            files.iter().find(|(_, file)| is_due(reader.due(&file.open))).map(|(slot, _)| slot)?
        };
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
        (made > 0).then(|| (tag, file.ledger.as_ref().map(|l| l.enter_with(end, reader.take_inherited()))))
    }

    /// A file whose reading begins takes over what the one before it under this path has begun, when that is read to its
    /// end: a program that is told of a rotation goes on in the new file, perhaps in the middle of a record.
    pub fn inherit(&self, files: &mut Files, heir: Slot) {
        let Some(path) = files.get(heir).filter(|f| f.away.is_none() && f.copy_of.is_none()).map(|f| f.path.clone())
        else {
            return;
        };
        let of_path = |slot: &&Slot| {
            files.get(**slot).is_some_and(|f| f.path == path && !f.open.is_empty() && !Self::has_news(f))
        };
        let Some(former) = files.away().iter().find(of_path).copied() else { return };
        let Some(file) = files.get_mut(former) else { return };
        let mut open = std::mem::take(&mut file.open);
        for group in open.groups_mut() {
            let own = || file.ledger.as_ref().map(|ledger| (ledger.clone(), ledger.reserve(file.offset)));
            group.kept.get_or_insert_with(|| Elsewhere(own()));
        }
        if let Some(file) = files.get_mut(heir) {
            file.open = open;
        }
    }
}
