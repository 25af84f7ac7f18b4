//! Ethernet and what an Ethertype may stand before: tags, LLC and SNAP, PPPoE, MPLS, up to IP.

use super::ppp;
use super::skip::{Layer, Skip, after, split};
use super::view::{Macs, Vlans};

/// Headers between a frame's first byte and its IP; real stacks have about six.
const MAX_HEADERS: usize = 16;
/// Labels of one MPLS stack; networks use about four.
const MAX_LABELS: usize = 16;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: an Ethernet frame (RFC 1701).
pub(super) const BRIDGED: u16 = 0x6558;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const PPP: u16 = 0x880b;
pub(super) const NSH: u16 = 0x894f;
/// Not an Ethertype but a length: LLC follows.
pub(super) const LLC: u16 = 0;
/// The least number that is an Ethertype; below, it is the length of an 802.3 frame (IEEE 802.3 §3.2.6).
pub(super) const LEAST_TYPE: u16 = 0x0600;

/// IP, and the version that what stands before it says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Net<'a> {
    V4(&'a [u8]),
    V6(&'a [u8]),
}

/// What is noted on the way to IP.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail {
    pub vlans: Vlans,
    pub macs: Option<Macs>,
}

/// From the destination address of an Ethernet frame on, if IP follows at once.
#[inline(always)]
pub(super) fn plain<'a>(data: &'a [u8], trail: &mut Trail) -> Option<Net<'a>> {
    match addresses(data, trail) {
        Ok((IPV4, rest)) => Some(Net::V4(rest)),
        Ok((IPV6, rest)) => Some(Net::V6(rest)),
        _ => None,
    }
}

/// From the destination address of an Ethernet frame on.
pub(super) fn ethernet<'a>(data: &'a [u8], trail: &mut Trail) -> Result<Net<'a>, Skip> {
    let (kind, rest) = addresses(data, trail)?;
    by_type(kind, rest, trail)
}

#[inline(always)]
fn addresses<'a>(data: &'a [u8], trail: &mut Trail) -> Result<(u16, &'a [u8]), Skip> {
    let (head, rest) = split::<14>(data, Layer::Link)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, kind @ ..] = *head;
    if trail.macs.is_none() {
        trail.macs = Some(Macs { dst: [d0, d1, d2, d3, d4, d5], src: [s0, s1, s2, s3, s4, s5] });
    }
    Ok((u16::from_be_bytes(kind), rest))
}

/// From what stands behind an Ethertype on.
pub(super) fn by_type<'a>(mut kind: u16, mut data: &'a [u8], trail: &mut Trail) -> Result<Net<'a>, Skip> {
    for _ in 0..MAX_HEADERS {
        (kind, data) = match kind {
            IPV4 => return Ok(Net::V4(data)),
            IPV6 => return Ok(Net::V6(data)),
            // 802.1Q, 802.1ad, and what was in use before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (&[a, b, kind @ ..], rest) = split::<4>(data, Layer::Link)?;
                trail.vlans.push(u16::from_be_bytes([a, b]) & 0x0fff);
                (u16::from_be_bytes(kind), rest)
            }
            MPLS | 0x8848 => mpls(data)?,
            BRIDGED => addresses(data, trail)?,
            PPP => ppp::packet(data)?,
            0x8864 => pppoe(data)?,
            NSH => nsh(data)?,
            // Provider backbone bridging (802.1ah): the service's number, then a frame.
            0x88e7 => (BRIDGED, after(data, 4, Layer::Link)?),
            // VN-Tag, and the sequence tag of HSR: four bytes, the last two the next type.
            0x8926 | 0x892f => tag(data, 4)?,
            // E-Tag (802.1BR).
            0x893f => tag(data, 6)?,
            // Cisco MetaData: version, words of options, options, the next type.
            0x8909 => {
                let words = data.get(1).ok_or(Skip::Truncated(Layer::Link))?;
                tag(data, 2 + 4 * usize::from(*words))?
            }
            // Frames above 1500 bytes with LLC say this instead of a length.
            0x8870 | ..LEAST_TYPE => llc(data)?,
            _ => return Err(Skip::NotIp(kind)),
        };
    }
    Err(Skip::Malformed(Layer::Link))
}

/// Passes over `len` bytes and reads the type behind them.
fn tag(data: &[u8], len: usize) -> Result<(u16, &[u8]), Skip> {
    let (kind, rest) = split::<2>(after(data, len, Layer::Link)?, Layer::Link)?;
    Ok((u16::from_be_bytes(*kind), rest))
}

/// LLC (IEEE 802.2): SNAP (RFC 1042), or IP by its own SAP.
fn llc(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (sap, rest) = split::<3>(data, Layer::Link)?;
    match *sap {
        [0xaa, 0xaa, 0x03] => {
            let (&[a, b, c, kind @ ..], rest) = split::<5>(rest, Layer::Link)?;
            let kind = u16::from_be_bytes(kind);
            match [a, b, c] {
                // Encapsulated Ethernet, and the bridge tunnel of 802.1H.
                [0, 0, 0] | [0, 0, 0xf8] if kind >= LEAST_TYPE => Ok((kind, rest)),
                _ => Err(Skip::NotIp(kind)),
            }
        }
        [0x06, 0x06, 0x03] => Ok((IPV4, rest)),
        _ => Err(Skip::NotIp(LLC)),
    }
}

/// PPPoE session (RFC 2516): version and type 1, code 0.
pub(super) fn pppoe(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (head, rest) = split::<6>(data, Layer::Link)?;
    let &[version, code, _, _, a, b] = head;
    if version != 0x11 || code != 0 {
        return Err(Skip::NotIp(0x8864));
    }
    // What stands behind the length is padding.
    let len = usize::from(u16::from_be_bytes([a, b])).min(rest.len());
    ppp::packet(rest.get(..len).unwrap_or(rest))
}

/// A stack of MPLS labels (RFC 3032). It does not say what follows: IP is told by its version, a pseudowire by the zeroes
/// of its control word (RFC 4385), or by an Ethernet header that looks like one.
fn mpls(mut data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    for _ in 0..MAX_LABELS {
        let (&[_, _, label, _], rest) = split::<4>(data, Layer::Link)?;
        data = rest;
        if label & 1 == 0 {
            continue;
        }
        let first = data.first().ok_or(Skip::Truncated(Layer::Link))? >> 4;
        let framed = |data: &[u8]| {
            let kind = data.get(12..14).and_then(|k| k.first_chunk()).map(|k| u16::from_be_bytes(*k));
            matches!(kind, Some(IPV4 | IPV6 | 0x0806 | 0x8100 | 0x88a8 | 0x8864 | MPLS))
        };
        let word = data.get(4..).filter(|inner| first == 0 && framed(inner));
        return match (first, word) {
            (4, _) => Ok((IPV4, data)),
            (6, _) => Ok((IPV6, data)),
            (_, Some(inner)) => Ok((BRIDGED, inner)),
            _ if framed(data) => Ok((BRIDGED, data)),
            _ => Err(Skip::NotIp(MPLS)),
        };
    }
    Err(Skip::Malformed(Layer::Link))
}

/// A network service header (RFC 8300 §2.2): its length in words, and what follows it.
pub(super) fn nsh(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (&[_, len, _, next], _) = split::<4>(data, Layer::Link)?;
    let rest = after(data, usize::from(len & 0x3f) * 4, Layer::Link)?;
    if len & 0x3f < 2 {
        return Err(Skip::Malformed(Layer::Link));
    }
    Ok((next_protocol(next)?, rest))
}

/// The numbers of NSH and of VXLAN-GPE.
pub(super) fn next_protocol(next: u8) -> Result<u16, Skip> {
    match next {
        1 => Ok(IPV4),
        2 => Ok(IPV6),
        3 => Ok(BRIDGED),
        4 => Ok(NSH),
        5 => Ok(MPLS),
        _ => Err(Skip::NotIp(NSH)),
    }
}
