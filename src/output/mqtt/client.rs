//! Messages on their way to the broker: as many as allowed before the first acknowledgement, and what became of each.

use crate::fmt::mqtt::{Packet, Publish, Reply, is_topic, publish};
use crate::net::mqtt::{Broker, Link};
use crate::output::{Outcome, Payload, Why};
use crate::rt::{Task, now, sleep_until, spawn};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The head of a message in a payload, in bytes.
pub(super) const HEAD: usize = 3;
/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// Bytes of a topic that a reason shows.
const SHOWN: usize = 100;

/// How messages are sent.
#[derive(Debug)]
pub(super) struct Settings {
    /// Each is acknowledged (QoS 1).
    pub(super) acknowledged: bool,
    /// The broker keeps the last one.
    pub(super) retain: bool,
    /// So many are sent before the first of them is acknowledged.
    pub(super) window: usize,
    /// The longest one with its topic, in bytes.
    pub(super) most: usize,
    /// Why a record without the wanted field is refused.
    pub(super) missing: String,
    /// How long an unused connection is kept.
    pub(super) idle: Duration,
}

/// The broker, and the connection that is kept.
pub(super) struct Client {
    broker: Broker,
    settings: Settings,
    kept: RefCell<Option<Kept>>,
}

/// A connection that is not used just now. Its task answers for it to the broker, and closes it in time.
struct Kept {
    link: Rc<RefCell<Option<Link>>>,
    _task: Task<()>,
}

/// A message of a payload.
struct Message<'p> {
    topic: &'p str,
    payload: &'p [u8],
    record: u32,
    done: bool,
}

impl Client {
    pub(super) fn new(broker: Broker, settings: Settings) -> Self {
        Self { broker, settings, kept: RefCell::default() }
    }

    /// Publishes the messages of a payload. When a kept connection turns out to be dead, once more over a new one.
    pub(super) async fn deliver(&self, payload: &Payload) -> Outcome {
        let (mut messages, refused) = self.messages(payload);
        if messages.is_empty() {
            return outcome(&messages, refused, None);
        }
        if let Some(mut link) = self.take() {
            link.reuse();
            let why = match link.wire.is_open().await {
                true => self.publish(&mut link, &mut messages).await,
                false => Err("the broker closed it".to_owned()),
            };
            match why {
                Ok(()) => self.keep(link),
                Err(why) if !messages.iter().any(|m| m.done) => {
                    log::debug!("[net] {}: {why}; connecting anew", self.broker.name());
                    return self.anew(messages, refused).await;
                }
                Err(why) => return outcome(&messages, refused, Some(self.named(&why))),
            }
            return outcome(&messages, refused, None);
        }
        self.anew(messages, refused).await
    }

    async fn anew(&self, mut messages: Vec<Message<'_>>, refused: Vec<(u32, Why)>) -> Outcome {
        let mut link = match self.broker.connect().await {
            Ok(link) => link,
            Err(why) => return outcome(&messages, refused, Some(why)),
        };
        match self.publish(&mut link, &mut messages).await {
            Ok(()) => {
                self.keep(link);
                outcome(&messages, refused, None)
            }
            Err(why) => outcome(&messages, refused, Some(self.named(&why))),
        }
    }

    fn named(&self, why: &str) -> String {
        format!("{}: {why}", self.broker.name())
    }

    /// The messages of a payload, and the records of which none can be made.
    fn messages<'p>(&self, payload: &'p Payload) -> (Vec<Message<'p>>, Vec<(u32, Why)>) {
        let (mut messages, mut refused, mut from) = (Vec::with_capacity(payload.items.len()), Vec::new(), 0);
        for &(end, record) in &payload.items {
            let whole = payload.bytes.get(from..end as usize).unwrap_or_default();
            from = end as usize;
            let Some(([lacks, high, low], rest)) = whole.split_first_chunk::<HEAD>() else { continue };
            let (topic, payload) = rest.split_at_checked(u16::from_be_bytes([*high, *low]).into()).unwrap_or_default();
            match std::str::from_utf8(topic).ok().filter(|topic| is_topic(topic)) {
                _ if *lacks != 0 => refused.push((record, self.settings.missing.clone().into())),
                None => {
                    let shown = String::from_utf8_lossy(topic.get(..SHOWN).unwrap_or(topic)).into_owned();
                    refused.push((record, format!("'{shown}' cannot be a topic (Topic)").into()));
                }
                Some(topic) if topic.len() + payload.len() + 4 > self.settings.most => {
                    let why = format!("a message of {} bytes is too long (Max_Packet_Size)", payload.len());
                    refused.push((record, why.into()));
                }
                Some(topic) => messages.push(Message { topic, payload, record, done: false }),
            }
        }
        (messages, refused)
    }

    async fn publish(&self, link: &mut Link, messages: &mut [Message<'_>]) -> Result<(), String> {
        let Settings { acknowledged, retain, window, .. } = self.settings;
        // Numbers that are not acknowledged yet, each with its message.
        let mut open: VecDeque<(u16, usize)> = VecDeque::new();
        let (mut sent, mut out) = (0, Vec::new());
        while sent < messages.len() || !open.is_empty() {
            out.clear();
            while open.len() < window
                && out.len() < PIECE
                && let Some(m) = messages.get(sent)
            {
                let (qos, id) = if acknowledged { (1, link.next_id()) } else { (0, 0) };
                let _ = publish(
                    &Publish { topic: m.topic, payload: m.payload, qos, id, retain, ..Publish::default() },
                    &mut out,
                );
                if acknowledged {
                    open.push_back((id, sent));
                }
                sent += 1;
            }
            if !out.is_empty() {
                link.send(&out).await?;
            }
            if open.len() < window && sent < messages.len() {
                continue;
            }
            if !open.is_empty() {
                let n = link.wire.fill().await?;
                if n == 0 {
                    return Err("it closed the connection".into());
                }
            }
            while let Some(packet) = link.wire.packet().map_err(|wrong| wrong.to_string())? {
                let Packet::Reply(Reply::PubAck, id) = packet else { continue };
                // In the order of the messages, where the broker is as it should be (4.6).
                if let Some(at) = open.iter().position(|(other, _)| *other == id)
                    && let Some((_, n)) = open.remove(at)
                    && let Some(message) = messages.get_mut(n)
                {
                    message.done = true;
                }
            }
        }
        if !acknowledged {
            link.flushed().await?;
            messages.iter_mut().for_each(|m| m.done = true);
        }
        Ok(())
    }

    fn take(&self) -> Option<Link> {
        self.kept.take()?.link.take()
    }

    fn keep(&self, link: Link) {
        if !link.is_kept() {
            return spawn(link.close()).detach();
        }
        let until = now() + self.settings.idle;
        let link = Rc::new(RefCell::new(Some(link)));
        let held = link.clone();
        let task = spawn(async move {
            loop {
                let due = held.borrow().as_ref().and_then(Link::due);
                sleep_until(due.map_or(until, |due| due.min(until))).await;
                let Some(mut link) = held.take() else { return };
                if now() >= until {
                    return link.close().await;
                }
                if !link.wire.is_open().await || link.ping().await.is_err() {
                    return;
                }
                held.replace(Some(link));
            }
        });
        self.kept.replace(Some(Kept { link, _task: task }));
    }

    pub(super) async fn close(&self) {
        if let Some(link) = self.take() {
            link.close().await;
        }
    }
}

/// What became of a delivery that ended for this reason, if any.
fn outcome(messages: &[Message<'_>], refused: Vec<(u32, Why)>, why: Option<String>) -> Outcome {
    let why: Why = why.unwrap_or_default().into();
    let is_untouched = !messages.is_empty() && !messages.iter().any(|m| m.done);
    if is_untouched && refused.is_empty() {
        return Outcome::Down(why);
    }
    let retry: Vec<u32> = messages.iter().filter(|m| !m.done).map(|m| m.record).collect();
    match retry.is_empty() && refused.is_empty() {
        true => Outcome::Done,
        false => Outcome::Part { retry, why, refused },
    }
}
