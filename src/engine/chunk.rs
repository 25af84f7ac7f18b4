//! A chunk: a closed batch on its way to the outputs, in memory ("up") or on the disk alone ("down").

use super::core::Core;
use super::intake::InputState;
use super::storage::{ChunkFile, Storage};
use crate::event::{Batch, Tag};
use crate::input::Ack;
use crate::rt;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Records that the routed outputs share; when the last of them lets go, memory returns, acks fire and the file goes.
pub(super) struct Chunk {
    /// `PID-SECONDS.NANOSECONDS.flb`, as log lines and the disk name it.
    pub(super) name: Rc<str>,
    pub(super) task_id: u32,
    pub(super) input: Rc<InputState>,
    pub(super) tag: Tag,
    /// Its records, also while it is down.
    records: Cell<usize>,
    born: Instant,
    body: RefCell<Option<Box<Batch>>>,
    memory: Cell<usize>,
    /// It was on the disk alone before.
    was_down: Cell<bool>,
    /// It is counted among the chunks that are up.
    counted: Cell<bool>,
    /// Its number among those of its input.
    listed: Cell<Option<u64>>,
    acks: RefCell<Vec<Ack>>,
    file: RefCell<Option<Rc<ChunkFile>>>,
    /// Outputs that still need it.
    open: Cell<u32>,
    /// Outputs that send it now.
    running: Cell<u32>,
    /// The outputs that have it.
    done: RefCell<Vec<String>>,
    /// What is left of it for outputs that have a part, by their names.
    left: RefCell<Vec<(String, Vec<u32>)>>,
    core: Weak<Core>,
    lost: Cell<bool>,
}

impl Chunk {
    /// A closed batch; its memory is counted from now on.
    pub(super) fn new(
        core: &Rc<Core>,
        input: &Rc<InputState>,
        name: Rc<str>,
        batch: Batch,
        acks: Vec<Ack>,
        file: Option<Rc<ChunkFile>>,
    ) -> Rc<Self> {
        let this = Self::bare(core, input, name, batch.tag().clone(), file);
        this.acks.replace(acks);
        this.load(batch, Vec::new());
        let this = Rc::new(this);
        this.enlist();
        this
    }

    /// A chunk of an earlier run, with so many records.
    pub(super) fn stored(
        core: &Rc<Core>,
        input: &Rc<InputState>,
        name: Rc<str>,
        tag: Tag,
        records: usize,
        file: Rc<ChunkFile>,
    ) -> Rc<Self> {
        let this = Self::bare(core, input, name, tag, Some(file));
        this.records.set(records);
        this.was_down.set(true);
        Rc::new(this)
    }

    fn bare(core: &Rc<Core>, input: &Rc<InputState>, name: Rc<str>, tag: Tag, file: Option<Rc<ChunkFile>>) -> Self {
        core.chunks.set(core.chunks.get() + 1);
        Self {
            name,
            task_id: core.task_id(),
            input: input.clone(),
            tag,
            records: Cell::new(0),
            born: rt::now(),
            body: RefCell::default(),
            memory: Cell::new(0),
            was_down: Cell::new(false),
            counted: Cell::new(false),
            listed: Cell::new(None),
            acks: RefCell::default(),
            file: RefCell::new(file),
            open: Cell::new(0),
            running: Cell::new(0),
            done: RefCell::default(),
            left: RefCell::default(),
            core: Rc::downgrade(core),
            lost: Cell::new(false),
        }
    }

    /// Number of records.
    pub(super) fn records(&self) -> usize {
        self.records.get()
    }

    /// Whether its records are in memory.
    pub(super) fn is_up(&self) -> bool {
        self.body.borrow().is_some()
    }

    /// Whether it was on the disk alone before.
    pub(super) fn was_down(&self) -> bool {
        self.was_down.get()
    }

    /// Its file, when it has one.
    pub(super) fn file(&self) -> Option<Rc<ChunkFile>> {
        self.file.borrow().clone()
    }

    /// Whether all its records are on the disk.
    pub(super) fn is_stored(&self) -> bool {
        self.file.borrow().as_ref().is_some_and(|f| f.is_complete())
    }

    /// Looks at the records, if they are in memory.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Batch) -> T) -> Option<T> {
        self.body.borrow().as_deref().map(look)
    }

    /// An output begins or ends sending it.
    pub(super) fn run(&self, begins: bool) {
        let n = self.running.get();
        self.running.set(if begins { n + 1 } else { n.saturating_sub(1) });
    }

    /// Whether an output is sending it.
    pub(super) fn is_running(&self) -> bool {
        self.running.get() > 0
    }

    /// Lets the records go from memory: they are on the disk. Answers whether it did.
    pub(super) fn unload(&self) -> bool {
        if self.is_running() || !self.is_stored() {
            return false;
        }
        let Some(batch) = self.body.take() else { return false };
        if let Some(core) = self.core.upgrade() {
            core.recycle(*batch);
        }
        self.was_down.set(true);
        self.resize(0);
        true
    }

    /// Takes the records into memory, with what an earlier run left of them.
    pub(super) fn load(&self, batch: Batch, left: Vec<(String, Vec<u32>)>) {
        self.records.set(batch.len());
        let memory = batch.memory();
        self.body.replace(Some(Box::new(batch)));
        if !left.is_empty() {
            self.left.replace(left);
        }
        self.resize(memory);
    }

    /// Its input is to know that its records are in memory.
    pub(super) fn enlist(self: &Rc<Self>) {
        let number = self.input.enlist(self);
        if let Some(former) = self.listed.replace(Some(number)) {
            self.input.delist(former);
        }
    }

    /// The records that are left for an output, if it has a part of them.
    pub(super) fn left_for(&self, output: &str) -> Option<Vec<u32>> {
        self.left.borrow().iter().find(|(name, _)| name == output).map(|(_, records)| records.clone())
    }

    /// An output has taken a part; the records of these indices are left.
    pub(super) fn note_left(&self, output: &str, records: &[u32]) {
        let mut left = self.left.borrow_mut();
        left.retain(|(name, _)| name != output);
        left.push((output.to_owned(), records.to_vec()));
        if let Some(file) = &*self.file.borrow() {
            file.note_left(output, records);
        }
    }

    /// Another output needs it.
    pub(super) fn want(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// An output is done with it. The file learns it when others still need the chunk: a restart must not send it again.
    pub(super) fn leave(&self, output: &str) {
        self.open.set(self.open.get().saturating_sub(1));
        self.done.borrow_mut().push(output.to_owned());
        if let Some(file) = self.file.borrow().as_ref().filter(|_| self.open.get() > 0) {
            file.note_done(output);
        }
    }

    /// Writes it into a new file, with what the outputs have of it: the acks go when that is on the disk. A file that
    /// could not be written to its end is replaced.
    pub(super) fn save(&self, storage: &Rc<Storage>, name: &Rc<str>) {
        let body = self.body.borrow();
        let Some(batch) = body.as_deref() else { return };
        let file = storage.create(&self.input.name, &self.tag, name);
        let former = self.file.replace(Some(file.clone()));
        let mut acks = self.acks.take();
        if let Some(former) = &former {
            acks.extend(former.take_stuck());
        }
        file.append(batch, 0..batch.len(), acks);
        self.done.borrow().iter().for_each(|output| file.note_done(output));
        self.left.borrow().iter().for_each(|(output, records)| file.note_left(output, records));
        if let Some(former) = former {
            former.end(false);
        }
    }

    /// Whether it is, or will be, on the disk.
    pub(super) fn is_saved(&self) -> bool {
        self.file.borrow().as_ref().is_some_and(|f| !f.is_broken())
    }

    /// How long it has been waiting.
    pub(super) fn age(&self) -> Duration {
        rt::now().saturating_duration_since(self.born)
    }

    /// Takes in the records of a chunk that follows in the same stream and is for the same output alone.
    pub(super) fn absorb(&self, next: &Self) {
        let (Some(body), Some(more)) = (&mut *self.body.borrow_mut(), next.body.take()) else { return };
        let before = body.len();
        more.records().for_each(|r| body.push_record(&r));
        body.settle();
        self.records.set(body.len());
        let mut acks = next.acks.take();
        if let Some(file) = next.file.take() {
            // Its own file goes when the records are safe in the other one; a crash before that sends them twice.
            acks.push(Ack::new(move || file.end(false)));
        }
        match &*self.file.borrow() {
            Some(file) => file.append(body, before..body.len(), acks),
            None => self.acks.borrow_mut().extend(acks),
        }
        next.open.set(0);
        next.resize(0);
        let memory = body.memory();
        self.resize(memory);
    }

    /// Whether [`Chunk::absorb`] may be used: small, in memory, and nobody else's.
    pub(super) fn may_grow_by(this: &Rc<Self>, next: &Rc<Self>, most: usize) -> bool {
        let used = |c: &Self| c.with(Batch::used);
        let sound = |c: &Self| c.file.borrow().as_ref().is_none_or(|f| !f.is_broken());
        let alone = |c: &Rc<Self>| c.open.get() == 1 && !c.is_running() && sound(c);
        alone(this)
            && alone(next)
            && Rc::ptr_eq(&this.input, &next.input)
            && this.tag == next.tag
            && used(this).zip(used(next)).is_some_and(|(a, b)| a + b <= most)
    }

    /// Its acks must not fire, though no output needs it any more.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }

    fn resize(&self, memory: usize) {
        let before = self.memory.replace(memory);
        if memory == 0
            && let Some(number) = self.listed.take()
        {
            self.input.delist(number);
        }
        self.input.gate.resize_chunk(before, memory);
        if let Some(core) = self.core.upgrade() {
            let up = core.chunks_up.get();
            let is_up = memory > 0;
            match (self.counted.replace(is_up), is_up) {
                (false, true) => core.chunks_up.set(up + 1),
                (true, false) => core.chunks_up.set(up.saturating_sub(1)),
                _ => {}
            }
            core.eased();
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Whoever still needs it will not get it from this process.
        let lost = self.lost.get() || self.open.get() > 0;
        if lost {
            self.acks.borrow().iter().for_each(Ack::lose);
        }
        if let Some(file) = self.file.take() {
            file.end(lost);
        }
        self.acks.borrow_mut().clear();
        if let Some(core) = self.core.upgrade() {
            if let Some(batch) = self.body.take() {
                core.recycle(*batch);
            }
            core.chunks.set(core.chunks.get().saturating_sub(1));
            core.chunk_done.notify();
        }
        self.resize(0);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("name", &self.name).field("memory", &self.memory).finish_non_exhaustive()
    }
}
