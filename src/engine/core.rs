//! The state that inputs, filters and outputs share on the event thread.

use super::delivery::OutputState;
use super::gate::{Over, Total};
use super::intake::{InputState, Spec};
use super::rejects::Rejects;
use super::route::Routes;
use super::stats::FilterStats;
use super::storage::Storage;
use crate::conf::storage::StorageType;
use crate::event::{Batch, Tag};
use crate::filter::{Emitter, Filter};
use crate::rt::{self, Notify};
use crate::store::dir::chunk_name;
use crate::util::backoff::Backoff;
use crate::util::rng::Rng;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

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
    /// Memory of the records that it holds back, in bytes, as counted.
    pub(super) held: Cell<usize>,
    /// What it gives back is older than what it lets pass from then on.
    pub(super) in_order: bool,
}

impl FilterState {
    /// Makes the state of a filter and, with `spec`, that of its hidden input.
    pub(super) fn new(
        core: &Rc<Core>,
        name: &str,
        filter: Box<dyn Filter>,
        spec: impl FnOnce(&Emitter) -> Spec,
    ) -> Self {
        let emits = filter.emits();
        Self {
            name: name.to_owned(),
            in_order: emits.as_ref().is_some_and(|e| e.in_order),
            emitter: emits.map(|e| Rc::new(InputState::new(core, spec(&e)))),
            stats: FilterStats { own: filter.counters().unwrap_or_default(), ..FilterStats::default() },
            filter: RefCell::new(filter),
            held: Cell::new(0),
        }
    }
}

/// The pipeline while it runs.
pub(super) struct Core {
    #[cfg_attr(not(feature = "monitor"), expect(dead_code, reason = "only the monitor tells it"))]
    pub(super) begun: Instant,
    pub(super) flush: Duration,
    pub(super) grace: Duration,
    /// Use the whole grace period for chunks that are safe on the disk, too.
    pub(super) flush_on_shutdown: bool,
    pub(super) backoff: Backoff,
    pub(super) rng: RefCell<Rng>,
    pub(super) routes: Routes,
    /// Filled once when the pipeline is built.
    pub(super) parts: OnceCell<Parts>,
    pub(super) state: Rc<Shutdown>,
    /// The file of rejected records.
    pub(super) rejects: Rejects,
    /// Its records are sent again: there are no inputs but that file.
    pub(super) is_replay: bool,
    /// The folder of chunk files, when there is one; opened at the start.
    pub(super) storage: OnceCell<Rc<Storage>>,
    /// Memory of all inputs.
    pub(super) total: Rc<Total>,
    /// Chunks in memory.
    pub(super) chunks_up: Cell<usize>,
    pub(super) max_chunks_up: usize,
    /// `storage.metrics`
    pub(super) show_storage: bool,
    /// Chunks that are not yet delivered everywhere.
    pub(super) chunks: Cell<usize>,
    /// Notified when a chunk is done.
    pub(super) chunk_done: Notify,
    /// Notified when data waits for the next flush.
    pub(super) dirty: Notify,
    pub(super) armed: Cell<bool>,
    /// Open batches are kept open, since no output waits for them.
    pub(super) held: Cell<bool>,
    /// Notified when an output waits for more while batches are held.
    pub(super) hungry: Notify,
    /// Notified when there is a chunk that goes to the disk unless it is delivered soon.
    pub(super) unsaved: Notify,
    /// When a filter gives records back that it holds.
    pub(super) release_at: Cell<Option<Instant>>,
    /// Notified when that is sooner than it was.
    pub(super) release_sooner: Notify,
    /// A filter has more to give back than there is room for.
    pub(super) release_stalled: Cell<bool>,
    /// Chunks looked at to make room, so far: it must not grow with the product of tags and commits.
    pub(super) looks: Cell<u64>,
    /// The number in the last chunk's name, in ns.
    named: Cell<u64>,
    pool: RefCell<Vec<Batch>>,
    next_task: Cell<u32>,
}

/// The instances, in the order of the configuration.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) inputs: Vec<Rc<InputState>>,
    pub(super) filters: Vec<FilterState>,
    pub(super) outputs: Vec<Rc<OutputState>>,
    /// With a storage path.
    pub(super) backlog: Option<Rc<InputState>>,
}

/// How far the shutdown is.
#[derive(Default)]
pub(super) struct Shutdown {
    pub(super) stopping: Cell<bool>,
    pub(super) stop: Notify,
    /// Nothing more is sent: the time is up, or it is futile.
    pub(super) over: Cell<bool>,
    pub(super) drained: Cell<bool>,
    pub(super) drain: Notify,
    /// How many inputs still have something to commit.
    pub(super) held: Cell<usize>,
    pub(super) released: Notify,
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

/// What a pipeline is set to.
pub(super) struct Terms {
    pub(super) flush: Duration,
    pub(super) grace: Duration,
    pub(super) flush_on_shutdown: bool,
    pub(super) backoff: Backoff,
    pub(super) mem_limit: usize,
    pub(super) max_chunks_up: usize,
    pub(super) show_storage: bool,
    pub(super) rejects: Rejects,
    pub(super) is_replay: bool,
    pub(super) seed: u64,
}

impl Core {
    pub(super) fn new(terms: Terms, routes: Routes) -> Self {
        Self {
            begun: Instant::now(),
            flush: terms.flush,
            grace: terms.grace,
            flush_on_shutdown: terms.flush_on_shutdown,
            backoff: terms.backoff,
            rng: RefCell::new(Rng::new(terms.seed)),
            routes,
            parts: OnceCell::new(),
            state: Rc::default(),
            rejects: terms.rejects,
            is_replay: terms.is_replay,
            storage: OnceCell::new(),
            total: Total::new(terms.mem_limit),
            chunks_up: Cell::new(0),
            max_chunks_up: terms.max_chunks_up,
            show_storage: terms.show_storage,
            chunks: Cell::new(0),
            chunk_done: Notify::default(),
            dirty: Notify::default(),
            armed: Cell::new(false),
            held: Cell::new(false),
            hungry: Notify::default(),
            unsaved: Notify::default(),
            release_at: Cell::new(None),
            release_sooner: Notify::default(),
            release_stalled: Cell::new(false),
            looks: Cell::new(0),
            named: Cell::new(0),
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

    /// The hidden inputs of filters.
    pub(super) fn emitters(&self) -> impl Iterator<Item = &Rc<InputState>> {
        self.filters().iter().filter_map(|f| f.emitter.as_ref())
    }

    /// The hidden input of the chunks of an earlier run.
    pub(super) fn backlog(&self) -> Option<&Rc<InputState>> {
        self.parts.get().and_then(|p| p.backlog.as_ref())
    }

    /// Visible and hidden inputs.
    pub(super) fn all_inputs(&self) -> impl Iterator<Item = &Rc<InputState>> {
        self.inputs().iter().chain(self.emitters()).chain(self.backlog())
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

    /// A name for a chunk, told apart by its nanosecond.
    pub(super) fn chunk_name(&self) -> Rc<str> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ns = (now.as_nanos() as u64).max(self.named.get() + 1);
        self.named.set(ns);
        chunk_name(ns).into()
    }

    /// Closes the open batches that an output waits for, or every one when `force`d.
    pub(super) fn flush_all(self: &Rc<Self>, force: bool) {
        let mut held = false;
        for input in self.all_inputs() {
            held |= input.flush(self, force);
        }
        self.held.set(held);
    }

    /// An output would send another chunk at once.
    pub(super) fn is_hungry(&self) {
        if self.held.replace(false) {
            self.hungry.notify();
        }
    }

    /// Memory came back: whoever waits for room looks again.
    pub(super) fn eased(&self) {
        self.all_inputs().for_each(|i| i.eased());
        if self.release_stalled.take() {
            self.release_now();
        }
    }

    /// Has filters give back what they can, at the next turn.
    pub(super) fn release_now(&self) {
        self.release_at.set(Some(rt::now()));
        self.release_sooner.notify();
    }

    /// Whether a destination is known to be down.
    pub(super) fn is_any_down(&self) -> bool {
        self.outputs().iter().any(|out| out.is_down())
    }

    /// A destination is down, or a limit is reached: what is on the disk leaves memory.
    pub(super) fn relieve(&self) {
        if self.is_any_down() && self.all_inputs().filter(|i| i.is_lazy()).any(|i| i.take_unsaved()) {
            super::saver::save(self, None);
        }
        for input in self.all_inputs() {
            match input.gate.over() {
                Some(Over::Own) => input.unload(self, input.gate.limit() / 2),
                Some(Over::Process) => input.unload(self, 0),
                None => {}
            }
        }
    }

    /// Not more chunks in memory than are allowed there.
    pub(super) fn limit_chunks_up(&self) {
        if self.chunks_up.get() > self.max_chunks_up {
            let stored = self.all_inputs().filter(|i| i.storage_type() == StorageType::Filesystem);
            stored.for_each(|i| i.unload(self, 0));
        }
    }

    /// Whether the disk keeps up with what is to be written.
    pub(super) fn storage_has_room(&self) -> bool {
        self.storage.get().is_none_or(|s| s.has_room())
    }

    /// Makes sure that the next flush will come.
    pub(super) fn arm(&self) {
        if !self.armed.replace(true) {
            self.dirty.notify();
        }
    }
}
