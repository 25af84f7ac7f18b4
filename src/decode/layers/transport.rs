//! TCP, UDP and ICMP headers.

use super::ip::{self, Datagram};
use super::skip::{Layer, Skip};
use super::view::{Body, SynOptions, TcpSegment, UdpDatagram};
use crate::decode::tcp::flag;

/// What a whole datagram carries.
#[inline(always)]
pub(super) fn read<'a>(datagram: &Datagram<'a>) -> Result<Body<'a>, Skip> {
    let (data, wire_len) = (datagram.data, datagram.wire_len);
    match (datagram.protocol, datagram.is_v6()) {
        (ip::TCP, _) => tcp(data, wire_len),
        (ip::UDP, _) => udp(data, wire_len),
        (ip::ICMP, false) | (ip::ICMPV6, true) => match (data, wire_len) {
            (_, 0) => Err(Skip::Malformed(Layer::Transport)),
            ([], _) => Err(Skip::Truncated(Layer::Transport)),
            _ => Ok(Body::Icmp { data, wire_len }),
        },
        (protocol, _) => Ok(Body::Other(protocol)),
    }
}

/// RFC 9293 §3.1.
#[inline(always)]
fn tcp(data: &[u8], wire_len: u32) -> Result<Body<'_>, Skip> {
    let Some(&[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, _, _]) =
        data.first_chunk::<20>()
    else {
        return ports(data, wire_len, true);
    };
    let header = usize::from(offset >> 4) * 4;
    if header < 20 || ip::bytes(header) > wire_len {
        return ports(data, wire_len, true);
    }
    let options = if flags & flag::SYN == 0 {
        SynOptions::default()
    } else {
        syn_options(data.get(20..header.min(data.len())).unwrap_or_default())
    };
    Ok(Body::Tcp(TcpSegment {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        options,
        payload: data.get(header..).unwrap_or_default(),
        wire_payload_len: wire_len.saturating_sub(ip::bytes(header)),
    }))
}

/// RFC 768. A length of 0 is that of a jumbogram (RFC 2675 §4), or of one that the network card will cut.
#[inline(always)]
fn udp(data: &[u8], wire_len: u32) -> Result<Body<'_>, Skip> {
    let Some((&[s0, s1, d0, d1, l0, l1, _, _], rest)) = data.split_first_chunk::<8>() else {
        return ports(data, wire_len, false);
    };
    let len = match u32::from(u16::from_be_bytes([l0, l1])) {
        0 if wire_len > u32::from(u16::MAX) => wire_len,
        len => len,
    };
    if len < 8 || len > wire_len {
        return ports(data, wire_len, false);
    }
    let wire_len = len - 8;
    let captured = usize::try_from(wire_len).unwrap_or(usize::MAX).min(rest.len());
    Ok(Body::Udp(UdpDatagram {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        payload: rest.get(..captured).unwrap_or(rest),
        wire_len,
    }))
}

/// What is left of a header that cannot be read.
#[inline(always)]
fn ports<'a>(data: &[u8], wire_len: u32, tcp: bool) -> Result<Body<'a>, Skip> {
    let (src_port, dst_port) = first_words(data, wire_len)?;
    Ok(Body::Ports { tcp, src_port, dst_port })
}

#[cold]
fn first_words(data: &[u8], wire_len: u32) -> Result<(u16, u16), Skip> {
    match data {
        [a, b, c, d, ..] => Ok((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
        _ if wire_len < 4 => Err(Skip::Malformed(Layer::Transport)),
        _ => Err(Skip::Truncated(Layer::Transport)),
    }
}

/// RFC 9293 §3.2: up to the first that makes no sense.
fn syn_options(mut rest: &[u8]) -> SynOptions {
    const MAX_SHIFT: u8 = 14;
    let mut found = SynOptions::default();
    loop {
        rest = match rest {
            [] | [0, ..] => return found,
            [1, rest @ ..] => rest,
            [kind, len, ..] => {
                let Some(option) = rest.get(..usize::from(*len)).filter(|o| o.len() >= 2) else { return found };
                match (*kind, option) {
                    (2, [_, _, a, b]) => found.mss = Some(u16::from_be_bytes([*a, *b])),
                    // RFC 7323 §2.3: a larger shift is used as 14.
                    (3, [_, _, shift]) => found.window_scale = Some((*shift).min(MAX_SHIFT)),
                    (4, [_, _]) => found.sack_permitted = true,
                    _ => {}
                }
                rest.get(option.len()..).unwrap_or_default()
            }
            [_] => return found,
        };
    }
}
