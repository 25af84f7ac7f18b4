//! Chunks × outputs: each pair is a task with a retry state of its own.

use super::chunk::Chunk;
use super::core::Core;
use super::stats::OutputStats;
use crate::event::View;
use crate::output::{Outcome, Output, Payload, Why};
use crate::rt;
use crate::util::ratelimit::RateLimit;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
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
    pub(super) retry_limit: Option<u32>,
    pub(super) queue: RefCell<VecDeque<Delivery>>,
    pub(super) running: Cell<usize>,
    pub(super) waiting: Cell<usize>,
    complaints: RefCell<RateLimit>,
    /// One buffer per delivery that may run at once.
    spare: RefCell<Vec<Payload>>,
}

/// A chunk that one output still has to take.
pub(super) struct Delivery {
    chunk: Rc<Chunk>,
    /// Failed attempts so far.
    attempts: u32,
    /// The records left after a partial success.
    only: Option<Vec<u32>>,
}

impl Delivery {
    fn records(&self) -> usize {
        self.only.as_ref().map_or_else(|| self.chunk.batch().map_or(0, |b| b.len()), Vec::len)
    }

    /// Gives up what is left at the end of the grace period.
    pub(super) fn lose(self) {
        self.chunk.lose();
    }
}

impl OutputState {
    pub(super) fn new(name: &str, index: usize, output: Box<dyn Output>, retry_limit: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            index,
            output: output.into(),
            stats: OutputStats::default(),
            retry_limit,
            queue: RefCell::default(),
            running: Cell::new(0),
            waiting: Cell::new(0),
            complaints: RefCell::default(),
            spare: RefCell::default(),
        }
    }

    /// Chunks that are queued, on the wire, or waiting for a retry.
    pub(super) fn pending(&self) -> usize {
        self.queue.borrow().len() + self.running.get() + self.waiting.get()
    }

    /// Takes a new chunk.
    pub(super) fn push(self: &Rc<Self>, core: &Rc<Core>, chunk: Rc<Chunk>) {
        let task = Delivery { chunk, attempts: 0, only: None };
        self.stats.routed_records.add(task.records());
        self.queue.borrow_mut().push_back(task);
        self.dispatch(core);
    }

    /// Starts as many deliveries as the output allows.
    fn dispatch(self: &Rc<Self>, core: &Rc<Core>) {
        while self.running.get() < self.output.concurrency().max(1) {
            let Some(task) = self.queue.borrow_mut().pop_front() else { return };
            self.running.set(self.running.get() + 1);
            let (this, core) = (self.clone(), core.clone());
            rt::spawn(async move {
                this.attempt(&core, task).await;
                this.running.set(this.running.get() - 1);
                this.dispatch(&core);
            })
            .detach();
        }
    }

    /// One attempt: format, deliver, judge.
    async fn attempt(self: &Rc<Self>, core: &Rc<Core>, mut task: Delivery) {
        let (Some(batch), Some(tag)) = (task.chunk.batch(), task.chunk.tag()) else { return };
        let mut payload = self.spare.borrow_mut().pop().unwrap_or_else(|| Payload::new(tag.clone()));
        payload.reset(tag);
        let view = View::only(batch, task.only.as_deref());
        payload.records = view.len();
        let outcome = match self.output.format(&view, &mut payload) {
            Ok(()) => self.output.deliver(&mut payload).await,
            Err(e) => Outcome::Drop(e.to_string().into()),
        };
        let size = payload.bytes.len();
        if payload.bytes.capacity() <= KEEP_PAYLOAD {
            self.spare.borrow_mut().push(payload);
        }
        let total = task.records();
        match outcome {
            Outcome::Done => {
                self.took(total, size);
                if task.attempts > 0 {
                    self.say_recovered(&task);
                }
            }
            Outcome::Down(why) | Outcome::Retry(why) => self.retry(core, task, &why),
            Outcome::Drop(why) => {
                self.stats.errors.add(1);
                self.drop_records(&task, total, &why);
            }
            Outcome::Part { retry, why, refused } => {
                self.took(total.saturating_sub(retry.len() + refused.len()), size);
                if let Some((_, why)) = refused.first() {
                    self.stats.errors.add(1);
                    self.drop_records(&task, refused.len(), why);
                }
                if retry.is_empty() {
                    if task.attempts > 0 {
                        self.say_recovered(&task);
                    }
                } else {
                    task.only = Some(retry);
                    self.retry(core, task, &why);
                }
            }
        }
    }

    fn took(&self, records: usize, bytes: usize) {
        self.stats.proc_records.add(records);
        self.stats.proc_bytes.add(bytes);
    }

    fn say_recovered(&self, task: &Delivery) {
        log::info!(
            "[engine] flush chunk '{}' succeeded at retry {}: task_id={}, input={} > output={} (out_id={})",
            task.chunk.name,
            task.attempts,
            task.chunk.task_id,
            task.chunk.input.name,
            self.name,
            self.index
        );
    }

    fn drop_records(&self, task: &Delivery, records: usize, why: &Why) {
        self.stats.dropped_records.add(records);
        let Some(unsaid) = self.complaints.borrow_mut().allow(why.as_bytes(), Instant::now()) else { return };
        let more = if unsaid > 0 { format!(" ({unsaid} more chunks for the same reason)") } else { String::new() };
        log::error!(
            "[engine] chunk '{}': {records} record(s) dropped: {why}{more}: task_id={}, input={} > output={} (out_id={})",
            task.chunk.name,
            task.chunk.task_id,
            task.chunk.input.name,
            self.name,
            self.index
        );
    }

    /// Schedules the next attempt, or gives the chunk up when its retries are used.
    fn retry(self: &Rc<Self>, core: &Rc<Core>, mut task: Delivery, why: &Why) {
        task.attempts += 1;
        if self.retry_limit.is_some_and(|limit| task.attempts > limit) {
            let records = task.records();
            self.stats.retries_failed.add(1);
            self.stats.dropped_records.add(records);
            log::error!(
                "[engine] chunk '{}' cannot be retried: task_id={}, input={} > output={}: {records} record(s) dropped after {} attempt(s) (Retry_Limit): {why}",
                task.chunk.name,
                task.chunk.task_id,
                task.chunk.input.name,
                self.name,
                task.attempts
            );
            return;
        }
        self.stats.retries.add(1);
        self.stats.retried_records.add(task.records());
        let stopping = core.state.stopping.get();
        let wait = if stopping { SHUTDOWN_WAIT } else { core.backoff.wait(task.attempts, &mut core.rng.borrow_mut()) };
        log::warn!(
            "[engine] failed to flush chunk '{}', retry in {} seconds: task_id={}, input={} > output={} (out_id={}): {why}",
            task.chunk.name,
            wait.as_secs(),
            task.chunk.task_id,
            task.chunk.input.name,
            self.name,
            self.index
        );
        let (this, core) = (self.clone(), core.clone());
        self.waiting.set(self.waiting.get() + 1);
        rt::spawn(async move {
            if stopping {
                rt::sleep(wait).await;
            } else {
                // A shutdown does not wait for a long pause to end.
                let cut = rt::or(
                    async {
                        rt::sleep(wait).await;
                        false
                    },
                    async {
                        core.state.stop.wait().await;
                        true
                    },
                )
                .await;
                if cut {
                    rt::sleep(SHUTDOWN_WAIT.min(wait)).await;
                }
            }
            this.waiting.set(this.waiting.get() - 1);
            if core.state.drained.get() {
                task.lose();
                return;
            }
            this.queue.borrow_mut().push_back(task);
            this.dispatch(&core);
        })
        .detach();
    }
}
