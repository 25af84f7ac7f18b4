//! Counters per instance: plain cells, since all of them live on the event thread.

use crate::util::counters::OwnCounters;
use std::cell::Cell;
use std::rc::Rc;

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: usize) {
        self.0.set(self.0.get().wrapping_add(n as u64));
    }

    /// What was counted as `before` counts as `after`.
    pub fn change(&self, before: usize, after: usize) {
        self.0.set(self.0.get().wrapping_add(after as u64).wrapping_sub(before as u64));
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What an input did.
#[derive(Debug, Default)]
pub struct InputStats {
    /// Records read.
    pub records: Counter,
    /// Bytes of their arena.
    pub bytes: Counter,
    /// Records it had to give up.
    pub lost: Counter,
    /// Records whose tag no output matches.
    pub unrouted: Counter,
    /// Times it was paused by its memory limit.
    pub pauses: Counter,
    /// What else it counts.
    pub own: OwnCounters,
}

/// What a filter did.
#[derive(Debug, Default)]
pub struct FilterStats {
    /// Records it saw.
    pub records: Counter,
    /// Records it dropped.
    pub drop_records: Counter,
    /// Records it re-emitted.
    pub add_records: Counter,
    /// What else it counts.
    pub own: Rc<OwnCounters>,
}

/// What an output did.
#[derive(Debug, Default)]
pub struct OutputStats {
    /// Records that came its way.
    pub routed_records: Counter,
    /// Records delivered.
    pub proc_records: Counter,
    /// Bytes delivered, as serialised.
    pub proc_bytes: Counter,
    /// Deliveries that failed for good.
    pub errors: Counter,
    /// Deliveries to be tried again.
    pub retries: Counter,
    /// Chunks given up after their last retry.
    pub retries_failed: Counter,
    /// Records refused for good or given up, and kept in the file for them.
    pub rejected_records: Counter,
    /// Records refused for good or given up, and kept nowhere.
    pub dropped_records: Counter,
    /// Records sent again.
    pub retried_records: Counter,
}

impl OutputStats {
    /// Records that are neither delivered, rejected nor dropped: waiting, or lost when the program ends.
    pub fn undelivered(&self) -> u64 {
        let settled = self.proc_records.get() + self.rejected_records.get() + self.dropped_records.get();
        self.routed_records.get().saturating_sub(settled)
    }
}
