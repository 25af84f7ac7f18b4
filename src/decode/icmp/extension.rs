//! Structures behind the quoted packet (RFC 4884): MPLS labels (RFC 4950), interfaces (RFC 5837, 8335).

use super::parse::{Details, address6};
use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};
use std::net::{IpAddr, Ipv4Addr};

/// Labels that are listed; deeper stacks are not seen in practice.
pub const LABELS_MAX: usize = 8;
/// Interfaces that are listed: RFC 5837 §4.4 allows one for each of its four roles.
pub const INTERFACES_MAX: usize = 4;

/// Objects that are read in a structure: each takes at least four bytes, so the message bounds them as well.
const OBJECTS_MAX: usize = 16;

/// Senders older than RFC 4884 quote 128 bytes, without saying so (§5.5).
const OLD_LENGTH: usize = 128;

/// An entry of an MPLS label stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub label: u32,
    pub traffic_class: u8,
    pub ttl: u8,
}

/// An interface, as far as it is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface<'a> {
    /// `incoming`, `sub_ip`, `outgoing`, `next_hop`; `probed` for the one an extended echo asks about.
    pub role: &'static str,
    pub index: Option<u32>,
    pub ip: Option<IpAddr>,
    pub name: Option<&'a [u8]>,
    pub mtu: Option<u32>,
}

/// The quoted packet and what stands behind it. `length` is what the message says of the packet, in bytes.
pub fn split(data: &[u8], length: usize) -> (&[u8], &[u8]) {
    let at = match length {
        0 if data.get(OLD_LENGTH..).is_some_and(is_structure) => OLD_LENGTH,
        0 => data.len(),
        n => n.min(data.len()),
    };
    data.split_at_checked(at).unwrap_or((data, &[]))
}

/// Version 2, and a checksum that is right: what follows an old sender's quote by chance is not taken for a structure.
fn is_structure(data: &[u8]) -> bool {
    let sum: u64 = data.chunks(2).map(|c| u64::from(c[0]) << 8 | u64::from(*c.get(1).unwrap_or(&0))).sum();
    let folded = (0..3).fold(sum, |s, _| (s & 0xffff) + (s >> 16));
    data.len() >= 8 && data[0] >> 4 == 2 && folded == 0xffff
}

/// Reads a structure into `details`; what cannot be read ends it.
pub fn read<'a>(data: &'a [u8], details: &mut Details<'a>) {
    let Some(mut rest) = data.get(4..).filter(|_| data.first().is_some_and(|b| b >> 4 == 2)) else { return };
    for _ in 0..OBJECTS_MAX {
        let Ok((behind, (class, kind, body))) = object(rest) else { return };
        match class {
            1 if kind == 1 => labels(body, details),
            2 => _ = interface(kind, body).map(|(_, i)| details.interfaces.push(i)),
            3 => _ = probed(kind, body).map(|(_, i)| details.interfaces.push(i)),
            _ => {}
        }
        rest = behind;
    }
}

/// RFC 4884 §8: length with these four bytes, class, type, body.
fn object(data: &[u8]) -> IResult<&[u8], (u8, u8, &[u8]), ()> {
    let (rest, length) = be_u16(data)?;
    let (rest, class) = be_u8(rest)?;
    let (rest, kind) = be_u8(rest)?;
    let body = usize::from(length).checked_sub(4).ok_or(nom::Err::Error(()))?;
    let (rest, body) = take(body)(rest)?;
    Ok((rest, (class, kind, body)))
}

/// RFC 4950 §5, RFC 3032 §2.1.
fn labels(body: &[u8], details: &mut Details<'_>) {
    for entry in body.chunks_exact(4) {
        let Ok((_, word)) = be_u32::<_, ()>(entry) else { return };
        let label = Label { label: word >> 12, traffic_class: (word >> 9 & 7) as u8, ttl: word as u8 };
        if details.labels.push(label).is_err() {
            return;
        }
    }
}

/// RFC 5837 §4: the type's bits say which parts follow.
fn interface(kind: u8, body: &[u8]) -> IResult<&[u8], Interface<'_>, ()> {
    const ROLES: [&str; 4] = ["incoming", "sub_ip", "outgoing", "next_hop"];
    const INDEX: u8 = 0x08;
    const ADDRESS: u8 = 0x04;
    const NAME: u8 = 0x02;
    const MTU: u8 = 0x01;
    let role = ROLES[usize::from(kind >> 6)];
    let mut found = Interface { role, index: None, ip: None, name: None, mtu: None };
    let mut rest = body;
    if kind & INDEX != 0 {
        let (behind, index) = be_u32(rest)?;
        (rest, found.index) = (behind, Some(index));
    }
    if kind & ADDRESS != 0 {
        let (behind, family) = be_u16(rest)?;
        let (behind, _reserved) = be_u16(behind)?;
        let (behind, ip) = address(family, behind)?;
        (rest, found.ip) = (behind, Some(ip));
    }
    if kind & NAME != 0 {
        let (behind, length) = be_u8(rest)?;
        let (behind, name) = take(usize::from(length).saturating_sub(1))(behind)?;
        (rest, found.name) = (behind, Some(unpadded(name)));
    }
    if kind & MTU != 0 {
        let (behind, mtu) = be_u32(rest)?;
        (rest, found.mtu) = (behind, Some(mtu));
    }
    Ok((rest, found))
}

/// RFC 8335 §2.1: the interface by name, by index, or by address.
fn probed(kind: u8, body: &[u8]) -> IResult<&[u8], Interface<'_>, ()> {
    let mut found = Interface { role: "probed", index: None, ip: None, name: None, mtu: None };
    match kind {
        1 => found.name = Some(unpadded(body)),
        2 => found.index = Some(be_u32(body)?.1),
        3 => {
            let (rest, family) = be_u16(body)?;
            let (rest, _length_reserved) = be_u16(rest)?;
            found.ip = Some(address(family, rest)?.1);
        }
        _ => return Err(nom::Err::Error(())),
    }
    Ok((&[], found))
}

/// An address of one of IANA's address families 1 and 2.
fn address(family: u16, data: &[u8]) -> IResult<&[u8], IpAddr, ()> {
    match family {
        1 => be_u32(data).map(|(rest, bits)| (rest, Ipv4Addr::from_bits(bits).into())),
        2 => address6(data).map(|(rest, a)| (rest, a.into())),
        _ => Err(nom::Err::Error(())),
    }
}

/// Names are filled up with zeros to a multiple of four bytes.
fn unpadded(name: &[u8]) -> &[u8] {
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    name.get(..end).unwrap_or(name)
}
