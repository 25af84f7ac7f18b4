//! Things that are done in any order and let go in the order in which they came.

use crate::rt::Notify;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// What a connection owes its peer for commits, oldest first.
#[derive(Debug)]
pub struct InOrder<T> {
    owed: RefCell<VecDeque<(T, bool)>>,
    /// The number of the first of them.
    first: Cell<u64>,
    /// Notified when the first one is safe.
    pub changed: Notify,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { owed: RefCell::default(), first: Cell::default(), changed: Notify::default() }
    }
}

impl<T> InOrder<T> {
    /// A commit was made; the answer is for [`Self::safe`].
    pub fn add(&self, what: T) -> u64 {
        let mut owed = self.owed.borrow_mut();
        owed.push_back((what, false));
        self.first.get() + owed.len() as u64 - 1
    }

    /// The records of this commit are safe.
    pub fn safe(&self, id: u64) {
        let at = id.wrapping_sub(self.first.get());
        let mut owed = self.owed.borrow_mut();
        if let Some((_, is_safe)) = usize::try_from(at).ok().and_then(|at| owed.get_mut(at)) {
            *is_safe = true;
            if at == 0 {
                self.changed.notify();
            }
        }
    }

    /// Commits that are not safe, or behind one that is not.
    pub fn len(&self) -> usize {
        self.owed.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `look` sees in the first of them.
    pub fn first<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.owed.borrow().front().map(|(what, _)| look(what))
    }

    /// The first one when it is safe.
    pub fn next_safe(&self) -> Option<T> {
        let mut owed = self.owed.borrow_mut();
        owed.front().filter(|(_, is_safe)| *is_safe)?;
        self.first.set(self.first.get() + 1);
        owed.pop_front().map(|(what, _)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_what_came_before() {
        let l = InOrder::default();
        let [a, b, c] = ['a', 'b', 'c'].map(|what| l.add(what));
        l.safe(c);
        assert_eq!((l.next_safe(), l.len(), l.first(|what| *what)), (None, 3, Some('a')));
        l.safe(a);
        assert_eq!((l.next_safe(), l.next_safe(), l.len()), (Some('a'), None, 2));
        // What is gone, or was never there, changes nothing.
        l.safe(a);
        l.safe(99);
        assert_eq!(l.next_safe(), None);
        l.safe(b);
        assert_eq!((l.next_safe(), l.next_safe(), l.next_safe()), (Some('b'), Some('c'), None));
        assert!(l.is_empty());
    }
}
