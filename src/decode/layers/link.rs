//! From the first byte of a frame to IP, for every link type.

use super::ether::{self, IPV4, IPV6, LEAST_TYPE, LLC, Net, Trail, by_type};
use super::ppp;
use super::skip::{Layer, Skip, after, split};
use crate::fmt::capture::{LinkType, Packet};

/// ARCNET as Linux hands it out.
const ARCNET_LINUX: LinkType = LinkType(129);

/// ARPHRD_ numbers of Linux that tell the meaning of a cooked header's protocol field.
const ARPHRD_NETLINK: u16 = 824;
const ARPHRD_GRE: u16 = 778;
const ARPHRD_WIRELESS: std::ops::RangeInclusive<u16> = 801..=803;

/// An Ethernet frame with IP right behind its header.
#[inline(always)]
pub(super) fn plain<'a>(packet: &Packet<'a>, trail: &mut Trail) -> Option<Net<'a>> {
    if packet.link == LinkType::EN10MB { ether::plain(packet.data, trail) } else { None }
}

/// Any frame.
pub(super) fn open<'a>(packet: &Packet<'a>, trail: &mut Trail) -> Result<Net<'a>, Skip> {
    let data = packet.data;
    let (kind, rest) = match packet.link {
        LinkType::EN10MB => return ether::ethernet(data, trail),
        LinkType::NULL | LinkType::LOOP => family(data)?,
        LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 => return version(data),
        LinkType::IPV4 => (IPV4, data),
        LinkType::IPV6 => (IPV6, data),
        LinkType::PPP => ppp::packet(data)?,
        LinkType::PPP_HDLC | LinkType::C_HDLC => ppp::serial(data)?,
        // A byte that says the direction stands in the place of the address.
        LinkType::PPP_WITH_DIR => ppp::packet(match data {
            [0 | 1, 3, rest @ ..] => rest,
            [0 | 1, rest @ ..] => rest,
            _ => data,
        })?,
        LinkType::PPP_ETHER => ether::pppoe(data)?,
        LinkType::LINUX_SLL => {
            let (head, rest) = split::<16>(data, Layer::Link)?;
            cooked([head[2], head[3]], [head[14], head[15]], rest)?
        }
        LinkType::LINUX_SLL2 => {
            let (head, rest) = split::<20>(data, Layer::Link)?;
            cooked([head[8], head[9]], [head[0], head[1]], rest)?
        }
        // Frame control and two addresses.
        LinkType::FDDI => (LLC, after(data, 13, Layer::Link)?),
        ARCNET_LINUX => arcnet(data)?,
        LinkType::NFLOG => nflog(data)?,
        LinkType::PKTAP => return pktap(packet, trail),
        LinkType::IEEE802_11
        | LinkType::IEEE802_11_PRISM
        | LinkType::IEEE802_11_RADIOTAP
        | LinkType::IEEE802_11_AVS
        | LinkType::PPI => return Err(Skip::Wireless),
        LinkType(number) => return Err(Skip::UnknownLink(number)),
    };
    by_type(kind, rest, trail)
}

/// IP told by its version.
fn version(data: &[u8]) -> Result<Net<'_>, Skip> {
    match data.first().map(|b| b >> 4) {
        Some(4) => Ok(Net::V4(data)),
        Some(6) => Ok(Net::V6(data)),
        Some(_) => Err(Skip::NotIp(0)),
        None => Err(Skip::Truncated(Layer::Link)),
    }
}

/// BSD loopback: the address family of the machine that captured, in its byte order or in that of the network. AF_INET is
/// 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
fn family(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (head, rest) = split::<4>(data, Layer::Link)?;
    let family = u32::from_be_bytes(*head).min(u32::from_le_bytes(*head));
    match family {
        2 => Ok((IPV4, rest)),
        10 | 23 | 24 | 28 | 30 => Ok((IPV6, rest)),
        _ => Err(Skip::NotIp(u16::try_from(family).unwrap_or(0))),
    }
}

/// Linux's cooked header (LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2): the device's ARPHRD_ type and the protocol.
fn cooked(device: [u8; 2], protocol: [u8; 2], rest: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let protocol = u16::from_be_bytes(protocol);
    match u16::from_be_bytes(device) {
        ARPHRD_NETLINK => Err(Skip::NotIp(protocol)),
        device if ARPHRD_WIRELESS.contains(&device) && protocol < LEAST_TYPE && protocol != 4 => Err(Skip::Wireless),
        // The protocol field is that of the GRE header.
        ARPHRD_GRE => Ok((protocol, rest)),
        _ => match protocol {
            // ETH_P_802_2.
            4 => Ok((LLC, rest)),
            ..LEAST_TYPE => Err(Skip::NotIp(protocol)),
            _ => Ok((protocol, rest)),
        },
    }
}

/// ARCNET (RFC 1201) behind both addresses and an offset: the protocol, a flag that is set in parts of a larger packet, a
/// sequence number.
fn arcnet(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (&[_, _, _, _, protocol, part, _, _], rest) = split::<8>(data, Layer::Link)?;
    match (protocol, part) {
        (0xd4, 0) => Ok((IPV4, rest)),
        (0xc4, 0) => Ok((IPV6, rest)),
        _ => Err(Skip::NotIp(u16::from(protocol))),
    }
}

/// Linux's netfilter log: family, version, group, then attributes (length, type, value, padded to words) of which number 9
/// is the packet. Lengths and types are in the byte order of the machine, so that both are tried.
fn nflog(data: &[u8]) -> Result<(u16, &[u8]), Skip> {
    const PAYLOAD: u16 = 9;
    /// Attributes of a message; the kernel writes at most about twenty.
    const MOST: usize = 64;
    let (head, all) = split::<4>(data, Layer::Link)?;
    let kind = match head[0] {
        2 => IPV4,
        10 => IPV6,
        family => return Err(Skip::NotIp(u16::from(family))),
    };
    for order in [u16::from_le_bytes, u16::from_be_bytes] {
        let mut rest = all;
        for _ in 0..MOST {
            let Ok((&[a, b, c, d], _)) = split::<4>(rest, Layer::Link) else { break };
            let (len, number) = (usize::from(order([a, b])), order([c, d]));
            if len < 4 {
                break;
            }
            if number == PAYLOAD {
                return Ok((kind, rest.get(4..len.min(rest.len())).unwrap_or_default()));
            }
            let Some(next) = rest.get(len.next_multiple_of(4)..) else { break };
            rest = next;
        }
    }
    Err(Skip::Malformed(Layer::Link))
}

/// Apple's PKTAP: the header's length, its kind, and the link type of what follows, all little-endian.
fn pktap<'a>(packet: &Packet<'a>, trail: &mut Trail) -> Result<Net<'a>, Skip> {
    let (&[l0, l1, l2, l3, _, _, _, _, t0, t1, t2, t3], _) = split::<12>(packet.data, Layer::Link)?;
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    let link = u16::try_from(u32::from_le_bytes([t0, t1, t2, t3])).map_or(LinkType::PKTAP, LinkType);
    if len < 12 || link == LinkType::PKTAP {
        return Err(Skip::Malformed(Layer::Link));
    }
    let data = after(packet.data, len, Layer::Link)?;
    open(&Packet { link, data, ..*packet }, trail)
}
