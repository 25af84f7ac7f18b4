//! A chunk: a closed batch on its way to the outputs.

use super::core::Core;
use super::intake::InputState;
use crate::event::{Batch, Tag};
use crate::input::Ack;
use std::cell::Cell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::SystemTime;

/// A batch that its routed outputs share; when the last of them lets it go, its memory returns and its acks fire.
pub(super) struct Chunk {
    /// `PID-SECONDS.NANOSECONDS.flb`, as log lines name it.
    pub(super) name: String,
    pub(super) task_id: u32,
    pub(super) input: Rc<InputState>,
    batch: Option<Batch>,
    acks: Vec<Ack>,
    memory: usize,
    core: Weak<Core>,
    lost: Cell<bool>,
}

impl Chunk {
    pub(super) fn new(core: &Rc<Core>, input: &Rc<InputState>, batch: Batch, acks: Vec<Ack>, memory: usize) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        core.chunks.set(core.chunks.get() + 1);
        Self {
            name: format!("{}-{}.{:09}.flb", std::process::id(), now.as_secs(), now.subsec_nanos()),
            task_id: core.task_id(),
            input: input.clone(),
            batch: Some(batch),
            acks,
            memory,
            core: Rc::downgrade(core),
            lost: Cell::new(false),
        }
    }

    /// Its records; `None` only while it is being dropped.
    pub(super) fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// The tag of its records.
    pub(super) fn tag(&self) -> Option<&Tag> {
        self.batch.as_ref().map(Batch::tag)
    }

    /// It will not be delivered: its acks must not fire.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.lost.get() {
            self.acks.iter().for_each(Ack::lose);
        }
        if let Some(core) = self.core.upgrade() {
            if let Some(batch) = self.batch.take() {
                core.recycle(batch);
            }
            core.chunks.set(core.chunks.get().saturating_sub(1));
            core.chunk_done.notify();
        }
        self.acks.clear();
        self.input.release(self.memory);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("name", &self.name).field("memory", &self.memory).finish_non_exhaustive()
    }
}
