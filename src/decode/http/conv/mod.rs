//! One connection: heads and bodies of both directions, in any pieces.

mod bodies;

use super::Shared;
use super::chunked::Chunked;
use super::doc;
use super::frame::Framing;
use super::head::{self, HEAD_MAX, Looks, Start, Version};
use super::message::{Kind, Message, Part, Upgrade};
use super::notes::Note;
use super::queue::{Exchange, Place, Queue, WAITING_MAX, is_preface};
use crate::decode::{Conversation, Cx, Dir, Next, Step};
use crate::time::Time;
use std::rc::Rc;
use std::time::Duration;

/// How long a response waits for a request that was captured after it: captures mix directions by milliseconds.
const HOLD: Duration = Duration::from_millis(100);

/// Responses that wait for that: what was sent within [`HOLD`], unless the requests are not captured at all.
const HELD_MAX: usize = 16;

/// Where in its stream a direction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In or before a head.
    Head,
    /// Anywhere: the next message is searched for.
    Seek,
    /// The same, and a message is open whose end could not be told.
    Open,
    /// In a body, so many bytes before its end.
    Fixed(u64),
    /// In a chunked body.
    Chunks(Chunked),
    /// In a body that ends with the connection.
    Close,
}

/// One direction.
#[derive(Debug)]
struct Side {
    at: At,
    /// Bytes of the head that were searched for its end.
    scanned: u32,
    /// The start line of the head was looked at.
    checked: bool,
    /// It is known why the place in the stream is not: the capture began here, or bytes were lost.
    blind: bool,
    /// Bytes that are not HTTP stood where a message was expected.
    garbage: bool,
    /// FIN, or RST.
    closed: bool,
    /// Nothing was seen of it.
    fresh: bool,
}

impl Side {
    fn new() -> Self {
        Self { at: At::Head, scanned: 0, checked: false, blind: false, garbage: false, closed: false, fresh: true }
    }

    fn expect(&mut self, at: At) {
        (self.at, self.scanned, self.checked) = (at, 0, false);
    }
}

/// What one look at the bytes came to.
enum Turn {
    /// So many were used; there may be more to do.
    Used(usize),
    /// So many were used, and a message ended with them.
    Ended(usize),
    /// All are needed again with more behind them.
    More,
    /// So many were used, and then.
    Stop(usize, Next),
}

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Http {
    shared: Rc<Shared>,
    queue: Queue,
    sides: [Side; 2],
    /// In which direction requests go.
    client: Option<Dir>,
    /// A transaction was written with both of its sides: nothing changes `client` any more.
    sure: bool,
    /// Bytes of the requests' direction were lost where a request could have begun.
    request_lost: bool,
    /// `expire` will be called.
    armed: bool,
}

impl Http {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        let sides = [Side::new(), Side::new()];
        Self { shared, queue: Queue::default(), sides, client: None, sure: false, request_lost: false, armed: false }
    }

    fn side(&mut self, dir: Dir) -> &mut Side {
        let [forward, back] = &mut self.sides;
        if dir == Dir::Forward { forward } else { back }
    }

    /// What a direction carries, as far as it is known.
    fn kind(&self, dir: Dir) -> Option<Kind> {
        self.client.map(|c| if c == dir { Kind::Request } else { Kind::Response })
    }

    /// The message that a direction is in.
    fn current(&mut self, dir: Dir) -> Option<&mut Message> {
        let kind = self.kind(dir)?;
        self.queue.current(kind)
    }

    fn head(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Turn {
        let side = self.side(dir);
        if side.scanned == 0 {
            // RFC 9112 §2.2: empty lines before a message are passed over.
            let blank = buf.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            if blank > 0 {
                return Turn::Used(blank);
            }
            match head::looks(buf) {
                Looks::Short => return Turn::More,
                Looks::Neither => return self.reject(dir, buf),
                Looks::Request | Looks::Response => {}
            }
        }
        let (end, whole) = match head::end(buf, side.scanned as usize) {
            Ok(end) if end <= HEAD_MAX => (end, true),
            _ if buf.len() > HEAD_MAX => (HEAD_MAX, false),
            Ok(end) => (end, true),
            Err(from) => {
                side.scanned = u32::try_from(from).unwrap_or(u32::MAX);
                if side.checked || memchr::memchr(b'\n', buf).is_none() {
                    return Turn::More;
                }
                side.checked = true;
                let (line, rest) = head::line(buf);
                match head::start(line) {
                    Some(Start::Request { version: Version(0, 9), .. }) => (buf.len() - rest.len(), true),
                    Some(_) => return Turn::More,
                    None => return self.reject(dir, buf),
                }
            }
        };
        let text = buf.get(..end).unwrap_or_default();
        let (line, rest) = head::line(text);
        match head::start(line) {
            // No header lines (RFC 1945 §4.1).
            Some(start @ Start::Request { version: Version(0, 9), .. }) if !rest.is_empty() => {
                let first = text.get(..end - rest.len()).unwrap_or_default();
                self.begin(cx, dir, first, start, whole)
            }
            Some(start) => self.begin(cx, dir, text, start, whole),
            None => self.reject(dir, buf),
        }
    }

    /// The first line of `buf` is no start line.
    fn reject(&mut self, dir: Dir, buf: &[u8]) -> Turn {
        let side = self.side(dir);
        side.garbage |= !side.blind;
        side.expect(At::Seek);
        Turn::Used(memchr::memchr(b'\n', buf).map_or(buf.len(), |at| at + 1))
    }

    /// A whole head, or (`whole` is false) the beginning of one that is too long or was not captured further.
    fn begin(&mut self, cx: &mut Cx<'_>, dir: Dir, text: &[u8], start: Start<'_>, whole: bool) -> Turn {
        let (kind, client) = match start {
            Start::Request { .. } => (Kind::Request, dir),
            Start::Response { .. } => (Kind::Response, dir.other()),
        };
        if self.client.is_some_and(|c| c != client) {
            if self.sure {
                return self.reject(dir, text);
            }
            self.flush(cx, None);
            self.sides.iter_mut().for_each(|s| s.expect(At::Seek));
        }
        self.client = Some(client);
        if let Start::Request { method, target, version } = start
            && is_preface(method, target, version)
        {
            self.flush(cx, None);
            doc::write_preface(cx, &self.shared, dir);
            return Turn::Stop(text.len(), Next::Done);
        }
        while let Some(exchange) = self.queue.take_lost(kind) {
            self.write(cx, exchange);
        }
        let mut m = self.shared.message();
        (m.start, m.end) = (cx.since(), cx.time());
        m.start_line(start);
        let side = self.side(dir);
        if side.garbage {
            m.notes.add(Note::Garbage);
        }
        if !whole && text.len() >= HEAD_MAX {
            m.notes.add(Note::HeadTooLong);
        }
        (side.blind, side.garbage) = (false, false);
        side.expect(At::Head);
        match kind {
            Kind::Request => self.request(cx, dir, m, text, whole),
            Kind::Response => self.response(cx, dir, m, text, whole),
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, dir: Dir, mut m: Box<Message>, text: &[u8], whole: bool) -> Turn {
        let framing = m.read_head(&self.shared.settings, text, b"");
        if self.queue.len() >= WAITING_MAX
            && let Some(mut oldest) = self.queue.give_up()
        {
            oldest.note(Note::TooManyWaiting);
            self.write(cx, oldest);
        }
        while let Some(Exchange { request: None, response: Some(early) }) = self.queue.first()
            && early.done
            && early.end.after(HOLD) < m.start
            && let Some(alone) = self.queue.pop()
        {
            self.write(cx, alone);
        }
        let at = enter(&mut m, framing, whole);
        self.queue.push_request(m);
        self.enter(cx, dir, at, text.len())
    }

    fn response(&mut self, cx: &mut Cx<'_>, dir: Dir, mut m: Box<Message>, text: &[u8], whole: bool) -> Turn {
        if (100..200).contains(&m.status) && m.status != 101 {
            // RFC 9110 §15.2: an interim response answers nothing.
            self.shared.recycle(m);
            return Turn::Ended(text.len());
        }
        let place = self.queue.place();
        if place == Place::Early
            && self.queue.len() >= HELD_MAX
            && let Some(oldest) = self.queue.pop()
        {
            self.write(cx, oldest);
        }
        let client = dir.other();
        if matches!(place, Place::Answer(_)) && self.side(client).at == At::Open {
            // What is answered has ended, wherever its end was.
            self.complete(cx, client);
            self.side(client).expect(At::Seek);
            self.side(client).blind = true;
        }
        let request = self.queue.request_at(place);
        let method = request.map_or(&b""[..], |r| r.part(Part::First));
        let tunnel = method == b"CONNECT" && (200..300).contains(&m.status);
        let framing = m.read_head(&self.shared.settings, text, method);
        let next = match m.upgrade {
            _ if tunnel => Some(Next::Redetect),
            Upgrade::Other if m.status == 101 => Some(Next::Redetect),
            _ if m.status == 101 => Some(Next::Done),
            _ => None,
        };
        let at = enter(&mut m, framing, whole);
        self.queue.push_response(place, m);
        if let Some(next) = next {
            // The connection is no longer HTTP/1: what waits will not be answered.
            self.flush(cx, None);
            return Turn::Stop(text.len(), next);
        }
        self.enter(cx, dir, at, text.len())
    }

    fn enter(&mut self, cx: &mut Cx<'_>, dir: Dir, at: At, used: usize) -> Turn {
        self.side(dir).expect(at);
        if at != At::Head {
            return Turn::Used(used);
        }
        self.complete(cx, dir);
        Turn::Ended(used)
    }

    /// The message of a direction ended.
    fn complete(&mut self, cx: &mut Cx<'_>, dir: Dir) {
        self.side(dir).expect(At::Head);
        if let Some(m) = self.current(dir) {
            m.done = true;
        }
        self.settle(cx);
        self.arm(cx);
    }

    /// Writes what is complete.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        while let Some(exchange) = self.queue.pop_ready(self.holds(cx)) {
            self.write(cx, exchange);
        }
    }

    /// Whether the request of a response that came alone may still come.
    fn holds(&self, cx: &Cx<'_>) -> bool {
        let closed = self.client.is_some_and(|c| self.sides.get(c.index()).is_some_and(|s| s.closed));
        cx.flow().is_from_start() && !self.request_lost && !closed
    }

    fn write(&mut self, cx: &mut Cx<'_>, exchange: Exchange) {
        self.sure |= exchange.request.is_some() && exchange.response.is_some();
        doc::write(cx, &self.shared, self.client.unwrap_or(Dir::Forward), exchange);
    }

    /// Writes everything; what is not complete ends here.
    fn flush(&mut self, cx: &mut Cx<'_>, note: Option<Note>) {
        while let Some(mut exchange) = self.queue.pop() {
            if let Some(note) = note {
                exchange.note(note);
            }
            self.write(cx, exchange);
        }
    }

    /// Asks to be woken when the first exchange has waited too long.
    fn arm(&mut self, cx: &mut Cx<'_>) {
        if !self.armed
            && let Some(at) = self.deadline()
        {
            cx.wake_at(at);
            self.armed = true;
        }
    }

    fn deadline(&self) -> Option<Time> {
        let (from, wait) = match self.queue.first()? {
            Exchange { request: Some(m), response: None } if m.done => (m.end, self.shared.settings.timeout),
            Exchange { request: None, response: Some(m) } if m.done => (m.end, HOLD),
            _ => return None,
        };
        Some(from.after(wait))
    }
}

/// Notes how a message's body will be found; answers where its direction stands behind the head.
fn enter(m: &mut Message, framing: Framing, whole: bool) -> At {
    match framing {
        _ if !whole => At::Open,
        Framing::Empty => At::Head,
        Framing::Fixed(n) => {
            m.body_len = n;
            At::Fixed(n)
        }
        Framing::Chunked => At::Chunks(Chunked::START),
        Framing::Close => At::Close,
        Framing::Unknown => {
            m.notes.add(Note::UnknownEnd);
            At::Open
        }
    }
}

impl Conversation for Http {
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        let from_start = cx.flow().is_from_start();
        let side = self.side(dir);
        if std::mem::take(&mut side.fresh) && !from_start {
            side.expect(At::Seek);
            side.blind = true;
        }
        let mut used = 0;
        while let Some(rest @ [_, ..]) = buf.get(used..) {
            let turn = match self.side(dir).at {
                At::Head => self.head(cx, dir, rest),
                At::Seek => self.search(cx, dir, false, rest),
                At::Open => self.search(cx, dir, true, rest),
                At::Fixed(left) => self.fixed(cx, dir, left, rest),
                At::Chunks(state) => self.chunks(cx, dir, state, rest),
                At::Close => self.until_close(cx, dir, rest),
            };
            match turn {
                Turn::Used(n) => used += n,
                // The next message may have begun with a later packet: the caller says when.
                Turn::Ended(n) if used + n > 0 => return Step::used(used + n),
                Turn::Ended(_) => {}
                Turn::More => return Step { used, next: Next::More(rest.len() + 1) },
                Turn::Stop(n, next) => return Step { used: used + n, next },
            }
        }
        Step::used(used)
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, dir: Dir, data: &[u8]) {
        let (line, _) = head::line(data);
        let Some(start) = head::start(line) else { return };
        let end = head::end(data, 0).unwrap_or(data.len()).min(HEAD_MAX);
        let (text, body) = data.split_at_checked(end).unwrap_or((data, &[]));
        let mut m = self.shared.message();
        (m.start, m.end, m.done) = (cx.since(), cx.time(), true);
        m.start_line(start);
        m.read_head(&self.shared.settings, text, b"");
        m.size = data.len() as u64;
        m.body_len = body.len() as u64;
        m.keep(body, self.shared.settings.max_body);
        let (client, exchange) = match m.kind {
            Kind::Request => (dir, Exchange { request: Some(m), response: None }),
            Kind::Response => (dir.other(), Exchange { request: None, response: Some(m) }),
        };
        doc::write(cx, &self.shared, client, exchange);
    }

    fn gap(&mut self, cx: &mut Cx<'_>, dir: Dir, lost: u64) {
        let at = self.side(dir).at;
        if let Some(m) = self.current(dir)
            && !matches!(at, At::Head | At::Seek)
        {
            m.notes.add(m.lost());
        }
        match at {
            At::Head | At::Seek => self.lose_message(cx, dir),
            At::Open | At::Close => {}
            At::Fixed(left) if lost < left => self.side(dir).at = At::Fixed(left - lost),
            At::Fixed(left) => {
                self.complete(cx, dir);
                if lost > left {
                    self.lose_message(cx, dir);
                }
            }
            At::Chunks(mut state) if lost <= state.data_left() => {
                state.skip(lost);
                self.side(dir).at = At::Chunks(state);
                if let Some(m) = self.current(dir) {
                    m.body_len = m.body_len.saturating_add(lost);
                }
            }
            At::Chunks(_) => self.side(dir).expect(At::Open),
        }
    }

    fn cut(&mut self, cx: &mut Cx<'_>, dir: Dir, rest: &[u8]) {
        let Some(start) = head::cut_start(rest) else { return };
        match self.side(dir).at {
            At::Head | At::Seek => {}
            At::Open => self.complete(cx, dir),
            At::Fixed(_) | At::Chunks(_) | At::Close => return,
        }
        let lines = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        // Where the direction goes on is the same after any head that is not whole.
        let _ = self.begin(cx, dir, rest.get(..lines).unwrap_or_default(), start, false);
        if let Some(m) = self.current(dir) {
            m.size = rest.len() as u64;
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, dir: Option<Dir>) {
        for one in Dir::BOTH.into_iter().filter(|d| dir.is_none_or(|closed| closed == *d)) {
            self.side(one).closed = true;
            self.end(cx, one);
        }
        let Some(client) = self.client else { return };
        if dir != Some(client) {
            // Nothing more will be answered.
            self.flush(cx, dir.is_none().then_some(Note::Reset));
        } else {
            self.settle(cx);
        }
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        self.armed = false;
        while self.deadline().is_some_and(|at| at <= cx.time()) {
            let waiting = self.queue.first().is_some_and(|e| e.response.is_none());
            let Some(exchange) = (if waiting { self.queue.give_up() } else { self.queue.pop() }) else { break };
            self.write(cx, exchange);
        }
        self.arm(cx);
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        Dir::BOTH.into_iter().for_each(|dir| self.end(cx, dir));
        self.flush(cx, None);
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.queue.memory()
    }
}
