//! IP headers of both versions: addresses, lengths, extension headers, fragments.

use super::Addr;
use super::ether::Net;
use super::skip::{Layer, Skip, split};

/// Extension headers of one datagram. Each of the six kinds of RFC 8200 §4.1 occurs once, destination options twice.
const MAX_EXTENSIONS: usize = 16;

pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ICMP: u8 = 1;
pub(super) const IPV4: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
pub(super) const GRE: u8 = 47;
const AH: u8 = 51;
pub(super) const ICMPV6: u8 = 58;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// An IP datagram behind its headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub ends: Ends<'a>,
    pub protocol: u8,
    /// Its payload, as far as it was captured, without padding of the link.
    pub data: &'a [u8],
    /// Payload bytes after its header.
    pub wire_len: u32,
    /// Set when `data` is a part of a payload.
    pub fragment: Option<Fragment>,
}

impl Datagram<'_> {
    #[inline(always)]
    pub fn is_v6(&self) -> bool {
        matches!(self.ends, Ends::V6(_))
    }

    /// Neither a fragment nor with headers between the first and the payload.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.fragment.is_none() && !self.is_extended()
    }

    #[inline(always)]
    fn is_extended(&self) -> bool {
        is_extension(self.protocol) && (self.is_v6() || self.protocol == AH)
    }
}

/// Source and destination as they stand in the header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends<'a> {
    V4(&'a [u8; 8]),
    V6(&'a [u8; 32]),
}

impl Ends<'_> {
    /// Source and destination.
    #[inline]
    pub fn addrs(self) -> (Addr, Addr) {
        match self {
            Self::V4(&[a, b, c, d, e, f, g, h]) => (Addr::v4([a, b, c, d]), Addr::v4([e, f, g, h])),
            Self::V6(both) => {
                let half = |at: usize| both.get(at..).and_then(|a| a.first_chunk()).copied().unwrap_or_default();
                (Addr(half(0)), Addr(half(16)))
            }
        }
    }
}

/// A part of a datagram's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment {
    pub ident: u32,
    /// Where the part begins, in bytes.
    pub offset: u32,
    /// More parts follow.
    pub more: bool,
}

/// Reads all headers up to the payload, or up to that of a fragment.
pub(super) fn read(net: Net<'_>) -> Result<Datagram<'_>, Skip> {
    let found = first(net)?;
    if found.is_plain() { Ok(found) } else { extensions(found) }
}

/// Reads the first header alone. What does not return a datagram to others is inlined, so that its fields stay in registers.
#[inline(always)]
pub(super) fn first(net: Net<'_>) -> Result<Datagram<'_>, Skip> {
    match net {
        Net::V4(data) => v4(data),
        Net::V6(data) => v6(data),
    }
}

/// RFC 791 §3.1. The checksum is not looked at: a machine that sends leaves it to its network card.
#[inline(always)]
fn v4(data: &[u8]) -> Result<Datagram<'_>, Skip> {
    let (h, _) = split::<20>(data, Layer::Ipv4)?;
    let Some(ends) = h.last_chunk() else { return Err(Skip::Truncated(Layer::Ipv4)) };
    let header = usize::from(h[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    // Segments that the network card will cut have a total length of 0: all that is there is theirs.
    let total = if total == 0 { data.len() } else { total };
    if h[0] >> 4 != 4 || header < 20 || total < header {
        return Err(Skip::Malformed(Layer::Ipv4));
    }
    let payload = data.get(header..total.min(data.len())).ok_or(Skip::Truncated(Layer::Ipv4))?;
    let place = u16::from_be_bytes([h[6], h[7]]);
    let found = Datagram {
        ends: Ends::V4(ends),
        protocol: h[9],
        data: payload,
        wire_len: bytes(total - header),
        fragment: None,
    };
    if place & 0x3fff != 0 {
        let fragment = Fragment {
            ident: u32::from(u16::from_be_bytes([h[4], h[5]])),
            offset: u32::from(place & 0x1fff) * 8,
            more: place & 0x2000 != 0,
        };
        return Ok(Datagram { fragment: Some(fragment), ..found });
    }
    Ok(found)
}

/// RFC 8200 §3.
fn v6(data: &[u8]) -> Result<Datagram<'_>, Skip> {
    let (h, rest) = split::<40>(data, Layer::Ipv6)?;
    if h[0] >> 4 != 6 {
        return Err(Skip::Malformed(Layer::Ipv6));
    }
    let Some(ends) = h.last_chunk() else { return Err(Skip::Truncated(Layer::Ipv6)) };
    let said = usize::from(u16::from_be_bytes([h[4], h[5]]));
    let len = match said {
        0 if h[6] == HOP_BY_HOP => jumbo(rest)?,
        // As in IPv4, segments that the network card will cut; what is shorter than a header is padding.
        0 if h[6] == TCP && rest.len() >= 20 => rest.len(),
        _ => said,
    };
    let data = rest.get(..len.min(rest.len())).unwrap_or(rest);
    Ok(Datagram { ends: Ends::V6(ends), protocol: h[6], data, wire_len: bytes(len), fragment: None })
}

/// The length of a jumbogram (RFC 2675 §2): the first option of its hop-by-hop header. Linux makes them of the segments of
/// "BIG TCP".
fn jumbo(rest: &[u8]) -> Result<usize, Skip> {
    match rest {
        [_, _, 0xc2, 4, a, b, c, d, ..] => {
            let len = u32::from_be_bytes([*a, *b, *c, *d]);
            if len <= u32::from(u16::MAX) {
                return Err(Skip::Malformed(Layer::Ipv6));
            }
            Ok(usize::try_from(len).unwrap_or(usize::MAX))
        }
        [_, _, _, _, _, _, _, _, ..] => Ok(0),
        _ => Err(Skip::Truncated(Layer::Extension)),
    }
}

#[inline(always)]
fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AH | NO_NEXT | DESTINATION | MOBILITY | HIP | SHIM6)
}

/// Passes over the extension headers that `found.data` begins with, up to a fragment's.
pub(super) fn extensions(mut found: Datagram<'_>) -> Result<Datagram<'_>, Skip> {
    for _ in 0..MAX_EXTENSIONS {
        if found.fragment.is_some() || !found.is_extended() || found.protocol == NO_NEXT {
            return Ok(found);
        }
        if found.wire_len < 8 {
            return Err(Skip::Malformed(Layer::Extension));
        }
        let (&[next, len, a, b, c, d, e, f], _) = split::<8>(found.data, Layer::Extension)?;
        let len = match found.protocol {
            FRAGMENT => 8,
            // RFC 4302 §2.2: in words, less two.
            AH => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        let rest = bytes(len);
        if rest > found.wire_len {
            return Err(Skip::Malformed(Layer::Extension));
        }
        found.data = found.data.get(len..).ok_or(Skip::Truncated(Layer::Extension))?;
        found.wire_len -= rest;
        let fragment = (found.protocol == FRAGMENT).then(|| {
            let place = u16::from_be_bytes([a, b]);
            Fragment { ident: u32::from_be_bytes([c, d, e, f]), offset: u32::from(place & !7), more: place & 1 != 0 }
        });
        found.protocol = next;
        // A fragment that is the whole (RFC 6946) needs no reassembly.
        if let Some(fragment) = fragment.filter(|f| f.offset != 0 || f.more) {
            return Ok(Datagram { fragment: Some(fragment), ..found });
        }
    }
    Err(Skip::Malformed(Layer::Extension))
}

/// A length; those beyond 4 GiB are not met.
#[inline(always)]
pub(super) fn bytes(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
