//! What an input holds in memory, and whether it may read on: one state, computed from usage, never remembered.

use std::cell::Cell;
use std::rc::Rc;

/// The memory of all inputs together.
#[derive(Debug)]
pub(super) struct Total {
    used: Cell<usize>,
    /// `storage.mem_limit`, in bytes.
    limit: usize,
}

impl Total {
    /// Nothing is used yet; `limit` in bytes.
    pub(super) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), limit })
    }

    /// Bytes held by all inputs.
    pub(super) fn used(&self) -> usize {
        self.used.get()
    }

    /// The limit, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

/// The memory of one input.
#[derive(Debug)]
pub(super) struct Gate {
    /// Of its open batches.
    open: Cell<usize>,
    /// Of its chunks.
    chunks: Cell<usize>,
    limit: usize,
    total: Rc<Total>,
}

/// Which limit holds an input back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its own.
    Own,
    /// That of the process.
    Process,
}

impl Gate {
    /// Nothing is held yet; `limit` in bytes.
    pub(super) fn new(limit: usize, total: &Rc<Total>) -> Self {
        Self { open: Cell::new(0), chunks: Cell::new(0), limit, total: total.clone() }
    }

    /// Bytes held.
    pub(super) fn used(&self) -> usize {
        self.open.get() + self.chunks.get()
    }

    /// Its limit, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The limit that is reached, if one is.
    pub(super) fn over(&self) -> Option<Over> {
        if self.used() >= self.limit {
            Some(Over::Own)
        } else if self.total.used() >= self.total.limit {
            Some(Over::Process)
        } else {
            None
        }
    }

    /// An open batch has another size.
    pub(super) fn resize_open(&self, before: usize, after: usize) {
        Self::change(&self.open, before, after, &self.total);
    }

    /// A chunk has another size: new, merged, unloaded, loaded again, or gone.
    pub(super) fn resize_chunk(&self, before: usize, after: usize) {
        Self::change(&self.chunks, before, after, &self.total);
    }

    fn change(cell: &Cell<usize>, before: usize, after: usize, total: &Total) {
        debug_assert!(cell.get() >= before && total.used.get() >= before);
        cell.set((cell.get() + after).saturating_sub(before));
        total.used.set((total.used.get() + after).saturating_sub(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_back_and_let_go_by_usage_alone() {
        let total = Total::new(100);
        let (a, b) = (Gate::new(60, &total), Gate::new(80, &total));
        a.resize_open(0, 50);
        assert_eq!((a.over(), b.over()), (None, None));
        a.resize_open(50, 0);
        a.resize_chunk(0, 60);
        assert_eq!((a.over(), b.over()), (Some(Over::Own), None));
        b.resize_open(0, 40);
        assert_eq!(b.over(), Some(Over::Process));
        a.resize_chunk(60, 10);
        assert_eq!((a.over(), b.over(), total.used(), a.used()), (None, None, 50, 10));
    }
}
