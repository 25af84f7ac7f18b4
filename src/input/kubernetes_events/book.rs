//! Which events are known: those that went to the engine, and of these the ones to write down.

use crate::input::Ack;
use crate::rt::Notify;
use crate::time::Time;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// One version of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// The event's identity, as long as it lives.
    pub(super) uid: Rc<str>,
    /// Grows with each change.
    pub(super) version: u64,
    /// When it last happened.
    pub(super) time: Time,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    version: u64,
    /// The list in which it was seen last.
    list: u64,
}

/// The events that the server has and that were taken, and what is delivered and not written down.
#[derive(Debug, Default)]
pub(super) struct Book {
    known: RefCell<HashMap<Rc<str>, Known>>,
    list: Cell<u64>,
    safe: RefCell<Vec<Version>>,
    keeps: bool,
    /// Notified when there is something to write down.
    pub(super) changed: Notify,
}

impl Book {
    /// An empty book. Versions are only written down where there is a DB.
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// What an earlier run has delivered.
    pub(super) fn learn(&self, uid: &str, version: u64) {
        let list = self.list.get();
        let mut known = self.known.borrow_mut();
        let entry = known.entry(uid.into()).or_insert(Known { version, list });
        entry.version = entry.version.max(version);
    }

    /// A list begins.
    pub(super) fn begin(&self) {
        self.list.set(self.list.get() + 1);
    }

    /// A list is whole: what was not in it is gone from the server, which will not tell of it again.
    pub(super) fn listed(&self) {
        let list = self.list.get();
        let mut known = self.known.borrow_mut();
        known.retain(|_, k| k.list == list);
        known.shrink_to_fit();
    }

    /// An event is gone from the server.
    pub(super) fn forget(&self, uid: &str) {
        self.known.borrow_mut().remove(uid);
    }

    /// Whether this version is new; it is known from now on.
    pub(super) fn is_new(&self, uid: &str, version: u64) -> bool {
        let list = self.list.get();
        let mut known = self.known.borrow_mut();
        match known.get_mut(uid) {
            Some(k) => {
                k.list = list;
                // Without a number every version is taken for a new one.
                let newer = version > k.version || version == 0;
                k.version = k.version.max(version);
                newer
            }
            None => {
                known.insert(uid.into(), Known { version, list });
                true
            }
        }
    }

    /// Written down once the record is safe.
    pub(super) fn enter(self: &Rc<Self>, version: Version) -> Option<Ack> {
        let book = self.keeps.then(|| self.clone())?;
        Some(Ack::new(move || {
            book.safe.borrow_mut().push(version);
            book.changed.notify();
        }))
    }

    /// Whether there is something to write down.
    pub(super) fn is_dirty(&self) -> bool {
        !self.safe.borrow().is_empty()
    }

    /// What is to be written down.
    pub(super) fn take(&self) -> Vec<Version> {
        self.safe.take()
    }

    /// It could not be written: it is to be tried again.
    pub(super) fn give_back(&self, mut versions: Vec<Version>) {
        let mut safe = self.safe.borrow_mut();
        versions.append(&mut safe);
        *safe = versions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_taken_once() {
        let book = Book::default();
        book.learn("a", 7);
        book.begin();
        assert!(!book.is_new("a", 7) && !book.is_new("a", 6) && book.is_new("a", 8) && !book.is_new("a", 8));
        assert!(book.is_new("b", 5) && !book.is_new("b", 5));
        book.forget("b");
        assert!(book.is_new("b", 5));
        book.begin();
        assert!(!book.is_new("a", 8));
        book.listed();
        assert_eq!(book.known.borrow().len(), 1, "b is gone from the server");
    }

    #[test]
    fn only_what_is_safe_is_written_down() {
        let book = Rc::new(Book::new(true));
        let version = |n| Version { uid: "u".into(), version: n, time: Time(0) };
        let (a, b) = (book.enter(version(1)).unwrap(), book.enter(version(2)).unwrap());
        assert!(!book.is_dirty());
        a.lose();
        drop((a, b));
        assert_eq!(book.take(), [version(2)]);
        book.give_back(vec![version(3)]);
        assert_eq!((book.take(), book.is_dirty()), (vec![version(3)], false));
        assert!(Rc::new(Book::new(false)).enter(version(1)).is_none());
    }
}
