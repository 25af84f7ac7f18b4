//! Tunnels: IP in IP, in GRE, or in UDP.
//!
//! What is found by nothing but a UDP port must look like it: flags, lengths, and an IP header that fits.

use super::ether::{BRIDGED, IPV4, MPLS, Net, PPP, Trail, by_type, next_protocol};
use super::ip::{self, Datagram};
use super::skip::{Layer, Skip, after, split};
use super::view::{Body, UdpDatagram};

/// Extension headers of a GTP-U packet; a real one has one or two.
const MAX_GTP_EXTENSIONS: usize = 8;

/// Whether it is worth to look closer.
#[inline(always)]
pub(super) fn is_likely(body: &Body<'_>) -> bool {
    const PORTS: [u16; 10] = [1701, 2152, 3544, 4341, 4342, 4754, 4789, 4790, 6081, 6635];
    match body {
        // 8472 is the only one above.
        Body::Udp(udp) => [udp.src_port, udp.dst_port].iter().any(|p| *p == 8472 || PORTS.contains(p)),
        Body::Other(_) => true,
        _ => false,
    }
}

/// What the datagram carries, if it is a tunnel for IP.
pub(super) fn inside<'a>(datagram: &Datagram<'a>, body: &Body<'a>, trail: &mut Trail) -> Option<Net<'a>> {
    let data = datagram.data;
    match body {
        Body::Udp(udp) => in_udp(udp, trail),
        Body::Other(protocol) => match *protocol {
            // 94 is an older number of it.
            ip::IPV4 | 94 => Some(Net::V4(data)),
            ip::IPV6 => Some(Net::V6(data)),
            ip::GRE => gre(data, trail).ok(),
            // EtherIP (RFC 3378): version 3, then a frame.
            97 => by_type(BRIDGED, data.strip_prefix(&[0x30, 0])?, trail).ok(),
            // MPLS in IP (RFC 4023).
            137 => by_type(MPLS, data, trail).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// GRE (RFC 2784, RFC 2890), and version 1 of PPTP (RFC 2637).
fn gre<'a>(data: &'a [u8], trail: &mut Trail) -> Result<Net<'a>, Skip> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGED: u16 = 0x0080;
    let (&[a, b, kind @ ..], _) = split::<4>(data, Layer::Link)?;
    let (flags, kind) = (u16::from_be_bytes([a, b]), u16::from_be_bytes(kind));
    let counted: &[u16] = match flags & 7 {
        0 => &[CHECKSUM, KEY, SEQUENCE],
        1 => &[KEY, SEQUENCE, ACKNOWLEDGED],
        _ => return Err(Skip::Malformed(Layer::Link)),
    };
    // Source routes (RFC 1701) are not in use.
    if flags & ROUTING != 0 {
        return Err(Skip::Malformed(Layer::Link));
    }
    let fields = counted.iter().filter(|flag| flags & **flag != 0).count();
    let rest = after(data, 4 + 4 * fields, Layer::Link)?;
    let (kind, rest) = match kind {
        // ERSPAN type I has no sequence number and no header; type II has one of 8 bytes.
        0x88be if flags & SEQUENCE == 0 => (BRIDGED, rest),
        0x88be => (BRIDGED, after(rest, 8, Layer::Link)?),
        // Type III has one of 12 bytes, and 8 more when its last bit says so.
        0x22eb => {
            let more = rest.get(11).is_some_and(|b| b & 1 != 0);
            (BRIDGED, after(rest, if more { 20 } else { 12 }, Layer::Link)?)
        }
        // Cisco MetaData: here the next type comes first, then version, words of options, options.
        0x8909 => {
            let (kind, rest) = split::<2>(rest, Layer::Link)?;
            let words = rest.get(1).ok_or(Skip::Truncated(Layer::Link))?;
            (u16::from_be_bytes(*kind), after(rest, 2 + 4 * usize::from(*words), Layer::Link)?)
        }
        // WCCP: version 2 has a header of four bytes.
        0x883e if rest.first().is_some_and(|b| b >> 4 == 4) => (IPV4, rest),
        0x883e => (IPV4, after(rest, 4, Layer::Link)?),
        _ => (kind, rest),
    };
    by_type(kind, rest, trail)
}

fn in_udp<'a>(udp: &UdpDatagram<'a>, trail: &mut Trail) -> Option<Net<'a>> {
    let found = by_port(udp.dst_port, udp.payload, trail).or_else(|| by_port(udp.src_port, udp.payload, trail))?;
    fits(found, udp).then_some(found)
}

fn by_port<'a>(port: u16, data: &'a [u8], trail: &mut Trail) -> Option<Net<'a>> {
    match port {
        1701 => l2tp(data, trail).ok(),
        2152 => gtp(data).ok(),
        3544 => teredo(data),
        4341 => version(data.get(8..)?),
        4342 => lisp_control(data),
        4754 => gre(data, trail).ok(),
        4789 | 8472 => vxlan(data, trail),
        4790 => vxlan_gpe(data, trail),
        6081 => geneve(data, trail),
        6635 => by_type(MPLS, data, trail).ok(),
        _ => None,
    }
}

/// Whether there is an IP header whose length the datagram holds.
fn fits(net: Net<'_>, udp: &UdpDatagram<'_>) -> bool {
    ip::read(net).is_ok_and(|inner| inner.wire_len <= udp.wire_len)
}

/// VXLAN (RFC 7348 §5): the flag says that a network's number is there. 8472 was Linux's first port for it.
fn vxlan<'a>(data: &'a [u8], trail: &mut Trail) -> Option<Net<'a>> {
    let (head, rest) = data.split_first_chunk::<8>()?;
    if head[0] & 0x08 == 0 { None } else { by_type(BRIDGED, rest, trail).ok() }
}

/// VXLAN with a field for what follows (draft-ietf-nvo3-vxlan-gpe): version 0 and the same flag; the flag for the field is
/// forgotten by some.
fn vxlan_gpe<'a>(data: &'a [u8], trail: &mut Trail) -> Option<Net<'a>> {
    let (head, rest) = data.split_first_chunk::<8>()?;
    if head[0] & 0x38 != 0x08 { None } else { by_type(next_protocol(head[3]).ok()?, rest, trail).ok() }
}

/// RFC 8926 §3.4: version 0, options in words, an Ethertype.
fn geneve<'a>(data: &'a [u8], trail: &mut Trail) -> Option<Net<'a>> {
    let (&[first, _, a, b, _, _, _, reserved], rest) = data.split_first_chunk::<8>()?;
    if first >> 6 != 0 || reserved != 0 {
        return None;
    }
    let rest = rest.get(usize::from(first & 0x3f) * 4..)?;
    by_type(u16::from_be_bytes([a, b]), rest, trail).ok()
}

/// GTP-U (3GPP TS 29.281 §5): version 1, a user's packet.
fn gtp(data: &[u8]) -> Result<Net<'_>, Skip> {
    let (&[flags, message, ..], mut rest) = split::<8>(data, Layer::Link)?;
    if flags & 0xf0 != 0x30 || message != 0xff {
        return Err(Skip::NotIp(0));
    }
    if flags & 0x07 != 0 {
        let (&[_, _, _, mut next], behind) = split::<4>(rest, Layer::Link)?;
        rest = behind;
        if flags & 0x04 == 0 {
            next = 0;
        }
        for _ in 0..MAX_GTP_EXTENSIONS {
            if next == 0 {
                break;
            }
            // Its length in words; its last byte is the type of the next.
            let (&[words], _) = split::<1>(rest, Layer::Link)?;
            let len = usize::from(words) * 4;
            let last = len.checked_sub(1).ok_or(Skip::Malformed(Layer::Link))?;
            next = *rest.get(last).ok_or(Skip::Truncated(Layer::Link))?;
            rest = after(rest, len, Layer::Link)?;
        }
    }
    version(rest).ok_or(Skip::NotIp(0))
}

/// IP told by its version.
fn version(data: &[u8]) -> Option<Net<'_>> {
    match data.first()? >> 4 {
        4 => Some(Net::V4(data)),
        6 => Some(Net::V6(data)),
        _ => None,
    }
}

/// Data of L2TP version 2 (RFC 2661 §3.1): PPP behind fields that flags announce.
fn l2tp<'a>(data: &'a [u8], trail: &mut Trail) -> Result<Net<'a>, Skip> {
    const CONTROL: u8 = 0x80;
    const LENGTH: u8 = 0x40;
    const SEQUENCE: u8 = 0x08;
    const OFFSET: u8 = 0x02;
    let (&[flags, version], _) = split::<2>(data, Layer::Link)?;
    if version & 0x0f != 2 || flags & CONTROL != 0 {
        return Err(Skip::NotIp(0));
    }
    let has = |flag: u8, len: usize| if flags & flag == 0 { 0 } else { len };
    let mut rest = after(data, 6 + has(LENGTH, 2) + has(SEQUENCE, 4), Layer::Link)?;
    if flags & OFFSET != 0 {
        let (size, _) = split::<2>(rest, Layer::Link)?;
        rest = after(rest, 2 + usize::from(u16::from_be_bytes(*size)), Layer::Link)?;
    }
    by_type(PPP, rest, trail)
}

/// An encapsulated control message of LISP (RFC 9301 §5.8): type 8, then the packet whose header says where it goes. Data
/// (RFC 9300 §5.1) stands behind eight bytes.
fn lisp_control(data: &[u8]) -> Option<Net<'_>> {
    const SECURED: u8 = 0x08;
    let (head, rest) = data.split_first_chunk::<4>()?;
    if head[0] >> 4 != 8 || head[0] & SECURED != 0 { None } else { version(rest) }
}

/// Teredo (RFC 4380 §5.1.1): IPv6 behind headers for authentication and origin.
fn teredo(mut data: &[u8]) -> Option<Net<'_>> {
    if let [0, 1, id, auth, rest @ ..] = data {
        // A nonce and a confirmation byte end it.
        data = rest.get(usize::from(*id) + usize::from(*auth) + 9..)?;
    }
    if let [0, 0, _, _, _, _, _, _, rest @ ..] = data {
        data = rest;
    }
    (data.first()? >> 4 == 6).then_some(Net::V6(data))
}
