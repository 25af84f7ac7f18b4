//! The engine's side of an input: open batches per tag, filters, back-pressure by exact bytes.

use super::chunk::Chunk;
use super::core::{Core, Shutdown};
use super::stats::InputStats;
use crate::event::{Batch, Tag};
use crate::filter::FilterCx;
use crate::input::{Ack, Intake};
use crate::rt::Notify;
use crate::time::Time;
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::time::{Instant, SystemTime};

/// A batch is closed when its records use this much memory, in bytes. Fluent Bit's 2 MB leave a processor's own cache:
/// parsing and sending measured 10 % dearer, and memory is a third higher.
const CHUNK_BYTES: usize = 640 << 10;
/// Rounds of re-emission one record may make before it is dropped: two rewrite rules can feed each other for ever.
const MAX_ROUNDS: u32 = 16;

/// One input of the pipeline, or the hidden input of a filter.
pub(super) struct InputState {
    pub(super) name: String,
    pub(super) core: Weak<Core>,
    pub(super) stats: InputStats,
    /// Where back-pressure begins, in bytes, and the key that said so.
    limit: usize,
    /// Memory of its chunks on their way.
    inflight: Cell<usize>,
    streams: RefCell<FxHashMap<Tag, Stream>>,
    /// Memory of its open batches.
    open: Cell<usize>,
    room: Notify,
    limit_is_default: bool,
    paused: Cell<bool>,
    pause_said: Cell<bool>,
    complaints: RefCell<RateLimit>,
    rounds: Cell<u32>,
    shutdown: Rc<Shutdown>,
    /// The hidden input of a filter: its memory holds back every reader.
    is_emitter: bool,
}

/// The open batch of one tag.
struct Stream {
    batch: Batch,
    acks: Vec<Ack>,
    memory: usize,
    /// Arena bytes that were counted.
    counted: usize,
}

impl Stream {
    fn new(batch: Batch, memory: usize) -> Self {
        Self { batch, acks: Vec::new(), memory, counted: 0 }
    }
}

impl InputState {
    pub(super) fn new(core: &Rc<Core>, name: &str, limit: usize, is_emitter: bool) -> Self {
        Self {
            name: name.to_owned(),
            core: Rc::downgrade(core),
            shutdown: core.state.clone(),
            is_emitter,
            stats: InputStats::default(),
            limit,
            inflight: Cell::new(0),
            streams: RefCell::default(),
            open: Cell::new(0),
            room: Notify::default(),
            limit_is_default: false,
            paused: Cell::new(false),
            pause_said: Cell::new(false),
            complaints: RefCell::default(),
            rounds: Cell::new(0),
        }
    }

    /// The limit was not asked for.
    pub(super) fn with_default_limit(mut self) -> Self {
        self.limit_is_default = true;
        self
    }

    /// Memory held for this input, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.inflight.get() + self.open.get()
    }

    /// Its limit, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether it is held back by its limit.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Number of open batches.
    pub(super) fn open_batches(&self) -> usize {
        self.streams.borrow().len()
    }

    /// Closes every open batch.
    pub(super) fn flush(self: &Rc<Self>) {
        let streams = std::mem::take(&mut *self.streams.borrow_mut());
        self.open.set(0);
        for (_, stream) in streams {
            self.close(stream);
        }
    }

    /// Takes back the memory of a chunk that is done.
    pub(super) fn release(&self, memory: usize) {
        self.inflight.set(self.inflight.get().saturating_sub(memory));
        if self.paused.get() && self.memory() < self.limit {
            self.paused.set(false);
            if self.pause_said.replace(false) {
                let (buf, limit) = (self.memory(), self.limit);
                log::info!(
                    "[input] {} resume (mem buf overlimit - buf size {buf}B now below limit {limit}B)",
                    self.name
                );
            }
        }
        self.room.notify();
        if self.is_emitter
            && let Some(core) = self.core.upgrade()
        {
            core.inputs().iter().for_each(|i| i.room.notify());
        }
    }

    /// Filters, routes and perhaps closes the batch of a tag. Answers what filters re-emitted.
    fn ingest(self: &Rc<Self>, core: &Rc<Core>, tag: &Tag, ack: Option<Ack>) {
        let route = core.routes.of(tag);
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
                self.filter(core, &route.filters, &mut stream.batch, &mut emitted);
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
                stream.acks.extend(ack.clone());
                core.arm();
            }
            let before = std::mem::replace(&mut stream.memory, stream.batch.memory());
            self.open.set((self.open.get() + stream.memory).saturating_sub(before));
            stream.batch.used() >= CHUNK_BYTES || core.state.stopping.get()
        };
        if full {
            self.close_tag(tag);
        }
        for (index, batch) in emitted {
            self.emit(core, index, &batch, ack.clone());
        }
        if self.memory() >= self.limit {
            self.press();
        }
    }

    /// Runs the filters of a route over the fresh records.
    fn filter(&self, core: &Core, filters: &[usize], batch: &mut Batch, emitted: &mut Vec<(usize, Batch)>) {
        let mut cx = FilterCx::new(Time::from_system(SystemTime::now()));
        for &index in filters {
            let Some(f) = core.filters().get(index) else { continue };
            // What a filter re-emitted does not come back to it.
            if f.emitter.as_ref().is_some_and(|e| std::ptr::eq(&**e, self)) {
                continue;
            }
            f.stats.records.add(batch.fresh().len());
            f.filter.borrow_mut().apply(batch, &mut cx);
            f.stats.drop_records.add(batch.sweep());
            for b in cx.take_emitted() {
                f.stats.add_records.add(b.len());
                emitted.push((index, b));
            }
            if batch.fresh().is_empty() {
                break;
            }
        }
        if let Some(code) = cx.exit {
            core.state.ask(code);
        }
    }

    /// Sends re-emitted records to the head of the pipeline.
    fn emit(&self, core: &Rc<Core>, filter: usize, batch: &Batch, ack: Option<Ack>) {
        let Some(emitter) = core.filters().get(filter).and_then(|f| f.emitter.as_ref()) else { return };
        let rounds = self.rounds.get() + 1;
        if rounds > MAX_ROUNDS {
            emitter.lost(batch.len() as u64, "rewrite rules feed each other: the record was re-emitted 16 times");
            return;
        }
        {
            let mut open = emitter.open(batch.tag());
            for r in batch.records() {
                open.push_record(&r);
            }
        }
        let outer = emitter.rounds.replace(rounds);
        emitter.ingest(core, batch.tag(), ack);
        emitter.rounds.set(outer);
    }

    /// Over the limit: what is open goes out at once, and the reader will wait.
    fn press(self: &Rc<Self>) {
        if !self.paused.replace(true) {
            self.stats.pauses.add(1);
            self.say_paused();
        }
        self.flush();
    }

    /// At the default limit a pause is the ordinary pace of a reader that is faster than its outputs; a limit that was
    /// asked for is worth a line, though not one for each of many short pauses.
    fn say_paused(&self) {
        let (held, limit) = (self.memory(), self.limit);
        if self.limit_is_default {
            log::debug!("[input] {} paused (mem buf overlimit - {held}B held, default limit {limit}B)", self.name);
        } else if let Some(unsaid) = self.complaints.borrow_mut().allow(b"paused", Instant::now()) {
            self.pause_said.set(true);
            let more = if unsaid > 0 { format!("; {unsaid} short pauses were not logged") } else { String::new() };
            log::warn!(
                "[input] {} paused (mem buf overlimit - {held}B held exceed the limit of {limit}B set by Mem_Buf_Limit); it resumes when outputs take data{more}",
                self.name
            );
        }
    }

    fn close_tag(self: &Rc<Self>, tag: &Tag) {
        let stream = self.streams.borrow_mut().remove(tag);
        if let Some(stream) = stream {
            self.open.set(self.open.get().saturating_sub(stream.memory));
            self.close(stream);
        }
    }

    /// Makes a chunk of an open batch and hands it to its outputs.
    fn close(self: &Rc<Self>, stream: Stream) {
        let Some(core) = self.core.upgrade() else { return };
        if stream.batch.is_empty() {
            core.recycle(stream.batch);
            self.room.notify();
            return;
        }
        let route = core.routes.of(stream.batch.tag());
        let memory = stream.batch.memory();
        self.inflight.set(self.inflight.get() + memory);
        let chunk = Rc::new(Chunk::new(&core, self, stream.batch, stream.acks, memory));
        for &index in &route.outputs {
            if let Some(out) = core.outputs().get(index) {
                out.push(&core, chunk.clone());
            }
        }
    }
}

impl Intake for Rc<InputState> {
    fn open(&self, tag: &Tag) -> RefMut<'_, Batch> {
        let mut streams = self.streams.borrow_mut();
        if !streams.contains_key(tag) {
            let batch = self.core.upgrade().map_or_else(|| Batch::new(tag.clone()), |c| c.batch(tag));
            let memory = batch.memory();
            self.open.set(self.open.get() + memory);
            streams.insert(tag.clone(), Stream::new(batch, memory));
        }
        RefMut::map(streams, |s| {
            &mut s.entry(tag.clone()).or_insert_with(|| Stream::new(Batch::new(tag.clone()), 0)).batch
        })
    }

    fn commit(&self, tag: &Tag, ack: Option<Ack>) {
        if let Some(core) = self.core.upgrade() {
            self.ingest(&core, tag, ack);
        }
    }

    fn has_room(&self) -> bool {
        let emitters_have_room = || {
            self.core
                .upgrade()
                .is_none_or(|c| c.filters().iter().filter_map(|f| f.emitter.as_ref()).all(|e| e.memory() < e.limit))
        };
        self.memory() < self.limit && (self.is_emitter || emitters_have_room())
    }

    fn room(&self) -> &Notify {
        &self.room
    }

    fn is_stopping(&self) -> bool {
        self.shutdown.stopping.get()
    }

    fn stop_signal(&self) -> &Notify {
        &self.shutdown.stop
    }

    fn is_drained(&self) -> bool {
        self.shutdown.drained.get()
    }

    fn drain_signal(&self) -> &Notify {
        &self.shutdown.drain
    }

    fn exit(&self, code: u8) {
        self.shutdown.ask(code);
    }

    fn lost(&self, records: u64, why: &str) {
        self.stats.lost.add(records as usize);
        if let Some(held) = self.complaints.borrow_mut().allow(why.as_bytes(), Instant::now()) {
            let more =
                if held > 0 { format!(" ({held} more of these messages were held back)") } else { String::new() };
            match records {
                0 => log::warn!("[input] {}: {why}{more}", self.name),
                _ => log::warn!("[input] {}: {records} record(s) lost: {why}{more}", self.name),
            }
        }
    }
}
