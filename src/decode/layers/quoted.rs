//! The datagram that an ICMP error is about.

use super::Addr;
use super::ether::Net;
use super::ip;

/// The headers that an ICMP error quotes: of a datagram that its receiver had sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Whether it is IPv6.
    pub v6: bool,
    /// Who sent the datagram that failed.
    pub src: Addr,
    /// Where it was to go.
    pub dst: Addr,
    /// Its IP protocol.
    pub protocol: u8,
    /// Source and destination port of TCP, UDP or SCTP.
    pub ports: Option<(u16, u16)>,
}

/// Reads the datagram that an ICMP message quotes; `data` begins with its type. `None` when it is no error, or when the quote
/// cannot be read.
///
/// Errors of ICMP are 3, 4, 5, 11 and 12 (RFC 792); those of ICMPv6 are below 128 (RFC 4443 §2.1).
pub fn quoted(data: &[u8], v6: bool) -> Option<Quoted> {
    let (head, rest) = data.split_first_chunk::<8>()?;
    let is_error = if v6 { (1..128).contains(&head[0]) } else { matches!(head[0], 3 | 4 | 5 | 11 | 12) };
    if !is_error {
        return None;
    }
    let found = ip::read(if v6 { Net::V6(rest) } else { Net::V4(rest) }).ok()?;
    let first = found.fragment.is_none_or(|f| f.offset == 0);
    let ports = match (found.protocol, found.data) {
        (ip::TCP | ip::UDP | 132, [a, b, c, d, ..]) if first => {
            Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
        }
        _ => None,
    };
    Some(Quoted { v6, src: found.src, dst: found.dst, protocol: found.protocol, ports })
}
