//! TLS: one document for each handshake, from what is said in the clear.
//!
//! SSL 3.0 to TLS 1.3 with its drafts from 14 on (RFC 6101, 2246, 4346, 5246, 8446), extensions (RFC 6066, 7301, 8701),
//! certificates (RFC 5280) up to TLS 1.2, where they are not encrypted; the ClientHello of SSL 2.0, and the rest of its
//! handshake as far as it shows. Fields are Packetbeat's; `tls.client.ja4`, `tls.server.ja3s`, `tls.curve` and
//! `tls.detailed.hello_retry_request` are additions.
//!
//! A handshake is complete when both sides encrypt. Up to TLS 1.2 that is a ChangeCipherSpec of each. TLS 1.3 encrypts what
//! matters: here it is the first encrypted record of each after the ServerHello, where the client's is long enough for a
//! Finished (a shorter one is taken for an alert). Nothing is read behind that point. A connection whose hellos were not seen
//! makes no document.
//!
//! Known limits: DTLS and QUIC are not read, and nothing is decrypted. Where both sides resume with early data, the client's
//! first record after the ServerHello counts as its Finished.

mod conf;
mod doc;
mod extensions;
pub mod hello;
pub mod ja;
mod keys;
pub mod names;
pub mod record;
mod session;
pub mod sslv2;
mod suites;
pub mod x509;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use super::{Conversation, Cx, Decoder, Dir, MakeProtocol, Next, Probe, Protocol, Step, Transport};
use conf::{Fingerprints, TlsConf};
use keys::Keys;
use record::{Header, content, kind};
use session::{Outcome, Session};
use std::rc::Rc;
use std::time::Duration;

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "tls",
    doc: "Handshakes: names, versions, suites, fingerprints, certificates, alerts.",
    keys: TlsConf::TABLE,
    over: &[Transport::Tcp],
    probe,
    make: |cx| make(cx),
};

/// What the conversations of one input share.
#[derive(Debug)]
struct Settings {
    ports: Vec<u16>,
    fingerprints: Fingerprints,
    certificates: bool,
    raw: bool,
    detailed: bool,
    timeout: Duration,
    keys: Keys,
}

fn make(cx: &mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>> {
    let conf = TlsConf::load(cx.section, cx.diags)?;
    Some(Box::new(Tls(Rc::new(Settings {
        ports: conf.ports.0,
        fingerprints: conf.fingerprints,
        certificates: conf.send_certificates,
        raw: conf.include_raw_certificates,
        detailed: conf.include_detailed_fields,
        timeout: conf.transaction_timeout.unwrap_or(cx.timeout),
        keys: Keys::new(),
    }))))
}

/// Whether the first bytes of a direction are a hello: the head of a record and of a message, with lengths that fit each
/// other, or an alert that answers one.
fn probe(over: Transport, bytes: &[u8]) -> Probe {
    if over != Transport::Tcp {
        return Probe::No;
    }
    match sslv2::is_client_hello(bytes) {
        Some(true) => return Probe::Yes,
        None => return Probe::Maybe,
        Some(false) => {}
    }
    let is = |at: usize, test: &dyn Fn(u8) -> bool| bytes.get(at).is_none_or(|b| test(*b));
    let known = |b| b == content::HANDSHAKE || b == content::ALERT;
    if !(is(0, &known) && is(1, &|b| b == 3) && is(2, &|b| b <= 4)) {
        return Probe::No;
    }
    let Some(Header { content, len, .. }) = bytes.first_chunk().map(|head| Header::parse(*head)).unwrap_or_default()
    else {
        return if bytes.len() < 5 { Probe::Maybe } else { Probe::No };
    };
    match (content, bytes.get(5..).unwrap_or_default()) {
        (content::ALERT, _) if len != 2 => Probe::No,
        (content::ALERT, &[level, _, ..]) => is_true(level == 1 || level == 2),
        // A hello in so small records that its head stands in several: those that evade inspection make such.
        (content::HANDSHAKE, &[kind, ..]) if len < 5 => match bytes.get(5 + usize::from(len)..) {
            _ if len == 0 || (kind != kind::CLIENT_HELLO && kind != kind::SERVER_HELLO) => Probe::No,
            Some([next, major, ..]) => is_true(*next == content::HANDSHAKE && *major == 3),
            _ => Probe::Maybe,
        },
        (content::HANDSHAKE, &[kind, a, b, c, major, ..]) => {
            let message = u32::from_be_bytes([0, a, b, c]);
            // A version, a random number and three lengths are in every hello; no real one has 128 KiB.
            let hello = kind == kind::CLIENT_HELLO || kind == kind::SERVER_HELLO;
            is_true(hello && (38..1 << 17).contains(&message) && (major == 3 || major == 0x7f))
        }
        (content::HANDSHAKE, &[kind, ..]) if kind != kind::CLIENT_HELLO && kind != kind::SERVER_HELLO => Probe::No,
        _ => Probe::Maybe,
    }
}

fn is_true(fits: bool) -> Probe {
    if fits { Probe::Yes } else { Probe::No }
}

struct Tls(Rc<Settings>);

impl Decoder for Tls {
    fn ports(&self) -> &[u16] {
        &self.0.ports
    }

    fn open(&self, _over: Transport) -> Box<dyn Conversation> {
        Box::new(Talk { settings: self.0.clone(), state: State::New })
    }
}

/// One connection.
struct Talk {
    settings: Rc<Settings>,
    state: State,
}

enum State {
    /// Nothing was said.
    New,
    /// A handshake is going on.
    Open(Box<Session>),
    /// As [`State::Open`], in SSL 2.0.
    Old(Box<Session>),
    /// Its document is written, or there will be none.
    Over,
}

impl Talk {
    /// Looks at the first bytes of the connection. Only the beginning of a handshake is of interest.
    fn begin(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        match sslv2::is_client_hello(buf) {
            None => return Step::need(sslv2::HEAD),
            Some(true) => return self.begin_v2(cx, dir, buf),
            Some(false) => {}
        }
        match probe(Transport::Tcp, buf) {
            Probe::Maybe => Step::need(buf.len() + 1),
            Probe::No => self.over(buf),
            Probe::Yes => {
                self.state = State::Open(Box::new(Session::new(cx.since())));
                self.wake_later(cx);
                self.stream(cx, dir, buf)
            }
        }
    }

    fn begin_v2(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        let Some((head, len)) = sslv2::record(buf) else { return self.over(buf) };
        let Some(message) = buf.get(head..head + len) else { return Step::need(head + len) };
        if sslv2::ClientHello::parse(message).is_none() {
            return self.over(buf);
        }
        let mut session = Box::new(Session::new(cx.since()));
        session.on_hello_v2(dir, message);
        self.state = State::Open(session);
        self.wake_later(cx);
        Step::used(head + len)
    }

    /// Records of SSL 2.0: the first messages are read, of encrypted ones the lengths.
    fn stream_v2(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        let State::Old(session) = &mut self.state else { return self.over(buf) };
        let Some((head, len)) = sslv2::record(buf) else { return Step::need(buf.len() + 1) };
        if len == 0 || len > 2 * sslv2::MESSAGE_MAX {
            session.party_mut(dir).is_foreign = true;
            return self.end(cx, buf, Outcome::Foreign);
        }
        let Some(message) = buf.get(head..head + len) else { return Step::need(head + len) };
        match session.on_message_v2(dir, message) {
            Some(outcome) => self.end(cx, buf, outcome),
            None => Step::used(head + len),
        }
    }

    /// What answers a ClientHello of SSL 2.0 shows which framing is spoken: records of later versions begin with a small
    /// number.
    fn turns_old(&self, dir: Dir, buf: &[u8]) -> bool {
        let State::Open(session) = &self.state else { return false };
        let answers = session.client_hello_v2.is_some() && session.is_fresh(dir) && dir != session.client();
        answers && buf.first().is_some_and(|b| b & 0x80 != 0)
    }

    fn over(&mut self, buf: &[u8]) -> Step {
        self.state = State::Over;
        Step { used: buf.len(), next: Next::Done }
    }

    fn end(&mut self, cx: &mut Cx<'_>, buf: &[u8], outcome: Outcome) -> Step {
        self.emit(cx, outcome);
        self.over(buf)
    }

    /// Writes the document, once.
    fn emit(&mut self, cx: &mut Cx<'_>, outcome: Outcome) {
        if let State::Open(mut session) | State::Old(mut session) = std::mem::replace(&mut self.state, State::Over) {
            session.take_begun();
            if session.has_news() {
                doc::emit(cx, &self.settings, &session, outcome);
            }
        }
    }

    fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Open(session) | State::Old(session) => Some(session),
            State::New | State::Over => None,
        }
    }

    fn wake_later(&mut self, cx: &mut Cx<'_>) {
        let timeout = self.settings.timeout;
        if let Some(session) = self.session() {
            cx.wake_at(session.last.after(timeout));
        }
    }
}

impl Conversation for Talk {
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        if let Some(session) = self.session() {
            session.last = cx.time();
        }
        if self.turns_old(dir, buf)
            && let State::Open(session) = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = State::Old(session);
        }
        let session = match &mut self.state {
            State::New => return self.begin(cx, dir, buf),
            State::Over => return self.over(buf),
            State::Old(_) => return self.stream_v2(cx, dir, buf),
            State::Open(session) => session,
        };
        match session.read(dir, buf) {
            (_, Some(outcome)) if outcome != Outcome::Foreign || session.has_news() => self.end(cx, buf, outcome),
            (_, Some(_)) => self.over(buf),
            (used, None) if session.is_deaf(dir) => Step { used, next: Next::Ignore },
            // Only after a loss something is left: too little to find the way again.
            (used, None) => Step { used, next: Next::More(if used < buf.len() { 5 } else { 1 }) },
        }
    }

    fn datagram(&mut self, _cx: &mut Cx<'_>, _dir: Dir, _data: &[u8]) {}

    fn gap(&mut self, cx: &mut Cx<'_>, dir: Dir, lost: u64) {
        match &mut self.state {
            State::Open(session) => session.lose(dir, lost),
            // Framing is all there is to know of it.
            State::Old(_) => self.emit(cx, Outcome::Unknown),
            State::New | State::Over => {}
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, dir: Option<Dir>) {
        let Some(session) = self.session() else { return };
        let outcome = match dir {
            None => Outcome::Reset,
            Some(dir) => {
                session.party_mut(dir).is_closed = true;
                if !session.party(dir.other()).is_closed {
                    return;
                }
                Outcome::Closed
            }
        };
        self.emit(cx, outcome);
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        let (timeout, now) = (self.settings.timeout, cx.time());
        match self.session() {
            Some(session) if session.last.after(timeout) <= now => self.emit(cx, Outcome::TimedOut),
            _ => self.wake_later(cx),
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        self.emit(cx, Outcome::Unknown);
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.state {
                State::Open(session) | State::Old(session) => session.memory(),
                State::New | State::Over => 0,
            }
    }
}
