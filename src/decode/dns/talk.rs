//! What is known of one flow: pairing, timeouts, notes.

use super::code::rtype;
use super::doc::{self, RELATED_MAX, Transaction};
use super::framing::Framing;
use super::notes;
use super::pending::{Pending, State, Transfer, Waiting};
use super::wire::{Header, Message, Section};
use super::{Shared, framing};
use crate::decode::{Conversation, Cx, Dir, Head, Step, Transport};
use crate::time::Time;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long a response waits for its query: captures from several queues have packets some milliseconds late.
const LATE: Duration = Duration::from_millis(100);

/// Bytes of a message over UDP without EDNS (RFC 1035 §4.2.1).
const PLAIN_MAX: usize = 512;

/// One flow.
#[derive(Debug)]
pub(super) struct Talk {
    shared: Rc<Shared>,
    pending: Pending,
    pub(super) framing: [Framing; 2],
    over: Transport,
}

/// A message as it was captured.
#[derive(Debug, Clone, Copy)]
struct Arrived<'a> {
    msg: &'a Message<'a>,
    dir: Dir,
    start: Time,
    end: Time,
    bytes: u64,
}

/// One or both sides of a transaction, ready to be written.
#[derive(Debug, Default, Clone, Copy)]
struct Sides<'a> {
    query: Option<Arrived<'a>>,
    response: Option<Arrived<'a>>,
}

/// How a flow's messages belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Queries and responses.
    Pairs,
    /// Multicast DNS and LLMNR: a response comes from another address than the query went to, or was not asked for.
    Alone,
    /// To or from a port of theirs between two hosts: pairs where there are any.
    Both,
}

impl Talk {
    /// A new flow.
    pub fn new(shared: Rc<Shared>, over: Transport) -> Self {
        Self { shared, pending: Pending::default(), framing: Default::default(), over }
    }

    /// A message that is complete, `bytes` long on the wire.
    pub(super) fn message(&mut self, cx: &mut Cx<'_>, dir: Dir, start: Time, data: &[u8], bytes: u64) {
        let end = cx.time();
        let Some(msg) = Message::parse(data) else {
            return self.unreadable(cx, dir, start, bytes, notes::BAD_QUERY);
        };
        let arrived = Arrived { msg: &msg, dir, start, end, bytes };
        let manner = manner(cx, dir);
        match (manner, msg.header.is_response()) {
            (Manner::Alone, _) => self.alone(cx, arrived),
            (_, false) => self.query(cx, arrived),
            (_, true) => self.response(cx, arrived, manner),
        }
    }

    fn query(&mut self, cx: &mut Cx<'_>, query: Arrived<'_>) {
        if let Some(early) = self.pending.answer_to(query.msg, query.dir) {
            if let Some(msg) = Message::parse(&early.data) {
                let response = Arrived {
                    msg: &msg,
                    dir: early.dir,
                    start: early.start,
                    end: early.end,
                    bytes: early.bytes.into(),
                };
                self.emit(cx, Sides { query: Some(query), response: Some(response) }, &[]);
            }
            return self.shared.give_back(early.data);
        }
        self.wait(cx, query, State::Query);
    }

    fn response(&mut self, cx: &mut Cx<'_>, response: Arrived<'_>, manner: Manner) {
        if self.over == Transport::Tcp
            && let Some(transfer) = self.pending.transfer(response.msg, response.dir)
        {
            return self.go_on(cx, transfer, response);
        }
        match self.pending.answered_by(response.msg, response.dir) {
            Some(asked) => self.pair(cx, asked, response),
            None if manner == Manner::Both => self.alone(cx, response),
            None => self.wait(cx, response, State::Response),
        }
    }

    /// A response to a query that was seen.
    fn pair(&mut self, cx: &mut Cx<'_>, mut asked: Waiting, response: Arrived<'_>) {
        let Some(msg) = Message::parse(&asked.data) else { return };
        if self.over == Transport::Tcp && begins_transfer(&msg, response.msg) {
            let transfer = Transfer {
                first: response.msg.data.to_vec(),
                bytes: response.bytes,
                messages: 1,
                answers: response.msg.count(Section::Answers).into(),
                serial: first_serial(response.msg),
            };
            asked.end = response.end;
            asked.state = State::Transfer(Box::new(transfer));
            return self.put(cx, asked);
        }
        let query = of_waiting(&asked, &msg);
        self.emit(cx, Sides { query: Some(query), response: Some(response) }, &[]);
        self.shared.give_back(asked.data);
    }

    /// A further response of a zone's transfer.
    fn go_on(&mut self, cx: &mut Cx<'_>, mut asked: Waiting, response: Arrived<'_>) {
        let State::Transfer(transfer) = &mut asked.state else { return };
        transfer.bytes = transfer.bytes.saturating_add(response.bytes);
        transfer.messages += 1;
        transfer.answers += u64::from(response.msg.count(Section::Answers));
        asked.end = response.end;
        if response.msg.header.rcode() != 0 || !response.msg.whole {
            self.let_go(cx, asked, &[notes::CUT_TRANSFER]);
        } else if last_serial(response.msg).is_some_and(|serial| transfer.serial == Some(serial)) {
            self.let_go(cx, asked, &[]);
        } else {
            self.put(cx, asked);
        }
    }

    /// A message that is a document of its own.
    fn alone(&mut self, cx: &mut Cx<'_>, message: Arrived<'_>) {
        let sides = if message.msg.header.is_response() {
            Sides { response: Some(message), query: None }
        } else {
            Sides { query: Some(message), response: None }
        };
        self.emit(cx, sides, &[]);
    }

    /// Keeps a message until its counterpart comes.
    fn wait(&mut self, cx: &mut Cx<'_>, message: Arrived<'_>, state: State) {
        let mut data = self.shared.buffer();
        data.extend_from_slice(message.msg.data);
        let Arrived { msg, dir, start, end, bytes } = message;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.put(cx, Waiting { start, end, dir, id: msg.header.id, state, bytes, data });
    }

    fn put(&mut self, cx: &mut Cx<'_>, waiting: Waiting) {
        cx.wake_at(self.deadline(&waiting));
        if let Some(oldest) = self.pending.push(waiting) {
            let crowded = if oldest.is_query() { notes::CROWDED } else { note_of(&oldest) };
            self.let_go(cx, oldest, &[crowded]);
        }
    }

    fn deadline(&self, waiting: &Waiting) -> Time {
        let (from, patience) = match waiting.state {
            State::Query | State::Twin => (waiting.start, self.shared.settings.timeout),
            State::Response => (waiting.end, LATE.min(self.shared.settings.timeout)),
            State::Transfer(_) => (waiting.end, self.shared.settings.timeout),
        };
        from.after(patience)
    }

    /// Writes what waited in vain, or a transfer that is over.
    fn let_go(&mut self, cx: &mut Cx<'_>, waiting: Waiting, why: &[&'static str]) {
        if let Some(msg) = Message::parse(&waiting.data) {
            let mine = of_waiting(&waiting, &msg);
            match &waiting.state {
                State::Query | State::Twin => self.emit(cx, Sides { query: Some(mine), response: None }, why),
                State::Response => self.emit(cx, Sides { query: None, response: Some(mine) }, why),
                State::Transfer(transfer) => self.emit_transfer(cx, mine, &waiting, transfer, why),
            }
        }
        self.shared.give_back(waiting.data);
    }

    fn emit_transfer(
        &mut self,
        cx: &mut Cx<'_>,
        query: Arrived<'_>,
        waiting: &Waiting,
        transfer: &Transfer,
        why: &[&'static str],
    ) {
        let Some(first) = Message::parse(&transfer.first) else { return };
        let dir = waiting.dir.other();
        let response = Arrived { msg: &first, dir, start: waiting.end, end: waiting.end, bytes: transfer.bytes };
        let query = Arrived { end: query.start, ..query };
        let sides = Sides { query: Some(query), response: Some(response) };
        self.emit_all(cx, sides, why, Some((transfer.answers, transfer.messages)));
    }

    fn emit(&mut self, cx: &mut Cx<'_>, sides: Sides<'_>, why: &[&'static str]) {
        self.emit_all(cx, sides, why, None);
    }

    fn emit_all(&mut self, cx: &mut Cx<'_>, sides: Sides<'_>, why: &[&'static str], transfer: Option<(u64, u64)>) {
        let Sides { query, response } = sides;
        let Some(any) = query.or(response) else { return };
        let manner = manner(cx, any.dir);
        let multicast = [Dir::Forward, Dir::Back].iter().any(|dir| cx.flow().port(*dir) == MDNS);
        let mut notes: heapless::Vec<&'static str, 8> = heapless::Vec::new();
        let mut note = |text| {
            // There are fewer than eight.
            let _ = notes.push(text);
        };
        why.iter().for_each(|why| note(why));
        self.remarks(query, response, manner, &mut note);
        let mut head = Head::new("dns", any.dir);
        if query.is_none() && manner == Manner::Pairs {
            head.requester = any.dir.other();
        }
        head.start = query.map(|q| q.start);
        head.end = response.map(|r| r.end);
        head.bytes = [query.map(|q| q.bytes), response.map(|r| r.bytes)];
        if query.is_none() && manner != Manner::Pairs {
            // Nobody asked: who speaks is the source.
            head.bytes.reverse();
        }
        let answered = response.map_or(manner == Manner::Alone, |r| r.msg.rcode() == 0);
        let failed = !answered || !why.is_empty() || [query, response].iter().flatten().any(|m| is_broken(m.msg));
        head.status = if failed { "Error" } else { "OK" };
        head.notes = &notes;
        let mut ips: heapless::Vec<IpAddr, RELATED_MAX> = heapless::Vec::new();
        if let Some(response) = response {
            ips.extend(doc::addresses(response.msg).take(RELATED_MAX));
        }
        head.ips = &ips;
        let tx = Transaction { request: query.map(|q| q.msg), response: response.map(|r| r.msg), transfer, multicast };
        let Shared { settings, buffers, .. } = &*self.shared;
        let mut buffers = buffers.borrow_mut();
        cx.emit(&head, |d| doc::write(&tx, settings, &mut buffers, d));
    }

    /// Notes about the messages themselves.
    fn remarks(
        &self,
        query: Option<Arrived<'_>>,
        response: Option<Arrived<'_>>,
        manner: Manner,
        note: &mut dyn FnMut(&'static str),
    ) {
        // Multicast DNS has its own limits (RFC 6762 §17).
        let small = self.over == Transport::Udp && manner == Manner::Pairs;
        if let Some(query) = query {
            if is_broken(query.msg) {
                note(notes::BAD_QUERY);
            } else if small && query.msg.opt.is_none() && query.msg.data.len() > PLAIN_MAX {
                note(notes::LARGE_QUERY);
            }
        }
        let Some(response) = response else { return };
        if is_broken(response.msg) {
            return note(notes::BAD_RESPONSE);
        }
        if !small {
            return;
        }
        if response.msg.opt.is_none() && response.msg.data.len() > PLAIN_MAX {
            note(notes::LARGE_RESPONSE);
        }
        match query.map(|q| (q.msg.opt.is_some(), response.msg.opt.is_some())) {
            Some((true, false)) => note(notes::NO_EDNS),
            Some((false, true)) => note(notes::UNEXPECTED_EDNS),
            _ => {}
        }
    }

    /// Bytes of which nothing can be told but that they came.
    pub(super) fn unreadable(&mut self, cx: &mut Cx<'_>, dir: Dir, start: Time, bytes: u64, note: &'static str) {
        let mut head = Head::new("dns", dir);
        (head.start, head.bytes, head.status) = (Some(start), [Some(bytes), None], "Error");
        let notes = [note];
        head.notes = &notes;
        cx.emit(&head, |_| {});
    }

    /// A message of TCP that was cut; its id is known when so much of it came.
    pub(super) fn cut(&mut self, cx: &mut Cx<'_>, dir: Dir, part: Option<framing::Part>) {
        let Some(part) = part else { return };
        let asked = part.response.then(|| self.pending.take(|w| w.dir != dir && w.id == part.id)).flatten();
        match asked {
            Some(asked) if asked.is_query() => self.let_go(cx, asked, &[notes::CUT_RESPONSE]),
            Some(transfer) => self.let_go(cx, transfer, &[notes::CUT_TRANSFER]),
            None => self.unreadable(cx, dir, cx.time(), 0, notes::CUT_QUERY),
        }
    }

    /// Lets go of all that `is` holds of.
    fn let_go_of(&mut self, cx: &mut Cx<'_>, mut is: impl FnMut(&Self, &Waiting) -> bool) {
        loop {
            let mut pending = std::mem::take(&mut self.pending);
            let found = pending.take(|w| is(self, w));
            self.pending = pending;
            let Some(waiting) = found else { return };
            let note = note_of(&waiting);
            self.let_go(cx, waiting, &[note]);
        }
    }
}

/// The message of one that waits.
fn of_waiting<'a>(waiting: &Waiting, msg: &'a Message<'a>) -> Arrived<'a> {
    let Waiting { dir, start, end, bytes, .. } = *waiting;
    Arrived { msg, dir, start, end, bytes: bytes.into() }
}

/// Why one that waited is written now.
fn note_of(waiting: &Waiting) -> &'static str {
    match waiting.state {
        State::Query => notes::NO_RESPONSE,
        State::Twin => notes::TWIN,
        State::Response => notes::NO_QUERY,
        State::Transfer(_) => notes::CUT_TRANSFER,
    }
}

/// Whether a message is not what its header declares. A truncated one may hold less.
fn is_broken(msg: &Message<'_>) -> bool {
    !msg.whole && !msg.header.has(Header::TC)
}

/// Multicast DNS (RFC 6762).
const MDNS: u16 = 5353;
/// LLMNR (RFC 4795).
const LLMNR: u16 = 5355;

fn manner(cx: &Cx<'_>, dir: Dir) -> Manner {
    let flow = cx.flow();
    let local = |port| port == MDNS || port == LLMNR;
    let to = flow.addr(dir.other());
    let multicast = if flow.is_v6() { to.0[0] == 0xff } else { to.last4()[0] >> 4 == 14 };
    let (from, to) = (flow.port(dir), flow.port(dir.other()));
    if flow.over() != Transport::Udp {
        Manner::Pairs
    } else if multicast || (from == MDNS && to == MDNS) {
        Manner::Alone
    } else if local(from) || local(to) {
        Manner::Both
    } else {
        Manner::Pairs
    }
}

/// Whether more messages of a zone follow.
fn begins_transfer(query: &Message<'_>, response: &Message<'_>) -> bool {
    let Some(first) = first_serial(response) else { return false };
    let ended = match query.question.map(|q| q.rtype) {
        // One SOA alone says that nothing changed (RFC 1995 §2).
        Some(rtype::IXFR) => last_serial(response) == Some(first),
        Some(rtype::AXFR) => response.count(Section::Answers) > 1 && last_serial(response) == Some(first),
        _ => return false,
    };
    response.whole && response.header.rcode() == 0 && !ended
}

fn first_serial(msg: &Message<'_>) -> Option<u32> {
    msg.edges.and_then(|[first, _]| serial(msg, first))
}

fn last_serial(msg: &Message<'_>) -> Option<u32> {
    msg.edges.and_then(|[_, last]| serial(msg, last))
}

/// The serial of a SOA record: the first of five numbers at its end.
fn serial(msg: &Message<'_>, (rtype, from, to): (u16, usize, usize)) -> Option<u32> {
    let data = msg.data.get(from..to).filter(|_| rtype == rtype::SOA)?;
    data.last_chunk::<20>().and_then(|numbers| numbers.first_chunk()).map(|serial| u32::from_be_bytes(*serial))
}

impl Conversation for Talk {
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        framing::stream(self, cx, dir, buf)
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, dir: Dir, data: &[u8]) {
        // An empty one keeps a NAT's mapping alive.
        if !data.is_empty() {
            self.message(cx, dir, cx.time(), data, data.len() as u64);
        }
    }

    fn gap(&mut self, cx: &mut Cx<'_>, dir: Dir, _lost: u64) {
        framing::gap(self, cx, dir);
    }

    fn close(&mut self, cx: &mut Cx<'_>, dir: Option<Dir>) {
        for side in Dir::BOTH {
            if dir.is_none_or(|dir| dir == side) {
                framing::end(self, cx, side);
                // Who is silent now answers nothing.
                self.let_go_of(cx, |_, w| w.dir != side && !matches!(w.state, State::Response));
            }
        }
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        let now = cx.time();
        self.let_go_of(cx, |talk, w| talk.deadline(w) <= now);
        if let Some(next) = self.pending.earliest(|w| self.deadline(w)) {
            cx.wake_at(next);
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        for side in Dir::BOTH {
            framing::end(self, cx, side);
        }
        self.let_go_of(cx, |_, _| true);
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.pending.memory()
    }
}
