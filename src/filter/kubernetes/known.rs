//! What is known of the cluster, what is to be asked, and whether anybody answers: shared by the filter and its background task.

use super::names::Names;
use super::pods::{Found, Pods};
use super::spaces::Spaces;
use super::tidy::Tidy;
use crate::filter::Wake;
use crate::rt::Notify;
use crate::util::counters::OwnCounters;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Questions that are remembered, so that each is asked once.
const REMEMBERED: usize = 8192;

/// How long records may wait for their metadata.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the moment on that the API answered.
    pub answers: Duration,
    /// While it does not.
    pub silent: Duration,
}

/// What is known, and what is to be asked.
pub struct Known {
    /// The pods.
    pub pods: RefCell<Pods>,
    /// The namespaces.
    pub spaces: RefCell<Spaces>,
    /// Makes sure of what the API sent.
    pub tidy: RefCell<Tidy>,
    /// Notified when there is something to ask.
    pub asked: Notify,
    /// Notified when the API answers again.
    pub answering: Notify,
    /// Counters of the filter.
    pub counters: Rc<OwnCounters>,
    wants: RefCell<Wants>,
    patience: Patience,
    /// Since when the API answers.
    answers: Cell<Option<Instant>>,
    /// Records went out without their metadata, since the API was silent for too long; nobody waits so long again until it answers.
    gave_up: Cell<bool>,
    /// Records wait.
    waiting: Cell<bool>,
    wake: RefCell<Option<Wake>>,
}

#[derive(Default)]
struct Wants {
    queue: VecDeque<Box<str>>,
    asked: FxHashMap<Box<str>, Instant>,
}

impl Known {
    /// Nothing is known.
    pub fn new(pods: Pods, spaces: Spaces, patience: Patience, counters: Rc<OwnCounters>) -> Rc<Self> {
        Rc::new(Self {
            pods: RefCell::new(pods),
            spaces: RefCell::new(spaces),
            tidy: RefCell::default(),
            asked: Notify::default(),
            answering: Notify::default(),
            counters,
            wants: RefCell::default(),
            patience,
            answers: Cell::new(None),
            gave_up: Cell::new(false),
            waiting: Cell::new(false),
            wake: RefCell::default(),
        })
    }

    /// Whom to wake when more is known.
    pub fn set_wake(&self, wake: Wake) {
        *self.wake.borrow_mut() = Some(wake);
    }

    /// The pod that names mean.
    pub fn find(&self, names: &Names) -> Found {
        self.pods.borrow().find(names)
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.pods.borrow().version().wrapping_add(self.spaces.borrow().version())
    }

    // ---- questions ----

    /// Has the API asked for a pod (`NAMESPACE/POD`) or a namespace (`NAMESPACE/`), unless that was done less than `again` ago.
    pub fn want(&self, key: &str, now: Instant, again: Duration) {
        let mut wants = self.wants.borrow_mut();
        if wants.asked.get(key).is_some_and(|at| now.saturating_duration_since(*at) < again) {
            return;
        }
        if wants.asked.len() >= REMEMBERED {
            wants.asked.retain(|_, at| now.saturating_duration_since(*at) < again);
            if wants.asked.len() >= REMEMBERED {
                wants.asked.clear();
            }
        }
        wants.asked.insert(key.into(), now);
        wants.queue.push_back(key.into());
        drop(wants);
        self.asked.notify();
    }

    /// When a question was asked last.
    pub fn asked_at(&self, key: &str) -> Option<Instant> {
        self.wants.borrow().asked.get(key).copied()
    }

    /// The next question: about a namespace with `Some(true)`, about a pod with `Some(false)`.
    pub fn question(&self, of_space: Option<bool>) -> Option<Box<str>> {
        let mut wants = self.wants.borrow_mut();
        let at = wants.queue.iter().position(|key| of_space.is_none_or(|s| s == key.ends_with('/')))?;
        wants.queue.remove(at)
    }

    /// Whether there is a question.
    pub fn has_questions(&self) -> bool {
        !self.wants.borrow().queue.is_empty()
    }

    /// A question that could not be asked: it comes again.
    pub fn put_back(&self, key: Box<str>) {
        let mut wants = self.wants.borrow_mut();
        if wants.queue.len() < REMEMBERED {
            wants.queue.push_front(key);
        }
    }

    // ---- answers ----

    /// The API answered, whatever it said.
    pub fn it_answers(&self, now: Instant) {
        self.gave_up.set(false);
        if self.answers.get().is_none() {
            self.answers.set(Some(now));
            self.answering.notify();
            self.wake();
        }
    }

    /// The API does not answer.
    pub fn it_is_silent(&self) {
        self.answers.set(None);
    }

    /// More is known: records that wait may go on.
    pub fn wake(&self) {
        let wake = self.wake.borrow().clone();
        if let Some(wake) = wake.filter(|_| self.waiting.get()) {
            wake();
        }
    }

    // ---- waiting ----

    /// Whether records wait.
    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.set(waiting);
    }

    /// Until when records wait that came at `since`.
    pub fn due(&self, since: Instant) -> Instant {
        match self.answers.get() {
            Some(at) => since.max(at) + self.patience.answers,
            None if self.gave_up.get() => since + self.patience.answers,
            None => since + self.patience.silent.max(self.patience.answers),
        }
    }

    /// Records waited in vain.
    pub fn in_vain(&self) {
        if self.answers.get().is_none() {
            self.gave_up.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::kubernetes::pod::Shape;

    fn known() -> Rc<Known> {
        let patience = Patience { answers: Duration::from_secs(5), silent: Duration::from_secs(60) };
        Known::new(Pods::new(Shape::default()), Spaces::default(), patience, Rc::default())
    }

    #[test]
    fn each_question_is_asked_once() {
        let (k, now) = (known(), Instant::now());
        let minute = Duration::from_secs(60);
        for _ in 0..1000 {
            k.want("s/a", now, minute);
        }
        k.want("s/b", now, minute);
        let all: Vec<_> = std::iter::from_fn(|| k.question(None)).collect();
        assert_eq!(all, ["s/a".into(), "s/b".into()] as [Box<str>; 2]);
        k.want("s/a", now + minute, minute);
        assert!(k.has_questions() && k.question(Some(true)).is_none());
        assert!(k.question(Some(false)).is_some() && k.question(None).is_none());
        for n in 0..3 * REMEMBERED {
            k.want(&n.to_string(), now, minute);
        }
        assert!(k.wants.borrow().asked.len() <= REMEMBERED);
    }

    #[test]
    fn waiting_begins_when_the_api_answers() {
        let (k, begun) = (known(), Instant::now());
        let after = |secs| begun + Duration::from_secs(secs);
        assert_eq!(k.due(begun), after(60));
        k.it_answers(after(30));
        k.it_answers(after(31));
        assert_eq!((k.due(begun), k.due(after(40))), (after(35), after(45)));
        k.it_is_silent();
        assert_eq!(k.due(after(40)), after(100));
        k.in_vain();
        assert_eq!(k.due(after(100)), after(105));
        k.it_answers(after(110));
        k.it_is_silent();
        assert_eq!(k.due(after(120)), after(180));
    }
}
