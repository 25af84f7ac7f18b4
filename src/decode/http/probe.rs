//! Whether bytes are HTTP: for finding it on any port.

use super::head::{self, Looks, Start};
use crate::decode::{Probe, Transport};
use memchr::memchr;

/// Longest request line that is waited for, in bytes; behind it a known method and a path have to do.
const LINE_MAX: usize = 400;

/// Looks at the first bytes of a direction. A request is told by its whole first line: other protocols (RTSP, SIP) begin alike.
pub(super) fn probe(over: Transport, bytes: &[u8]) -> Probe {
    match over {
        Transport::Tcp => {}
        Transport::Udp if head::looks(bytes) == Looks::Response || request(bytes) == Probe::Yes => return Probe::Yes,
        Transport::Udp | Transport::Icmp => return Probe::No,
    }
    match head::looks(bytes) {
        Looks::Response => Probe::Yes,
        Looks::Neither => Probe::No,
        // No other protocol begins a word like that.
        Looks::Short if b"HTTP/".starts_with(bytes) || bytes.starts_with(b"HTTP/") => Probe::Maybe,
        Looks::Short if may_be_method(bytes.strip_suffix(b" ").unwrap_or(bytes)) => Probe::Maybe,
        Looks::Short => Probe::No,
        Looks::Request => request(bytes),
    }
}

fn request(bytes: &[u8]) -> Probe {
    let method = bytes.split(|b| *b == b' ').next().unwrap_or_default();
    let known = head::is_known_method(method);
    match memchr(b'\n', bytes) {
        Some(_) => match head::start(head::line(bytes).0) {
            Some(Start::Request { version, .. }) if version.0 >= 1 => Probe::Yes,
            _ => Probe::No,
        },
        None if !(known || may_be_method(method)) || bytes.iter().any(|b| *b < b' ' && *b != b'\t' && *b != b'\r') => {
            Probe::No
        }
        None if bytes.len() < LINE_MAX => Probe::Maybe,
        None if known && bytes.get(method.len() + 1) == Some(&b'/') => Probe::Yes,
        None => Probe::No,
    }
}

/// Whether a word looks like those that are methods.
fn may_be_method(word: &[u8]) -> bool {
    word.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Probe {
        probe(Transport::Tcp, bytes)
    }

    #[test]
    fn messages_are_known() {
        let (request, response) = (b"GET /a HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 200 OK\r\n");
        for n in 1..request.len() {
            assert_eq!(of(&request[..n]), if n < 17 { Probe::Maybe } else { Probe::Yes }, "{n}");
        }
        for n in 1..response.len() {
            assert_eq!(of(&response[..n]), if n < 12 { Probe::Maybe } else { Probe::Yes }, "{n}");
        }
        for datagram in [&b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n"[..], response] {
            assert_eq!(probe(Transport::Udp, datagram), Probe::Yes);
        }
        assert_eq!(of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Probe::Yes);
        assert_eq!(of(&[&b"GET /"[..], &[b'x'; LINE_MAX]].concat()), Probe::Yes);
    }

    #[test]
    fn others_are_not() {
        let others: [&[u8]; 11] = [
            b"\x16\x03\x01\x02\x00",
            b"OPTIONS sip:a@b SIP/2.0\r\n",
            b"DESCRIBE rtsp://x RTSP/1.0\r\n",
            b"SSH-2.0-OpenSSH_9\r\n",
            b"220 mail ESMTP\r\n",
            b"EHLO example.org\r\n",
            b"get key",
            b"get key\r\n",
            b"GET key\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\0\0\0\x2f\xff",
        ];
        for other in others {
            assert_eq!(of(other), Probe::No, "{}", String::from_utf8_lossy(other));
        }
        assert_eq!(probe(Transport::Icmp, b"HTTP/1.1 200 OK\r\n"), Probe::No);
        assert_eq!(probe(Transport::Udp, b"GET /"), Probe::No);
    }
}
