//! What is kept of one message until its transaction is written.

use super::conf::Settings;
use super::frame::{Codings, Framing, Length, Transfer, of_request, of_response};
use super::head::{HEADERS_MAX, Header, Start, Version, headers, unfold};
use super::notes::{Note, Notes};
use crate::time::Time;

/// A request or a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// A piece of the head that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A request's method, a response's phrase.
    First,
    Target,
    Host,
    Referer,
    Agent,
    Type,
    RealIp,
    Id,
}
const PARTS: usize = 8;

/// What `Upgrade` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Upgrade {
    #[default]
    None,
    /// One that no decoder reads: WebSocket, HTTP/2.
    Opaque,
    /// Another, for example TLS (RFC 2817).
    Other,
}

/// A message, as far as it was seen.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Arrival of the first byte.
    pub(super) start: Time,
    /// Arrival of the last byte so far.
    pub(super) end: Time,
    /// Its end was reached, or will never be.
    pub(super) done: bool,
    /// A response whose request was given up before: it is never matched.
    pub(super) stray: bool,
    pub(super) version: Version,
    /// 0 in a request.
    pub(super) status: u16,
    pub(super) upgrade: Upgrade,
    pub(super) notes: Notes,
    /// Bytes seen of head and body, as transferred.
    pub(super) size: u64,
    /// Bytes of the body: declared, or seen, without what chunks add.
    pub(super) body_len: u64,
    /// The value of its `Content-Length`.
    pub(super) length: Option<u64>,
    /// `Content-Encoding`.
    pub(super) content: Codings,
    /// `Transfer-Encoding` without `chunked`.
    pub(super) transfer: Codings,
    /// The body goes into the document.
    pub(super) keeps_body: bool,
    parts: [(u16, u16); PARTS],
    text: Vec<u8>,
    /// The head as it came, when header lines or the message itself are asked for.
    pub(super) head: Vec<u8>,
    /// The body without chunk framing, its codings not undone.
    pub(super) body: Vec<u8>,
}

impl Message {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            kind: Kind::Request,
            start: Time(0),
            end: Time(0),
            done: false,
            stray: false,
            version: Version::default(),
            status: 0,
            upgrade: Upgrade::None,
            notes: Notes::default(),
            size: 0,
            body_len: 0,
            length: None,
            content: Codings::default(),
            transfer: Codings::default(),
            keeps_body: false,
            parts: [(0, 0); PARTS],
            text: Vec::new(),
            head: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Makes an old one empty. Its memory is kept when it is small.
    pub(super) fn clear(&mut self) {
        /// Most heads are smaller.
        const REUSED: usize = 2048;
        let [text, head] = [&mut self.text, &mut self.head].map(|old| {
            let mut v = std::mem::take(old);
            if v.capacity() > REUSED {
                Vec::new()
            } else {
                v.clear();
                v
            }
        });
        *self = Self { text, head, ..Self::new() };
    }

    /// A piece of the head; empty when it was absent.
    pub(super) fn part(&self, part: Part) -> &[u8] {
        let (at, len) = self.parts.get(part as usize).copied().unwrap_or_default();
        self.text.get(usize::from(at)..usize::from(at) + usize::from(len)).unwrap_or_default()
    }

    /// Keeps a piece, unless it was seen before.
    pub(super) fn set(&mut self, part: Part, value: &[u8]) {
        let at = self.text.len();
        let Some(slot) = self.parts.get_mut(part as usize).filter(|s| s.1 == 0) else { return };
        unfold(value, &mut self.text);
        match (u16::try_from(at), u16::try_from(self.text.len() - at)) {
            (Ok(at), Ok(len)) => *slot = (at, len),
            // A head is at most 65,535 bytes long and its pieces do not overlap.
            _ => self.text.truncate(at),
        }
    }

    /// Takes what the first line says.
    pub(super) fn start_line(&mut self, start: Start<'_>) {
        match start {
            Start::Request { method, target, version } => {
                (self.kind, self.version) = (Kind::Request, version);
                self.set(Part::First, method);
                self.set(Part::Target, target);
            }
            Start::Response { status, phrase, version } => {
                (self.kind, self.version, self.status) = (Kind::Response, version, status);
                self.set(Part::First, phrase);
            }
        }
    }

    /// Reads the header lines of `head`; answers how the body ends. A response needs the `method` of its request.
    pub(super) fn read_head(&mut self, settings: &Settings, head: &[u8], method: &[u8]) -> Framing {
        let mut length = Length::Absent;
        let mut transfer = Transfer::default();
        let mut lines = 0;
        for h in headers(head) {
            lines += 1;
            self.read_header(settings, &h, &mut length, &mut transfer);
        }
        if lines > HEADERS_MAX {
            self.notes.add(Note::TooManyHeaders);
        }
        match length {
            Length::Bad => self.notes.add(Note::BadLength),
            Length::Conflict(_) => self.notes.add(Note::ConflictingLengths),
            Length::Is(_) if transfer.chunked => self.notes.add(Note::LengthAndChunks),
            Length::Is(_) | Length::Absent => {}
        }
        self.length = length.value();
        self.transfer = transfer.codings;
        self.size = head.len() as u64;
        self.keeps_body = settings.keeps_body(self.kind, self.part(Part::Type));
        if settings.keeps_head(self.kind) {
            self.head.extend_from_slice(head);
        }
        match self.kind {
            Kind::Request => of_request(self.version, &transfer, length),
            Kind::Response => of_response(self.status, method, &transfer, length),
        }
    }

    #[inline]
    fn read_header(&mut self, settings: &Settings, h: &Header<'_>, length: &mut Length, transfer: &mut Transfer) {
        let is = |name: &[u8]| h.name.eq_ignore_ascii_case(name);
        let request = self.kind == Kind::Request;
        match h.name.len() {
            4 if request && is(b"host") => self.set(Part::Host, h.value),
            7 if request && is(b"referer") => self.set(Part::Referer, h.value),
            7 if !request && is(b"upgrade") => self.upgrade = upgrade(h.value),
            10 if request && is(b"user-agent") => self.set(Part::Agent, h.value),
            12 if is(b"content-type") => self.set(Part::Type, h.value),
            12 if request && is(b"x-request-id") => self.set(Part::Id, h.value),
            14 if is(b"content-length") => *length = length.add(h.value),
            16 if is(b"content-encoding") => self.content.add(h.value),
            17 if is(b"transfer-encoding") => transfer.add(h.value),
            _ => {}
        }
        if request && settings.real_ip.as_ref().is_some_and(|name| is(name)) {
            self.set(Part::RealIp, h.value);
        }
    }

    /// Takes bytes of the body without their framing. They were counted by the caller.
    pub(super) fn keep(&mut self, data: &[u8], max: usize) {
        if !self.keeps_body {
            return;
        }
        let fits = data.len().min(max.saturating_sub(self.body.len()));
        self.body.extend_from_slice(data.get(..fits).unwrap_or_default());
        if fits < data.len() {
            self.notes.add(Note::BodyTooLong);
        }
    }

    /// The note for bytes that were not captured.
    pub(super) fn lost(&self) -> Note {
        if self.kind == Kind::Request { Note::LostRequest } else { Note::LostResponse }
    }

    /// The note for a message whose end never came.
    pub(super) fn cut(&self) -> Note {
        if self.kind == Kind::Request { Note::RequestCut } else { Note::ResponseCut }
    }

    /// Bytes of memory, itself included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.head.capacity() + self.body.capacity()
    }
}

fn upgrade(value: &[u8]) -> Upgrade {
    let name = value.split(|b| *b == b',').next().unwrap_or_default().trim_ascii();
    let is = |word: &[u8]| name.get(..word.len()).is_some_and(|n| n.eq_ignore_ascii_case(word));
    if is(b"websocket") || is(b"h2c") { Upgrade::Opaque } else { Upgrade::Other }
}
