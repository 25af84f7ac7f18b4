//! The packet that an ICMP error quotes: its addresses, its protocol, and its ports if it has some.

use super::parse::address6;
use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use std::net::{IpAddr, Ipv4Addr};

/// Extension headers that are walked over to find the transport: more than RFC 8200 §4.1 lists.
const HEADERS_MAX: usize = 10;

/// The head of a quoted packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// IANA's number of the transport; `None` when the quote ends before it.
    pub protocol: Option<u8>,
    /// Source's and destination's, where the quote reaches so far and the packet is not a later fragment.
    pub ports: Option<(u16, u16)>,
}

impl Quoted {
    /// `None` when not even the addresses are there.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let found = match data.first()? >> 4 {
            4 => version4(data),
            6 => version6(data),
            _ => return None,
        };
        found.ok().map(|(_, quoted)| quoted)
    }

    /// The usual word for the transport; `None` for the rare ones.
    pub fn transport(&self) -> Option<&'static str> {
        Some(match self.protocol? {
            1 => "icmp",
            2 => "igmp",
            6 => "tcp",
            17 => "udp",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "ipv6-icmp",
            132 => "sctp",
            136 => "udplite",
            _ => return None,
        })
    }
}

/// RFC 791 §3.1.
fn version4(data: &[u8]) -> IResult<&[u8], Quoted, ()> {
    let (rest, head) = be_u8(data)?;
    let (rest, _tos_length_id) = take(5usize)(rest)?;
    let (rest, fragment) = be_u16(rest)?;
    let (rest, _ttl) = be_u8(rest)?;
    let (rest, protocol) = be_u8(rest)?;
    let (rest, _checksum) = be_u16(rest)?;
    let (rest, source) = address4(rest)?;
    let (rest, destination) = address4(rest)?;
    let options = usize::from(head & 0x0f).saturating_sub(5) * 4;
    let behind = rest.get(options..).unwrap_or_default();
    let is_first = fragment & 0x1fff == 0;
    let ports = if is_first { ports(protocol, behind) } else { None };
    Ok((rest, Quoted { source: source.into(), destination: destination.into(), protocol: Some(protocol), ports }))
}

/// RFC 8200 §3, §4.
fn version6(data: &[u8]) -> IResult<&[u8], Quoted, ()> {
    let (rest, _version_class_label_length) = take(6usize)(data)?;
    let (rest, next) = be_u8(rest)?;
    let (rest, _hops) = be_u8(rest)?;
    let (rest, source) = address6(rest)?;
    let (rest, destination) = address6(rest)?;
    let (protocol, ports) = transport6(next, rest);
    Ok((rest, Quoted { source: source.into(), destination: destination.into(), protocol, ports }))
}

/// Walks over the extension headers.
fn transport6(mut next: u8, mut data: &[u8]) -> (Option<u8>, Option<(u16, u16)>) {
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    for _ in 0..HEADERS_MAX {
        let length = match next {
            0 | 43 | 60 | 135 | 139 | 140 => data.get(1).map(|n| (usize::from(*n) + 1) * 8),
            AUTHENTICATION => data.get(1).map(|n| (usize::from(*n) + 2) * 4),
            FRAGMENT => {
                let Some(&[first, _, high, low, ..]) = data.get(..8) else { return (None, None) };
                if u16::from_be_bytes([high, low]) >> 3 != 0 {
                    return (Some(first), None);
                }
                Some(8)
            }
            _ => return (Some(next), ports(next, data)),
        };
        let behind = length.and_then(|n| data.get(n..)).zip(data.first());
        let Some((behind, first)) = behind else { return (None, None) };
        (next, data) = (*first, behind);
    }
    (None, None)
}

/// The ports of TCP, UDP, DCCP, SCTP and UDP-Lite stand first.
fn ports(protocol: u8, data: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = *data else { return None };
    let has_ports = matches!(protocol, 6 | 17 | 33 | 132 | 136);
    has_ports.then_some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn address4(data: &[u8]) -> IResult<&[u8], Ipv4Addr, ()> {
    nom::number::complete::be_u32(data).map(|(rest, bits)| (rest, Ipv4Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(fragment: u16, protocol: u8, options: usize) -> Vec<u8> {
        let mut p = vec![0x45 + (options / 4) as u8, 0, 0, 40, 0, 1];
        p.extend(fragment.to_be_bytes());
        p.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend(vec![1; options]);
        p.extend([0x30, 0x39, 0x00, 0x35]);
        p
    }

    fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        p.extend([0; 15]);
        p.push(1);
        p.extend([0; 15]);
        p.push(2);
        p.extend(rest);
        p
    }

    #[test]
    fn version_4_with_options_and_fragments() {
        let quoted = Quoted::parse(&v4(0, 17, 8)).unwrap();
        assert_eq!((quoted.source.to_string().as_str(), quoted.ports), ("10.0.0.1", Some((12345, 53))));
        assert_eq!(quoted.transport(), Some("udp"));
        // The first fragment has ports, a later one data.
        assert_eq!(Quoted::parse(&v4(0x2000, 6, 0)).unwrap().ports, Some((12345, 53)));
        assert_eq!(Quoted::parse(&v4(0x2001, 6, 0)).unwrap().ports, None);
        assert_eq!(Quoted::parse(&v4(0, 1, 0)).unwrap().ports, None);
        assert_eq!(Quoted::parse(&v4(0, 1, 0)[..19]), None);
    }

    #[test]
    fn version_6_behind_extension_headers() {
        let ports = [0x30, 0x39, 0x00, 0x35];
        let plain = Quoted::parse(&v6(17, &ports)).unwrap();
        assert_eq!((plain.destination.to_string().as_str(), plain.ports), ("::2", Some((12345, 53))));
        let hop = [&[6, 0, 0, 0, 0, 0, 0, 0][..], &ports].concat();
        assert_eq!(Quoted::parse(&v6(0, &hop)).unwrap().ports, Some((12345, 53)));
        let first = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &ports].concat();
        assert_eq!(Quoted::parse(&v6(44, &first)).unwrap().ports, Some((12345, 53)));
        let later = [&[17, 0, 0, 8, 0, 0, 0, 9][..], &ports].concat();
        let later = Quoted::parse(&v6(44, &later)).unwrap();
        assert_eq!((later.protocol, later.ports), (Some(17), None));
        // Cut inside the extension header: the transport is not known.
        assert_eq!(Quoted::parse(&v6(0, &hop[..4])).unwrap().protocol, None);
        // Headers that name each other do not hold anybody up.
        let many = [0u8; 8 * 100];
        assert_eq!(Quoted::parse(&v6(0, &many)).unwrap().protocol, None);
    }
}
