//! PPP: its framing (RFC 1662), its protocol numbers (RFC 1661), and Cisco's HDLC beside it.

use super::ether::{IPV4, IPV6, MPLS};
use super::skip::{Layer, Skip, split};

/// A PPP packet, with the address and control bytes or without; a protocol number may be compressed to one byte
/// (RFC 1661 §6.5). Answers with an Ethertype.
pub(super) fn packet(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let data = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    let (&[first], rest) = split::<1>(data, Layer::Link)?;
    // The low bit ends a number; the first byte of a whole one is even.
    let (number, rest) = if first & 1 == 1 {
        (u16::from(first), rest)
    } else {
        let (&[second], rest) = split::<1>(rest, Layer::Link)?;
        (u16::from_be_bytes([first, second]), rest)
    };
    match number {
        0x0021 => Ok((IPV4, rest)),
        0x0057 => Ok((IPV6, rest)),
        0x0281 => Ok((MPLS, rest)),
        0x0283 => Ok((MPLS, rest)),
        _ => Err(Skip::NotIp(number)),
    }
}

/// PPP in HDLC-like framing, or Cisco's HDLC, which says an Ethertype.
pub(super) fn serial(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    match data {
        [0x0f | 0x8f, 0, a, b, rest @ ..] => Ok((u16::from_be_bytes([*a, *b]), rest)),
        _ => packet(data),
    }
}
