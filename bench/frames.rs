//! Captures written for the bench: Ethernet frames of IPv4 with right lengths and checksums, in a pcap file.

use std::io::{self, Write};

/// Bits of the TCP header's flag byte.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Largest TCP payload with a timestamp option over Ethernet.
pub const MSS: usize = 1448;

const ETHERNET: usize = 14;
const IP: usize = 20;

/// Where a packet comes from or goes to.
#[derive(Clone, Copy)]
pub struct Peer {
    pub ip: [u8; 4],
    pub port: u16,
}

/// A pcap file being written, and its clock.
pub struct Capture<W> {
    out: W,
    frame: Vec<u8>,
    /// Microseconds since the epoch.
    pub micros: u64,
    pub packets: u64,
    pub bytes: u64,
}

impl<W: Write> Capture<W> {
    pub fn new(mut out: W) -> io::Result<Self> {
        // Little endian, microseconds, version 2.4, Ethernet.
        for field in [0xA1B2_C3D4u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.write_all(&field.to_le_bytes())?;
        }
        Ok(Self { out, frame: Vec::new(), micros: 1_740_000_000_000_000, packets: 0, bytes: 24 })
    }

    /// A TCP segment; `numbers` are sequence and acknowledgement.
    pub fn tcp(&mut self, from: Peer, to: Peer, flags: u8, numbers: [u32; 2], data: &[u8]) -> io::Result<()> {
        let start = self.headers(from, to, 6, 32 + data.len());
        let ports = [from.port.to_be_bytes(), to.port.to_be_bytes()].concat();
        self.frame.extend_from_slice(&ports);
        self.frame.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        self.frame.extend_from_slice(&[0x80, flags, 0x01, 0xF6, 0, 0, 0, 0, 1, 1, 8, 10]);
        let stamp = (self.micros / 1000) as u32;
        self.frame.extend(stamp.to_be_bytes());
        self.frame.extend(stamp.wrapping_sub(9).to_be_bytes());
        self.frame.extend_from_slice(data);
        self.finish(from, to, 6, start, 16)
    }

    /// A UDP datagram.
    pub fn udp(&mut self, from: Peer, to: Peer, data: &[u8]) -> io::Result<()> {
        let start = self.headers(from, to, 17, 8 + data.len());
        for field in [from.port, to.port, 8 + data.len() as u16, 0] {
            self.frame.extend(field.to_be_bytes());
        }
        self.frame.extend_from_slice(data);
        self.finish(from, to, 17, start, 6)
    }

    /// Ethernet and IP; returns where the transport's header begins.
    fn headers(&mut self, from: Peer, to: Peer, protocol: u8, payload: usize) -> usize {
        self.frame.clear();
        for ip in [to.ip, from.ip] {
            self.frame.extend_from_slice(&[2, 0, ip[0], ip[1], ip[2], ip[3]]);
        }
        self.frame.extend_from_slice(&[8, 0, 0x45, 0]);
        self.frame.extend(((IP + payload) as u16).to_be_bytes());
        self.frame.extend((self.packets as u16).to_be_bytes());
        self.frame.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
        self.frame.extend_from_slice(&[from.ip, to.ip].concat());
        let sum = fold(sum(&self.frame[ETHERNET..]));
        self.frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
        ETHERNET + IP
    }

    /// The transport's checksum, the record, the file.
    fn finish(&mut self, from: Peer, to: Peer, protocol: u8, start: usize, at: usize) -> io::Result<()> {
        let payload = self.frame.len() - start;
        let pseudo = sum(&[from.ip, to.ip].concat()) + u64::from(protocol) + payload as u64;
        let value = fold(pseudo + sum(&self.frame[start..]));
        self.frame[start + at..start + at + 2].copy_from_slice(&value.to_be_bytes());
        let len = self.frame.len() as u32;
        for field in [(self.micros / 1_000_000) as u32, (self.micros % 1_000_000) as u32, len, len] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(&self.frame)?;
        self.packets += 1;
        self.bytes += 16 + u64::from(len);
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The sum of 16-bit words (RFC 1071), not folded.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low)));
    words.sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
