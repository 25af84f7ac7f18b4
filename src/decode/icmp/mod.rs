//! ICMP of both versions: who asked whom, what was answered, and what became of other packets.
//!
//! RFC 792, 950, 1191, 2710, 3810, 4443, 4620, 4861, 4884, 4950, 5837, 6275, 8335. Requests are paired with replies by
//! identifier and sequence number; every other message is a document of its own, under `icmp.request` as in Packetbeat,
//! whatever its type.

mod doc;
mod extension;
mod names;
mod parse;
mod quoted;
#[cfg(test)]
mod tests;

use super::{Conversation, Cx, Decoder, Dir, MakeProtocol, Next, Probe, Protocol, Step, Transport};
use crate::time::Time;
use doc::{Keys, Side, Transaction};
use names::{Family, Role, Version};
use parse::{Details, Message, Token};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "icmp",
    doc: "Pings and their replies, errors with the packet they speak of, neighbor discovery, multicast groups.",
    keys: IcmpConf::TABLE,
    over: &[Transport::Icmp],
    probe: |over, data| if over == Transport::Icmp && data.len() >= 2 { Probe::Yes } else { Probe::No },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of icmp.
    pub struct IcmpConf {
        /// How long a request waits for its reply. Default: `Transaction_Timeout`.
        transaction_timeout: Option<Duration> => "icmp.transaction_timeout",
    }
}

/// Requests of one flow that wait. A flow is one pair of addresses, for pings one `ping`: at one a second and a timeout of
/// 10 s ten of them wait. The oldest goes when a flood comes.
const PENDING_MAX: usize = 64;

/// What is kept of an extended echo's question: an address of version 6 with its headers takes 28 bytes, a name 72.
const QUESTION_MAX: usize = 80;

const NO_RESPONSE: &str = "Request was received without an associated response.";
const NO_REQUEST: &str = "Response was received without an associated request.";
const DUPLICATE: &str = "Another request with the same Id and Seq was received so this request was closed without \
                         receiving a response.";
const CUT: &str = "The message was cut off inside its header.";

fn make(cx: &mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>> {
    let conf = IcmpConf::load(cx.section, cx.diags)?;
    let timeout = conf.transaction_timeout.unwrap_or(cx.timeout);
    Some(Box::new(Icmp(Rc::new(Settings { timeout, keys: Keys::new() }))))
}

#[derive(Debug)]
struct Settings {
    timeout: Duration,
    keys: Keys,
}

struct Icmp(Rc<Settings>);

impl Decoder for Icmp {
    fn ports(&self) -> &[u16] {
        &[]
    }

    fn open(&self, _over: Transport) -> Box<dyn Conversation> {
        Box::new(Talk { settings: self.0.clone(), pending: VecDeque::new() })
    }
}

/// A request that waits for its reply.
#[derive(Debug)]
struct Pending {
    from: Dir,
    token: Token,
    request: Side,
    /// What an extended echo asks about; empty otherwise.
    question: Box<[u8]>,
}

/// One flow.
struct Talk {
    settings: Rc<Settings>,
    /// In order of arrival, so in order of expiry.
    pending: VecDeque<Pending>,
}

impl Talk {
    fn request(&mut self, cx: &mut Cx<'_>, from: Dir, token: Token, message: &Message<'_>) {
        // A mirror port shows each packet twice: the first one is closed, as in Packetbeat.
        if let Some(first) = self.take(from, token) {
            self.unanswered(cx, &first, DUPLICATE);
        }
        if self.pending.len() >= PENDING_MAX
            && let Some(oldest) = self.pending.pop_front()
        {
            self.unanswered(cx, &oldest, NO_RESPONSE);
        }
        let question = match token.family {
            Family::ExtendedEcho => message.payload().iter().take(QUESTION_MAX).copied().collect(),
            _ => Box::default(),
        };
        self.pending.push_back(Pending { from, token, request: Side::of(message, cx), question });
        self.wake(cx);
    }

    fn reply(&mut self, cx: &mut Cx<'_>, from: Dir, token: Token, message: &Message<'_>) {
        let response = Some(Side::of(message, cx));
        let (version, requester) = (message.version, from.other());
        let waited = self.take(requester, token);
        let (request, notes): (_, &[&str]) = match &waited {
            Some(p) => (Some(p.request), &[]),
            None => (None, &[NO_REQUEST]),
        };
        let details = waited.as_ref().map_or_else(|| message.details(), |p| Details::of_question(&p.question));
        Transaction { version, requester, request, response, notes }.emit(cx, &self.settings.keys, &details);
    }

    fn take(&mut self, from: Dir, token: Token) -> Option<Pending> {
        let at = self.pending.iter().position(|p| p.token == token && p.from == from)?;
        self.pending.remove(at)
    }

    fn unanswered(&self, cx: &mut Cx<'_>, p: &Pending, note: &str) {
        let version = version(cx);
        Transaction { version, requester: p.from, request: Some(p.request), response: None, notes: &[note] }.emit(
            cx,
            &self.settings.keys,
            &Details::of_question(&p.question),
        );
    }

    /// When the oldest request has waited long enough.
    fn deadline(&self) -> Option<Time> {
        self.pending.front().map(|p| p.request.time.after(self.settings.timeout))
    }

    fn wake(&self, cx: &mut Cx<'_>) {
        if let Some(at) = self.deadline() {
            cx.wake_at(at);
        }
    }

    fn drop_overdue(&mut self, cx: &mut Cx<'_>) {
        while self.deadline().is_some_and(|at| at <= cx.time())
            && let Some(oldest) = self.pending.pop_front()
        {
            self.unanswered(cx, &oldest, NO_RESPONSE);
        }
    }
}

fn version(cx: &Cx<'_>) -> Version {
    if cx.flow().is_v6() { Version::V6 } else { Version::V4 }
}

impl Conversation for Talk {
    fn stream(&mut self, _cx: &mut Cx<'_>, _dir: Dir, buf: &[u8]) -> Step {
        Step { used: buf.len(), next: Next::Done }
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, dir: Dir, data: &[u8]) {
        self.drop_overdue(cx);
        let Some(message) = Message::parse(version(cx), data) else { return };
        match (message.role, message.token()) {
            (Role::Request(_), Some(token)) => self.request(cx, dir, token, &message),
            (Role::Reply(_), Some(token)) => self.reply(cx, dir, token, &message),
            (role, _) => {
                let side = Some(Side::of(&message, cx));
                let notes: &[&str] = if message.is_whole() { &[] } else { &[CUT] };
                let (requester, request, response) = match role {
                    Role::Reply(_) => (dir.other(), None, side),
                    _ => (dir, side, None),
                };
                Transaction { version: message.version, requester, request, response, notes }.emit(
                    cx,
                    &self.settings.keys,
                    &message.details(),
                );
            }
        }
    }

    fn gap(&mut self, _cx: &mut Cx<'_>, _dir: Dir, _lost: u64) {}

    fn close(&mut self, _cx: &mut Cx<'_>, _dir: Option<Dir>) {}

    fn expire(&mut self, cx: &mut Cx<'_>) {
        self.drop_overdue(cx);
        self.wake(cx);
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        while let Some(oldest) = self.pending.pop_front() {
            self.unanswered(cx, &oldest, NO_RESPONSE);
        }
    }

    fn memory(&self) -> usize {
        let questions: usize = self.pending.iter().map(|p| p.question.len()).sum();
        size_of::<Self>() + self.pending.capacity() * size_of::<Pending>() + questions
    }
}
