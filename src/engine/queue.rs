//! What one output still has to take: in which order, which of it waits for a retry, and the breaker that holds
//! everything back while the destination is down. Pure: the time comes in as an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Failures in a row after which another chunk than the first is tried: one that brings its receiver down must not hold
/// up the others for ever.
const PATIENCE: u32 = 8;

/// Chunks of one output, oldest first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// By number: what may be sent.
    ready: BTreeMap<u64, Entry<T>>,
    /// What failed by itself and waits for its time.
    later: BTreeMap<(Instant, u64), Entry<T>>,
    next: u64,
    running: usize,
    breaker: Breaker,
    /// How soon after a failure new data may have the destination tried again.
    eager: Duration,
}

/// One chunk, and how often it has failed.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Its number: its place in the order.
    pub(super) seq: u64,
    pub(super) attempts: u32,
    pub(super) item: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    /// The destination is not known to be down.
    Closed,
    /// It is: nothing is sent before `until`, then one chunk.
    Open { until: Instant, since: Instant, failures: u32, tried: u64 },
    /// That one is on its way.
    Probing { failures: u32, tried: u64 },
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(super) fn new(eager: Duration) -> Self {
        Self { ready: BTreeMap::new(), later: BTreeMap::new(), next: 0, running: 0, breaker: Breaker::Closed, eager }
    }

    /// Adds a chunk behind the others; answers its number.
    pub(super) fn push(&mut self, item: T) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.ready.insert(seq, Entry { seq, attempts: 0, item });
        seq
    }

    /// Takes the next chunk to send. Each one taken must come back by [`Queue::settled`], [`Queue::failed`] or
    /// [`Queue::down`].
    pub(super) fn take(&mut self, now: Instant, concurrency: usize) -> Option<Entry<T>> {
        while let Some((&key, _)) = self.later.first_key_value().filter(|((at, _), _)| *at <= now) {
            if let Some(entry) = self.later.remove(&key) {
                self.ready.insert(entry.seq, entry);
            }
        }
        let seq = match self.breaker {
            Breaker::Closed if self.running < concurrency => *self.ready.first_key_value()?.0,
            Breaker::Open { until, failures, tried, .. } if self.running == 0 && until <= now => {
                let next = self.ready.range(tried + 1..).next().filter(|_| failures >= PATIENCE);
                *next.or_else(|| self.ready.first_key_value())?.0
            }
            _ => return None,
        };
        let entry = self.ready.remove(&seq)?;
        self.running += 1;
        if let Breaker::Open { failures, .. } = self.breaker {
            self.breaker = Breaker::Probing { failures, tried: seq };
        }
        Some(entry)
    }

    /// A chunk is settled: the destination is there.
    pub(super) fn settled(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.breaker = Breaker::Closed;
    }

    /// A chunk failed by itself; it waits until `at`, the others go on.
    pub(super) fn failed(&mut self, entry: Entry<T>, at: Instant) {
        self.settled();
        self.later.insert((at, entry.seq), entry);
    }

    /// A chunk could not be sent since the destination is down: it keeps its place, and all wait. `wait` gives the time
    /// after so many failures in a row.
    pub(super) fn down(&mut self, entry: Entry<T>, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        self.gave_up(entry.seq, now, wait);
        self.ready.insert(entry.seq, entry);
    }

    /// [`Queue::down`] for a chunk that is not tried again.
    pub(super) fn gave_up(&mut self, tried: u64, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        self.running = self.running.saturating_sub(1);
        let failures = match self.breaker {
            Breaker::Closed => 1,
            Breaker::Probing { failures, .. } => failures.saturating_add(1),
            // It was on its way when another one found out.
            Breaker::Open { .. } => return,
        };
        self.breaker = Breaker::Open { until: now + wait(failures), since: now, failures, tried };
    }

    /// There is new data: a destination that is down is tried again somewhat sooner. Answers whether that is so.
    pub(super) fn nudge(&mut self) -> bool {
        let Breaker::Open { until, since, .. } = &mut self.breaker else { return false };
        let sooner = *since + self.eager;
        let is_sooner = sooner < *until;
        *until = sooner.min(*until);
        is_sooner
    }

    /// Nothing waits longer than until `at`: the program shuts down.
    pub(super) fn hasten(&mut self, at: Instant) {
        if let Breaker::Open { until, .. } = &mut self.breaker {
            *until = (*until).min(at);
        }
        let later = std::mem::take(&mut self.later);
        self.later.extend(later.into_iter().map(|((due, seq), entry)| ((due.min(at), seq), entry)));
    }

    /// When [`Queue::take`] may have something, or would take something new, that it would not at `now`.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let later = self.later.first_key_value().map(|((at, _), _)| *at);
        let probe = match self.breaker {
            Breaker::Open { until, .. } if self.running == 0 && until > now => Some(until),
            _ => None,
        };
        [later, probe].into_iter().flatten().min()
    }

    /// Whether the destination is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// When the next attempt comes, as far as it is known.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.breaker {
            Breaker::Open { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether another chunk would be sent at once: also to a destination that was down and is to be tried again.
    pub(super) fn wants_more(&self, now: Instant, concurrency: usize) -> bool {
        let is_free = match self.breaker {
            Breaker::Closed => self.running < concurrency,
            Breaker::Open { until, .. } => self.running == 0 && until <= now,
            Breaker::Probing { .. } => false,
        };
        is_free && self.ready.is_empty()
    }

    /// Chunks that are queued, on the wire, or waiting for a retry.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.later.len() + self.running
    }

    /// Those on the wire.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Those waiting for a retry.
    pub(super) fn waiting(&self) -> usize {
        self.later.len()
    }

    /// A chunk that was not tried yet.
    pub(super) fn untried(&self, seq: u64) -> Option<&T> {
        self.ready.get(&seq).filter(|e| e.attempts == 0).map(|e| &e.item)
    }

    /// Takes a chunk out that is not on the wire.
    pub(super) fn remove(&mut self, seq: u64) -> Option<T> {
        self.ready.remove(&seq).map(|e| e.item)
    }

    /// Takes the oldest chunk out for which `wanted` holds and which is not on the wire.
    pub(super) fn take_oldest(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let ready = self.ready.iter().find(|(_, e)| wanted(&e.item)).map(|(&seq, _)| seq);
        let later = self.later.iter().filter(|(_, e)| wanted(&e.item)).map(|(&key, _)| key).min_by_key(|key| key.1);
        match (ready, later) {
            (Some(seq), Some(key)) if key.1 < seq => self.later.remove(&key).map(|e| e.item),
            (Some(seq), _) => self.remove(seq),
            (None, Some(key)) => self.later.remove(&key).map(|e| e.item),
            (None, None) => None,
        }
    }

    /// Every chunk that is not on the wire.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.ready.values().chain(self.later.values()).map(|e| &e.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn queue(n: u32) -> (Queue<u32>, Instant) {
        let mut q = Queue::new(6 * SEC);
        (0..n).for_each(|i| {
            q.push(i);
        });
        (q, Instant::now())
    }

    fn items(q: &mut Queue<u32>, now: Instant, concurrency: usize) -> Vec<u32> {
        std::iter::from_fn(|| q.take(now, concurrency)).map(|e| e.item).collect()
    }

    #[test]
    fn chunks_go_in_order_as_many_as_may() {
        let (mut q, now) = queue(5);
        assert_eq!(items(&mut q, now, 2), [0, 1]);
        q.settled();
        assert_eq!(items(&mut q, now, 2), [2]);
        assert_eq!((q.len(), q.running(), q.wants_more(now, 2)), (4, 2, false));
    }

    #[test]
    fn a_chunk_that_fails_by_itself_lets_the_others_pass() {
        let (mut q, now) = queue(3);
        let e = q.take(now, 1).unwrap();
        q.failed(e, now + SEC);
        assert_eq!(items(&mut q, now, 1), [1]);
        q.settled();
        assert_eq!(q.wake_at(now), Some(now + SEC));
        assert_eq!(items(&mut q, now + SEC, 1), [0], "in its old place");
    }

    #[test]
    fn a_destination_that_is_down_is_tried_with_one_chunk_and_keeps_the_order() {
        let (mut q, now) = queue(10);
        let (a, b) = (q.take(now, 3).unwrap(), q.take(now, 3).unwrap());
        q.down(b, now, |n| n * SEC);
        q.down(a, now + SEC / 2, |_| panic!("one outage is one failure"));
        assert_eq!((q.wake_at(now), items(&mut q, now + SEC / 2, 3)), (Some(now + SEC), vec![]));
        let probe = q.take(now + SEC, 3).unwrap();
        assert_eq!((probe.item, items(&mut q, now + 9 * SEC, 3)), (0, vec![]), "one, however long it takes");
        q.down(probe, now + 2 * SEC, |n| n * SEC);
        assert_eq!(q.wake_at(now), Some(now + 4 * SEC));
        assert!(q.is_down());
        assert_eq!(q.take(now + 4 * SEC, 3).unwrap().item, 0);
        q.settled();
        assert_eq!(items(&mut q, now + 4 * SEC, 3), [1, 2, 3], "then all at once");
    }

    #[test]
    fn new_data_has_the_destination_tried_sooner_but_not_at_once() {
        let (mut q, now) = queue(1);
        let e = q.take(now, 1).unwrap();
        q.down(e, now, |_| 2000 * SEC);
        q.push(1);
        q.nudge();
        assert_eq!(q.wake_at(now), Some(now + 6 * SEC));
        q.hasten(now + SEC);
        assert_eq!(q.wake_at(now), Some(now + SEC));
    }

    #[test]
    fn a_chunk_that_kills_its_receiver_does_not_hold_the_others_up_for_ever() {
        let (mut q, mut now) = queue(3);
        let mut got = Vec::new();
        for _ in 0..30 {
            now += SEC;
            let Some(e) = q.take(now, 1) else { break };
            if e.item == 0 {
                q.down(e, now, |_| SEC);
            } else {
                got.push(e.item);
                q.settled();
            }
        }
        assert_eq!(got, [1, 2]);
        assert_eq!(q.len(), 1);
    }

    #[test]
    fn the_oldest_goes_first_wherever_it_waits() {
        let (mut q, now) = queue(3);
        let e = q.take(now, 1).unwrap();
        q.failed(e, now + SEC);
        assert_eq!(q.take_oldest(|_| true), Some(0));
        assert_eq!(q.take_oldest(|i| *i == 2), Some(2));
        assert_eq!((q.take_oldest(|_| true), q.len()), (Some(1), 0));
    }
}
