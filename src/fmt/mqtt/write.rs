//! Packets as bytes.

use super::packet::{Connect, Publish, Reply, kind};
use super::{MAX_REST, MAX_TEXT, is_topic};

/// The server is asked whether it is there.
pub const PINGREQ: [u8; 2] = [kind::PINGREQ << 4, 0];
/// It is.
pub const PINGRESP: [u8; 2] = [kind::PINGRESP << 4, 0];
/// The client goes.
pub const DISCONNECT: [u8; 2] = [kind::DISCONNECT << 4, 0];

/// The fixed header of a packet of which `len` bytes follow.
fn head(first: u8, mut len: usize, out: &mut Vec<u8>) {
    out.push(first);
    loop {
        let more = len >= 0x80;
        out.push((len & 0x7f) as u8 | u8::from(more) << 7);
        len >>= 7;
        if !more {
            return;
        }
    }
}

/// Bytes behind their length; what is longer than a text may be is cut.
fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A client's introduction, in the words of version 3.1.1 whatever its level says. A password without a user is left out (3.1.2.9).
pub fn connect(c: &Connect<'_>, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    bytes(b"MQTT", &mut body);
    body.push(4);
    let password = c.password.filter(|_| c.user.is_some());
    let flags = [(c.clean, 1), (c.will.is_some(), 2), (password.is_some(), 6), (c.user.is_some(), 7)];
    body.push(flags.into_iter().fold(0, |all, (is, bit)| all | u8::from(is) << bit));
    body.extend_from_slice(&c.keep_alive.to_be_bytes());
    bytes(c.client_id.as_bytes(), &mut body);
    if let Some((topic, message)) = c.will {
        bytes(topic.as_bytes(), &mut body);
        bytes(message, &mut body);
    }
    for field in [c.user.map(str::as_bytes), password].into_iter().flatten() {
        bytes(field, &mut body);
    }
    head(kind::CONNECT << 4, body.len(), out);
    out.extend_from_slice(&body);
}

/// The answer to that.
pub fn connack(session: bool, code: u8, out: &mut Vec<u8>) {
    head(kind::CONNACK << 4, 2, out);
    out.extend_from_slice(&[u8::from(session), code]);
}

/// A message; `false`, and nothing written, when it is too long or its topic is none.
#[must_use]
pub fn publish(p: &Publish<'_>, out: &mut Vec<u8>) -> bool {
    let numbered = p.qos > 0;
    let len = 2 + p.topic.len() + 2 * usize::from(numbered) + p.payload.len();
    if len > MAX_REST || !is_topic(p.topic) {
        return false;
    }
    head(kind::PUBLISH << 4 | u8::from(p.dup) << 3 | (p.qos & 3) << 1 | u8::from(p.retain), len, out);
    bytes(p.topic.as_bytes(), out);
    if numbered {
        out.extend_from_slice(&p.id.to_be_bytes());
    }
    out.extend_from_slice(p.payload);
    true
}

/// An answer.
pub fn reply(what: Reply, id: u16, out: &mut Vec<u8>) {
    head(what.first(), 2, out);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Asks for the messages of these filters, each with the highest quality of service that is wanted.
pub fn subscribe<'a>(id: u16, topics: impl Iterator<Item = (&'a str, u8)>, out: &mut Vec<u8>) {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in topics {
        bytes(filter.as_bytes(), &mut body);
        body.push(qos & 3);
    }
    head(kind::SUBSCRIBE << 4 | 2, body.len(), out);
    out.extend_from_slice(&body);
}

/// The answer to that.
pub fn suback(id: u16, codes: &[u8], out: &mut Vec<u8>) {
    head(kind::SUBACK << 4, 2 + codes.len(), out);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(codes);
}
