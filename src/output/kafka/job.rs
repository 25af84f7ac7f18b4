//! What a delivery comes to: batches for partitions, each with what is known of its fate. Pure.

use super::message::messages;
use super::partition::Partitioner;
use crate::fmt::kafka::Compression;
use crate::fmt::kafka::record::{HEAD, Head, read_batch, record_len, write_batch, write_record};
use crate::fmt::kafka::sasl::ProducerId;
use crate::output::Why;
use crate::util::sort;
use rustc_hash::FxHashMap;
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

/// What is known of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No broker has it.
    New,
    /// It was sent with these numbers, and no broker said what became of it.
    Unsure(ProducerId, i32),
    /// Stored, or refused.
    Settled,
}

/// Messages for one partition that are stored together or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The topic.
    pub topic: Rc<str>,
    /// The partition.
    pub partition: i32,
    /// The records, packed.
    pub records: Vec<u8>,
    /// Their size before packing.
    pub plain: usize,
    /// How they are packed.
    pub compression: Compression,
    /// The place of each message among those of the payload.
    pub places: Vec<u32>,
    /// What is known of it.
    pub fate: Fate,
}

impl Batch {
    /// The number of messages.
    pub fn count(&self) -> i32 {
        self.places.len() as i32
    }

    /// Packs the records, which are still plain.
    pub fn pack(&mut self, compression: Compression, level: Option<u32>) {
        self.plain = self.records.len();
        if compression != Compression::None {
            let mut packed = Vec::with_capacity(self.plain / 3);
            compression.pack(level, &self.records, &mut packed);
            self.records = packed;
        }
        self.compression = compression;
    }

    /// The batch in parts: of each message `pick` says to which it belongs, or to none. Empty when it cannot be read, which it
    /// was written to be.
    pub fn split(&self, parts: usize, level: Option<u32>, pick: impl Fn(usize) -> Option<usize>) -> Vec<Self> {
        // Reading wants a whole batch.
        let mut whole = Vec::new();
        let head = Head { compression: self.compression, timestamp: 0, producer: None, count: self.count() };
        write_batch(&head, &self.records, &mut whole);
        let Ok(read) = read_batch(&whole, self.plain) else { return Vec::new() };
        let empty = || Self { records: Vec::new(), places: Vec::new(), fate: Fate::New, ..self.bare() };
        let mut all: Vec<Self> = (0..parts).map(|_| empty()).collect();
        for (n, (record, place)) in read.records().zip(&self.places).enumerate() {
            let (Ok(record), Some(part)) = (record, pick(n).and_then(|p| all.get_mut(p))) else { continue };
            write_record(part.count(), record.key, record.value.unwrap_or_default(), &mut part.records);
            part.places.push(*place);
        }
        all.retain(|b| !b.places.is_empty());
        all.iter_mut().for_each(|b| b.pack(self.compression, level));
        all
    }

    fn bare(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            partition: self.partition,
            records: Vec::new(),
            plain: 0,
            compression: self.compression,
            places: Vec::new(),
            fate: Fate::New,
        }
    }
}

/// Where the messages of one topic go.
#[derive(Debug, Clone)]
pub struct Route {
    /// The topic.
    pub topic: Rc<str>,
    /// The number of partitions; 0 when the topic is not there.
    pub partitions: usize,
    /// The partition for messages that may go to any.
    pub any: usize,
    /// Whether it can never be there, in the broker's words.
    pub refused: Option<Why>,
}

/// A delivery.
#[derive(Debug, Default)]
pub struct Job {
    /// Its batches; those of one partition in order.
    pub batches: Vec<Batch>,
    /// Places of messages that can never be stored, with the reason.
    pub refused: Vec<(u32, Why)>,
    /// Places of messages whose topic is not there.
    pub homeless: Vec<u32>,
}

/// What batches are made with.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The routes, the default topic's first.
    pub routes: &'a [Route],
    /// The largest batch, in bytes; a message that is larger has one of its own.
    pub batch_bytes: usize,
    /// The largest message.
    pub message_bytes: usize,
    /// Which partition a message goes to.
    pub partitioner: Partitioner,
    /// The reason for messages without a value.
    pub missing: &'a str,
}

impl Job {
    /// Adds the messages of a payload, but for those in `batches` already, as plain batches.
    pub fn fill(&mut self, bytes: &[u8], items: &[(u32, u32)], rules: &Rules<'_>) {
        let mut done = vec![false; items.len()];
        for place in self.batches.iter().flat_map(|b| &b.places) {
            if let Some(slot) = done.get_mut(*place as usize) {
                *slot = true;
            }
        }
        // The batch of each partition that still grows, and of the partition before it.
        let (mut open, mut last) = (FxHashMap::<(usize, usize), usize>::default(), None);
        for (place, message) in
            messages(bytes, items).enumerate().filter(|(n, _)| !done.get(*n).copied().unwrap_or(true))
        {
            let place = place as u32;
            let Some(value) = message.value else {
                self.refused.push((place, rules.missing.to_owned().into()));
                continue;
            };
            let route = match message.topic {
                None => 0,
                Some(topic) => rules.routes.iter().position(|r| &*r.topic == topic).unwrap_or(usize::MAX),
            };
            let Some(to) = rules.routes.get(route).filter(|r| r.partitions > 0) else {
                match rules.routes.get(route).and_then(|r| r.refused.clone()) {
                    Some(why) => self.refused.push((place, why)),
                    None => self.homeless.push(place),
                }
                continue;
            };
            let size = message.key.map_or(0, <[u8]>::len) + value.len();
            if size > rules.message_bytes {
                let why = format!(
                    "a message of {size} bytes is larger than rdkafka.message.max.bytes ({})",
                    rules.message_bytes
                );
                self.refused.push((place, why.into()));
                continue;
            }
            let partition = rules.partitioner.of(message.key, to.partitions).unwrap_or(to.any);
            let at = match last {
                Some((route_, partition_, at)) if (route_, partition_) == (route, partition) => Some(at),
                _ => open.get(&(route, partition)).copied(),
            };
            let fits = |b: &&mut Batch| {
                HEAD + b.records.len() + record_len(b.count(), message.key, value) <= rules.batch_bytes
            };
            match at.and_then(|at| self.batches.get_mut(at).map(|b| (at, b))).filter(|(_, b)| fits(b)) {
                Some((at, batch)) => {
                    batch.push(place, message.key, value);
                    last = Some((route, partition, at));
                }
                None => {
                    let mut batch = Batch {
                        topic: to.topic.clone(),
                        partition: partition as i32,
                        records: Vec::new(),
                        plain: 0,
                        compression: Compression::None,
                        places: Vec::new(),
                        fate: Fate::New,
                    };
                    batch.push(place, message.key, value);
                    self.batches.push(batch);
                    let at = self.batches.len() - 1;
                    open.insert((route, partition), at);
                    last = Some((route, partition, at));
                }
            }
        }
    }

    /// The first unsettled batch of each partition.
    pub fn next(&self) -> Vec<usize> {
        let mut seen: Vec<(&str, i32)> = Vec::new();
        let mut found = Vec::new();
        for (n, batch) in self.batches.iter().enumerate().filter(|(_, b)| b.fate != Fate::Settled) {
            let home = (&*batch.topic, batch.partition);
            if !seen.contains(&home) {
                seen.push(home);
                found.push(n);
            }
        }
        found
    }

    /// Places of messages that are neither stored nor refused, in order.
    pub fn left(&self) -> Vec<u32> {
        let open = self.batches.iter().filter(|b| b.fate != Fate::Settled);
        let mut left: Vec<u32> = open.flat_map(|b| &b.places).chain(&self.homeless).copied().collect();
        sort::ascending(&mut left);
        left
    }
}

impl Batch {
    fn push(&mut self, place: u32, key: Option<&[u8]>, value: &[u8]) {
        write_record(self.count(), key, value, &mut self.records);
        self.places.push(place);
    }
}

/// The part of a delivery whose fate is not known: kept until the same messages come again, so that they are sent with
/// the same numbers and brokers see that they have them already.
#[derive(Debug)]
pub struct Parked {
    /// What the messages that are left hash to.
    pub identity: u64,
    /// How many are left.
    pub count: usize,
    /// The batches that were sent; places are those among the messages that are left.
    pub batches: Vec<Batch>,
    /// Places of messages that turned out to be refused.
    pub refused: Vec<(u32, Why)>,
}

impl Parked {
    /// What is to be kept of a job that ends with `left`.
    pub fn of(job: &mut Job, left: &[u32], bytes: &[u8], items: &[(u32, u32)]) -> Option<Self> {
        let unsure = |b: &Batch| matches!(b.fate, Fate::Unsure(..));
        if !job.batches.iter().any(unsure) {
            return None;
        }
        let mut batches: Vec<Batch> = std::mem::take(&mut job.batches).into_iter().filter(unsure).collect();
        for place in batches.iter_mut().flat_map(|b| &mut b.places) {
            *place = left.binary_search(place).unwrap_or(usize::MAX) as u32;
        }
        let identity = identity(bytes, items, left.iter().map(|p| *p as usize));
        Some(Self { identity, count: left.len(), batches, refused: Vec::new() })
    }
}

/// A hash of these messages of a payload.
pub fn identity(bytes: &[u8], items: &[(u32, u32)], places: impl Iterator<Item = usize>) -> u64 {
    let mut hash = DefaultHasher::new();
    let end = |n: usize| items.get(n).map_or(0, |i| i.0 as usize);
    for n in places {
        let start = n.checked_sub(1).map_or(0, end);
        let message = bytes.get(start..end(n)).unwrap_or_default();
        hash.write_usize(message.len());
        hash.write(message);
    }
    hash.finish()
}
