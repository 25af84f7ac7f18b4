//! Messages of one flow that wait for their counterpart.

use super::name;
use super::wire::{HEADER, Message};
use crate::decode::Dir;
use crate::time::Time;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// When its first byte arrived.
    pub start: Time,
    /// When its last byte arrived; of a transfer, the last message's.
    pub end: Time,
    /// Which way it went.
    pub dir: Dir,
    /// The id, so that not every message has to be read again.
    pub id: u16,
    /// What it waits for.
    pub state: State,
    /// Bytes on the wire, with the length in front of it in TCP.
    pub bytes: u32,
    /// The message.
    pub data: Vec<u8>,
}

/// What a message waits for.
#[derive(Debug)]
pub(super) enum State {
    /// A query for its response.
    Query,
    /// A query whose twin, sent before, was answered: perhaps this one is, too.
    Twin,
    /// A response for its query, which may come late in the capture.
    Response,
    /// A query for a zone for the rest of its responses.
    Transfer(Box<Transfer>),
}

/// Responses of a zone's transfer so far (RFC 5936 §2.2, RFC 1995).
#[derive(Debug)]
pub(super) struct Transfer {
    /// The first of them.
    pub first: Vec<u8>,
    /// Bytes of all on the wire.
    pub bytes: u64,
    /// Their number.
    pub messages: u64,
    /// Answers in all.
    pub answers: u64,
    /// The serial of the SOA that begins and ends it.
    pub serial: Option<u32>,
}

impl Waiting {
    /// Whether it may still be answered by a message that goes the other way.
    pub fn is_query(&self) -> bool {
        matches!(self.state, State::Query | State::Twin)
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        let transfer = match &self.state {
            State::Transfer(t) => size_of::<Transfer>() + t.first.capacity(),
            _ => 0,
        };
        self.data.capacity() + transfer
    }
}

/// All of a flow, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Pending {
    list: Vec<Waiting>,
    held: usize,
}

/// Messages that wait in one flow. A forwarder that asks from one port alone has hundreds in flight.
pub(super) const WAITING_MAX: usize = 1024;

/// Bytes that they may hold in one flow: 1024 queries of usual size, or a few updates of a zone.
pub(super) const HELD_MAX: usize = 256 * 1024;

impl Pending {
    /// Adds a message; answers the oldest one when there are too many.
    pub fn push(&mut self, waiting: Waiting) -> Option<Waiting> {
        let crowded = self.list.len() >= WAITING_MAX || self.held + waiting.memory() > HELD_MAX;
        let oldest = if crowded && !self.list.is_empty() { self.remove(0) } else { None };
        self.held += waiting.memory();
        if self.list.is_empty() {
            // Most flows have one query.
            self.list.reserve_exact(1);
        }
        self.list.push(waiting);
        oldest
    }

    /// Takes a message out.
    pub fn remove(&mut self, at: usize) -> Option<Waiting> {
        if at >= self.list.len() {
            return None;
        }
        let waiting = self.list.remove(at);
        self.held = self.held.saturating_sub(waiting.memory());
        if self.list.is_empty() {
            self.list = Vec::new();
        }
        Some(waiting)
    }

    /// Takes out the first one that `is` holds of.
    pub fn take(&mut self, is: impl FnMut(&Waiting) -> bool) -> Option<Waiting> {
        let at = self.list.iter().position(is)?;
        self.remove(at)
    }

    /// The query that `response` answers, going `dir`: the oldest with its id and question. A response without question
    /// answers any with its id, and a query that could not be read is answered by any.
    pub fn answered_by(&mut self, response: &Message<'_>, dir: Dir) -> Option<Waiting> {
        let found =
            self.take(|w| w.dir != dir && w.is_query() && w.id == response.header.id && fits(&w.data, response))?;
        for twin in self.list.iter_mut().filter(|w| w.dir == found.dir && w.is_query() && w.id == found.id) {
            if fits(&twin.data, response) {
                twin.state = State::Twin;
            }
        }
        Some(found)
    }

    /// The response that came before its query `query`, which goes `dir`.
    pub fn answer_to(&mut self, query: &Message<'_>, dir: Dir) -> Option<Waiting> {
        self.take(|w| {
            w.dir != dir
                && matches!(w.state, State::Response)
                && w.id == query.header.id
                && Message::parse(&w.data).is_some_and(|response| response.same_question(query))
        })
    }

    /// The transfer that `response`, going `dir`, goes on with.
    pub fn transfer(&mut self, response: &Message<'_>, dir: Dir) -> Option<Waiting> {
        self.take(|w| {
            w.dir != dir
                && matches!(w.state, State::Transfer(_))
                && w.id == response.header.id
                && fits(&w.data, response)
        })
    }

    /// The earliest time that `deadline` has for one.
    pub fn earliest(&self, deadline: impl Fn(&Waiting) -> Time) -> Option<Time> {
        self.list.iter().map(deadline).min()
    }

    /// Heap bytes.
    pub fn memory(&self) -> usize {
        self.held + self.list.capacity() * size_of::<Waiting>()
    }
}

/// Whether a response may be one to the query whose bytes these are.
fn fits(query: &[u8], response: &Message<'_>) -> bool {
    let Some(question) = response.question else { return true };
    // Most servers repeat the question byte by byte.
    if question.name == HEADER && response.header.counts[0] == 1 {
        let end = name::skip(response.data, HEADER).map_or(0, |end| end + 4);
        let asked = query.get(HEADER..end);
        if asked.is_some() && asked == response.data.get(HEADER..end) && query.get(4..6) == Some(&[0, 1]) {
            return true;
        }
    }
    Message::parse(query).is_none_or(|query| query.question.is_none() || query.same_question(response))
}
