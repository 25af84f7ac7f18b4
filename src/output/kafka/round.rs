//! One round of a delivery: the next batch of every partition to its leader, and what follows from each answer.

use super::job::{Batch, Fate};
use super::link::{Broker, Failure, body};
use super::producer::{Attempt, Numbers, Producer, is_doubtful};
use crate::fmt::kafka::error::{self, Remedy};
use crate::fmt::kafka::produce::{self, Answer, Part};
use crate::fmt::kafka::record::Head;
use crate::fmt::kafka::{Api, request};
use crate::rt::LocalFuture;
use crate::util::sort;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Instant, SystemTime};

/// Batches are not made smaller than this on a broker's word, in bytes.
const MIN_BATCH: usize = 64 << 10;

/// How a round went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// Whether anything could be tried.
    pub tried: bool,
    /// Whether something failed that may succeed later.
    pub trouble: bool,
    /// Whether leaders must be asked for.
    pub stale: bool,
}

/// The batches for one broker; `fresh` are those that no broker can have yet.
struct Group {
    broker: Rc<Broker>,
    batches: Vec<usize>,
    fresh: Vec<usize>,
}

impl Producer {
    /// Sends the next batch of every partition that is not blocked.
    pub(super) async fn round(&self, attempt: &mut Attempt, blocked: impl Fn(&str, i32) -> bool) -> Round {
        let mut round = Round::default();
        let next = attempt.job.next();
        if next.is_empty() {
            return round;
        }
        if !self.identify(attempt).await {
            return Round { tried: true, trouble: true, stale: false };
        }
        let groups = self.group(next, attempt, &mut round, blocked);
        let (batches, send) = (&attempt.job.batches, |g: &Group| g.broker.clone());
        let calls: Vec<LocalFuture<'_, _>> = groups
            .iter()
            .map(|g| -> LocalFuture<'_, _> {
                let broker = send(g);
                Box::pin(async move { self.send(&broker, batches, &g.batches).await })
            })
            .collect();
        let results = all(calls).await;
        // Batches that are replaced by parts of themselves, highest place first.
        let mut parts: Vec<(usize, Vec<Batch>)> = Vec::new();
        for (group, result) in groups.iter().zip(results) {
            match result {
                Ok(answers) => {
                    for &n in &group.batches {
                        let is_fresh = group.fresh.contains(&n);
                        parts.extend(self.judge(attempt, n, is_fresh, &answers, &mut round).map(|p| (n, p)));
                    }
                }
                Err(failure) => {
                    let in_doubt = is_doubtful(&failure) && self.settings.idempotent;
                    for &n in group.fresh.iter().filter(|_| !in_doubt) {
                        set(attempt, n, Fate::New);
                    }
                    let why = failure.into_words();
                    log::debug!("[{}] {why}", self.settings.label);
                    attempt.why = Some(why);
                    (round.trouble, round.stale) = (true, true);
                }
            }
        }
        sort::by_key(&mut parts, |(n, _)| std::cmp::Reverse(*n));
        for (n, parts) in parts {
            attempt.job.batches.splice(n..=n, parts);
        }
        round
    }

    /// Which broker gets which batches; each is given its numbers.
    fn group(
        &self,
        next: Vec<usize>,
        attempt: &mut Attempt,
        round: &mut Round,
        blocked: impl Fn(&str, i32) -> bool,
    ) -> Vec<Group> {
        let numbers = self.numbers.borrow();
        let mut groups: Vec<Group> = Vec::new();
        for n in next {
            let Some(batch) = attempt.job.batches.get_mut(n) else { continue };
            if blocked(&batch.topic, batch.partition) {
                continue;
            }
            round.tried = true;
            let Some(broker) = self.cluster.leader(&batch.topic, batch.partition) else {
                let why = format!("partition {} of topic '{}' has no leader", batch.partition, batch.topic);
                attempt.why = Some(why);
                (round.trouble, round.stale) = (true, true);
                continue;
            };
            let group = match groups.iter_mut().position(|g| Rc::ptr_eq(&g.broker, &broker)) {
                Some(at) => at,
                None => {
                    groups.push(Group { broker, batches: Vec::new(), fresh: Vec::new() });
                    groups.len() - 1
                }
            };
            let Some(group) = groups.get_mut(group) else { continue };
            group.batches.push(n);
            if batch.fate == Fate::New {
                group.fresh.push(n);
                if let Some(id) = numbers.producer {
                    let first = numbers.next.get(&(batch.topic.clone(), batch.partition)).copied().unwrap_or(0);
                    batch.fate = Fate::Unsure(id, first);
                }
            }
        }
        groups
    }

    async fn send(&self, broker: &Broker, batches: &[Batch], list: &[usize]) -> Result<Vec<Answer>, Failure> {
        let settings = &*self.settings;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let mut list: Vec<&Batch> = list.iter().filter_map(|n| batches.get(*n)).collect();
        sort::by(&mut list, |a, b| a.topic.cmp(&b.topic));
        let part = |b: &&'_ Batch| Head {
            compression: b.compression,
            timestamp: now,
            producer: match b.fate {
                Fate::Unsure(id, first) => Some((id, first)),
                Fate::New | Fate::Settled => None,
            },
            count: b.count(),
        };
        let parts: Vec<Part<'_>> = list
            .iter()
            .map(|b| Part { topic: &b.topic, partition: b.partition, head: part(b), records: &b.records })
            .collect();
        let room = parts.iter().map(|p| p.records.len() + 512).sum();
        let timeout = settings.request_timeout.as_millis().min(i32::MAX as u128) as i32;
        let make = |version, correlation| {
            request(Api::Produce, version, correlation, &settings.client_id, room, |w| {
                produce::write(&parts, settings.acks, timeout, w);
            })
        };
        let (version, bytes) = broker.call(settings, Api::Produce, settings.acks != 0, make).await?;
        if settings.acks == 0 {
            let stored = |p: &Part<'_>| Answer {
                topic: p.topic.to_owned(),
                partition: p.partition,
                error: 0,
                words: None,
                records: Vec::new(),
            };
            return Ok(parts.iter().map(stored).collect());
        }
        let read = body(&bytes, Api::Produce, version).and_then(|r| produce::read(r, version));
        read.map_err(|e| Failure::Unanswered(format!("{}: its answer cannot be read: {e}", broker.target())))
    }

    /// What follows from the answers for one batch; the parts to replace it with, where that helps.
    fn judge(
        &self,
        attempt: &mut Attempt,
        n: usize,
        is_fresh: bool,
        answers: &[Answer],
        round: &mut Round,
    ) -> Option<Vec<Batch>> {
        let level = self.settings.level;
        let batch = attempt.job.batches.get_mut(n)?;
        let (topic, partition) = (batch.topic.clone(), batch.partition);
        let home = format!("partition {partition} of topic '{topic}'");
        let before = if is_fresh || !self.settings.idempotent { Fate::New } else { batch.fate };
        let Some(answer) = answers.iter().find(|a| a.partition == partition && *a.topic == *topic) else {
            attempt.why = Some(format!("{home}: the broker's answer says nothing of it"));
            round.trouble = true;
            return None;
        };
        let words = answer.words.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
        let told = format!("{home}: {}{words}", error::name(answer.error));
        let remedy = error::remedy(answer.error);
        round.trouble |= !matches!(remedy, Remedy::Stored | Remedy::TooLarge | Remedy::Refused);
        match remedy {
            Remedy::Stored => {
                if let Fate::Unsure(id, first) = batch.fate {
                    let next = Numbers::after(first, batch.count());
                    let mut numbers = self.numbers.borrow_mut();
                    if numbers.producer == Some(id) {
                        numbers.next.insert((topic, partition), next);
                    }
                }
                batch.fate = Fate::Settled;
                batch.records = Vec::new();
            }
            Remedy::FindLeader | Remedy::Later => {
                batch.fate = before;
                round.stale |= remedy == Remedy::FindLeader;
                attempt.why = Some(told);
            }
            Remedy::Unsure => {
                if !self.settings.idempotent {
                    batch.fate = Fate::New;
                }
                attempt.why = Some(told);
            }
            Remedy::NewProducer => {
                let mut numbers = self.numbers.borrow_mut();
                if matches!(batch.fate, Fate::Unsure(id, _) if numbers.producer == Some(id)) {
                    numbers.reset();
                }
                batch.fate = Fate::New;
                if self.said.borrow_mut().allow(b"producer", Instant::now()).is_some() {
                    log::warn!(
                        "[{}] {told}: going on as a new producer; what was sent without an answer may be stored twice",
                        self.settings.label
                    );
                }
                attempt.why = Some(told);
            }
            Remedy::Settings => {
                batch.fate = before;
                attempt.settings = true;
                attempt.why = Some(told);
            }
            Remedy::TooLarge if batch.count() > 1 => {
                // The next batches are made smaller at once.
                self.max_bytes.set(self.max_bytes.get().min((batch.plain / 2).max(MIN_BATCH)));
                return halves(batch, level);
            }
            Remedy::Refused if batch.count() > 1 && !answer.records.is_empty() => {
                let bad = |n: usize| answer.records.iter().find(|(place, _)| usize::try_from(*place) == Ok(n));
                let good = batch.split(1, level, |n| bad(n).is_none().then_some(0));
                let count = batch.places.len();
                if good.first().is_none_or(|g| g.places.len() < count) {
                    for (n, place) in batch.places.iter().enumerate() {
                        if let Some((_, words)) = bad(n) {
                            let why = words.clone().map_or_else(|| told.clone(), |w| format!("{told}: {w}"));
                            attempt.job.refused.push((*place, why.into()));
                        }
                    }
                    return Some(good);
                }
                refuse(attempt, n, &told);
            }
            // Which of them it is shows when they are apart.
            Remedy::Refused if batch.count() > 1 && matches!(answer.error, 32 | 87) => return halves(batch, level),
            Remedy::TooLarge => {
                let hint = format!(
                    "{told}: the broker takes no message of {} bytes (message.max.bytes there, max.message.bytes of the topic)",
                    batch.plain
                );
                refuse(attempt, n, &hint);
            }
            Remedy::Refused => refuse(attempt, n, &told),
        }
        None
    }
}

fn set(attempt: &mut Attempt, n: usize, fate: Fate) {
    if let Some(batch) = attempt.job.batches.get_mut(n) {
        batch.fate = fate;
    }
}

/// All messages of a batch are refused.
fn refuse(attempt: &mut Attempt, n: usize, why: &str) {
    if let Some(batch) = attempt.job.batches.get_mut(n) {
        batch.fate = Fate::Settled;
        attempt.job.refused.extend(batch.places.iter().map(|place| (*place, why.to_owned().into())));
    }
}

fn halves(batch: &Batch, level: Option<u32>) -> Option<Vec<Batch>> {
    let middle = batch.places.len() / 2;
    let parts = batch.split(2, level, |n| Some(usize::from(n >= middle)));
    (!parts.is_empty()).then_some(parts)
}

/// Waits for all of them.
async fn all<T>(futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let mut slots: Vec<_> = futures.into_iter().map(|f| (f, None)).collect();
    poll_fn(|cx| {
        let mut ready = true;
        for (future, done) in slots.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(v) => *done = Some(v),
                Poll::Pending => ready = false,
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    slots.into_iter().filter_map(|(_, done)| done).collect()
}
