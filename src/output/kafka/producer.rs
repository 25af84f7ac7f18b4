//! Deliveries to the cluster, one at a time: each batch to its partition's leader, again where that helps, and never in a
//! way that could store it twice when the broker can tell.
//!
//! A batch that was sent and not answered keeps its numbers. While it is so, nothing else goes to its partition. When the
//! delivery has to end, such batches are parked: the next delivery sends them first, whichever it is, and the delivery they belong to
//! finds them by its messages.

use super::cluster::Cluster;
use super::job::{Batch, Fate, Job, Parked, Route, Rules, identity};
use super::link::{Failure, Turn};
use super::message::messages;
use super::round::Round;
use super::settings::Settings;
use crate::fmt::kafka::sasl::{self, ProducerId};
use crate::fmt::kafka::{Api, Compression, error, request};
use crate::output::{Outcome, Payload};
use crate::rt::{Workers, sleep};
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The longest wait between two tries of one attempt.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Deliveries that may be parked.
const MAX_PARKED: usize = 8;
/// Partitions whose numbers are remembered.
const MAX_NUMBERS: usize = 100_000;
/// How often a topic that is not there is asked for: a broker may be creating it.
const ASKED: u32 = 5;

/// Sends payloads.
pub struct Producer {
    pub(super) settings: Rc<Settings>,
    pub(super) cluster: Cluster,
    pub(super) numbers: RefCell<Numbers>,
    topics: Vec<Rc<str>>,
    missing: String,
    parked: RefCell<Vec<Parked>>,
    /// The largest batch that brokers seem to take, in bytes before packing.
    pub(super) max_bytes: Cell<usize>,
    turn: Turn,
    workers: Workers,
    pub(super) said: RefCell<RateLimit>,
}

/// What brokers tell our batches by.
#[derive(Debug, Default)]
pub struct Numbers {
    /// The producer; none before the first batch and after its numbers were lost.
    pub producer: Option<ProducerId>,
    /// The number of the next message of each partition.
    pub next: FxHashMap<(Rc<str>, i32), i32>,
}

impl Numbers {
    /// Goes on as a new producer.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The number after `count` messages from `first` on; after the highest comes 0.
    pub fn after(first: i32, count: i32) -> i32 {
        first.wrapping_add(count) & i32::MAX
    }
}

/// A delivery in progress.
#[derive(Debug, Default)]
pub struct Attempt {
    /// What is sent.
    pub job: Job,
    /// Why something of it is left.
    pub why: Option<String>,
    /// Whether no broker can be reached.
    pub down: bool,
    /// Whether somebody has to change something first.
    pub settings: bool,
    /// Whether a topic is not there.
    pub homeless: bool,
}

impl Attempt {
    /// Remembers the first reason.
    pub fn because(&mut self, why: impl FnOnce() -> String) {
        self.why.get_or_insert_with(why);
    }
}

impl Producer {
    /// A producer for these topics, the default one first; `missing` is what is said of messages without a value.
    pub fn new(
        settings: Settings,
        topics: &[String],
        missing: String,
        name: &str,
        seed: usize,
    ) -> Result<Self, String> {
        let settings = Rc::new(settings);
        Ok(Self {
            cluster: Cluster::new(settings.clone(), seed)?,
            numbers: RefCell::default(),
            topics: topics.iter().map(|t| Rc::from(t.as_str())).collect(),
            missing,
            parked: RefCell::default(),
            max_bytes: Cell::new(settings.max_bytes),
            turn: Turn::default(),
            workers: Workers::new(&format!("kafka/{name}"), 1),
            said: RefCell::default(),
            settings,
        })
    }

    /// Delivers a payload as far as that is possible now.
    pub async fn deliver(&self, payload: &Payload) -> Outcome {
        let place = self.turn.line_up();
        // Batches are made while others are on their way, unless they may be there already.
        let early =
            if self.parked.borrow().is_empty() { Some(self.prepare(Job::default(), payload).await) } else { None };
        place.wait().await;
        let waiting = self.resolve().await;
        let mut attempt = match early {
            Some(attempt) => attempt,
            None => self.prepare(self.unpark(payload), payload).await,
        };
        match waiting {
            Some(why) => (attempt.down, attempt.why) = (true, Some(why)),
            None => self.run(&mut attempt, false).await,
        }
        self.outcome(attempt, payload)
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.cluster.close();
    }

    /// Makes batches of what is not in some already.
    async fn prepare(&self, job: Job, payload: &Payload) -> Attempt {
        let mut attempt = Attempt { job, ..Attempt::default() };
        let routes = self.routes(payload, &mut attempt).await;
        let rules = Rules {
            routes: &routes,
            batch_bytes: self.max_bytes.get(),
            message_bytes: self.settings.max_bytes,
            partitioner: self.settings.partitioner,
            missing: &self.missing,
        };
        attempt.job.fill(&payload.bytes, &payload.items, &rules);
        self.pack(&mut attempt.job.batches).await;
        attempt
    }

    /// Packs new batches, on a worker thread when that is work.
    async fn pack(&self, batches: &mut [Batch]) {
        let (compression, level) = (self.settings.compression, self.settings.level);
        let mut new: Vec<&mut Batch> = batches.iter_mut().filter(|b| b.plain == 0).collect();
        if compression == Compression::None || new.is_empty() {
            return new.iter_mut().for_each(|b| b.pack(compression, level));
        }
        let plain: Vec<Vec<u8>> = new.iter().map(|b| b.records.clone()).collect();
        let job = move || {
            let pack = |plain: Vec<u8>| {
                let mut packed = Vec::with_capacity(plain.len() / 3);
                compression.pack(level, &plain, &mut packed);
                packed
            };
            plain.into_iter().map(pack).collect::<Vec<_>>()
        };
        match self.workers.run(job).await {
            Some(all) => {
                for (batch, packed) in new.into_iter().zip(all) {
                    batch.plain = batch.records.len();
                    (batch.records, batch.compression) = (packed, compression);
                }
            }
            None => new.iter_mut().for_each(|b| b.pack(compression, level)),
        }
    }

    /// Where the messages of each topic go. Asks the brokers where that is not known.
    async fn routes(&self, payload: &Payload, attempt: &mut Attempt) -> Vec<Route> {
        let Some(default) = self.topics.first() else { return Vec::new() };
        let (mut wanted, mut is_default, mut last) = (vec![default.clone()], false, None);
        for message in messages(&payload.bytes, &payload.items) {
            match message.topic {
                None => is_default = true,
                Some(topic) if last == Some(topic) => {}
                Some(topic) => {
                    last = Some(topic);
                    if !wanted.iter().any(|w| **w == *topic) {
                        wanted
                            .push(self.topics.iter().find(|t| ***t == *topic).cloned().unwrap_or_else(|| topic.into()));
                    }
                }
            }
        }
        let asked = wanted.get(usize::from(!is_default)..).unwrap_or_default();
        self.learn(asked, attempt).await;
        wanted.iter().map(|topic| self.route(topic, attempt)).collect()
    }

    async fn learn(&self, topics: &[Rc<str>], attempt: &mut Attempt) {
        let absent = |t: &Rc<str>| self.cluster.topic(t).is_none_or(|t| t.leaders.is_empty() && is_passing(t.error));
        let mut wait = self.settings.backoff;
        for round in 0..ASKED {
            let lacks = topics.iter().any(absent);
            if !lacks && (round > 0 || !self.cluster.is_stale()) {
                return;
            }
            if round > 0 {
                sleep(wait).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
            if let Err(why) = self.cluster.refresh(topics).await {
                attempt.because(|| why);
                attempt.down |= lacks;
                return;
            }
        }
    }

    fn route(&self, topic: &Rc<str>, attempt: &mut Attempt) -> Route {
        let mut route = Route { topic: topic.clone(), partitions: 0, any: 0, refused: None };
        let Some(known) = self.cluster.topic(topic) else { return route };
        route.partitions = known.leaders.len();
        let free = |n: &usize| {
            let led = known.leaders.get(*n).is_some_and(|l| *l >= 0);
            led && !self.is_blocked(topic, *n as i32)
        };
        let able: Vec<usize> = (0..route.partitions).filter(free).collect();
        route.any = match able.get(known.turn % able.len().max(1)) {
            Some(n) => *n,
            None => known.turn % route.partitions.max(1),
        };
        if route.partitions == 0 && known.error != 0 {
            let name = error::name(known.error);
            match known.error {
                error::UNKNOWN_TOPIC_OR_PARTITION => attempt.because(|| {
                    format!(
                        "topic '{topic}' does not exist, and the brokers do not create it by themselves: create it \
                         (kafka-topics.sh --create --topic {topic}), or set auto.create.topics.enable there"
                    )
                }),
                code if error::remedy(code) == error::Remedy::Refused => {
                    route.refused = Some(format!("topic '{topic}' cannot be: {name}").into());
                }
                error::TOPIC_AUTHORIZATION_FAILED => {
                    attempt.because(|| format!("this user may not write to topic '{topic}' ({name})"));
                }
                _ => attempt.because(|| format!("topic '{topic}': {name}")),
            }
            attempt.homeless = true;
        }
        route
    }

    fn is_blocked(&self, topic: &str, partition: i32) -> bool {
        let parked = self.parked.borrow();
        let mut open = parked.iter().flat_map(|p| &p.batches).filter(|b| b.fate != Fate::Settled);
        open.any(|b| b.partition == partition && *b.topic == *topic)
    }

    /// Sends until all is settled, or nothing more can be done now; with `once` a single time.
    async fn run(&self, attempt: &mut Attempt, once: bool) {
        let end = Instant::now() + self.settings.attempt;
        let mut wait = self.settings.backoff;
        loop {
            let round = self.round(attempt, |topic, partition| self.is_blocked(topic, partition)).await;
            let Round { tried, trouble, stale } = round;
            if once || !tried || attempt.down || attempt.settings || attempt.job.next().is_empty() {
                return;
            }
            if !trouble {
                continue;
            }
            if Instant::now() + wait >= end {
                return;
            }
            sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
            if stale {
                let topics: Vec<Rc<str>> = attempt.job.batches.iter().map(|b| b.topic.clone()).collect();
                if let Err(why) = self.cluster.refresh(&topics).await {
                    (attempt.down, attempt.why) = (true, Some(why));
                    return;
                }
            }
        }
    }

    /// Sends what earlier deliveries left in doubt. Answers why nothing at all can be sent now.
    async fn resolve(&self) -> Option<String> {
        let open = |p: &Parked| p.batches.iter().any(|b| b.fate != Fate::Settled);
        if !self.parked.borrow().iter().any(open) {
            return None;
        }
        let mut all = std::mem::take(&mut *self.parked.borrow_mut());
        let topics: Vec<Rc<str>> = all.iter().flat_map(|p| &p.batches).map(|b| b.topic.clone()).collect();
        let mut waiting = self.cluster.refresh(&topics).await.err();
        for parked in all.iter_mut().filter(|p| open(p)) {
            if waiting.is_some() {
                break;
            }
            let mut attempt = Attempt::default();
            std::mem::swap(&mut attempt.job.batches, &mut parked.batches);
            self.run(&mut attempt, true).await;
            std::mem::swap(&mut attempt.job.batches, &mut parked.batches);
            parked.refused.append(&mut attempt.job.refused);
            if attempt.down {
                waiting = attempt.why;
            }
        }
        *self.parked.borrow_mut() = all;
        waiting
    }

    /// What is known already of a payload that comes again.
    fn unpark(&self, payload: &Payload) -> Job {
        let mut parked = self.parked.borrow_mut();
        if !parked.iter().any(|p| p.count == payload.items.len()) {
            return Job::default();
        }
        let this = identity(&payload.bytes, &payload.items, 0..payload.items.len());
        match parked.iter().position(|p| p.count == payload.items.len() && p.identity == this) {
            Some(at) => {
                let Parked { batches, refused, .. } = parked.remove(at);
                Job { batches, refused, homeless: Vec::new() }
            }
            None => Job::default(),
        }
    }

    fn park(&self, parked: Parked) {
        let mut all = self.parked.borrow_mut();
        all.push(parked);
        if all.len() <= MAX_PARKED {
            return;
        }
        // One that nobody asks for any more.
        let oldest = all.iter().position(|p| p.batches.iter().all(|b| b.fate == Fate::Settled)).unwrap_or(0);
        if all.remove(oldest).batches.iter().any(|b| b.fate != Fate::Settled) {
            self.numbers.borrow_mut().reset();
        }
    }

    fn outcome(&self, mut attempt: Attempt, payload: &Payload) -> Outcome {
        if self.numbers.borrow().next.len() > MAX_NUMBERS && self.parked.borrow().is_empty() {
            self.numbers.borrow_mut().reset();
        }
        let mut last: Option<Rc<str>> = None;
        for batch in &attempt.job.batches {
            if last.as_deref() != Some(&*batch.topic) {
                self.cluster.step(&batch.topic);
                last = Some(batch.topic.clone());
            }
        }
        let record = |place: u32| payload.items.get(place as usize).map_or(place, |i| i.1);
        let left = attempt.job.left();
        let refused: Vec<_> = attempt.job.refused.drain(..).map(|(place, why)| (record(place), why)).collect();
        if left.is_empty() {
            let done = refused.is_empty();
            return if done { Outcome::Done } else { Outcome::Part { retry: Vec::new(), why: "".into(), refused } };
        }
        if let Some(parked) = Parked::of(&mut attempt.job, &left, &payload.bytes, &payload.items) {
            self.park(parked);
        }
        let why =
            attempt.why.unwrap_or_else(|| "an earlier batch for the same partition is not answered yet".into()).into();
        if left.len() < payload.items.len() {
            return Outcome::Part { retry: left.into_iter().map(record).collect(), why, refused };
        }
        // With one topic the next chunk would fare no better.
        match attempt.down || (attempt.settings || attempt.homeless) && self.topics.len() == 1 {
            true => Outcome::Down(why),
            false => Outcome::Retry(why),
        }
    }

    /// Asks for a producer id, when there is none.
    pub(super) async fn identify(&self, attempt: &mut Attempt) -> bool {
        if !self.settings.idempotent || self.numbers.borrow().producer.is_some() {
            return true;
        }
        let settings = &*self.settings;
        for broker in self.cluster.some_broker() {
            let make = |version, correlation| {
                request(Api::InitProducerId, version, correlation, &settings.client_id, 0, |w| {
                    sasl::write_init_producer(w, version);
                })
            };
            let answer = match broker.call(settings, Api::InitProducerId, true, make).await {
                Ok((version, bytes)) => {
                    super::link::body(&bytes, Api::InitProducerId, version).and_then(sasl::read_init_producer)
                }
                Err(failure) => {
                    attempt.why = Some(failure.into_words());
                    continue;
                }
            };
            match answer {
                Ok(Ok(id)) => {
                    log::debug!("[{}] producer id {}, epoch {}", settings.label, id.id, id.epoch);
                    *self.numbers.borrow_mut() = Numbers { producer: Some(id), next: FxHashMap::default() };
                    return true;
                }
                Ok(Err(code)) => {
                    let hint = match error::remedy(code) {
                        error::Remedy::Settings => {
                            attempt.settings = true;
                            ": the user needs the right IdempotentWrite on the cluster, or set rdkafka.enable.idempotence false"
                        }
                        _ => "",
                    };
                    attempt.why = Some(format!("{}: no producer id: {}{hint}", broker.target(), error::name(code)));
                    return false;
                }
                Err(e) => attempt.why = Some(format!("{}: its answer cannot be read: {e}", broker.target())),
            }
        }
        attempt.down = true;
        false
    }
}

/// Whether a topic with this error may be there soon.
fn is_passing(code: i16) -> bool {
    code == 0 || error::remedy(code) == error::Remedy::FindLeader
}

/// Whether a request may have been stored.
pub(super) fn is_doubtful(failure: &Failure) -> bool {
    matches!(failure, Failure::Unanswered(_))
}
