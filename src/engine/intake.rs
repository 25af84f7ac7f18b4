//! The engine's side of an input: open batches per tag, filters, back-pressure by exact bytes.

mod handle;
mod press;

use super::chunk::Chunk;
use super::core::{Core, Shutdown};
use super::gate::Gate;
use super::route::Route;
use super::stats::InputStats;
use super::storage::ChunkFile;
use crate::conf::storage::StorageType;
use crate::event::{Batch, Tag};
use crate::filter::{Emitted, FilterCx};
use crate::input::{Ack, Intake, Patience};
use crate::rt::{self, Notify};
use crate::time::Time;
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// A batch is closed when its records use this much memory, in bytes. Fluent Bit's 2 MB leave a processor's own cache:
/// parsing and sending measured 10 % dearer, and memory is a third higher.
pub(super) const CHUNK_BYTES: usize = 640 << 10;
/// While a destination is down so much is written at once, in bytes; less waits for more, or a second: cards wear out by the page.
const PIECE: usize = 64 << 10;
/// Tags of fresh commits that are remembered; with more of them all open batches are looked at.
const TOUCHED: usize = 256;
/// Rounds of re-emission one record may make before it is dropped: two rewrite rules can feed each other for ever.
const MAX_ROUNDS: u32 = 16;

/// What an input is made with.
pub(super) struct Spec {
    /// The alias, else `tail.0`.
    pub(super) name: String,
    /// Where back-pressure begins, in bytes.
    pub(super) limit: usize,
    /// `limit` was not asked for.
    pub(super) limit_is_default: bool,
    pub(super) storage: StorageType,
    /// Pause when `storage.max_chunks_up` chunks are in memory.
    pub(super) pause_on_chunks: bool,
    pub(super) patience: Patience,
    /// The hidden input of a filter: its memory holds back every reader.
    pub(super) is_emitter: bool,
    /// The hidden input of the chunks of an earlier run.
    pub(super) is_backlog: bool,
    /// Filters up to this one have seen its records.
    pub(super) behind: Option<usize>,
    /// Where all its records go, whatever their tags are.
    pub(super) route: Option<Rc<Route>>,
}

impl Spec {
    /// An input in memory.
    pub(super) fn new(name: &str, limit: usize) -> Self {
        Self {
            name: name.to_owned(),
            limit,
            limit_is_default: false,
            storage: StorageType::Memory,
            pause_on_chunks: false,
            patience: Patience::None,
            is_emitter: false,
            is_backlog: false,
            behind: None,
            route: None,
        }
    }
}

/// One input of the pipeline, or a hidden one: that of a filter, or of the chunks of an earlier run.
pub(super) struct InputState {
    pub(super) name: String,
    pub(super) core: Weak<Core>,
    pub(super) stats: InputStats,
    pub(super) gate: Gate,
    spec: Spec,
    streams: RefCell<FxHashMap<Tag, Stream>>,
    /// Its chunks that are in memory, in the order in which they came there.
    up: RefCell<BTreeMap<u64, Weak<Chunk>>>,
    /// The number of the next of them.
    next_up: Cell<u64>,
    /// Where the last look for what can leave memory ended, when that was not at the oldest.
    looked: Cell<Option<u64>>,
    /// Some were not on their way to the disk yet when they were made.
    unsaved: Cell<bool>,
    /// Tags of commits since the last flush.
    touched: RefCell<Vec<Tag>>,
    room: Notify,
    paused: Cell<bool>,
    pause_said: Cell<bool>,
    complaints: RefCell<RateLimit>,
    rounds: Cell<u32>,
    shutdown: Rc<Shutdown>,
}

/// The open batch of one tag.
struct Stream {
    batch: Batch,
    acks: Vec<Ack>,
    memory: usize,
    /// Arena bytes that were counted.
    counted: usize,
    name: Option<Rc<str>>,
    /// The file of an input with `storage.type filesystem`.
    file: Option<Rc<ChunkFile>>,
    /// Records that went into it, and the memory of all that stood there then.
    filed: (usize, usize),
    /// Since when some are not in it, or would be in one.
    since: Option<Instant>,
}

impl Stream {
    fn new(batch: Batch, memory: usize) -> Self {
        Self { batch, acks: Vec::new(), memory, counted: 0, name: None, file: None, filed: (0, 0), since: None }
    }
}

impl InputState {
    pub(super) fn new(core: &Rc<Core>, spec: Spec) -> Self {
        Self {
            name: spec.name.clone(),
            core: Rc::downgrade(core),
            shutdown: core.state.clone(),
            stats: InputStats::default(),
            gate: Gate::new(spec.limit, &core.total),
            streams: RefCell::default(),
            up: RefCell::default(),
            next_up: Cell::new(0),
            looked: Cell::new(None),
            unsaved: Cell::new(false),
            touched: RefCell::default(),
            room: Notify::default(),
            paused: Cell::new(false),
            pause_said: Cell::new(false),
            complaints: RefCell::default(),
            rounds: Cell::new(0),
            spec,
        }
    }

    /// Whether it is held back by a limit.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Where its records wait.
    pub(super) fn storage_type(&self) -> StorageType {
        self.spec.storage
    }

    /// Whether its chunks come from an earlier run.
    pub(super) fn is_backlog(&self) -> bool {
        self.spec.is_backlog
    }

    /// Its chunks that are in memory, oldest first.
    pub(super) fn chunks_up(&self) -> Vec<Rc<Chunk>> {
        self.up.borrow().values().filter_map(Weak::upgrade).filter(|c| c.is_up()).collect()
    }

    /// Number of open batches.
    pub(super) fn open_batches(&self) -> usize {
        self.streams.borrow().len()
    }

    /// The way of the records of a tag.
    fn route(&self, core: &Core, tag: &Tag) -> Rc<Route> {
        self.spec.route.clone().unwrap_or_else(|| core.routes.of(tag))
    }

    /// Closes the open batches that an output waits for, or all when `force`d. The others stay open and grow: many small
    /// chunks for a destination that is down would cost more than they hold. What its input has not committed yet is left
    /// alone: no filter has seen it. Answers whether some stay.
    pub(super) fn flush(self: &Rc<Self>, core: &Rc<Core>, force: bool) -> bool {
        self.touched.borrow_mut().clear();
        let due: Vec<Tag> = {
            let streams = self.streams.borrow();
            let due = streams.iter().filter(|(tag, stream)| self.is_wanted(core, tag, stream, force));
            due.map(|(tag, _)| tag.clone()).collect()
        };
        due.iter().for_each(|tag| self.close_tag(tag));
        !self.streams.borrow().is_empty()
    }

    /// [`InputState::flush`] for what was committed since the last flush: the rest stays until an output waits for it. With
    /// a tag for each of many sources a look at all of them with each commit would cost more than the records.
    fn flush_touched(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        let touched = std::mem::take(&mut *self.touched.borrow_mut());
        if touched.len() >= TOUCHED {
            return self.flush(core, false);
        }
        let mut some_stay = false;
        for tag in touched {
            let wanted = self.streams.borrow().get(&tag).map(|stream| self.is_wanted(core, &tag, stream, false));
            match wanted {
                Some(true) => self.close_tag(&tag),
                Some(false) => some_stay = true,
                None => {}
            }
        }
        some_stay
    }

    /// Whether an open batch is to be closed now.
    fn is_wanted(&self, core: &Rc<Core>, tag: &Tag, stream: &Stream, force: bool) -> bool {
        core.looks.set(core.looks.get() + 1);
        if !stream.batch.fresh().is_empty() {
            return false;
        }
        let route = self.route(core, tag);
        let outputs = || route.outputs.iter().filter_map(|&i| core.outputs().get(i));
        // An empty one holds nothing but memory.
        let wanted = force || stream.batch.is_empty() || outputs().any(|out| out.wants_more());
        if !wanted {
            outputs().for_each(|out| out.nudge(core));
        }
        wanted
    }

    /// Memory came back, here or elsewhere: the reader looks whether there is room.
    pub(super) fn eased(&self) {
        if self.paused.get() && self.gate.over().is_none() {
            self.paused.set(false);
            if self.pause_said.replace(false) {
                let (buf, limit) = (self.gate.used(), self.gate.limit());
                log::info!(
                    "[input] {} resume (mem buf overlimit - buf size {buf}B now below limit {limit}B)",
                    self.name
                );
            }
        }
        self.room.notify();
    }

    /// Filters, routes and perhaps closes the batch of a tag. Answers what filters re-emitted.
    fn ingest(self: &Rc<Self>, core: &Rc<Core>, tag: &Tag, acks: Vec<Ack>) {
        let route = self.route(core, tag);
        let mut emitted = Vec::new();
        let full = {
            let mut streams = self.streams.borrow_mut();
            let Some(stream) = streams.get_mut(tag) else { return };
            let fresh = stream.batch.fresh();
            let first = fresh.start;
            self.stats.records.add(fresh.len());
            let bytes = stream.batch.arena().len();
            self.stats.bytes.add(bytes.saturating_sub(stream.counted));
            if !route.filters.is_empty() && !fresh.is_empty() {
                let joined = self.filter(core, &route.filters, &mut stream.batch, &acks, &mut emitted);
                stream.acks.extend(joined);
            }
            if route.outputs.is_empty() {
                let n = stream.batch.len() - first.min(stream.batch.len());
                if n > 0 {
                    self.stats.unrouted.add(n);
                    log::debug!("[router] {n} record(s) of tag '{tag}' match no output and are dropped");
                }
                stream.batch.recycle(tag.clone(), stream.batch.memory());
            }
            stream.batch.settle();
            stream.counted = stream.batch.arena().len();
            if !stream.batch.is_empty() {
                self.hold(core, stream, &acks);
            }
            core.arm();
            let before = std::mem::replace(&mut stream.memory, stream.batch.memory());
            self.gate.resize_open(before, stream.memory);
            stream.batch.used() >= CHUNK_BYTES || core.state.stopping.get()
        };
        if full {
            self.close_tag(tag);
        } else {
            let mut touched = self.touched.borrow_mut();
            if touched.len() < TOUCHED && touched.last() != Some(tag) {
                touched.push(tag.clone());
            }
        }
        for (index, Emitted { batch, acks: own }) in emitted {
            self.emit(core, index, &batch, own.unwrap_or_else(|| acks.clone()));
        }
        if self.gate.over().is_some() {
            self.press(core);
        }
    }

    /// Keeps the records of a commit: in memory with their acks, or in the file of their batch.
    fn hold(&self, core: &Core, stream: &mut Stream, acks: &[Ack]) {
        stream.acks.extend_from_slice(acks);
        if self.storage_type() != StorageType::Filesystem {
            return;
        }
        let is_down = core.is_any_down();
        if !self.is_lazy() || is_down && stream.batch.used().saturating_sub(stream.filed.1) >= PIECE {
            return self.file(core, stream);
        }
        stream.since.get_or_insert_with(rt::now);
        self.unsaved.set(true);
        if is_down {
            core.unsaved.notify();
        }
    }

    /// Appends the records of an open batch that are not in its file yet; their acks go with them.
    fn file(&self, core: &Core, stream: &mut Stream) {
        let Some(storage) = core.storage.get() else { return };
        let all = (stream.batch.len(), stream.batch.used());
        let new = std::mem::replace(&mut stream.filed, all).0..all.0;
        let acks = std::mem::take(&mut stream.acks);
        stream.since = None;
        if new.is_empty() {
            return;
        }
        let name = stream.name.get_or_insert_with(|| core.chunk_name());
        let file = stream.file.get_or_insert_with(|| storage.create(&self.name, stream.batch.tag(), name));
        file.append(&stream.batch, new, acks);
    }

    /// Writes what stands in open batches, for `age` at least: a destination is down, so that they stay open for long.
    pub(super) fn save_open(&self, core: &Core, age: Duration) {
        for stream in self.streams.borrow_mut().values_mut() {
            let is_due = stream.since.is_some_and(|since| rt::now().saturating_duration_since(since) >= age);
            if is_due && stream.batch.fresh().is_empty() {
                self.file(core, stream);
            }
        }
    }

    /// Whether an open batch holds what is on no disk.
    pub(super) fn has_unsaved_open(&self) -> bool {
        self.streams.borrow().values().any(|stream| stream.since.is_some())
    }

    /// Runs the filters of a route over the fresh records; answers the acknowledgements of records that had been held back
    /// and are among them now.
    fn filter(
        &self,
        core: &Core,
        filters: &[usize],
        batch: &mut Batch,
        acks: &[Ack],
        emitted: &mut Vec<(usize, Emitted)>,
    ) -> Vec<Ack> {
        let mut cx = FilterCx::with_acks(Time::from_system(SystemTime::now()), acks.to_vec());
        for &index in filters {
            let Some(f) = core.filters().get(index) else { continue };
            // What a filter re-emitted does not come back to it.
            let is_own = f.emitter.as_ref().is_some_and(|e| std::ptr::eq(&**e, self));
            if is_own || self.spec.behind.is_some_and(|behind| index <= behind) {
                continue;
            }
            f.stats.records.add(batch.fresh().len());
            let mut filter = f.filter.borrow_mut();
            filter.apply(batch, &mut cx);
            core.note_held(f, &**filter);
            drop(filter);
            f.stats.drop_records.add(batch.sweep());
            for b in cx.take_emitted() {
                f.stats.add_records.add(b.batch.len());
                emitted.push((index, b));
            }
            if batch.fresh().is_empty() {
                break;
            }
        }
        if let Some(code) = cx.exit {
            core.state.ask(code);
        }
        cx.take_joined()
    }

    /// Takes records of another batch as its own.
    pub(super) fn take_in(self: &Rc<Self>, core: &Rc<Core>, batch: &Batch, acks: Vec<Ack>) {
        {
            let mut open = self.open(batch.tag());
            batch.records().for_each(|r| open.push_record(&r));
        }
        self.ingest(core, batch.tag(), acks);
    }

    /// Sends re-emitted records to the head of the pipeline.
    fn emit(&self, core: &Rc<Core>, filter: usize, batch: &Batch, acks: Vec<Ack>) {
        let Some(emitter) = core.filters().get(filter).and_then(|f| f.emitter.as_ref()) else { return };
        let rounds = self.rounds.get() + 1;
        if rounds > MAX_ROUNDS {
            emitter.lost(batch.len() as u64, "rewrite rules feed each other: the record was re-emitted 16 times");
            return;
        }
        let outer = emitter.rounds.replace(rounds);
        emitter.take_in(core, batch, acks);
        emitter.rounds.set(outer);
    }

    fn close_tag(self: &Rc<Self>, tag: &Tag) {
        let stream = self.streams.borrow_mut().remove(tag);
        if let Some(stream) = stream {
            self.gate.resize_open(stream.memory, 0);
            self.close(stream);
        }
    }

    /// Makes a chunk of an open batch and hands it to its outputs.
    fn close(self: &Rc<Self>, mut stream: Stream) {
        let Some(core) = self.core.upgrade() else { return };
        if stream.batch.is_empty() {
            core.recycle(stream.batch);
            core.eased();
            return;
        }
        // A file holds all of its chunk.
        if stream.file.is_some() {
            self.file(&core, &mut stream);
        }
        let route = self.route(&core, stream.batch.tag());
        let name = stream.name.unwrap_or_else(|| core.chunk_name());
        let chunk = Chunk::new(&core, self, name, stream.batch, stream.acks, stream.file);
        for &index in &route.outputs {
            if let Some(out) = core.outputs().get(index) {
                out.push(&core, chunk.clone());
            }
        }
        core.limit_chunks_up();
        if self.is_lazy() {
            core.unsaved.notify();
        }
    }
}
