//! Which response answers which request: first in, first out (RFC 9112 §9.3.2), and what losses do to that.

use super::head::Version;
use super::message::{Kind, Message};
use super::notes::Note;
use std::collections::VecDeque;

/// Exchanges that wait on one connection; clients that pipeline send a few requests ahead.
pub(super) const WAITING_MAX: usize = 128;

/// A request, its response, or both.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) request: Option<Box<Message>>,
    pub(super) response: Option<Box<Message>>,
}

impl Exchange {
    fn is_waiting(&self) -> bool {
        self.response.is_none()
    }

    /// Whether both sides were seen to their ends.
    fn is_complete(&self) -> bool {
        self.request.as_ref().is_some_and(|m| m.done) && self.response.as_ref().is_some_and(|m| m.done)
    }

    /// Adds a note to the request, or to the response where there is none.
    pub(super) fn note(&mut self, note: Note) {
        if let Some(m) = self.request.as_mut().or(self.response.as_mut()) {
            m.notes.add(note);
        }
    }
}

/// The exchanges of one connection that are not written yet, in the order of their requests.
#[derive(Debug, Default)]
pub(super) struct Queue {
    list: VecDeque<Exchange>,
    /// Requests that were given up, in front of all others; their responses may still come.
    given_up: u32,
    /// The client was seen to send a request before the last one was answered.
    pipelines: bool,
    /// Bytes of the responses' direction were lost where a response could have begun.
    lost: bool,
}

impl Queue {
    /// Requests that have no response yet.
    pub(super) fn waiting(&self) -> usize {
        self.list.iter().filter(|e| e.is_waiting()).count()
    }

    /// Exchanges of any kind.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&Exchange> {
        self.list.front()
    }

    /// Takes the first one.
    pub(super) fn pop(&mut self) -> Option<Exchange> {
        let popped = self.list.pop_front();
        // A burst must not be paid for by a connection that then stays open.
        if self.list.is_empty() && self.list.capacity() > 16 {
            self.list = VecDeque::new();
        }
        popped
    }

    /// Takes the first one when nothing more can happen to it. `holds`: a response whose request was not seen waits for it.
    pub(super) fn pop_ready(&mut self, holds: bool) -> Option<Exchange> {
        let first = self.list.front()?;
        let alone = first.request.is_none() && first.response.as_ref().is_some_and(|m| m.done && (m.stray || !holds));
        if first.is_complete() || alone { self.pop() } else { None }
    }

    /// Takes the oldest request without a response: its response, should it come, will answer nothing.
    pub(super) fn give_up(&mut self) -> Option<Exchange> {
        let at = self.list.iter().position(Exchange::is_waiting)?;
        self.given_up = self.given_up.saturating_add(1);
        self.list.remove(at)
    }

    /// Takes a waiting request whose response was lost: none will come.
    fn pop_lost(&mut self) -> Option<Exchange> {
        let at = self.list.iter().position(Exchange::is_waiting)?;
        let mut e = self.list.remove(at)?;
        e.note(Note::LostResponse);
        Some(e)
    }

    /// Bytes of the responses' direction are missing between two messages or in a head: at least one response is lost.
    /// Call [`Queue::take_lost`] then.
    pub(super) fn lose_response(&mut self) {
        self.given_up = 0;
        self.lost = true;
    }

    /// After a loss: a request that cannot be answered any more, when the next message, of `kind`, begins.
    ///
    /// A client that does not pipeline sends a request when the one before is answered. So a new request says that all
    /// before it were, and a response answers the last one. Of one that pipelines, the first is taken for lost.
    pub(super) fn take_lost(&mut self, kind: Kind) -> Option<Exchange> {
        if !self.lost {
            return None;
        }
        let left = if self.pipelines || kind == Kind::Request { 0 } else { 1 };
        if self.waiting() > left {
            self.lost = !self.pipelines;
            return self.pop_lost();
        }
        self.lost = false;
        None
    }

    /// Adds a request; a response that came before it is its own.
    pub(super) fn push_request(&mut self, request: Box<Message>) {
        let free = |e: &&mut Exchange| e.request.is_none() && e.response.as_ref().is_some_and(|m| !m.stray);
        match self.list.iter_mut().find(free) {
            Some(exchange) => exchange.request = Some(request),
            None => self.list.push_back(Exchange { request: Some(request), response: None }),
        }
    }

    /// Where the response that begins now belongs. Call it once for each.
    pub(super) fn place(&mut self) -> Place {
        if self.given_up > 0 {
            self.given_up -= 1;
            return Place::Stray;
        }
        match self.list.iter().position(Exchange::is_waiting) {
            Some(at) => {
                self.pipelines |= self.list.len() > at + 1;
                Place::Answer(at)
            }
            None => Place::Early,
        }
    }

    /// Method and version of the request at a place; empty when it is unknown.
    pub(super) fn request_at(&self, place: Place) -> Option<&Message> {
        let Place::Answer(at) = place else { return None };
        self.list.get(at)?.request.as_deref()
    }

    /// Adds a response at its place.
    pub(super) fn push_response(&mut self, place: Place, mut response: Box<Message>) {
        match place {
            Place::Answer(at) => {
                if let Some(e) = self.list.get_mut(at) {
                    e.response = Some(response);
                }
            }
            Place::Early => self.list.push_back(Exchange { request: None, response: Some(response) }),
            Place::Stray => {
                response.stray = true;
                self.list.push_front(Exchange { request: None, response: Some(response) });
            }
        }
    }

    /// The message of a kind that is being received.
    pub(super) fn current(&mut self, kind: Kind) -> Option<&mut Message> {
        let open = |m: &&mut Box<Message>| !m.done;
        let mut all = self.list.iter_mut();
        let found = match kind {
            Kind::Request => all.rev().find_map(|e| e.request.as_mut().filter(open)),
            Kind::Response => all.find_map(|e| e.response.as_mut().filter(open)),
        };
        found.map(|m| &mut **m)
    }

    /// Bytes of heap memory.
    pub(super) fn memory(&self) -> usize {
        let of = |m: &Option<Box<Message>>| m.as_ref().map_or(0, |m| m.memory());
        let messages: usize = self.list.iter().map(|e| of(&e.request) + of(&e.response)).sum();
        self.list.capacity() * size_of::<Exchange>() + messages
    }
}

/// Where a response belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It answers the request of this exchange.
    Answer(usize),
    /// Its request was not seen (yet).
    Early,
    /// It answers a request that was given up.
    Stray,
}

/// Whether a version is that of HTTP/2's connection preface (RFC 9113 §3.4).
pub(super) fn is_preface(method: &[u8], target: &[u8], version: Version) -> bool {
    method == b"PRI" && target == b"*" && version.0 == 2
}
