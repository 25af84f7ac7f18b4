//! What an input may do with the engine: fill batches, commit them, wait for room, learn of the shutdown.

use crate::event::{Batch, Tag};
use crate::fmt::prometheus::Family;
use crate::rt::{Notify, sleep};
use crate::time::Time;
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What the engine offers an input.
pub trait Intake {
    /// The open batch of a tag, made when there is none.
    fn open(&self, tag: &Tag) -> RefMut<'_, Batch>;
    /// Runs the filters over the fresh records of the tag's batch, and closes the batch when it is full.
    fn commit(&self, tag: &Tag, ack: Option<Ack>);
    /// Closes the input's open batches that an output would take at once.
    fn hurry(&self);
    /// Whether memory held for this input is below its limit.
    fn has_room(&self) -> bool;
    /// Notified when room may have come back.
    fn room(&self) -> &Notify;
    /// Whether the pipeline is shutting down.
    fn is_stopping(&self) -> bool;
    /// Notified when the shutdown begins.
    fn stop_signal(&self) -> &Notify;
    /// Whether the shutdown is over: every chunk is delivered, or the grace period is.
    fn is_drained(&self) -> bool;
    /// Notified when the shutdown is over.
    fn drain_signal(&self) -> &Notify;
    /// Asks the engine to drain and to exit with this code.
    fn exit(&self, code: u8);
    /// Counts records or bytes that this input had to give up, by reason; the reason is logged at a bounded rate.
    fn lost(&self, records: u64, why: &str);
    /// Adds to a counter of the input's own, shown in its account. 0 makes it known.
    fn count(&self, what: &'static str, n: u64);
    /// What every instance of the pipeline has done.
    fn metrics(&self) -> Vec<Family> {
        Vec::new()
    }
    /// One more (`true`) or one less (`false`) that the shutdown waits for.
    fn delay_end(&self, more: bool);
}

/// An input's handle on the engine; cheap to clone for its tasks.
#[derive(Clone)]
pub struct InputCx {
    intake: Rc<dyn Intake>,
    name: Rc<str>,
    label: Rc<str>,
    tag: Tag,
}

impl InputCx {
    /// Made by the engine: `name` is the alias or `tail.0`, `label` is `input:tail:tail.0`.
    pub fn new(intake: Rc<dyn Intake>, name: &str, label: &str, tag: Tag) -> Self {
        Self { intake, name: name.into(), label: label.into(), tag }
    }

    /// The instance's name: the alias, else `tail.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `input:tail:tail.0`, the prefix of log lines: `log::warn!("[{}] …", cx.label())`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The configured tag, or the instance's name. May hold a `*` for inputs that expand it.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The open batch of a tag. The borrow must end before the next `await` and before [`Self::commit`]; what is written must
    /// be committed before the next `await`.
    pub fn batch(&self, tag: &Tag) -> RefMut<'_, Batch> {
        self.intake.open(tag)
    }

    /// Hands the records begun since the last commit to the filters and the router, then waits while the input is over
    /// its memory limit: this is where back-pressure reaches the reader. `ack` fires once they are safe.
    pub async fn commit(&self, tag: &Tag, ack: Option<Ack>) {
        self.intake.commit(tag, ack);
        // A source that never runs dry must not keep the others from their turn.
        crate::rt::yield_now().await;
        self.wait_for_room().await;
    }

    /// [`Self::commit`] without the wait, for sources that cannot be held back.
    pub fn commit_now(&self, tag: &Tag, ack: Option<Ack>) {
        self.intake.commit(tag, ack);
    }

    /// What was committed goes out now, not after `Flush`, as far as outputs are idle: a peer waits for its [`Ack`]. While
    /// outputs are busy batches grow, so that many small commits do not make many small chunks.
    pub fn hurry(&self) {
        self.intake.hurry();
    }

    /// Whether the input is below its memory limit.
    pub fn has_room(&self) -> bool {
        self.intake.has_room()
    }

    /// Waits while the input is over its memory limit; a shutdown ends the wait.
    pub async fn wait_for_room(&self) {
        while !self.intake.has_room() && !self.intake.is_stopping() {
            crate::rt::or(self.intake.room().wait(), self.intake.stop_signal().wait()).await;
        }
    }

    /// Whether the pipeline is shutting down.
    pub fn is_stopping(&self) -> bool {
        self.intake.is_stopping()
    }

    /// Waits for the shutdown.
    pub async fn stopping(&self) {
        while !self.intake.is_stopping() {
            self.intake.stop_signal().wait().await;
        }
    }

    /// Waits for the end of the shutdown: by then every [`Ack`] that will fire has fired. For the last words to a state
    /// file; the input has about a second for them.
    pub async fn drained(&self) {
        while !self.intake.is_drained() {
            self.intake.drain_signal().wait().await;
        }
    }

    /// Sleeps, but not beyond the shutdown; `false` when that has begun.
    pub async fn sleep(&self, time: Duration) -> bool {
        crate::rt::or(sleep(time), self.stopping()).await;
        !self.is_stopping()
    }

    /// The wall clock.
    pub fn now(&self) -> Time {
        Time::from_system(SystemTime::now())
    }

    /// Asks the engine to drain everything and to exit with this code.
    pub fn exit(&self, code: u8) {
        self.intake.exit(code);
    }

    /// Counts records that had to be given up, and says so (at most once per 10 s and reason).
    pub fn lost(&self, records: u64, why: &str) {
        self.intake.lost(records, why);
    }

    /// Adds to a counter of the input's own (`"packets"`), shown in the dump and in the account at the end in the order
    /// of their first mention. 0 makes it known.
    pub fn count(&self, what: &'static str, n: u64) {
        self.intake.count(what, n);
    }

    /// The counters of the whole program.
    pub fn metrics(&self) -> Vec<Family> {
        self.intake.metrics()
    }

    /// While this lives the shutdown waits, within its grace period, for what the input still has to commit. Without it
    /// an input has until its next `await` after [`Self::stopping`].
    pub fn hold(&self) -> Hold {
        self.intake.delay_end(true);
        Hold(self.intake.clone())
    }
}

/// Keeps the shutdown from ending before an input has committed what it still has: [`InputCx::hold`].
pub struct Hold(Rc<dyn Intake>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.delay_end(false);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

impl fmt::Debug for InputCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputCx").field("name", &self.name).field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// Fires once every chunk that holds the records of a commit is delivered, dropped by decision, or durably stored.
///
/// It is counted: the engine clones it where records spread over several chunks. When the last clone goes the callback
/// runs, unless [`Ack::lose`] said that the records were not delivered (a shutdown with data left).
#[derive(Clone)]
pub struct Ack(Rc<AckInner>);

struct AckInner {
    done: RefCell<Option<Box<dyn FnOnce()>>>,
    lost: Cell<bool>,
    repeats: bool,
}

impl Ack {
    /// Runs `done` once the records are safe.
    pub fn new(done: impl FnOnce() + 'static) -> Self {
        Self::make(done, false)
    }

    /// The same, of an input whose next process reads again what was not acknowledged.
    pub fn repeated(done: impl FnOnce() + 'static) -> Self {
        Self::make(done, true)
    }

    fn make(done: impl FnOnce() + 'static, repeats: bool) -> Self {
        let (done, lost) = (RefCell::new(Some(Box::new(done) as Box<dyn FnOnce()>)), Cell::new(false));
        Self(Rc::new(AckInner { done, lost, repeats }))
    }

    /// Whether records that are lost are read again at the next start.
    pub fn repeats(&self) -> bool {
        self.0.repeats
    }

    /// Whether both are of one commit.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The records were not delivered: the callback will not run.
    pub fn lose(&self) {
        self.0.lost.set(true);
    }
}

impl Drop for AckInner {
    fn drop(&mut self) {
        if let Some(done) = self.done.take()
            && !self.lost.get()
        {
            done();
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("lost", &self.0.lost.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_fires_when_its_last_clone_goes() {
        let fired = Rc::new(Cell::new(0));
        let f = fired.clone();
        let a = Ack::new(move || f.set(f.get() + 1));
        let b = a.clone();
        drop(a);
        assert_eq!(fired.get(), 0);
        drop(b);
        assert_eq!(fired.get(), 1);
    }

    #[test]
    fn a_lost_ack_never_fires() {
        let fired = Rc::new(Cell::new(false));
        let f = fired.clone();
        let a = Ack::new(move || f.set(true));
        let b = a.clone();
        b.lose();
        drop((a, b));
        assert!(!fired.get());
    }
}
