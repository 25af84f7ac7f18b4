//! A condition of the event thread that tasks wait for.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes every waiting task; a task that waits later waits for the next notification.
#[derive(Debug, Default)]
pub struct Notify {
    round: Cell<u64>,
    waiting: RefCell<Waiting>,
}

/// Who waits for the end of this round.
#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Notify {
    /// Wakes all that wait now.
    pub fn notify(&self) {
        self.round.set(self.round.get() + 1);
        // Taken out first: a waker may run code that waits again.
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Waits for the next [`Notify::notify`] after this call.
    pub fn wait(&self) -> Wait<'_> {
        Wait { notify: self, round: self.round.get(), place: None }
    }
}

/// Waits for a notification. When it is dropped its waker goes too: a waker keeps the memory of its task.
#[derive(Debug)]
pub struct Wait<'a> {
    notify: &'a Notify,
    round: u64,
    place: Option<usize>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.notify.round.get() != self.round {
            return Poll::Ready(());
        }
        let mut waiting = self.notify.waiting.borrow_mut();
        let place = self.place.or_else(|| waiting.free.pop()).unwrap_or(waiting.wakers.len());
        match waiting.wakers.get_mut(place) {
            Some(Some(old)) => old.clone_from(cx.waker()),
            Some(empty) => *empty = Some(cx.waker().clone()),
            None => waiting.wakers.push(Some(cx.waker().clone())),
        }
        drop(waiting);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // A later round has other people in these places.
        let Some(place) = self.place.filter(|_| self.notify.round.get() == self.round) else { return };
        let gone = {
            let mut waiting = self.notify.waiting.borrow_mut();
            waiting.free.push(place);
            waiting.wakers.get_mut(place).and_then(Option::take)
        };
        // Not under the borrow: this may be the last that is left of a task.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{or, run, spawn, yield_now};
    use std::rc::Rc;

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let notify = Rc::new(Notify::default());
        run(async {
            for _ in 0..1000 {
                let n = notify.clone();
                spawn(async move { or(n.wait(), yield_now()).await }).await;
            }
            assert!(notify.waiting.borrow().wakers.len() <= 1);
            assert!(notify.waiting.borrow().wakers.iter().all(Option::is_none));
        })
        .unwrap();
    }

    #[test]
    fn places_are_of_one_round() {
        run(async {
            let n = Rc::new(Notify::default());
            let mut early = n.wait();
            let polled = |w: &mut Wait<'_>| Pin::new(w).poll(&mut Context::from_waker(Waker::noop())).is_ready();
            assert!(!polled(&mut early));
            n.notify();
            let mut late = n.wait();
            assert!(!polled(&mut late));
            // It leaves, and the other one stays.
            drop(early);
            assert!(n.waiting.borrow().wakers.iter().any(Option::is_some));
            let mut old = n.wait();
            assert!(!polled(&mut late) && !polled(&mut old));
            n.notify();
            assert!(polled(&mut late) && polled(&mut old));
            assert!(n.waiting.borrow().wakers.is_empty());
        })
        .unwrap();
    }
}
