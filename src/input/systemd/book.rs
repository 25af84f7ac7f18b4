//! How far the journal is delivered: turns of reading in order, acknowledged in any order.

use crate::fmt::journal::{Cursor, Id};
use crate::input::Ack;
use crate::rt::Notify;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// A place in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last entry.
    pub(super) cursor: Option<Cursor>,
    /// The last sequence number of each file that was read from.
    pub(super) positions: HashMap<Id, u64>,
}

/// The turns that are not delivered, and what is to be written down.
#[derive(Debug, Default)]
pub(super) struct Book {
    waiting: RefCell<VecDeque<(Mark, bool)>>,
    first: Cell<u64>,
    safe: RefCell<Option<Mark>>,
    /// Notified when there is something to write down.
    pub(super) changed: Notify,
}

impl Book {
    /// Enters a turn; the answer goes to the engine with its records.
    pub(super) fn enter(self: &Rc<Self>, mark: Mark) -> Ack {
        let number = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push_back((mark, false));
            self.first.get() + waiting.len() as u64 - 1
        };
        let book = self.clone();
        Ack::new(move || book.acknowledge(number))
    }

    fn acknowledge(&self, number: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let at = number.checked_sub(self.first.get()).and_then(|at| usize::try_from(at).ok());
        if let Some(turn) = at.and_then(|at| waiting.get_mut(at)) {
            turn.1 = true;
        }
        let mut is_new = false;
        while waiting.front().is_some_and(|(_, done)| *done) {
            let Some((mark, _)) = waiting.pop_front() else { break };
            self.first.set(self.first.get() + 1);
            let mut safe = self.safe.borrow_mut();
            let safe = safe.get_or_insert_with(Mark::default);
            safe.cursor = mark.cursor.or(safe.cursor);
            safe.positions.extend(mark.positions);
            is_new = true;
        }
        drop(waiting);
        if is_new {
            self.changed.notify();
        }
    }

    /// Whether there is something to write down.
    pub(super) fn is_dirty(&self) -> bool {
        self.safe.borrow().is_some()
    }

    /// What is to be written down.
    pub(super) fn take(&self) -> Option<Mark> {
        self.safe.take()
    }

    /// It could not be written: it is to be tried again, unless there is something newer.
    pub(super) fn give_back(&self, mark: Mark) {
        let mut safe = self.safe.borrow_mut();
        let newer = safe.take().unwrap_or_default();
        let mut positions = mark.positions;
        positions.extend(newer.positions);
        *safe = Some(Mark { cursor: newer.cursor.or(mark.cursor), positions });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(seqnum: u64) -> Mark {
        let cursor = Cursor { seqnum, ..Cursor::default() };
        Mark { cursor: Some(cursor), positions: [(Id([seqnum as u8 % 2; 16]), seqnum)].into() }
    }

    #[test]
    fn no_gap_is_passed() {
        let book = Rc::new(Book::default());
        let acks: Vec<_> = (1..=4).map(|n| book.enter(mark(n))).collect();
        let [a, b, c, d] = <[Ack; 4]>::try_from(acks).unwrap();
        drop(b);
        assert!(!book.is_dirty());
        drop(a);
        let safe = book.take().unwrap();
        assert_eq!((safe.cursor.unwrap().seqnum, safe.positions.len()), (2, 2));
        c.lose();
        drop(c);
        drop(d);
        assert!(!book.is_dirty(), "what comes behind lost records is read again");
    }

    #[test]
    fn what_could_not_be_written_is_not_forgotten() {
        let book = Rc::new(Book::default());
        drop(book.enter(mark(1)));
        let old = book.take().unwrap();
        drop(book.enter(mark(2)));
        book.give_back(old);
        let all = book.take().unwrap();
        assert_eq!((all.cursor.unwrap().seqnum, all.positions.len()), (2, 2));
    }
}
