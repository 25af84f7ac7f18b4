//! Packets: what each holds, and how it is read behind its fixed header.

use super::{is_filter, is_topic};
use std::fmt;

/// A packet of either side (2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client introduces itself.
    Connect(Connect<'a>),
    /// The server's answer to that.
    ConnAck {
        /// It still has the session of an earlier connection.
        session: bool,
        /// 0 lets the client in; others are [`super::refusal`]s.
        code: u8,
    },
    /// A message.
    Publish(Publish<'a>),
    /// An answer that names a packet, and nothing else.
    Reply(Reply, u16),
    /// A client wants messages.
    Subscribe {
        /// To be answered with.
        id: u16,
        /// Which ones.
        topics: Topics<'a>,
    },
    /// The server's answer to that: for each filter the quality of service, or [`super::REFUSED`].
    SubAck {
        /// That of the request.
        id: u16,
        /// In the order of the request.
        codes: &'a [u8],
    },
    /// A client wants messages no more.
    Unsubscribe {
        /// To be answered with.
        id: u16,
        /// Which ones.
        topics: Topics<'a>,
    },
    /// A client asks whether the server is there.
    PingReq,
    /// It is.
    PingResp,
    /// A client goes.
    Disconnect,
}

/// Packets that hold the number of another one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A message of QoS 1 is taken over (3.4).
    PubAck,
    /// A message of QoS 2 is taken over (3.5).
    PubRec,
    /// Its sender knows that (3.6).
    PubRel,
    /// And that is known, too (3.7).
    PubComp,
    /// Messages come no more (3.11).
    UnsubAck,
}

/// How a client introduces itself (3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connect<'a> {
    /// The version of the protocol: 4 is 3.1.1, 3 is 3.1. Of others nothing more is read.
    pub level: u8,
    /// Neither side keeps anything of an earlier connection, nor of this one.
    pub clean: bool,
    /// The client is never silent for longer, in seconds; 0 makes no promise.
    pub keep_alive: u16,
    /// Its name; may be empty.
    pub client_id: &'a str,
    /// The topic of what is to be said when it vanishes, and the message.
    pub will: Option<(&'a str, &'a [u8])>,
    /// Its user.
    pub user: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
}

/// A message (3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publish<'a> {
    /// Under which name.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// Quality of service: 0 at most once, 1 at least once, 2 exactly once.
    pub qos: u8,
    /// It may have been sent before.
    pub dup: bool,
    /// The server is to keep it for later subscribers, or kept it.
    pub retain: bool,
    /// To be answered with; 0 with QoS 0, which has no answer.
    pub id: u16,
    /// Bytes at the end of the payload that were passed over, since it is longer than allowed.
    pub lost: usize,
}

/// The filters of a request, one or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics<'a> {
    bytes: &'a [u8],
    with_qos: bool,
}

impl<'a> Iterator for Topics<'a> {
    /// A filter, and the quality of service that is asked for (0 in UNSUBSCRIBE).
    type Item = (&'a str, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let mut body = Body(self.bytes);
        let filter = body.text().ok()?;
        let qos = if self.with_qos { body.byte().ok()? } else { 0 };
        self.bytes = body.0;
        Some((filter, qos))
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// No packet begins with this byte.
    Kind(u8),
    /// The length of a packet has more than four bytes.
    Length,
    /// A packet that is no message is so long.
    Long(usize),
    /// A packet ends early, or goes on behind its end, or contradicts itself.
    Malformed,
    /// A text that is not UTF-8, or has a NUL in it.
    Text,
    /// A message under a name that cannot be a topic, or a filter that is none.
    Topic,
    /// A packet that is to be answered has the number 0.
    Id,
    /// Quality of service 3.
    Qos,
    /// The first words are of another protocol.
    Protocol,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(b) => write!(f, "no packet of MQTT begins with the byte 0x{b:02x}"),
            Self::Length => f.write_str("the length of a packet has more than four bytes"),
            Self::Long(n) => write!(f, "a packet of {n} bytes that is no message"),
            Self::Malformed => f.write_str("a packet whose length does not fit what it holds"),
            Self::Text => f.write_str("a text that is not UTF-8, or has a NUL in it"),
            Self::Topic => f.write_str("a topic that cannot be one"),
            Self::Id => f.write_str("a packet with the number 0"),
            Self::Qos => f.write_str("a message of QoS 3"),
            Self::Protocol => f.write_str("its first packet is of another protocol"),
        }
    }
}

/// The kinds of packets: the upper half of the first byte.
pub(super) mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
}

impl Reply {
    /// The first byte.
    pub(super) fn first(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
            Self::UnsubAck => 0xb0,
        }
    }

    fn of(first: u8) -> Option<Self> {
        let all = [Self::PubAck, Self::PubRec, Self::PubRel, Self::PubComp, Self::UnsubAck];
        all.into_iter().find(|reply| reply.first() == first)
    }
}

/// Whether a packet may begin so (2.2.2).
pub(super) fn is_first(first: u8) -> bool {
    let flags = first & 0x0f;
    match first >> 4 {
        kind::PUBLISH => true,
        kind::SUBSCRIBE | kind::UNSUBSCRIBE => flags == 2,
        kind::CONNECT | kind::CONNACK | kind::SUBACK | kind::PINGREQ | kind::PINGRESP | kind::DISCONNECT => flags == 0,
        _ => Reply::of(first).is_some(),
    }
}

impl<'a> Packet<'a> {
    /// The packet with this first byte and this body, which is complete.
    pub(super) fn read(first: u8, bytes: &'a [u8]) -> Result<Self, Wrong> {
        let mut body = Body(bytes);
        let packet = match first >> 4 {
            kind::CONNECT => return body.connect().map(Packet::Connect),
            kind::CONNACK => {
                let (flags, code) = (body.byte()?, body.byte()?);
                if flags > 1 || flags == 1 && code != 0 {
                    return Err(Wrong::Malformed);
                }
                Packet::ConnAck { session: flags == 1, code }
            }
            kind::PUBLISH => return Publish::read(first, bytes).map(Packet::Publish),
            kind::SUBSCRIBE => Packet::Subscribe { id: body.id()?, topics: body.topics(true)? },
            kind::UNSUBSCRIBE => Packet::Unsubscribe { id: body.id()?, topics: body.topics(false)? },
            kind::SUBACK => {
                let id = body.id()?;
                let codes = std::mem::take(&mut body.0);
                if codes.is_empty() || codes.iter().any(|code| !matches!(code, 0..=2 | 0x80)) {
                    return Err(Wrong::Malformed);
                }
                Packet::SubAck { id, codes }
            }
            kind::PINGREQ => Packet::PingReq,
            kind::PINGRESP => Packet::PingResp,
            kind::DISCONNECT => Packet::Disconnect,
            _ => Packet::Reply(Reply::of(first).ok_or(Wrong::Kind(first))?, body.id()?),
        };
        if body.0.is_empty() { Ok(packet) } else { Err(Wrong::Malformed) }
    }
}

impl<'a> Publish<'a> {
    fn read(first: u8, bytes: &'a [u8]) -> Result<Self, Wrong> {
        let mut body = Body(bytes);
        let qos = first >> 1 & 3;
        if qos == 3 {
            return Err(Wrong::Qos);
        }
        let topic = body.text()?;
        if !is_topic(topic) {
            return Err(Wrong::Topic);
        }
        let id = if qos == 0 { 0 } else { body.id()? };
        Ok(Self { topic, payload: body.0, qos, dup: first & 8 != 0, retain: first & 1 != 0, id, lost: 0 })
    }
}

/// What is not read yet of a packet.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn byte(&mut self) -> Result<u8, Wrong> {
        let (byte, rest) = self.0.split_first().ok_or(Wrong::Malformed)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn u16(&mut self) -> Result<u16, Wrong> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Wrong::Malformed)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*number))
    }

    fn id(&mut self) -> Result<u16, Wrong> {
        match self.u16()? {
            0 => Err(Wrong::Id),
            id => Ok(id),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let len = self.u16()?;
        let (bytes, rest) = self.0.split_at_checked(len.into()).ok_or(Wrong::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Wrong> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Wrong::Text)?;
        if text.contains('\0') { Err(Wrong::Text) } else { Ok(text) }
    }

    /// The rest, which holds filters and nothing else.
    fn topics(&mut self, with_qos: bool) -> Result<Topics<'a>, Wrong> {
        let topics = Topics { bytes: self.0, with_qos };
        loop {
            if !is_filter(self.text()?) {
                return Err(Wrong::Topic);
            }
            if with_qos && self.byte()? > 2 {
                return Err(Wrong::Malformed);
            }
            if self.0.is_empty() {
                return Ok(topics);
            }
        }
    }

    fn connect(&mut self) -> Result<Connect<'a>, Wrong> {
        let name = self.bytes().map_err(|_| Wrong::Protocol)?;
        if name != b"MQTT" && name != b"MQIsdp" {
            return Err(Wrong::Protocol);
        }
        let level = self.byte()?;
        if !matches!(level, 3 | 4) {
            return Ok(Connect { level, ..Connect::default() });
        }
        let flags = self.byte()?;
        let has = |bit: u8| flags >> bit & 1 == 1;
        let (will, will_qos) = (has(2), flags >> 3 & 3);
        // 3.1.2.3 to 3.1.2.9
        if has(0) || will_qos == 3 || !will && (will_qos != 0 || has(5)) || has(6) && !has(7) {
            return Err(Wrong::Malformed);
        }
        let connect = Connect {
            level,
            clean: has(1),
            keep_alive: self.u16()?,
            client_id: self.text()?,
            will: if will { Some((self.text()?, self.bytes()?)) } else { None },
            user: if has(7) { Some(self.text()?) } else { None },
            password: if has(6) { Some(self.bytes()?) } else { None },
        };
        if self.0.is_empty() { Ok(connect) } else { Err(Wrong::Malformed) }
    }
}
