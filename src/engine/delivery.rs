//! Chunks × outputs: each output takes its chunks in order, tries again what failed, and leaves a dead destination alone.

use super::chunk::Chunk;
use super::core::Core;
use super::intake::CHUNK_BYTES;
use super::queue::{Entry, Queue};
use super::rejects::{Fate, Refused};
use super::stats::OutputStats;
use crate::event::{Tag, View};
use crate::output::{Outcome, Output, Payload, Why};
use crate::rt::{self, Task};
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Payload memory that is kept between deliveries, in bytes.
const KEEP_PAYLOAD: usize = 4 << 20;
/// The wait before a retry while the pipeline shuts down.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);

/// One output of the pipeline.
pub(super) struct OutputState {
    pub(super) name: String,
    pub(super) index: usize,
    pub(super) output: Rc<dyn Output>,
    pub(super) stats: OutputStats,
    /// Retries after the first failure; `None` is no limit.
    retry_limit: Option<u32>,
    /// `storage.total_limit_size`, in bytes.
    disk_limit: u64,
    /// As in [`Limits`].
    quiet: bool,
    pub(super) queue: RefCell<Queue<Delivery>>,
    /// The last two chunks of each stream, which may become one.
    tails: RefCell<FxHashMap<(usize, Tag), Tail>>,
    /// Wakes the queue at a time.
    alarm: RefCell<Option<(Instant, Task<()>)>>,
    complaints: RefCell<RateLimit>,
    /// One buffer per delivery that may run at once.
    spare: RefCell<Vec<Payload>>,
}

/// The chunk of a stream that still grows, and the one after it.
#[derive(Clone, Copy)]
struct Tail {
    grows: u64,
    last: u64,
}

/// A chunk that one output still has to take.
pub(super) struct Delivery {
    pub(super) chunk: Rc<Chunk>,
    /// The records left after a partial success.
    pub(super) only: Option<Vec<u32>>,
    /// How many records of it are counted as routed and not as settled.
    counted: Cell<usize>,
}

impl Delivery {
    pub(super) fn records(&self) -> usize {
        self.only.as_ref().map_or_else(|| self.chunk.records(), Vec::len)
    }
}

/// What an output is made with.
pub(super) struct Limits {
    pub(super) retries: Option<u32>,
    pub(super) disk: u64,
    /// How soon new data may have a dead destination tried again.
    pub(super) eager: Duration,
    /// Whether connections that are not there in time are no matter for the log (`net.connect_timeout_log_error off`).
    pub(super) quiet: bool,
}

impl OutputState {
    pub(super) fn new(name: &str, index: usize, output: Box<dyn Output>, limits: &Limits) -> Self {
        Self {
            name: name.to_owned(),
            index,
            output: output.into(),
            stats: OutputStats::default(),
            retry_limit: limits.retries,
            disk_limit: limits.disk,
            quiet: limits.quiet,
            queue: RefCell::new(Queue::new(limits.eager)),
            tails: RefCell::default(),
            alarm: RefCell::default(),
            complaints: RefCell::default(),
            spare: RefCell::default(),
        }
    }

    fn concurrency(&self) -> usize {
        self.output.concurrency().max(1)
    }

    /// Chunks that are queued, on the wire, or waiting for a retry.
    pub(super) fn pending(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether another chunk would be sent at once.
    pub(super) fn wants_more(&self) -> bool {
        self.queue.borrow().wants_more(rt::now(), self.concurrency())
    }

    /// Whether its destination is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.queue.borrow().is_down()
    }

    /// Whether it takes nothing for now of what there is: its destination is down, or everything waits for a retry.
    pub(super) fn is_stuck(&self) -> bool {
        let queue = self.queue.borrow();
        queue.is_down() || (queue.running() == 0 && queue.waiting() > 0)
    }

    /// There is data for it: a dead destination is tried again somewhat sooner.
    pub(super) fn nudge(self: &Rc<Self>, core: &Rc<Core>) {
        let is_sooner = self.queue.borrow_mut().nudge();
        if is_sooner {
            self.dispatch(core);
        }
    }

    /// Takes a new chunk.
    pub(super) fn push(self: &Rc<Self>, core: &Rc<Core>, chunk: Rc<Chunk>) {
        let stream = (Rc::as_ptr(&chunk.input) as usize, chunk.tag.clone());
        let counted = chunk.records();
        chunk.want();
        let task = Delivery { chunk, only: None, counted: Cell::new(counted) };
        self.stats.routed_records.add(counted);
        let seq = {
            let mut queue = self.queue.borrow_mut();
            queue.nudge();
            queue.push(task)
        };
        if self.pending() > 1 {
            self.coalesce(stream, seq);
        }
        self.limit_disk(core);
        self.dispatch(core);
    }

    /// Small chunks of one stream that only this output still needs become one: an output that is down for a day holds
    /// their records, not their number.
    fn coalesce(&self, stream: (usize, Tag), seq: u64) {
        let mut tails = self.tails.borrow_mut();
        let mut queue = self.queue.borrow_mut();
        if tails.len() > 64 && tails.len() > 2 * queue.len() {
            tails.retain(|_, t| queue.untried(t.last).is_some());
        }
        let Some(tail) = tails.get_mut(&stream) else {
            tails.insert(stream, Tail { grows: seq, last: seq });
            return;
        };
        let fits = tail.grows != tail.last
            && match (queue.untried(tail.grows), queue.untried(tail.last)) {
                (Some(a), Some(b)) => {
                    a.only.is_none() && b.only.is_none() && Chunk::may_grow_by(&a.chunk, &b.chunk, CHUNK_BYTES)
                }
                _ => false,
            };
        if fits && let Some(last) = queue.remove(tail.last) {
            if let Some(grows) = queue.untried(tail.grows) {
                grows.chunk.absorb(&last.chunk);
                grows.counted.set(grows.counted.get() + last.counted.get());
            }
        } else {
            tail.grows = tail.last;
        }
        tail.last = seq;
    }

    /// Starts as many deliveries as the output and its breaker allow, and sees to it that the next ones come.
    pub(super) fn dispatch(self: &Rc<Self>, core: &Rc<Core>) {
        let now = rt::now();
        while !core.state.over.get() {
            let next = self.queue.borrow_mut().take(now, self.concurrency());
            let Some(entry) = next else { break };
            entry.item.chunk.run(true);
            let (this, core, input) = (self.clone(), core.clone(), entry.item.chunk.input.clone());
            rt::spawn(async move {
                this.attempt(&core, entry).await;
                this.dispatch(&core);
                if this.is_stuck() || input.gate.over().is_some() {
                    // What is not sent any more need not stay in memory; a source that waited for it goes on.
                    core.relieve();
                }
            })
            .detach();
        }
        let (at, hungry) = {
            let queue = self.queue.borrow();
            (queue.wake_at(now), queue.wants_more(now, self.concurrency()))
        };
        self.set_alarm(core, at);
        if hungry {
            core.is_hungry();
        }
    }

    fn set_alarm(self: &Rc<Self>, core: &Rc<Core>, at: Option<Instant>) {
        let mut alarm = self.alarm.borrow_mut();
        match (at, &*alarm) {
            (Some(at), Some((set, _))) if *set == at => {}
            (Some(at), _) => {
                let (this, core) = (Rc::downgrade(self), Rc::downgrade(core));
                let task = rt::spawn(async move {
                    rt::sleep_until(at).await;
                    if let (Some(this), Some(core)) = (this.upgrade(), core.upgrade()) {
                        // Itself: a task that is dropped while it runs would not go on.
                        if let Some((_, task)) = this.alarm.take() {
                            task.detach();
                        }
                        this.dispatch(&core);
                    }
                });
                *alarm = Some((at, task));
            }
            (None, _) => *alarm = None,
        }
    }

    /// The shutdown has begun: retries come soon.
    pub(super) fn hasten(self: &Rc<Self>, core: &Rc<Core>) {
        self.queue.borrow_mut().hasten(rt::now() + SHUTDOWN_WAIT);
        self.dispatch(core);
    }

    /// One attempt: load, format, deliver, judge.
    async fn attempt(self: &Rc<Self>, core: &Rc<Core>, mut entry: Entry<Delivery>) {
        let chunk = entry.item.chunk.clone();
        if let Err(why) = super::backlog::load(core, self, &mut entry.item).await {
            return self.again(core, entry, &why, false).await;
        }
        // What an earlier run left of it may be less, and so may what can be read.
        let records = entry.item.records();
        self.stats.routed_records.change(entry.item.counted.replace(records), records);
        if records == 0 {
            // Nothing of it could be read.
            return self.settle(&entry);
        }
        let mut payload = self.spare.borrow_mut().pop().unwrap_or_else(|| Payload::new(chunk.tag.clone()));
        payload.reset(&chunk.tag);
        let formatted = chunk.with(|batch| {
            let view = View::only(batch, entry.item.only.as_deref());
            payload.records = view.len();
            self.output.format(&view, &mut payload)
        });
        let outcome = match formatted {
            Some(Ok(())) => self.output.deliver(&mut payload).await,
            Some(Err(e)) => Outcome::Drop(e.to_string().into()),
            None => Outcome::Retry("its records left memory".into()),
        };
        let size = payload.bytes.len();
        if payload.bytes.capacity() <= KEEP_PAYLOAD {
            self.spare.borrow_mut().push(payload);
        }
        self.judge(core, entry, outcome, size).await;
    }

    /// What follows from the outcome of an attempt.
    async fn judge(self: &Rc<Self>, core: &Rc<Core>, mut entry: Entry<Delivery>, outcome: Outcome, size: usize) {
        let total = entry.item.records();
        match outcome {
            Outcome::Done => {
                self.took(total, size);
                self.say_recovered(&entry);
                self.settle(&entry);
            }
            Outcome::Down(why) => self.again(core, entry, &why, true).await,
            Outcome::Retry(why) => self.again(core, entry, &why, false).await,
            Outcome::Drop(why) => {
                self.stats.errors.add(1);
                self.reject(core, &entry, Refused::All(&why), entry.attempts + 1).await;
                self.settle(&entry);
            }
            Outcome::Part { retry, why, refused } => {
                self.took(total.saturating_sub(retry.len() + refused.len()), size);
                if !refused.is_empty() {
                    self.stats.errors.add(1);
                    self.reject(core, &entry, Refused::Some(&refused), entry.attempts + 1).await;
                }
                if retry.is_empty() {
                    self.say_recovered(&entry);
                    return self.settle(&entry);
                }
                entry.item.chunk.note_left(&self.name, &retry);
                entry.item.counted.set(retry.len());
                entry.item.only = Some(retry);
                self.again(core, entry, &why, false).await;
            }
        }
    }

    fn took(&self, records: usize, bytes: usize) {
        self.stats.proc_records.add(records);
        self.stats.proc_bytes.add(bytes);
    }

    /// The output is done with a chunk.
    fn settle(&self, entry: &Entry<Delivery>) {
        entry.item.chunk.run(false);
        self.queue.borrow_mut().settled();
        self.leave(&entry.item);
    }

    fn say_recovered(&self, entry: &Entry<Delivery>) {
        if entry.attempts > 0 {
            let chunk = &entry.item.chunk;
            log::info!(
                "[engine] flush chunk '{}' succeeded at retry {}: task_id={}, input={} > output={} (out_id={})",
                chunk.name,
                entry.attempts,
                chunk.task_id,
                chunk.input.name,
                self.name,
                self.index
            );
        }
    }

    /// A restart must not send the chunk to this output again, while others still need it.
    fn leave(&self, task: &Delivery) {
        task.chunk.leave(&self.name);
    }

    /// Schedules the next attempt, or gives the chunk up when its retries are used.
    async fn again(self: &Rc<Self>, core: &Rc<Core>, mut entry: Entry<Delivery>, why: &Why, down: bool) {
        entry.attempts += 1;
        let chunk = entry.item.chunk.clone();
        if self.retry_limit.is_some_and(|limit| entry.attempts > limit) {
            self.stats.retries_failed.add(1);
            log::error!(
                "[engine] chunk '{}' cannot be retried: task_id={}, input={} > output={}: {} record(s) given up after {} attempt(s) (Retry_Limit): {why}",
                chunk.name,
                chunk.task_id,
                chunk.input.name,
                self.name,
                entry.item.records(),
                entry.attempts
            );
            let given_up: Why = format!("given up after {} attempts (Retry_Limit): {why}", entry.attempts).into();
            self.reject(core, &entry, Refused::All(&given_up), entry.attempts).await;
            chunk.run(false);
            self.leave(&entry.item);
            let now = rt::now();
            let mut queue = self.queue.borrow_mut();
            if down {
                queue.gave_up(entry.seq, now, |n| self.wait(core, n))
            } else {
                queue.settled()
            }
            return;
        }
        self.stats.retries.add(1);
        self.stats.retried_records.add(entry.item.records());
        let (now, attempts) = (rt::now(), entry.attempts);
        chunk.run(false);
        let wait = {
            let mut queue = self.queue.borrow_mut();
            if down {
                queue.down(entry, now, |failures| self.wait(core, failures.max(attempts)));
                queue.probe_at().map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
            } else {
                let wait = self.wait(core, attempts);
                queue.failed(entry, now + wait);
                wait
            }
        };
        if chunk.input.is_backlog() {
            chunk.unload();
        }
        self.say_failed(&chunk, wait, why, down);
    }

    fn wait(&self, core: &Core, failures: u32) -> Duration {
        match core.state.stopping.get() {
            true => SHUTDOWN_WAIT,
            false => core.backoff.wait(failures, &mut core.rng.borrow_mut()),
        }
    }

    fn say_failed(&self, chunk: &Chunk, wait: Duration, why: &Why, down: bool) {
        let others = if down { self.pending().saturating_sub(1) } else { 0 };
        let others = if others > 0 { format!("; {others} more chunk(s) wait with it") } else { String::new() };
        let is_timeout = self.quiet && why.contains("net.connect_timeout");
        log::log!(
            if is_timeout { log::Level::Debug } else { log::Level::Warn },
            "[engine] failed to flush chunk '{}', retry in {} seconds: task_id={}, input={} > output={} (out_id={}): {why}{others}",
            chunk.name,
            wait.as_secs(),
            chunk.task_id,
            chunk.input.name,
            self.name,
            self.index
        );
    }

    /// Records that this output will never take: they are kept apart, counted and said.
    async fn reject(&self, core: &Rc<Core>, entry: &Entry<Delivery>, refused: Refused<'_>, attempts: u32) {
        let task = &entry.item;
        let records = refused.len(task);
        let fate = match self.output.keeps_rejected() {
            true => core.rejects.keep(&self.name, task, refused, attempts).await,
            false => Fate::Off,
        };
        let kept = fate.kept(records);
        self.stats.rejected_records.add(kept);
        self.stats.dropped_records.add(records - kept);
        let stay = core.is_replay && kept < records;
        if stay {
            task.chunk.lose();
        }
        if let Some((_, why)) = refused.nth(0, task) {
            let (key, what) = core.rejects.told(&fate, records, why);
            let what = if stay { what + "; what this chunk has stays in the file that is sent" } else { what };
            self.say(&task.chunk, &key, &what);
        }
    }

    fn say_dropped(&self, task: &Delivery, why: &str) {
        self.say(&task.chunk, why, &format!("{} record(s) dropped: {why}", task.records()));
    }

    /// Says what became of records of a chunk, for each reason now and then.
    fn say(&self, chunk: &Chunk, reason: &str, what: &str) {
        let Some(unsaid) = self.complaints.borrow_mut().allow(reason.as_bytes(), rt::now()) else { return };
        let more = if unsaid > 0 { format!(" ({unsaid} more chunks for the same reason)") } else { String::new() };
        log::error!(
            "[engine] chunk '{}': {what}{more}: task_id={}, input={} > output={} (out_id={})",
            chunk.name,
            chunk.task_id,
            chunk.input.name,
            self.name,
            self.index
        );
    }

    /// Drops a chunk that is not on the wire, by decision.
    pub(super) fn evict(&self, chunk: &Rc<Chunk>, why: &str) {
        let task = self.queue.borrow_mut().take_oldest(|t| Rc::ptr_eq(&t.chunk, chunk));
        if let Some(task) = task {
            self.drop_whole(&task, why);
        }
    }

    fn drop_whole(&self, task: &Delivery, why: &str) {
        self.stats.dropped_records.add(task.records());
        self.say_dropped(task, why);
        self.leave(task);
    }

    /// `storage.total_limit_size`: the oldest chunks go.
    pub(super) fn limit_disk(&self, core: &Core) {
        if self.disk_limit == 0 {
            return;
        }
        let size = |task: &Delivery| task.chunk.file().map_or(0, |f| f.len());
        let mut total: u64 = self.queue.borrow().iter().map(size).sum();
        while total > self.disk_limit {
            let oldest = self.queue.borrow_mut().take_oldest(|t| size(t) > 0 && !t.chunk.is_running());
            let Some(task) = oldest else { return };
            total = total.saturating_sub(size(&task));
            self.drop_whole(&task, "the chunk files of this output take more than storage.total_limit_size");
            drop(task);
            core.chunk_done.notify();
        }
    }
}
