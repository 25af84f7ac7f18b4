//! One ICMP message: header, what pairs it, and what its type holds beyond that.

use super::extension::{self, Interface, Label};
use super::names::{Family, Role, Version, role};
use super::quoted::Quoted;
use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::sequence::preceded;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Type, code, checksum and four bytes whose meaning depends on the type.
pub const HEADER: usize = 8;

/// Groups of a multicast report that are listed; a report on Ethernet holds at most 72 (RFC 3810 §5.2).
pub const GROUPS_MAX: usize = 16;

/// A message, cut into header and rest.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub version: Version,
    /// The type.
    pub kind: u8,
    pub code: u8,
    /// What the type makes of the message.
    pub role: Role,
    /// All of it from the type on, as far as it was captured.
    data: &'a [u8],
}

/// What joins a request and its reply within the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub family: Family,
    /// Identifier and sequence number, or the nonce.
    pub value: u64,
}

/// What a message says beyond type and code; what is absent in its type, or was cut off, is `None` or empty.
#[derive(Debug, Default)]
pub struct Details<'a> {
    /// The largest packet that the next link takes, in bytes (RFC 1191, 4443 §3.2).
    pub mtu: Option<u32>,
    /// The byte of the quoted packet that is at fault (RFC 792, 4443 §3.4).
    pub pointer: Option<u32>,
    /// The better first hop of a redirect.
    pub gateway: Option<IpAddr>,
    /// The address that neighbor discovery asks for or announces (RFC 4861 §4.3, §4.4).
    pub target: Option<Ipv6Addr>,
    /// Multicast groups that are asked for, joined or left (RFC 2710, 3810).
    pub groups: heapless::Vec<Ipv6Addr, GROUPS_MAX>,
    /// The packet that an error speaks of.
    pub quoted: Option<Quoted>,
    /// MPLS label stack of the quoted packet (RFC 4950).
    pub labels: heapless::Vec<Label, { extension::LABELS_MAX }>,
    /// Interfaces that are named (RFC 5837, 8335).
    pub interfaces: heapless::Vec<Interface<'a>, { extension::INTERFACES_MAX }>,
}

impl<'a> Details<'a> {
    /// What an extended echo asks about (RFC 8335 §2.1); nothing when there is no question.
    pub fn of_question(question: &'a [u8]) -> Self {
        let mut details = Self::default();
        extension::read(question, &mut details);
        details
    }
}

impl<'a> Message<'a> {
    /// A message of at least type and code; shorter ones say nothing.
    pub fn parse(version: Version, data: &'a [u8]) -> Option<Self> {
        let [kind, code, ..] = *data else { return None };
        Some(Self { version, kind, code, role: role(version, kind), data })
    }

    /// Whether the header was captured whole.
    pub fn is_whole(&self) -> bool {
        self.data.len() >= HEADER
    }

    /// The bytes behind the header.
    pub fn payload(&self) -> &'a [u8] {
        self.data.get(HEADER..).unwrap_or_default()
    }

    /// The token of a request or a reply; `None` for other roles and where it was cut off.
    pub fn token(&self) -> Option<Token> {
        let (Role::Request(family) | Role::Reply(family)) = self.role else { return None };
        let rest = self.data.get(4..)?;
        let value = match family {
            Family::Echo | Family::Timestamp | Family::Info | Family::AddressMask => {
                be_u32::<_, ()>(rest).ok()?.1.into()
            }
            // The sequence number is one byte; the byte behind it holds flags, which differ between request and reply.
            Family::ExtendedEcho => (be_u32::<_, ()>(rest).ok()?.1 >> 8).into(),
            Family::NodeInformation => be_u64::<_, ()>(self.payload()).ok()?.1,
            Family::HomeAgent | Family::MobilePrefix => be_u16::<_, ()>(rest).ok()?.1.into(),
        };
        Some(Token { family, value })
    }

    /// Whether this message by itself says that something failed.
    pub fn is_failure(&self) -> bool {
        match self.role {
            Role::Error => true,
            Role::Reply(Family::ExtendedEcho) => self.code != 0,
            _ => false,
        }
    }

    /// Reads what the type holds.
    pub fn details(&self) -> Details<'a> {
        let mut details = Details::default();
        match (self.version, self.role) {
            (_, Role::Error) => self.error(&mut details),
            (Version::V4, Role::Redirect) => {
                details.gateway = word(self.data).map(|w| Ipv4Addr::from_bits(w).into());
                details.quoted = Quoted::parse(self.payload());
            }
            (Version::V6, Role::Redirect) => self.redirect6(&mut details),
            (_, Role::Request(Family::ExtendedEcho)) => extension::read(self.payload(), &mut details),
            (Version::V6, Role::Notice) => self.notice6(&mut details),
            _ => {}
        }
        details
    }

    fn error(&self, details: &mut Details<'a>) {
        let word = word(self.data);
        // RFC 4884 §4: these types may say how long the quoted packet is, and go on behind it.
        let (extends, unit) = match self.version {
            Version::V4 => (matches!(self.kind, 3 | 11 | 12), 4),
            Version::V6 => (matches!(self.kind, 1 | 3), 8),
        };
        match (self.version, self.kind, self.code) {
            (Version::V4, 3, 4) => details.mtu = word.map(|w| w & 0xffff).filter(|mtu| *mtu != 0),
            (Version::V4, 12, 0) => details.pointer = word.map(|w| w >> 24),
            (Version::V6, 2, _) => details.mtu = word,
            (Version::V6, 4, _) => details.pointer = word,
            _ => {}
        }
        let mut quoted = self.payload();
        if extends {
            let length = match self.version {
                Version::V4 => self.data.get(5),
                Version::V6 => self.data.get(4),
            };
            let length = usize::from(length.copied().unwrap_or(0)).saturating_mul(unit);
            let (packet, behind) = extension::split(quoted, length);
            quoted = packet;
            extension::read(behind, details);
        }
        details.quoted = Quoted::parse(quoted);
    }

    /// RFC 4861 §4.5: target, destination, options; one option holds the head of the redirected packet.
    fn redirect6(&self, details: &mut Details<'a>) {
        const REDIRECTED_HEADER: u8 = 4;
        details.gateway = address6(self.payload()).ok().map(|(_, a)| a.into());
        let mut rest = self.payload().get(32..).unwrap_or_default();
        // Ends: every option takes at least eight bytes.
        while let Ok((behind, (kind, body))) = option(rest) {
            if kind == REDIRECTED_HEADER {
                details.quoted = body.get(6..).and_then(Quoted::parse);
                return;
            }
            rest = behind;
        }
    }

    fn notice6(&self, details: &mut Details<'a>) {
        let payload = self.payload();
        let address = || address6(payload).ok().map(|(_, a)| a);
        match self.kind {
            // A general query names no group (RFC 2710 §3.4).
            130..=132 => details.groups.extend(address().filter(|a| !a.is_unspecified())),
            135 | 136 => details.target = address(),
            143 => {
                let records = usize::from(word(self.data).unwrap_or(0) as u16).min(GROUPS_MAX);
                let mut rest = payload;
                for _ in 0..records {
                    let Ok((behind, group)) = group(rest) else { break };
                    _ = details.groups.push(group);
                    rest = behind;
                }
            }
            _ => {}
        }
    }
}

/// Bytes 4 to 7 of a message.
fn word(data: &[u8]) -> Option<u32> {
    preceded(take(4usize), be_u32::<_, ()>).parse_all(data)
}

/// The value of a parser, its rest left aside.
trait ParseAll<'a, T> {
    fn parse_all(&mut self, data: &'a [u8]) -> Option<T>;
}

impl<'a, T, P: nom::Parser<&'a [u8], Output = T, Error = ()>> ParseAll<'a, T> for P {
    fn parse_all(&mut self, data: &'a [u8]) -> Option<T> {
        self.parse(data).ok().map(|(_, value)| value)
    }
}

/// An address of version 6.
pub(super) fn address6(data: &[u8]) -> IResult<&[u8], Ipv6Addr, ()> {
    let (rest, bytes) = take(16usize)(data)?;
    let mut octets = [0; 16];
    octets.copy_from_slice(bytes);
    Ok((rest, octets.into()))
}

/// An option of neighbor discovery (RFC 4861 §4.6): type, length in units of eight bytes with these two, body.
fn option(data: &[u8]) -> IResult<&[u8], (u8, &[u8]), ()> {
    let (rest, kind) = be_u8(data)?;
    let (rest, units) = be_u8(rest)?;
    let body = usize::from(units).checked_mul(8).and_then(|n| n.checked_sub(2)).ok_or(nom::Err::Error(()))?;
    let (rest, body) = take(body)(rest)?;
    Ok((rest, (kind, body)))
}

/// A group record (RFC 3810 §5.2): type, words of auxiliary data, sources, group, both of these behind it.
fn group(data: &[u8]) -> IResult<&[u8], Ipv6Addr, ()> {
    let (rest, _kind) = be_u8(data)?;
    let (rest, auxiliary) = be_u8(rest)?;
    let (rest, sources) = be_u16(rest)?;
    let (rest, group) = address6(rest)?;
    let (rest, _) = take(usize::from(sources) * 16 + usize::from(auxiliary) * 4)(rest)?;
    Ok((rest, group))
}
