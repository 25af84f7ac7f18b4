//! What a connection owes its peer: acknowledgements, sent when the records are safe.

use crate::fmt::forward::write_ack;
use crate::input::Ack;
use crate::rt::Notify;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The acknowledgements of one connection.
#[derive(Debug, Default)]
pub struct Owed {
    due: RefCell<Vec<u8>>,
    waiting: Cell<usize>,
    sent: Cell<u64>,
    /// Notified when something became due, or will never.
    pub changed: Notify,
}

impl Owed {
    /// An acknowledgement of `chunk` that becomes due when it fires.
    pub fn promise(self: &Rc<Self>, chunk: &[u8]) -> Ack {
        self.waiting.set(self.waiting.get() + 1);
        let promise = Promise { owed: self.clone(), chunk: chunk.into() };
        Ack::new(move || promise.keep())
    }

    /// Promises that are open.
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// The bytes that are due now, and how many acknowledgements they are.
    pub fn take(&self) -> Option<(Vec<u8>, u64)> {
        let bytes = self.due.take();
        (!bytes.is_empty()).then(|| (bytes, self.sent.take()))
    }
}

struct Promise {
    owed: Rc<Owed>,
    chunk: Box<[u8]>,
}

impl Promise {
    fn keep(&self) {
        write_ack(&self.chunk, &mut self.owed.due.borrow_mut());
        self.owed.sent.set(self.owed.sent.get() + 1);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.owed.waiting.set(self.owed.waiting.get().saturating_sub(1));
        self.owed.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_kept_or_broken() {
        let owed = Rc::new(Owed::default());
        let (a, b) = (owed.promise(b"a"), owed.promise(b"b"));
        assert_eq!((owed.waiting(), owed.take()), (2, None));
        b.lose();
        drop(b);
        assert_eq!((owed.waiting(), owed.take()), (1, None));
        drop(a);
        assert_eq!((owed.waiting(), owed.take()), (0, Some((b"\x81\xa3ack\xa1a".to_vec(), 1))));
    }
}
