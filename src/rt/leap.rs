//! A clock for tests: it stands still while there is something to do and leaps to the next timer when there is not. Hours
//! pass in milliseconds, and what happens follows from the test alone.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the clock asks the test.
pub trait Leaps {
    /// Nothing can run before the next timer.
    fn idle(&self);
    /// How long the next job of a worker takes. It runs on the event thread when that time is over.
    fn job_time(&self) -> Duration;
}

thread_local! {
    static CLOCK: RefCell<Option<(Instant, Rc<dyn Leaps>)>> = const { RefCell::new(None) };
}

/// The clock of this thread leaps from now on.
pub fn begin(test: Rc<dyn Leaps>) {
    // Tasks that the test leaves behind are left alone: they belong to a process that is gone.
    super::EXECUTOR.with(|e| std::mem::forget(e.clone()));
    CLOCK.set(Some((Instant::now(), test)));
}

pub(super) fn now() -> Option<Instant> {
    CLOCK.with_borrow(|c| c.as_ref().map(|c| c.0))
}

pub(super) fn job_time() -> Option<Duration> {
    let test = CLOCK.with_borrow(|c| c.as_ref().map(|c| c.1.clone()));
    test.map(|t| t.job_time())
}

/// Leaps, if this clock does.
pub(super) fn to(at: Instant) -> bool {
    let Some(test) = CLOCK.with_borrow(|c| c.as_ref().map(|c| c.1.clone())) else { return false };
    test.idle();
    CLOCK.with_borrow_mut(|c| c.iter_mut().for_each(|c| c.0 = c.0.max(at)));
    true
}
