//! Frames for tests: Ethernet, IPv4 or IPv6, TCP, UDP or ICMP with right checksums, and whole conversations of them.
//!
//! ```ignore
//! let frames = Frames::tcp("10.0.0.1:40000", "10.0.0.2:80").handshake().client(b"GET / HTTP/1.0\r\n\r\n").server(answer).fin().take();
//! ```

use crate::time::Time;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// TCP's flags (RFC 9293 §3.1).
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// The time of the first frame unless another is set.
pub const START: Time = Time(1_700_000_000_000_000_000);

/// A conversation between a client (0) and a server (1), frame by frame.
#[derive(Debug, Clone)]
pub struct Frames {
    ends: [SocketAddr; 2],
    protocol: u8,
    vlans: Vec<u16>,
    now: Time,
    step: Duration,
    mss: usize,
    /// The next sequence number of each side.
    seq: [u32; 2],
    ident: u16,
    frames: Vec<(Time, Vec<u8>)>,
}

impl Frames {
    /// A TCP connection; ends are written `10.0.0.1:80` or `[2001:db8::1]:80`. Sequence numbers begin at 1,000 and 5,000.
    pub fn tcp(client: &str, server: &str) -> Self {
        Self::new(client, server, 6)
    }

    /// UDP datagrams.
    pub fn udp(client: &str, server: &str) -> Self {
        Self::new(client, server, 17)
    }

    /// ICMP messages, of ICMPv6 where the ends are; the ports are not used. What is sent is the message from its type on,
    /// its checksum is filled in.
    pub fn icmp(client: &str, server: &str) -> Self {
        let v6 = client.starts_with('[');
        Self::new(client, server, if v6 { 58 } else { 1 })
    }

    fn new(client: &str, server: &str, protocol: u8) -> Self {
        Self {
            ends: [client, server].map(|end| end.parse().unwrap()),
            protocol,
            vlans: Vec::new(),
            now: START,
            step: Duration::from_millis(1),
            mss: 1460,
            seq: [1000, 5000],
            ident: 1,
            frames: Vec::new(),
        }
    }

    /// The time of the next frame.
    pub fn at(mut self, time: Time) -> Self {
        self.now = time;
        self
    }

    /// Time between two frames from here on (1 ms).
    pub fn step(mut self, step: Duration) -> Self {
        self.step = step;
        self
    }

    /// Lets time pass.
    pub fn wait(mut self, time: Duration) -> Self {
        self.now = Time(self.now.0 + time.as_nanos() as i64);
        self
    }

    /// Payload bytes of a segment from here on (1460).
    pub fn mss(mut self, mss: usize) -> Self {
        self.mss = mss;
        self
    }

    /// 802.1Q tags of the next frames, outermost first.
    pub fn vlans(mut self, ids: &[u16]) -> Self {
        self.vlans = ids.to_vec();
        self
    }

    /// Other first sequence numbers, the client's and the server's.
    pub fn isn(mut self, client: u32, server: u32) -> Self {
        self.seq = [client, server];
        self
    }

    /// SYN, SYN and ACK, ACK.
    pub fn handshake(self) -> Self {
        let options: &[u8] = &[2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7];
        self.segment(0, SYN, options, b"").segment(1, SYN | ACK, options, b"").segment(0, ACK, b"", b"")
    }

    /// The client says this: in segments of the MSS each, or in a datagram.
    pub fn client(self, bytes: &[u8]) -> Self {
        self.send(0, bytes)
    }

    /// The server says this.
    pub fn server(self, bytes: &[u8]) -> Self {
        self.send(1, bytes)
    }

    /// Side 0 or 1 says this.
    pub fn send(mut self, side: usize, bytes: &[u8]) -> Self {
        if self.protocol != 6 {
            return self.message(side, bytes);
        }
        let mut pieces = bytes.chunks(self.mss).peekable();
        while let Some(piece) = pieces.next() {
            let push = if pieces.peek().is_none() { PSH } else { 0 };
            self = self.segment(side, ACK | push, b"", piece);
        }
        self
    }

    /// Both sides close, the client first.
    pub fn fin(self) -> Self {
        self.segment(0, FIN | ACK, b"", b"").segment(1, FIN | ACK, b"", b"").segment(0, ACK, b"", b"")
    }

    /// One side closes.
    pub fn half_close(self, side: usize) -> Self {
        self.segment(side, FIN | ACK, b"", b"").segment(1 - side, ACK, b"", b"")
    }

    /// Side 0 or 1 resets the connection.
    pub fn reset(self, side: usize) -> Self {
        self.segment(side, RST | ACK, b"", b"")
    }

    /// Bytes that were sent and not captured.
    pub fn lose(mut self, side: usize, bytes: usize) -> Self {
        self.seq[side] = self.seq[side].wrapping_add(bytes as u32);
        self
    }

    /// One TCP segment with any flags and options (padded here); the sequence number moves on.
    pub fn segment(mut self, side: usize, flags: u8, options: &[u8], payload: &[u8]) -> Self {
        let (from, to) = (self.ends[side], self.ends[1 - side]);
        let ack = if flags & ACK == 0 { 0 } else { self.seq[1 - side] };
        let mut tcp = tcp_header(from.port(), to.port(), self.seq[side], ack, flags, options);
        tcp.extend_from_slice(payload);
        put_checksum(from.ip(), to.ip(), 6, &mut tcp, 16);
        let moved = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.seq[side] = self.seq[side].wrapping_add(moved);
        self.push(from.ip(), to.ip(), &tcp);
        self
    }

    fn message(mut self, side: usize, bytes: &[u8]) -> Self {
        let (from, to) = (self.ends[side], self.ends[1 - side]);
        let mut body = if self.protocol == 17 { udp_header(from.port(), to.port(), bytes.len()) } else { Vec::new() };
        body.extend_from_slice(bytes);
        put_checksum(from.ip(), to.ip(), self.protocol, &mut body, if self.protocol == 17 { 6 } else { 2 });
        self.push(from.ip(), to.ip(), &body);
        self
    }

    fn push(&mut self, from: IpAddr, to: IpAddr, body: &[u8]) {
        let packet = ip(from, to, self.protocol, self.ident, body);
        self.ident = self.ident.wrapping_add(1);
        self.frames.push((self.now, ethernet(&self.vlans, &packet)));
        self.now = Time(self.now.0 + self.step.as_nanos() as i64);
    }

    /// Adds the frames of another conversation, in the order of their times.
    pub fn with(mut self, other: Self) -> Self {
        self.frames.extend(other.frames);
        self.frames.sort_by_key(|(time, _)| *time);
        self
    }

    /// What was captured.
    pub fn take(self) -> Vec<(Time, Vec<u8>)> {
        self.frames
    }
}

/// An Ethernet frame around an IP packet, with tags. MAC addresses are 02:00:00:00:00:02 (to) and …:01 (from).
pub fn ethernet(vlans: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for id in vlans {
        frame.extend_from_slice(&[0x81, 0]);
        frame.extend_from_slice(&id.to_be_bytes());
    }
    let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
    frame.extend_from_slice(if v6 { &[0x86, 0xdd] } else { &[0x08, 0] });
    frame.extend_from_slice(packet);
    frame
}

/// An IP packet of the version of its addresses.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, ident: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + body.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&(20 + body.len() as u16).to_be_bytes());
            packet.extend_from_slice(&ident.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 64, protocol, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            let sum = checksum(0, &packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&(body.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[protocol, 64]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
        }
        _ => panic!("{from} and {to} are of two kinds"),
    }
    packet.extend_from_slice(body);
    packet
}

/// A UDP header without its checksum, for `len` bytes of payload.
pub fn udp_header(from: u16, to: u16, len: usize) -> Vec<u8> {
    [from, to, 8 + len as u16, 0].iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// A TCP header without its checksum.
pub fn tcp_header(from: u16, to: u16, seq: u32, ack: u32, flags: u8, options: &[u8]) -> Vec<u8> {
    let words = options.len().div_ceil(4);
    let mut header = Vec::new();
    header.extend_from_slice(&from.to_be_bytes());
    header.extend_from_slice(&to.to_be_bytes());
    header.extend_from_slice(&seq.to_be_bytes());
    header.extend_from_slice(&ack.to_be_bytes());
    header.extend_from_slice(&[(5 + words as u8) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend_from_slice(options);
    header.resize(20 + words * 4, 0);
    header
}

/// Writes the checksum over the pseudo-header and `body` at `at`; ICMP for IPv4 has no pseudo-header.
pub fn put_checksum(from: IpAddr, to: IpAddr, protocol: u8, body: &mut [u8], at: usize) {
    let mut pseudo = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) if protocol != 1 => pseudo = [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => pseudo = [from.octets(), to.octets()].concat(),
        _ => {}
    }
    if !pseudo.is_empty() {
        pseudo.extend_from_slice(&(body.len() as u32).to_be_bytes());
        pseudo.extend_from_slice(&[0, 0, 0, protocol]);
    }
    let Some(place) = body.get_mut(at..at + 2) else { return };
    place.fill(0);
    let seed = !checksum(0, &pseudo);
    let sum = match checksum(u32::from(seed), body) {
        // RFC 768: no checksum is written as 0.
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071 over bytes, on top of a sum.
pub fn checksum(seed: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | c.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum = words.fold(seed, |sum, word| sum + word);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn headers_sum_to_nothing() {
    for (client, server) in [("10.0.0.1:1", "10.0.0.2:2"), ("[2001:db8::1]:1", "[2001:db8::2]:2")] {
        let frames = Frames::tcp(client, server).handshake().client(&[7; 3001]).fin().take();
        assert_eq!(frames.len(), 3 + 3 + 3);
        for (_, frame) in &frames {
            let v4 = frame[12] == 8;
            let (addrs, body) = if v4 { (&frame[26..34], &frame[34..]) } else { (&frame[22..54], &frame[54..]) };
            let mut pseudo = addrs.to_vec();
            pseudo.extend_from_slice(&(body.len() as u32).to_be_bytes());
            pseudo.extend_from_slice(&[0, 0, 0, 6]);
            assert_eq!(checksum(u32::from(!checksum(0, &pseudo)), body), 0);
            assert!(!v4 || checksum(0, &frame[14..34]) == 0);
        }
    }
    let last = Frames::tcp("10.0.0.1:1", "10.0.0.2:2").handshake().client(b"abc").fin().take().pop().unwrap().1;
    assert_eq!(last[38..46], [0, 0, 0x03, 0xed, 0, 0, 0x13, 0x8a], "SYN, three bytes and FIN count");
}
