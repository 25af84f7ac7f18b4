//! Counters per instance: plain cells, since all of them live on the event thread.

use std::cell::{Cell, RefCell};
use std::fmt;

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

/// Counters that an input names itself, in the order in which it first named them: a handful.
#[derive(Debug, Default)]
pub struct OwnCounters(RefCell<Vec<(&'static str, u64)>>);

impl OwnCounters {
    /// Shows every counter.
    pub fn each(&self, mut show: impl FnMut(&'static str, u64)) {
        self.0.borrow().iter().for_each(|(what, n)| show(what, *n));
    }

    /// Adds `n`.
    pub fn add(&self, what: &'static str, n: u64) {
        let mut all = self.0.borrow_mut();
        match all.iter_mut().find(|(name, _)| *name == what) {
            Some((_, count)) => *count = count.wrapping_add(n),
            None => all.push((what, n)),
        }
    }
}

/// `, 12 packets, 0 dropped by the kernel`; nothing when there are none.
impl fmt::Display for OwnCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().iter().try_for_each(|(what, n)| write!(f, ", {n} {what}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_counters_are_shown_in_the_order_they_were_named() {
        let own = OwnCounters::default();
        assert_eq!(own.to_string(), "");
        for (what, n) in [("packets", 0), ("dropped", 3), ("packets", 7)] {
            own.add(what, n);
        }
        assert_eq!(own.to_string(), ", 7 packets, 3 dropped");
    }
}
