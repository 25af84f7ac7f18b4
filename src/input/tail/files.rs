//! The files being followed: found by identity, by name or by watch, and queued for reading.

use super::file::{File, FileId};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// A file's place in the set.
pub type Slot = u32;

/// All files of one input.
#[derive(Debug, Default)]
pub struct Files {
    slots: Vec<Option<Box<File>>>,
    free: Vec<Slot>,
    by_id: FxHashMap<FileId, Slot>,
    by_name: FxHashMap<Rc<Path>, Slot>,
    by_watch: FxHashMap<i32, Slot>,
    queue: VecDeque<Slot>,
    /// Files that no pattern leads to any more.
    away: Vec<Slot>,
    open: usize,
    /// Where parking goes on.
    hand: usize,
    /// Files with records that are complete at a time unless lines come.
    due: BTreeSet<(Instant, Slot)>,
    /// By path: the file that it led to before.
    former: FxHashMap<Rc<Path>, Slot>,
}

impl Files {
    /// Adds a file under its name; one that is away has no name.
    pub fn insert(&mut self, file: File) -> Slot {
        let slot = self.free.pop().unwrap_or(self.slots.len() as Slot);
        self.by_id.insert(file.id, slot);
        self.open += usize::from(file.fd.is_some());
        if file.away.is_some() {
            self.away.push(slot);
        } else {
            self.by_name.insert(file.name.clone(), slot);
        }
        if let Some(watch) = file.watch {
            self.by_watch.insert(watch, slot);
        }
        let former = file.away.is_some().then(|| file.path.clone());
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(Box::new(file)),
            None => self.slots.push(Some(Box::new(file))),
        }
        if let Some(path) = former {
            self.set_former(slot, path);
        }
        slot
    }

    /// The path leads, or will lead, to a newer file than this one.
    pub fn set_former(&mut self, slot: Slot, path: Rc<Path>) {
        let Some(file) = self.get_mut(slot) else { return };
        file.owed = file.size_now().unwrap_or(0);
        file.former_of = Some(path.clone());
        self.former.insert(path, slot);
    }

    /// The file that a path led to before.
    pub fn former(&self, path: &Path) -> Option<&File> {
        self.former.get(path).and_then(|&slot| self.get(slot))
    }

    /// Says when the first open record of a file is complete unless a line comes.
    pub fn set_due(&mut self, slot: Slot, due: Option<Instant>) {
        let Some(file) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let old = std::mem::replace(&mut file.due, due);
        if old == due {
            return;
        }
        if let Some(old) = old {
            self.due.remove(&(old, slot));
        }
        if let Some(new) = due {
            self.due.insert((new, slot));
        }
    }

    /// The file whose open record is complete next, and when.
    pub fn next_due(&self) -> Option<(Instant, Slot)> {
        self.due.first().copied()
    }

    /// Takes a file out.
    pub fn remove(&mut self, slot: Slot) -> Option<Box<File>> {
        let file = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        self.by_id.remove(&file.id);
        self.open -= usize::from(file.fd.is_some());
        if self.by_name.get(&file.name) == Some(&slot) {
            self.by_name.remove(&file.name);
        }
        if let Some(watch) = file.watch {
            self.by_watch.remove(&watch);
        }
        if let Some(due) = file.due {
            self.due.remove(&(due, slot));
        }
        if let Some(path) = &file.former_of
            && self.former.get(path) == Some(&slot)
        {
            self.former.remove(path);
        }
        self.away.retain(|&s| s != slot);
        if file.queued {
            self.queue.retain(|&s| s != slot);
        }
        Some(file)
    }

    /// The file in a slot.
    pub fn get(&self, slot: Slot) -> Option<&File> {
        self.slots.get(slot as usize)?.as_deref()
    }

    /// The file in a slot.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut File> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The file of this identity.
    pub fn with_id(&self, id: FileId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The file that was last found under this name.
    pub fn named(&self, name: &Path) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// The file of an inotify watch.
    pub fn watched(&self, watch: i32) -> Option<Slot> {
        self.by_watch.get(&watch).copied()
    }

    /// Sets or takes away a file's inotify watch.
    pub fn set_watch(&mut self, slot: Slot, watch: Option<i32>) {
        let Some(file) = self.get_mut(slot) else { return };
        let old = std::mem::replace(&mut file.watch, watch);
        if let Some(old) = old {
            self.by_watch.remove(&old);
        }
        if let Some(new) = watch {
            self.by_watch.insert(new, slot);
        }
    }

    /// The name leads elsewhere now, or nowhere: the file is away.
    pub fn detach(&mut self, slot: Slot, now: Instant) {
        let Some(file) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        if file.away.is_none() {
            file.away = Some(now);
            self.away.push(slot);
            if self.by_name.get(&file.name) == Some(&slot) {
                self.by_name.remove(&file.name);
            }
            let path = file.path.clone();
            self.set_former(slot, path);
        }
    }

    /// A file that was away is found under a name that matches.
    pub fn attach(&mut self, slot: Slot, name: &Rc<Path>) {
        let Some(file) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        if self.by_name.get(&file.name) == Some(&slot) {
            self.by_name.remove(&file.name);
        }
        file.away = None;
        file.last_call = false;
        file.name = name.clone();
        let former = (file.path != *name && file.former_of.is_none()).then(|| file.path.clone());
        self.by_name.insert(name.clone(), slot);
        self.away.retain(|&s| s != slot);
        if let Some(path) = former {
            self.set_former(slot, path);
        }
    }

    /// Queues a file for reading, behind the others; a file stands there once. `true` when it did not yet.
    pub fn queue(&mut self, slot: Slot) -> bool {
        let Some(file) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return false };
        let fresh = !std::mem::replace(&mut file.queued, true);
        if fresh {
            self.queue.push_back(slot);
        }
        fresh
    }

    /// Has the others in the queue read before this one.
    pub fn move_back(&mut self, slot: Slot) {
        if self.get(slot).is_some_and(|f| f.queued) {
            self.queue.retain(|&s| s != slot);
            self.queue.push_back(slot);
        }
    }

    /// Takes the next file to read.
    pub fn next(&mut self) -> Option<Slot> {
        let slot = self.queue.pop_front()?;
        if let Some(file) = self.get_mut(slot) {
            file.queued = false;
        }
        Some(slot)
    }

    /// Files that are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Gives a file its descriptor back, or takes it.
    pub fn set_fd(&mut self, slot: Slot, fd: Option<OwnedFd>) {
        let Some(file) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        self.open += usize::from(fd.is_some());
        self.open -= usize::from(file.fd.is_some());
        file.fd = fd;
    }

    /// Closes up to `n` files that can be found again by name; answers how many.
    pub fn park(&mut self, n: usize) -> usize {
        let mut parked = 0;
        for _ in 0..self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(file) = self.slots.get_mut(self.hand).and_then(Option::as_deref_mut)
                && file.away.is_none()
                && file.fd.take().is_some()
            {
                parked += 1;
                if parked == n {
                    break;
                }
            }
        }
        self.open -= parked;
        parked
    }

    /// Files that no pattern leads to any more.
    pub fn away(&self) -> &[Slot] {
        &self.away
    }

    /// Every file.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &File)> {
        self.slots.iter().enumerate().filter_map(|(slot, file)| file.as_deref().map(|f| (slot as Slot, f)))
    }
}
