//! Whether bytes are DNS.

use super::code::{self, Code};
use super::wire::{HEADER, Header, Message, Section};
use super::{Bad, name};
use crate::decode::{Probe, Transport};

/// Records that a question may come with: one OPT, a TSIG or SIG, prerequisites of an update.
const RECORDS_MAX: u16 = 64;

/// Bytes of the longest question: name, type, class.
const QUESTION_MAX: usize = 259;

/// Looks at a datagram, or at the first bytes of a TCP stream's direction.
pub(super) fn probe(over: Transport, data: &[u8]) -> Probe {
    match over {
        Transport::Udp => datagram(data),
        Transport::Tcp => stream(data),
        Transport::Icmp => Probe::No,
    }
}

/// A datagram is one message, nothing missing, nothing behind it.
fn datagram(data: &[u8]) -> Probe {
    let Some(msg) = Message::parse(data).filter(|msg| plausible(msg.header)) else { return Probe::No };
    // Truncated messages may hold less than they declare; captured ones may be cut.
    let sound = msg.end == data.len() && (msg.whole || msg.header.has(Header::TC));
    if sound && known(&msg) { Probe::Yes } else { Probe::No }
}

/// A message behind its length; its first question must be there.
pub(super) fn stream(data: &[u8]) -> Probe {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return Probe::Maybe };
    let len = usize::from(u16::from_be_bytes(*len));
    let Some(header) = Header::parse(rest) else {
        return if len > HEADER { Probe::Maybe } else { Probe::No };
    };
    let [questions, answers, ..] = header.counts;
    if len <= HEADER || !plausible(header) || questions > 1 || least(header) > len {
        return Probe::No;
    }
    if questions == 0 {
        // The next messages of a transfer hold answers alone.
        let record = super::wire::Record::parse(rest, HEADER);
        return match record {
            Ok((r, next)) if answers > 0 && next <= len && named(r.rtype) && usual(r.class) => Probe::Yes,
            _ if rest.len() < len.min(HEADER + QUESTION_MAX) && answers > 0 => Probe::Maybe,
            _ => Probe::No,
        };
    }
    match question(rest, len) {
        Ok(true) => Probe::Yes,
        Ok(false) => Probe::No,
        Err(Bad) if rest.len() < len.min(HEADER + QUESTION_MAX) => Probe::Maybe,
        Err(Bad) => Probe::No,
    }
}

/// Whether the first question is a known one; an error when it cannot be read.
fn question(msg: &[u8], len: usize) -> Result<bool, Bad> {
    let after = name::skip(msg, HEADER)?;
    let fixed = msg.get(after..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Bad)?;
    let [a, b, c, d] = *fixed;
    let known = named(u16::from_be_bytes([a, b])) && usual(u16::from_be_bytes([c, d]));
    Ok(known && after + 4 <= len && !is_netbios(msg))
}

/// What a header says that a real one does not.
fn plausible(header: Header) -> bool {
    let [questions, answers, authorities, additionals] = header.counts;
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    let counts = if header.is_response() {
        // A response without anything answers a question that was not understood.
        u32::from(questions) + records > 0 || header.rcode() != 0
    } else {
        questions > 0 && answers.max(authorities).max(additionals) <= RECORDS_MAX
    };
    // The reserved bit is zero; a query has no response code but in UPDATE.
    let clean = header.flags & 0x0040 == 0 && (header.is_response() || header.rcode() == 0);
    counts && clean && matches!(header.opcode(), 0..=2 | 4..=6)
}

/// Bytes that so many entries need at least.
fn least(header: Header) -> usize {
    let [questions, records @ ..] = header.counts.map(usize::from);
    HEADER + questions * 5 + records.iter().sum::<usize>() * 11
}

/// Whether questions and answers are of known types and classes.
fn known(msg: &Message<'_>) -> bool {
    let mut entries = 0;
    for question in msg.questions() {
        entries += 1;
        if !named(question.rtype) || !usual(question.class & !super::wire::CLASS_TOP) {
            return false;
        }
    }
    for record in msg.records(Section::Answers) {
        entries += 1;
        if !named(record.rtype) || !usual(record.class & !super::wire::CLASS_TOP) {
            return false;
        }
    }
    entries > 0 && !is_netbios(msg.data)
}

fn named(rtype: u16) -> bool {
    rtype != 0 && matches!(code::rtype_name(rtype), Code::Name(_))
}

fn usual(class: u16) -> bool {
    matches!(class, 1 | 3 | 4 | 254 | 255)
}

/// The NetBIOS name service (RFC 1002) has the format of DNS; its names are 32 letters from A to P.
fn is_netbios(msg: &[u8]) -> bool {
    let first = msg.get(HEADER..).and_then(|rest| rest.first_chunk::<33>());
    first.is_some_and(|[len, letters @ ..]| *len == 32 && letters.iter().all(|b| (b'A'..=b'P').contains(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";

    fn framed(msg: &[u8]) -> Vec<u8> {
        [&(msg.len() as u16).to_be_bytes()[..], msg].concat()
    }

    #[test]
    fn a_query_is_known_once_its_question_is_there() {
        assert_eq!(probe(Transport::Udp, QUERY), Probe::Yes);
        let stream = framed(QUERY);
        for len in 0..stream.len() {
            assert_eq!(probe(Transport::Tcp, &stream[..len]), Probe::Maybe, "{len}");
        }
        assert_eq!(probe(Transport::Tcp, &stream), Probe::Yes);
        assert_eq!(probe(Transport::Tcp, &[&stream[..], &stream].concat()), Probe::Yes);
    }

    #[test]
    fn other_protocols_are_not() {
        for other in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            &[0; 64],
            &[0xff; 64],
            b"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl\x00\x01\x00\x01\x00\x01\x00\x01",
            b"\x80\0\x01\x10\0\x01\0\0\0\0\0\0\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01",
        ] {
            assert_eq!(probe(Transport::Udp, other), Probe::No, "{other:?}");
            assert_eq!(probe(Transport::Tcp, other), Probe::No, "{other:?}");
        }
        assert_eq!(probe(Transport::Udp, &[QUERY, b"x"].concat()), Probe::No);
        assert_eq!(probe(Transport::Udp, &QUERY[..QUERY.len() - 1]), Probe::No);
    }

    #[test]
    fn answers_alone_are_enough() {
        let answer = b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x01a\x05local\0\0\x01\x80\x01\0\0\0\x0a\0\x04\x0a\0\0\x01";
        assert_eq!(probe(Transport::Udp, answer), Probe::Yes);
        let refused = b"\0\x07\x80\x05\0\0\0\0\0\0\0\0";
        assert_eq!(probe(Transport::Udp, refused), Probe::No);
    }
}
