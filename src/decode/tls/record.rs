//! The record layer of one direction (RFC 8446, 5; RFC 5246, 6.2): bytes in any pieces become events. Nothing is held but
//! the handshake message at hand.

/// Longest fragment of a record: 2^14 and what encryption may add (RFC 5246, 6.2.3).
pub const FRAGMENT_MAX: u16 = (1 << 14) + 2048;

/// Longest hello that is kept. Real ones have less than 2,000 bytes; Go's TLS takes no longer ones either.
const HELLO_MAX: usize = 1 << 16;

/// Longest list of certificates that is kept. Real ones have 3 to 8 KiB.
const CERTIFICATES_MAX: usize = 1 << 18;

/// What a record holds.
pub mod content {
    /// What follows is encrypted.
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    /// A warning, or why it ends.
    pub const ALERT: u8 = 21;
    /// Handshake messages.
    pub const HANDSHAKE: u8 = 22;
    /// Encrypted: data, in TLS 1.3 the rest of the handshake, too.
    pub const APPLICATION_DATA: u8 = 23;
    /// RFC 6520.
    pub const HEARTBEAT: u8 = 24;
}

/// Kinds of handshake messages that say something.
pub mod kind {
    /// What a client offers.
    pub const CLIENT_HELLO: u8 = 1;
    /// What a server chose.
    pub const SERVER_HELLO: u8 = 2;
    /// The request for another ClientHello in drafts of TLS 1.3.
    pub const HELLO_RETRY_REQUEST: u8 = 6;
    /// A chain of certificates.
    pub const CERTIFICATE: u8 = 11;
    /// Parameters for a key.
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    /// The server wants a certificate.
    pub const CERTIFICATE_REQUEST: u8 = 13;
    /// The client's part of a key.
    pub const CLIENT_KEY_EXCHANGE: u8 = 16;
    /// An OCSP answer (RFC 6066, 8).
    pub const CERTIFICATE_STATUS: u8 = 22;
}

/// The first five bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// See [`content`].
    pub content: u8,
    /// Often older than what is spoken.
    pub version: u16,
    /// Of the fragment behind it.
    pub len: u16,
}

impl Header {
    /// Reads a header; `None` when the bytes cannot be one.
    pub fn parse([content, major, minor, high, low]: [u8; 5]) -> Option<Self> {
        let (version, len) = (u16::from_be_bytes([major, minor]), u16::from_be_bytes([high, low]));
        let known = (content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT).contains(&content);
        (known && major == 3 && len <= FRAGMENT_MAX).then_some(Self { content, version, len })
    }
}

/// What happened in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing that counts.
    None,
    /// A handshake message ended, or what is left of it: its kind. The bytes are in [`Reader::take_body`].
    Message(u8),
    /// A record says that what follows is encrypted.
    ChangeCipherSpec,
    /// An encrypted record began: the length of its fragment.
    Sealed(u16),
    /// An alert in the clear: its level, what it says.
    Alert(u8, u8),
    /// An encrypted alert.
    SealedAlert,
    /// These bytes are no records.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes of a header so far.
    Header(u8),
    /// Bytes of a fragment still to come.
    Fragment { content: u8, len: u16, left: u16 },
    /// After a loss: where a record begins is not known.
    Astray,
    /// Nothing more is understood.
    Deaf,
}

/// Reads one direction.
#[derive(Debug)]
pub struct Reader {
    state: State,
    header: [u8; 5],
    /// What follows is encrypted.
    pub is_sealed: bool,
    /// Bytes of the stream were not captured while it was in the clear.
    pub is_lossy: bool,
    alert: u8,
    message: Message,
}

/// A handshake message on its way.
#[derive(Debug, Default)]
struct Message {
    head: [u8; 4],
    have: u8,
    left: u32,
    body: Vec<u8>,
    keep: usize,
    /// Part of it is lost, or it is too long to be kept.
    is_cut: bool,
    /// It was ended by a loss.
    is_told: bool,
    /// Where the next one begins is not known before the next record.
    is_astray: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Header(0),
            header: [0; 5],
            is_sealed: false,
            is_lossy: false,
            alert: 0,
            message: Message::default(),
        }
    }
}

impl Reader {
    /// Uses bytes up to the next event; how many, and the event. `room` bounds what may be kept of a message.
    pub fn read(&mut self, bytes: &[u8], room: usize) -> (usize, Event) {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = bytes.get(at..) {
            let (used, event) = match self.state {
                State::Header(have) => {
                    if let Some(slot) = self.header.get_mut(usize::from(have)) {
                        *slot = *first;
                    }
                    (1, if have < 4 { self.goes_on(State::Header(have + 1)) } else { self.begin() })
                }
                State::Fragment { content, len, left } => {
                    let here = rest.len().min(usize::from(left));
                    let (used, event) = self.fragment(content, len, left, rest.get(..here).unwrap_or_default(), room);
                    let left = left.saturating_sub(u16::try_from(used).unwrap_or(u16::MAX));
                    self.state = if left == 0 { State::Header(0) } else { State::Fragment { content, len, left } };
                    (used, event)
                }
                State::Astray => {
                    let Some(header) = rest.first_chunk::<5>() else { return (at, Event::None) };
                    let fits = Header::parse(*header).is_some_and(|h| h.len > 0 && h.version <= 0x0304);
                    (0, self.goes_on(if fits { State::Header(0) } else { State::Deaf }))
                }
                State::Deaf => (rest.len(), Event::None),
            };
            at += used;
            if event != Event::None {
                return (at, event);
            }
        }
        (at, Event::None)
    }

    /// `lost` bytes will never come. What is known of lengths is used to find the way again. A message that was on its way
    /// ends here: its kind comes back, for [`Reader::take_body`].
    pub fn lose(&mut self, lost: u64) -> Option<u8> {
        self.is_lossy |= !self.is_sealed;
        match self.state {
            State::Fragment { content, len, left } if lost <= u64::from(left) => {
                // It fits: `left` is a u16.
                let lost = lost as u16;
                let left = left - lost;
                self.state = if left == 0 { State::Header(0) } else { State::Fragment { content, len, left } };
                let clear = content == content::HANDSHAKE && !self.is_sealed;
                if clear { self.message.lose(u32::from(lost)) } else { None }
            }
            State::Deaf => None,
            _ => {
                self.state = State::Astray;
                self.message.lose(u32::MAX)
            }
        }
    }

    /// The bytes of the message that just ended; whether some are missing.
    pub fn take_body(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.message.body), self.message.is_cut)
    }

    /// The kind and the bytes of a message that began and did not end.
    pub fn take_begun(&mut self) -> Option<(u8, Vec<u8>)> {
        let begun = self.message.left > 0 && !self.message.is_told && !self.message.body.is_empty();
        begun.then(|| (self.message.head[0], std::mem::take(&mut self.message.body)))
    }

    /// Whether nothing was read yet.
    pub fn is_fresh(&self) -> bool {
        self.state == State::Header(0) && self.header == [0; 5]
    }

    /// Whether it understands what comes.
    pub fn is_deaf(&self) -> bool {
        self.state == State::Deaf
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.message.body.capacity()
    }

    fn goes_on(&mut self, state: State) -> Event {
        self.state = state;
        Event::None
    }

    /// A header is complete.
    fn begin(&mut self) -> Event {
        let Some(header) = Header::parse(self.header) else {
            self.state = State::Deaf;
            // After a loss it was the count of lost bytes that was wrong.
            return if self.is_lossy { Event::None } else { Event::Foreign };
        };
        let Header { content, len, .. } = header;
        self.state = if len == 0 { State::Header(0) } else { State::Fragment { content, len, left: len } };
        self.message.is_astray = false;
        match content {
            content::CHANGE_CIPHER_SPEC => Event::ChangeCipherSpec,
            content::APPLICATION_DATA => Event::Sealed(len),
            content::ALERT if self.is_sealed || len != 2 => Event::SealedAlert,
            _ => Event::None,
        }
    }

    /// A piece of a fragment; how much of it was used up to an event.
    fn fragment(&mut self, content: u8, len: u16, left: u16, piece: &[u8], room: usize) -> (usize, Event) {
        match content {
            content::HANDSHAKE if !self.is_sealed => self.message.read(piece, room),
            content::ALERT if !self.is_sealed && len == 2 => match (left, piece) {
                (2, &[level, ..]) => {
                    self.alert = level;
                    (1, Event::None)
                }
                (_, &[code, ..]) => (1, Event::Alert(self.alert, code)),
                _ => (piece.len(), Event::None),
            },
            _ => (piece.len(), Event::None),
        }
    }
}

impl Message {
    fn read(&mut self, piece: &[u8], room: usize) -> (usize, Event) {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = piece.get(at..) {
            if self.is_astray {
                return (piece.len(), Event::None);
            }
            if self.have < 4 {
                if let Some(slot) = self.head.get_mut(usize::from(self.have)) {
                    *slot = *first;
                }
                (self.have, at) = (self.have + 1, at + 1);
                if self.have == 4 {
                    self.begin(room);
                }
            } else {
                let here = rest.len().min(self.left as usize);
                self.keep(rest.get(..here).unwrap_or_default());
                (self.left, at) = (self.left - here as u32, at + here);
            }
            if self.have == 4 && self.left == 0 {
                self.have = 0;
                if !self.is_told {
                    return (at, Event::Message(self.head[0]));
                }
            }
        }
        (at, Event::None)
    }

    fn begin(&mut self, room: usize) {
        let [kind, a, b, c] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]);
        let (bound, is_whole) = match kind {
            kind::CLIENT_HELLO | kind::SERVER_HELLO => (HELLO_MAX, true),
            kind::CERTIFICATE => (CERTIFICATES_MAX, true),
            // A curve stands in front; the state of an answer at the twelfth byte at the latest.
            kind::SERVER_KEY_EXCHANGE => (3, false),
            kind::CERTIFICATE_STATUS => (12, false),
            _ => (0, false),
        };
        self.keep = bound.min(room);
        self.is_cut = is_whole && self.left as usize > self.keep;
        self.is_told = false;
        self.body = Vec::new();
    }

    /// Keeps bytes up to the bound. Memory grows with what comes, not with what was announced.
    fn keep(&mut self, bytes: &[u8]) {
        let here = bytes.get(..bytes.len().min(self.keep - self.body.len().min(self.keep))).unwrap_or_default();
        let need = self.body.len() + here.len();
        if need > self.body.capacity() {
            let whole = (self.body.len() + self.left as usize).min(self.keep);
            let target = (2 * self.body.len()).max(need).min(whole.max(need));
            self.body.reserve_exact(target - self.body.len());
        }
        self.body.extend_from_slice(here);
    }

    fn lose(&mut self, lost: u32) -> Option<u8> {
        let begun = (self.have == 4 && !self.is_told).then_some(self.head[0]);
        // What came before the loss is all that is kept.
        (self.keep, self.is_cut, self.is_told) = (self.body.len(), true, true);
        if self.have == 4 && lost < self.left {
            self.left -= lost;
        } else {
            self.is_astray = self.have != 4 || lost != self.left;
            (self.have, self.left) = (0, 0);
        }
        begun
    }
}
