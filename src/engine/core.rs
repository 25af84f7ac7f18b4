//! The state that inputs, filters and outputs share on the event thread.

use super::delivery::OutputState;
use super::intake::InputState;
use super::route::Routes;
use super::stats::FilterStats;
use crate::event::{Batch, Tag};
use crate::filter::Filter;
use crate::rt::Notify;
use crate::util::backoff::Backoff;
use crate::util::rng::Rng;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Memory of finished batches that is kept for the next ones, in bytes per batch and batches.
const KEEP_BYTES: usize = 1 << 20;
const KEEP_BATCHES: usize = 3;

/// One filter of the pipeline.
pub(super) struct FilterState {
    pub(super) name: String,
    pub(super) filter: RefCell<Box<dyn Filter>>,
    pub(super) stats: FilterStats,
    /// The hidden input of a filter that re-emits records.
    pub(super) emitter: Option<Rc<InputState>>,
}

/// The pipeline while it runs.
pub(super) struct Core {
    pub(super) flush: Duration,
    pub(super) grace: Duration,
    pub(super) backoff: Backoff,
    pub(super) rng: RefCell<Rng>,
    pub(super) routes: Routes,
    /// Filled once when the pipeline is built.
    pub(super) parts: OnceCell<Parts>,
    pub(super) state: Rc<Shutdown>,
    /// Chunks that are not yet delivered everywhere.
    pub(super) chunks: Cell<usize>,
    /// Notified when a chunk is done.
    pub(super) chunk_done: Notify,
    /// Notified when data waits for the next flush.
    pub(super) dirty: Notify,
    pub(super) armed: Cell<bool>,
    pool: RefCell<Vec<Batch>>,
    next_task: Cell<u32>,
}

/// The instances, in the order of the configuration.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) inputs: Vec<Rc<InputState>>,
    pub(super) filters: Vec<FilterState>,
    pub(super) outputs: Vec<Rc<OutputState>>,
}

/// How far the shutdown is.
#[derive(Default)]
pub(super) struct Shutdown {
    pub(super) stopping: Cell<bool>,
    pub(super) stop: Notify,
    pub(super) drained: Cell<bool>,
    pub(super) drain: Notify,
    pub(super) exit: Cell<Option<u8>>,
    pub(super) exit_asked: Notify,
}

impl Shutdown {
    /// Asks for a shutdown with this exit code; the first one counts.
    pub(super) fn ask(&self, code: u8) {
        if self.exit.get().is_none() {
            self.exit.set(Some(code));
        }
        self.exit_asked.notify();
    }
}

impl Core {
    pub(super) fn new(flush: Duration, grace: Duration, backoff: Backoff, routes: Routes, seed: u64) -> Self {
        Self {
            flush,
            grace,
            backoff,
            rng: RefCell::new(Rng::new(seed)),
            routes,
            parts: OnceCell::new(),
            state: Rc::default(),
            chunks: Cell::new(0),
            chunk_done: Notify::default(),
            dirty: Notify::default(),
            armed: Cell::new(false),
            pool: RefCell::default(),
            next_task: Cell::new(0),
        }
    }

    pub(super) fn inputs(&self) -> &[Rc<InputState>] {
        self.parts.get().map_or(&[], |p| &p.inputs)
    }

    pub(super) fn filters(&self) -> &[FilterState] {
        self.parts.get().map_or(&[], |p| &p.filters)
    }

    pub(super) fn outputs(&self) -> &[Rc<OutputState>] {
        self.parts.get().map_or(&[], |p| &p.outputs)
    }

    /// Visible and hidden inputs.
    pub(super) fn all_inputs(&self) -> impl Iterator<Item = &Rc<InputState>> {
        self.inputs().iter().chain(self.filters().iter().filter_map(|f| f.emitter.as_ref()))
    }

    /// An empty batch for a tag; its memory may come from a finished one.
    pub(super) fn batch(&self, tag: &Tag) -> Batch {
        match self.pool.borrow_mut().pop() {
            Some(mut b) => {
                b.recycle(tag.clone(), KEEP_BYTES);
                b
            }
            None => Batch::new(tag.clone()),
        }
    }

    /// Takes a batch back. Small ones are let go: quiet tags must not hold what busy ones need.
    pub(super) fn recycle(&self, mut batch: Batch) {
        let mut pool = self.pool.borrow_mut();
        if pool.len() < KEEP_BATCHES && batch.memory() > 64 * 1024 {
            let tag = batch.tag().clone();
            batch.recycle(tag, KEEP_BYTES);
            pool.push(batch);
        }
    }

    /// The number of the next task, as log lines name it.
    pub(super) fn task_id(&self) -> u32 {
        let id = self.next_task.get();
        self.next_task.set((id + 1) % 2048);
        id
    }

    /// Closes every open batch.
    pub(super) fn flush_all(&self) {
        for input in self.all_inputs() {
            input.flush();
        }
    }

    /// Makes sure that the next flush will come.
    pub(super) fn arm(&self) {
        if !self.armed.replace(true) {
            self.dirty.notify();
        }
    }
}
