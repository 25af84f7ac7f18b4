//! Messages of a broker that we subscribe to: a session that the broker keeps, connections that come and go.

use super::flow::{Common, Flow, Rules};
use crate::fmt::mqtt::{DISCONNECT, PINGREQ, Packet, REFUSED, subscribe};
use crate::input::InputCx;
use crate::input::owing::End;
use crate::net::mqtt::Broker;
use crate::rt::{self, now, or};
use crate::util::backoff::Backoff;
use crate::util::rng::Rng;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long it is until the next attempt: two seconds, and after many in vain half a minute.
const PAUSES: Backoff = Backoff { base_secs: 1, cap_secs: 30 };
/// A connection that lasted for so long was a good one.
const LASTED: Duration = Duration::from_secs(10);
/// The number of our only request.
const REQUEST: u16 = 1;

/// What is wanted of which broker.
pub(super) struct Subscriber {
    pub(super) broker: Broker,
    /// Filters of topics.
    pub(super) topics: Rc<[String]>,
    /// The highest quality of service.
    pub(super) qos: u8,
    /// How long we may be silent; zero is for ever.
    pub(super) keep_alive: Duration,
    pub(super) common: Rc<Common>,
}

impl Subscriber {
    /// Subscribes, and connects again whenever a connection ends, until the shutdown.
    pub(super) async fn run(&self, cx: &InputCx) {
        let (mut attempts, granted) = (0, Rc::new(Cell::new(false)));
        let mut seed = [0; 8];
        // Any number will do: it only keeps many of us from coming back at one time.
        let _ = rt::random(&mut seed);
        let mut random = Rng::new(u64::from_ne_bytes(seed));
        cx.count("connections", 0);
        loop {
            let begun = now();
            let end = self.connection(cx, &granted).await;
            if cx.is_stopping() {
                return;
            }
            attempts = if begun.elapsed() >= LASTED { 0 } else { attempts.min(20) + 1 };
            let pause = PAUSES.wait(attempts, &mut random);
            let why = match end {
                Ok(()) => "it has said everything".to_owned(),
                Err(End::Quiet(why)) => why,
                Err(End::Refused(what, why)) => {
                    cx.count(what, 1);
                    why
                }
            };
            log::warn!("[{}] {why}; connecting again in {} s", cx.label(), pause.as_secs());
            if !cx.sleep(pause).await {
                return;
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(&self, cx: &InputCx, granted: &Rc<Cell<bool>>) -> Result<(), End> {
        let stop = async {
            cx.stopping().await;
            Err("the shutdown came first".to_owned())
        };
        let link = or(self.broker.connect(), stop).await?;
        cx.count("connections", 1);
        let session = if link.has_session { "goes on with a session" } else { "begins a session" };
        log::info!("[{}] {} {session}", cx.label(), self.broker.name());
        // A broker that still has our session has our subscriptions, but perhaps not those of this configuration.
        let asks = !granted.get() || !link.has_session;
        let begun = now();
        let rules = Listener {
            label: cx.label().to_owned(),
            topics: self.topics.clone(),
            qos: self.qos,
            keep_alive: self.keep_alive,
            patience: self.broker.patience,
            begun,
            spoke: begun,
            asked: None,
            subscribing: asks.then_some(begun),
            granted: granted.clone(),
        };
        let mut flow = Flow::new(cx.clone(), self.common.clone(), link.wire, rules);
        let named = |end| match end {
            End::Quiet(why) => End::Quiet(format!("{}: {why}", self.broker.name())),
            End::Refused(what, why) => End::Refused(what, format!("{}: {why}", self.broker.name())),
        };
        if asks {
            let mut out = Vec::new();
            subscribe(REQUEST, self.topics.iter().map(|topic| (topic.as_str(), self.qos)), &mut out);
            flow.wire.send(&out).await.map_err(|why| named(End::Quiet(why)))?;
        }
        flow.run().await.map_err(named)?;
        let _ = flow.wire.send(&DISCONNECT).await;
        flow.wire.finish().await;
        Ok(())
    }
}

/// Our side of a connection.
struct Listener {
    label: String,
    topics: Rc<[String]>,
    qos: u8,
    keep_alive: Duration,
    patience: Duration,
    begun: Instant,
    /// When something was sent last.
    spoke: Instant,
    /// When the broker was asked whether it is there, until it says something.
    asked: Option<Instant>,
    /// When we asked for messages, until that is answered.
    subscribing: Option<Instant>,
    /// It was answered once, on this connection or an earlier one.
    granted: Rc<Cell<bool>>,
}

impl Listener {
    /// The answer to our request: for each filter what the broker grants.
    fn judge(&self, codes: &[u8]) -> Result<(), End> {
        if codes.len() != self.topics.len() {
            return Err(End::Refused("protocol errors", "it answers another SUBSCRIBE than ours".into()));
        }
        for (topic, code) in self.topics.iter().zip(codes) {
            match *code {
                REFUSED => log::error!("[{}] the broker refuses the subscription to '{topic}'", self.label),
                qos if qos < self.qos => {
                    let what = "messages may be lost when a connection breaks";
                    log::warn!("[{}] the broker grants QoS {qos} only for '{topic}': {what}", self.label);
                }
                _ => {}
            }
        }
        match codes.iter().all(|code| *code == REFUSED) {
            true => Err(End::Refused("refused subscriptions", "it refuses all subscriptions".into())),
            false => {
                self.granted.set(true);
                Ok(())
            }
        }
    }
}

impl Rules for Listener {
    fn control(&mut self, packet: Packet<'_>, _: &mut Vec<u8>) -> Result<(), End> {
        match packet {
            Packet::PingResp => Ok(()),
            Packet::SubAck { id: REQUEST, codes } if self.subscribing.take().is_some() => self.judge(codes),
            _ => Err(End::Refused("protocol errors", "it sends a packet that answers nothing".into())),
        }
    }

    fn ended(&self, now: Instant) -> Result<(), End> {
        let soon = now.saturating_duration_since(self.begun) < Duration::from_secs(2);
        let hint = if soon { " at once (has another client the same Client_ID, or may we not subscribe?)" } else { "" };
        Err(End::Quiet(format!("it closed the connection{hint}")))
    }

    fn heard(&mut self, now: Instant) {
        self.asked = None;
        self.subscribing = self.subscribing.map(|_| now);
    }

    fn spoke(&mut self, now: Instant) {
        self.spoke = now;
    }

    fn due(&self) -> Option<Instant> {
        // A quarter of the time is for the way there.
        let ask = (!self.keep_alive.is_zero()).then(|| self.spoke + self.keep_alive * 3 / 4);
        let waits = [self.asked, self.subscribing].into_iter().flatten().map(|since| since + self.patience);
        waits.chain(ask.filter(|_| self.asked.is_none())).min()
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), End> {
        if self.due().is_none_or(|due| now < due) {
            return Ok(());
        }
        if [self.asked, self.subscribing].into_iter().flatten().any(|since| since + self.patience <= now) {
            return Err(End::Quiet(format!("no answer within {:?} (Timeout)", self.patience)));
        }
        self.asked = Some(now);
        out.extend_from_slice(&PINGREQ);
        Ok(())
    }
}
