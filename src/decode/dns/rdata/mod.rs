//! The data of records as fields, and as text where a type has a presentation format.
//!
//! `data` holds what a record is for: an address, a name, a digest. What else it says stands beside it under the names
//! that Packetbeat gives them; types that Packetbeat leaves as raw bytes are written in the presentation format of their
//! RFC. Unknown types, and data that is not what its type says, are written as RFC 3597 §5 has it: `\# 3 0a0b0c`.

mod hosts;
mod keys;
mod misc;
mod svcb;
mod text;

use super::Bad;
use super::code::{Code, rtype};
use super::name::{self, NameText};
use super::wire::{Parsed, Record};
use nom::bytes::complete::take;
use text::{base64, strings};
pub(super) use text::{escaped, hex, put};

/// Makes the enum of field names.
macro_rules! fields {
    ($( $name:ident = $text:literal ),* $(,)?) => {
        /// The name of a field of a record's data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in super::super) enum Field { $( $name ),* }

        impl Field {
            /// Their texts, in the order of the enum.
            pub const NAMES: [&'static str; [$( $text ),*].len()] = [$( $text ),*];

            /// The text.
            pub fn name(self) -> &'static str {
                Self::NAMES.get(self as usize).copied().unwrap_or_default()
            }
        }
    };
}

mod field {
    fields! {
        Algorithm = "algorithm", Data = "data", DigestType = "digest_type", Error = "error", Expiration = "expiration",
        Expire = "expire", Flags = "flags", Fudge = "fudge", Hash = "hash", Inception = "inception",
        Iterations = "iterations", KeyTag = "key_tag", Labels = "labels", Minimum = "minimum", Mode = "mode",
        Order = "order", OriginalId = "original_id", OriginalTtl = "original_ttl", Port = "port",
        Preference = "preference", Priority = "priority", Protocol = "protocol", Refresh = "refresh", Regexp = "regexp",
        Retry = "retry", Rname = "rname", Salt = "salt", Serial = "serial", Service = "service",
        SignerName = "signer_name", TimeSigned = "time_signed", TypeBits = "type_bits", TypeCovered = "type_covered",
        Weight = "weight",
    }
}
pub(super) use field::Field;

/// Where fields go. They come in the order of their names, `data` last.
pub(super) trait Fields {
    /// Any text.
    fn text(&mut self, field: Field, text: &[u8]);
    /// A number.
    fn number(&mut self, field: Field, n: u32);
}

/// Buffers for the texts of one record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    name: NameText,
    other: NameText,
    text: Vec<u8>,
}

impl Scratch {
    /// Heap bytes that are kept between records.
    const KEEP: usize = 4096;

    /// The buffer for texts, empty.
    pub fn text(&mut self) -> &mut Vec<u8> {
        self.text.clear();
        &mut self.text
    }

    /// Gives back what an unusually long record took.
    pub fn shrink(&mut self) {
        if self.text.capacity() > Self::KEEP {
            self.text = Vec::new();
        }
    }
}

/// What the types' writers share.
struct Cx<'a, 'm> {
    msg: &'m [u8],
    /// Where the record's data ends.
    end: usize,
    rtype: u16,
    name: &'a mut NameText,
    other: &'a mut NameText,
    text: &'a mut Vec<u8>,
    out: &'a mut dyn Fields,
}

/// Writes the data of a record; nothing when it has none (RFC 2136 §2.4).
pub(super) fn write(msg: &[u8], record: &Record, scratch: &mut Scratch, out: &mut dyn Fields) {
    let Some(data) = msg.get(record.data.clone()).filter(|data| !data.is_empty()) else { return };
    let Scratch { name, other, text } = scratch;
    let mut cx = Cx { msg, end: record.data.end, rtype: record.rtype, name, other, text, out };
    cx.text.clear();
    if by_type(&mut cx, record, data).is_err() {
        generic(&mut cx, data);
    }
}

/// Nothing is written before all of the data was read, so that data which is not what its type says leaves no trace.
fn by_type<'m>(cx: &mut Cx<'_, 'm>, record: &Record, data: &'m [u8]) -> Result<(), Bad> {
    match record.rtype {
        rtype::A => hosts::a(cx, data),
        rtype::AAAA => hosts::aaaa(cx, data),
        rtype::NS
        | rtype::MD
        | rtype::MF
        | rtype::CNAME
        | rtype::MB
        | rtype::MG
        | rtype::MR
        | rtype::PTR
        | rtype::NSAP_PTR
        | rtype::DNAME => hosts::name(cx, data),
        rtype::SOA => hosts::soa(cx, data),
        rtype::MX | rtype::RT | rtype::KX | rtype::LP => hosts::preferred(cx, data),
        rtype::SRV => hosts::srv(cx, data),
        rtype::NAPTR => hosts::naptr(cx, data),
        rtype::MINFO | rtype::RP | rtype::TALINK => hosts::two_names(cx, data),
        rtype::AFSDB | rtype::PX => hosts::numbered(cx, data),
        rtype::URI => hosts::uri(cx, data),
        rtype::NID | rtype::L32 | rtype::L64 => hosts::locator(cx, data),
        rtype::SVCB | rtype::HTTPS => svcb::write(cx, data),
        rtype::TXT | rtype::SPF | rtype::AVC | rtype::NINFO | rtype::RESINFO | rtype::WALLET => misc::txt(cx, data),
        rtype::HINFO | rtype::X25 | rtype::ISDN | rtype::GPOS => misc::quoted(cx, data),
        rtype::CAA => misc::caa(cx, data),
        rtype::LOC => misc::loc(cx, data),
        rtype::APL => misc::apl(cx, data),
        rtype::WKS => misc::wks(cx, data),
        rtype::EUI48 | rtype::EUI64 => misc::eui(cx, data),
        rtype::SSHFP | rtype::TLSA | rtype::SMIMEA | rtype::ZONEMD => misc::digests(cx, data),
        rtype::DHCID | rtype::OPENPGPKEY => misc::blob(cx, data),
        rtype::DS | rtype::CDS | rtype::DLV | rtype::TA => keys::ds(cx, data),
        rtype::DNSKEY | rtype::CDNSKEY | rtype::KEY | rtype::RKEY => keys::dnskey(cx, data),
        rtype::RRSIG | rtype::SIG => keys::rrsig(cx, data),
        rtype::NSEC => keys::nsec(cx, data),
        rtype::NSEC3 => keys::nsec3(cx, data),
        rtype::NSEC3PARAM => keys::nsec3param(cx, data),
        rtype::CSYNC => keys::csync(cx, data),
        rtype::CERT => keys::cert(cx, data),
        rtype::IPSECKEY => keys::ipseckey(cx, data),
        rtype::TSIG => keys::tsig(cx, data),
        rtype::TKEY => keys::tkey(cx, data),
        _ => Err(Bad),
    }
}

/// RFC 3597 §5: `\#`, the number of bytes, the bytes in hexadecimal.
fn generic(cx: &mut Cx<'_, '_>, data: &[u8]) {
    cx.text.clear();
    put(cx.text, format_args!("\\# {} ", data.len()));
    hex(data, false, cx.text);
    cx.out.text(Field::Data, cx.text);
}

impl<'m> Cx<'_, 'm> {
    /// The name at the head of `i`, into [`Cx::name`]. It may be compressed whatever the type (RFC 3597 §4).
    fn name(&mut self, i: &'m [u8]) -> Result<&'m [u8], Bad> {
        read_name(self.msg, self.end, i, self.name)
    }

    /// The name at the head of `i`, into [`Cx::other`].
    fn other(&mut self, i: &'m [u8]) -> Result<&'m [u8], Bad> {
        read_name(self.msg, self.end, i, self.other)
    }

    /// Writes [`Cx::text`] as the data.
    fn data_is_text(&mut self) {
        self.out.text(Field::Data, self.text);
    }

    /// Writes [`Cx::name`] as the data.
    fn data_is_name(&mut self) {
        self.out.text(Field::Data, self.name);
    }

    /// Writes a number as text, which is how Packetbeat has those of DNSSEC.
    fn digits(&mut self, field: Field, n: u32) {
        self.out.text(field, itoa::Buffer::new().format(n).as_bytes());
    }

    /// Writes a number's name.
    fn code(&mut self, field: Field, code: Code) {
        match code {
            Code::Name(name) => self.out.text(field, name.as_bytes()),
            Code::Number(n) | Code::Unknown(n) => self.digits(field, n.into()),
        }
    }
}

fn read_name<'m>(msg: &'m [u8], end: usize, i: &'m [u8], out: &mut NameText) -> Result<&'m [u8], Bad> {
    let next = name::text(msg, end.checked_sub(i.len()).ok_or(Bad)?, out)?;
    msg.get(next..end).ok_or(Bad)
}

/// The next `n` bytes.
fn bytes(i: &[u8], n: usize) -> Parsed<'_, &[u8]> {
    take(n)(i)
}

/// The next `N` bytes.
fn array<const N: usize>(i: &[u8]) -> Result<(&[u8], [u8; N]), Bad> {
    i.split_first_chunk().map(|(head, rest)| (rest, *head)).ok_or(Bad)
}

/// Nothing may be left.
fn end(i: &[u8]) -> Result<(), Bad> {
    if i.is_empty() { Ok(()) } else { Err(Bad) }
}
