//! One handshake: what both sides said in the clear, and how it ended.

use super::hello::{ClientHello, ServerHello, ext, pairs};
use super::names::Version;
use super::record::{Event, Reader, kind};
use super::sslv2;
use crate::decode::Dir;
use crate::time::Time;

/// Bytes that are kept of a handshake: the largest chain of certificates, and room for hellos.
pub const HELD_MAX: usize = 320 << 10;

/// Alerts of a direction that are kept. More than two are never sent.
pub const ALERTS_MAX: usize = 8;

/// An encrypted record of TLS 1.3 that is shorter holds no Finished: type and length (4), the hash (32 at least), the
/// content type (1) and the tag (8 at least). It is an alert then.
const FINISHED_MIN: u16 = 45;

/// A message as it came.
#[derive(Debug, Default)]
pub struct Kept {
    /// From behind its type and length.
    pub bytes: Box<[u8]>,
    /// Its end is missing.
    pub is_cut: bool,
}

/// What one side said.
#[derive(Debug, Default)]
pub struct Party {
    /// Level and description.
    pub alerts: heapless::Vec<(u8, u8), ALERTS_MAX>,
    /// The body of its Certificate message.
    pub certificates: Option<Kept>,
    /// An alert that cannot be read.
    pub sealed_alert: bool,
    /// Its bytes were no records, from some point on.
    pub is_foreign: bool,
    /// Any of its bytes were seen.
    pub is_seen: bool,
    /// A message was longer than what is kept, or could not be read.
    pub is_odd: bool,
    /// It will say nothing more.
    pub is_closed: bool,
    /// It changed to encryption in a way that ends its part of the handshake.
    is_ready: bool,
    has_key_exchange: bool,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides encrypt.
    Established,
    /// RST.
    Reset,
    /// Both sides, or the one that has to speak, ended the connection.
    Closed,
    /// Nothing happened for too long.
    TimedOut,
    /// The capture ended, or the flow was given up.
    Unknown,
    /// A side does not speak TLS.
    Foreign,
}

/// A handshake.
#[derive(Debug)]
pub struct Session {
    readers: [Reader; 2],
    parties: [Party; 2],
    client: Option<Dir>,
    /// The first packet.
    pub start: Time,
    /// The last packet.
    pub last: Time,
    /// The first ClientHello.
    pub client_hello: Option<Kept>,
    /// A ClientHello of SSL 2.0, from its type on.
    pub client_hello_v2: Option<Box<[u8]>>,
    /// The ServerHello that counts.
    pub server_hello: Option<Kept>,
    /// The version chosen.
    pub version: Option<Version>,
    /// The cipher kind of SSL 2.0.
    pub suite_v2: Option<u32>,
    /// The server asked for another ClientHello.
    pub is_retried: bool,
    /// The server asked for a certificate.
    pub is_certificate_requested: bool,
    /// The group of the key exchange.
    pub group: Option<u16>,
    /// The state of the server's OCSP answer.
    pub ocsp: Option<u8>,
    offers_early_data: bool,
    held: usize,
}

impl Session {
    /// A handshake whose first byte came at `start`.
    pub fn new(start: Time) -> Self {
        Self {
            readers: Default::default(),
            parties: Default::default(),
            client: None,
            start,
            last: start,
            client_hello: None,
            client_hello_v2: None,
            server_hello: None,
            version: None,
            suite_v2: None,
            is_retried: false,
            is_certificate_requested: false,
            group: None,
            ocsp: None,
            offers_early_data: false,
            held: 0,
        }
    }

    /// Uses bytes of a direction. How many, and the outcome when it is known now.
    pub fn read(&mut self, dir: Dir, bytes: &[u8]) -> (usize, Option<Outcome>) {
        self.party_mut(dir).is_seen = true;
        let mut at = 0;
        while let Some(rest @ [_, ..]) = bytes.get(at..) {
            let room = HELD_MAX.saturating_sub(self.held);
            let (used, event) = self.reader(dir).read(rest, room);
            at += used;
            if event == Event::None {
                break;
            }
            self.on(dir, event);
            if event == Event::Foreign {
                return (bytes.len(), Some(Outcome::Foreign));
            }
            if self.is_established() {
                return (at, Some(Outcome::Established));
            }
        }
        (at, None)
    }

    /// Bytes that were not captured.
    pub fn lose(&mut self, dir: Dir, lost: u64) {
        self.party_mut(dir).is_seen = true;
        if let Some(kind) = self.reader(dir).lose(lost) {
            self.on(dir, Event::Message(kind));
        }
    }

    /// Messages that began and did not end are taken as they are.
    pub fn take_begun(&mut self) {
        for dir in Dir::BOTH {
            if let Some((kind, body)) = self.reader(dir).take_begun() {
                self.on_message(dir, kind, body, true);
            }
        }
    }

    /// Which way the client's bytes go.
    pub fn client(&self) -> Dir {
        self.client.unwrap_or(Dir::Forward)
    }

    /// A side.
    pub fn party(&self, dir: Dir) -> &Party {
        match dir {
            Dir::Forward => &self.parties[0],
            Dir::Back => &self.parties[1],
        }
    }

    /// A side, to change.
    pub fn party_mut(&mut self, dir: Dir) -> &mut Party {
        match dir {
            Dir::Forward => &mut self.parties[0],
            Dir::Back => &mut self.parties[1],
        }
    }

    fn reader(&mut self, dir: Dir) -> &mut Reader {
        match dir {
            Dir::Forward => &mut self.readers[0],
            Dir::Back => &mut self.readers[1],
        }
    }

    /// Whether anything of a side is missing while it was in the clear.
    pub fn is_lossy(&self, dir: Dir) -> bool {
        self.readers[dir.index()].is_lossy
    }

    /// Whether nothing of a side was read.
    pub fn is_fresh(&self, dir: Dir) -> bool {
        self.readers[dir.index()].is_fresh()
    }

    /// Whether what a side says is not understood any more.
    pub fn is_deaf(&self, dir: Dir) -> bool {
        self.readers[dir.index()].is_deaf()
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        self.client_hello.is_some()
            || self.client_hello_v2.is_some()
            || self.server_hello.is_some()
            || self.parties.iter().any(|p| p.certificates.is_some() || !p.alerts.is_empty())
    }

    /// Bytes on the heap, itself included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.readers.iter().map(Reader::memory).sum::<usize>()
    }

    /// The session is an old one, and how it was named: RFC 5246, 7.3 (`id`), RFC 5077 (`ticket`), RFC 8446, 2.2 (`psk`).
    pub fn resumption(&self) -> Option<&'static str> {
        let server = self.server_hello.as_ref().and_then(|k| ServerHello::parse(&k.bytes))?;
        if server.chosen().is_13() {
            return server.extensions.get(ext::PRE_SHARED_KEY).map(|_| "psk");
        }
        if self.parties.iter().any(|p| p.has_key_exchange) {
            return None;
        }
        let client = self.client_hello.as_ref().and_then(|k| ClientHello::parse(&k.bytes))?;
        let offered = client.extensions.get(ext::SESSION_TICKET).is_some_and(|t| !t.is_empty());
        // The server promises a new ticket with an empty extension.
        if offered && server.extensions.get(ext::SESSION_TICKET).is_some() {
            return Some("ticket");
        }
        (!client.session_id.is_empty() && client.session_id == server.session_id).then_some("id")
    }

    fn on(&mut self, dir: Dir, event: Event) {
        match event {
            Event::None => {}
            Event::Message(kind) => {
                let (body, is_cut) = self.reader(dir).take_body();
                self.on_message(dir, kind, body, is_cut);
            }
            // In TLS 1.3 it means nothing (RFC 8446, appendix D.4).
            Event::ChangeCipherSpec if self.is_13() => {}
            Event::ChangeCipherSpec => {
                self.reader(dir).is_sealed = true;
                self.party_mut(dir).is_ready = true;
            }
            Event::Sealed(len) => self.on_sealed(dir, len),
            Event::Alert(level, description) => {
                // More than the bound is noise.
                let _ = self.party_mut(dir).alerts.push((level, description));
            }
            Event::SealedAlert => self.party_mut(dir).sealed_alert = true,
            Event::Foreign => self.party_mut(dir).is_foreign = true,
        }
    }

    fn on_sealed(&mut self, dir: Dir, len: u16) {
        let is_client = dir == self.client();
        if self.is_13() {
            // Before the ServerHello it is early data.
            if self.server_hello.is_some() {
                if is_client && len < FINISHED_MIN && !self.offers_early_data {
                    self.party_mut(dir).sealed_alert = true;
                    return;
                }
                self.party_mut(dir).is_ready = true;
                if is_client && self.is_lossy(dir.other()) {
                    self.party_mut(dir.other()).is_ready = true;
                }
            }
        } else if self.party(dir).is_ready && !(is_client && self.offers_early_data) {
            // Data: the other side's part is over, too, where it was not captured.
            let other = dir.other();
            if self.readers[other.index()].is_lossy || !self.party(other).is_seen {
                self.party_mut(other).is_ready = true;
            }
        }
    }

    fn on_message(&mut self, dir: Dir, kind: u8, body: Vec<u8>, is_cut: bool) {
        let kept = |held: &mut usize| {
            *held += body.len();
            Some(Kept { bytes: body.as_slice().into(), is_cut })
        };
        match kind {
            kind::CLIENT_HELLO => match ClientHello::parse(&body) {
                Some(hello) if self.client_hello.is_none() && self.client_hello_v2.is_none() => {
                    self.client = Some(dir);
                    self.offers_early_data = hello.extensions.get(ext::EARLY_DATA).is_some();
                    self.client_hello = kept(&mut self.held);
                }
                Some(_) => {}
                None => self.party_mut(dir).is_odd = true,
            },
            kind::SERVER_HELLO => match ServerHello::parse(&body) {
                Some(hello) if hello.is_retry => self.retry(hello.chosen()),
                Some(hello) if self.server_hello.is_none() => {
                    self.client = self.client.or(Some(dir.other()));
                    self.version = Some(hello.chosen());
                    // The chosen group stands in front of the key.
                    let share = hello.extensions.get(ext::KEY_SHARE).and_then(|share| pairs(share).next());
                    self.group = self.group.or(share);
                    self.server_hello = kept(&mut self.held);
                }
                Some(_) => {}
                None => self.party_mut(dir).is_odd = true,
            },
            kind::HELLO_RETRY_REQUEST => self.retry(Version::TLS13),
            kind::CERTIFICATE if self.party(dir).certificates.is_none() => {
                self.party_mut(dir).is_odd |= is_cut;
                self.party_mut(dir).certificates = kept(&mut self.held);
            }
            kind::SERVER_KEY_EXCHANGE => {
                self.party_mut(dir).has_key_exchange = true;
                // RFC 8422, 5.4: a named curve.
                if let &[3, high, low, ..] = body.as_slice() {
                    self.group = Some(u16::from_be_bytes([high, low]));
                }
            }
            kind::CLIENT_KEY_EXCHANGE => self.party_mut(dir).has_key_exchange = true,
            kind::CERTIFICATE_REQUEST => self.is_certificate_requested = true,
            kind::CERTIFICATE_STATUS if body.first() == Some(&1) => self.ocsp = ocsp_state(&body),
            _ => {}
        }
    }

    /// The server wants another ClientHello: what comes next is in the clear in any case.
    fn retry(&mut self, version: Version) {
        self.is_retried = true;
        self.version = Some(version);
        for reader in &mut self.readers {
            reader.is_sealed = false;
        }
        for party in &mut self.parties {
            party.is_ready = false;
        }
    }

    fn is_13(&self) -> bool {
        self.version.is_some_and(Version::is_13)
    }

    fn is_established(&self) -> bool {
        self.parties.iter().all(|p| p.is_ready)
    }

    /// A ClientHello of SSL 2.0.
    pub fn on_hello_v2(&mut self, dir: Dir, message: &[u8]) {
        self.client = Some(dir);
        self.party_mut(dir).is_seen = true;
        self.held += message.len();
        self.client_hello_v2 = Some(message.into());
    }

    /// Another message of SSL 2.0. Its framing is all that is seen of encrypted ones.
    pub fn on_message_v2(&mut self, dir: Dir, message: &[u8]) -> Option<Outcome> {
        self.party_mut(dir).is_seen = true;
        if dir == self.client() {
            match sslv2::master_key(message).filter(|_| self.suite_v2.is_none()) {
                Some(suite) => self.suite_v2 = Some(suite),
                None => self.party_mut(dir).is_ready = self.suite_v2.is_some(),
            }
        } else if let Some(hello) = sslv2::ServerHello::parse(message).filter(|_| self.version.is_none()) {
            self.version = Some(hello.version);
            if !hello.certificate.is_empty() {
                // As a chain of one.
                let len = |n: usize| (n as u32).to_be_bytes();
                let (all, one) = (len(hello.certificate.len() + 3), len(hello.certificate.len()));
                let bytes = [all.get(1..), one.get(1..), Some(hello.certificate)].map(Option::unwrap_or_default);
                let bytes = bytes.concat().into_boxed_slice();
                self.held += bytes.len();
                self.party_mut(dir).certificates = Some(Kept { bytes, is_cut: false });
            }
        } else {
            self.party_mut(dir).is_ready = self.suite_v2.is_some();
        }
        self.is_established().then_some(Outcome::Established)
    }
}

/// The state inside a CertificateStatus: OCSPResponse is a list that begins with an enumeration, in DER.
fn ocsp_state(body: &[u8]) -> Option<u8> {
    // Type (1), length (3), then the list's head of two to four bytes.
    let list = body.get(4..)?;
    let head = match list.get(1)? {
        0x81 => 3,
        0x82 => 4,
        0x83 => 5,
        ..=0x7f => 2,
        _ => return None,
    };
    match list.get(head..)? {
        &[0x0a, 1, state, ..] => Some(state),
        _ => None,
    }
}
