//! The engine's side of an input: open batches per tag, filters, back-pressure by exact bytes.

mod handle;

use super::chunk::Chunk;
use super::core::{Core, Shutdown};
use super::gate::{Gate, Over};
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
use std::rc::{Rc, Weak};
use std::time::SystemTime;

/// A batch is closed when its records use this much memory, in bytes. Fluent Bit's 2 MB leave a processor's own cache:
/// parsing and sending measured 10 % dearer, and memory is a third higher.
pub(super) const CHUNK_BYTES: usize = 640 << 10;
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
    /// Its chunks that are in memory, oldest first, and perhaps some that are not any more.
    up: RefCell<Vec<Weak<Chunk>>>,
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
    /// Records that went into it.
    filed: usize,
}

impl Stream {
    fn new(batch: Batch, memory: usize) -> Self {
        Self { batch, acks: Vec::new(), memory, counted: 0, name: None, file: None, filed: 0 }
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
        self.up.borrow().iter().filter_map(Weak::upgrade).filter(|c| c.is_up()).collect()
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
        let wanted = |tag: &Tag, stream: &Stream| {
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
        };
        let due: Vec<Tag> = {
            let streams = self.streams.borrow();
            streams.iter().filter(|(tag, stream)| wanted(tag, stream)).map(|(tag, _)| tag.clone()).collect()
        };
        due.iter().for_each(|tag| self.close_tag(tag));
        !self.streams.borrow().is_empty()
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
        let may_wait = stream.file.is_none() && self.is_lazy() && !core.is_any_down();
        stream.acks.extend_from_slice(acks);
        if self.storage_type() == StorageType::Filesystem && !may_wait {
            self.file(core, stream);
        }
    }

    /// Appends the records of an open batch that are not in its file yet; their acks go with them.
    fn file(&self, core: &Core, stream: &mut Stream) {
        let Some(storage) = core.storage.get() else { return };
        let new = std::mem::replace(&mut stream.filed, stream.batch.len())..stream.batch.len();
        let acks = std::mem::take(&mut stream.acks);
        if new.is_empty() {
            return;
        }
        let name = stream.name.get_or_insert_with(|| core.chunk_name());
        let file = stream.file.get_or_insert_with(|| storage.create(&self.name, stream.batch.tag(), name));
        file.append(&stream.batch, new, acks);
    }

    /// Writes what stands in open batches: a destination is down, so that they stay open for long.
    pub(super) fn save_open(&self, core: &Core) {
        self.streams.borrow_mut().values_mut().for_each(|stream| self.file(core, stream));
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

    /// Over the limit: what is open goes out at once, what is on the disk leaves memory; then the reader waits, or with
    /// `memrb` the oldest go.
    fn press(self: &Rc<Self>, core: &Rc<Core>) {
        self.flush(core, true);
        core.relieve();
        if self.spec.storage == StorageType::Memrb {
            self.drop_oldest(core);
        }
        let Some(over) = self.gate.over() else { return };
        if !self.paused.replace(true) {
            self.stats.pauses.add(1);
            self.say_paused(core, over);
        }
    }

    /// Whether only chunks that are not delivered soon go to the disk.
    pub(super) fn is_lazy(&self) -> bool {
        self.spec.storage == StorageType::Filesystem && self.spec.patience == Patience::ReadsAgain
    }

    /// Lets chunks that are on the disk go from memory, the newest first: the oldest are sent next. Down to `most` bytes.
    /// A source that keeps what is not read can as well wait as long as outputs take what is there; only what was on the
    /// disk alone before goes back.
    pub(super) fn unload(&self, core: &Core, most: usize) {
        let waits = self.spec.patience > Patience::None && !core.outputs().iter().any(|out| out.is_stuck());
        for chunk in self.chunks_up().iter().rev().filter(|c| !waits || c.was_down()) {
            if self.gate.used() <= most {
                return;
            }
            chunk.unload();
        }
    }

    /// Makes room in a ring: the oldest chunks that are not on the wire are dropped; the newest one stays.
    fn drop_oldest(&self, core: &Rc<Core>) {
        let mut chunks = self.chunks_up();
        chunks.pop();
        for chunk in chunks {
            if self.gate.over().is_none() {
                return;
            }
            if !chunk.is_running() {
                core.outputs()
                    .iter()
                    .for_each(|out| out.evict(&chunk, "the ring of storage.type memrb is full (Mem_Buf_Limit)"));
            }
        }
    }

    /// At the default limit a pause is the ordinary pace of a reader that is faster than its outputs; a limit that was
    /// asked for is worth a line, though not one for each of many short pauses.
    fn say_paused(&self, core: &Core, over: Over) {
        let (held, limit, key) = match over {
            Over::Own => (self.gate.used(), self.gate.limit(), "Mem_Buf_Limit"),
            Over::Process => (core.total.used(), core.total.limit(), "storage.mem_limit"),
        };
        if over == Over::Own && self.spec.limit_is_default {
            log::debug!(
                "[input] {} paused (mem buf overlimit - {held}B held, default limit {limit}B, Mem_Buf_Limit)",
                self.name
            );
        } else if let Some(unsaid) = self.complaints.borrow_mut().allow(b"paused", rt::now()) {
            self.pause_said.set(true);
            let more = if unsaid > 0 { format!("; {unsaid} short pauses were not logged") } else { String::new() };
            log::warn!(
                "[input] {} paused (mem buf overlimit - {held}B held exceed the limit of {limit}B set by {key}); it resumes when outputs take data{more}",
                self.name
            );
        }
    }

    fn close_tag(self: &Rc<Self>, tag: &Tag) {
        let stream = self.streams.borrow_mut().remove(tag);
        if let Some(stream) = stream {
            self.gate.resize_open(stream.memory, 0);
            self.close(stream);
        }
    }

    /// Makes a chunk of an open batch and hands it to its outputs.
    fn close(self: &Rc<Self>, stream: Stream) {
        let Some(core) = self.core.upgrade() else { return };
        if stream.batch.is_empty() {
            core.recycle(stream.batch);
            core.eased();
            return;
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

    /// Remembers a chunk that came into memory.
    pub(super) fn enlist(&self, chunk: &Rc<Chunk>) {
        let mut up = self.up.borrow_mut();
        // Those that left are swept when they may be many.
        if up.len() >= 16 && up.len().is_power_of_two() {
            up.retain(|c| c.upgrade().is_some_and(|c| c.is_up()));
        }
        up.push(Rc::downgrade(chunk));
    }
}
