//! Distinguished names (RFC 5280, 4.1.2.4) and their text (RFC 2253, in the order that Packetbeat has).

use super::der::{Reader, Value, oid_text, tag};
use crate::util::hex;
use std::borrow::Cow;

/// A part of a name that has a field of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// 2.5.4.5
    SerialNumber,
    /// 2.5.4.3
    CommonName,
    /// 2.5.4.11
    OrganizationalUnit,
    /// 2.5.4.10
    Organization,
    /// 2.5.4.17
    PostalCode,
    /// 2.5.4.9
    Street,
    /// 2.5.4.7
    Locality,
    /// 2.5.4.8: a state or a province.
    Province,
    /// 2.5.4.6
    Country,
}

use Part::{
    CommonName, Country, Locality, Organization, OrganizationalUnit, PostalCode, Province, SerialNumber, Street,
};

impl Part {
    /// In the order of the text.
    pub const ALL: [Self; 9] =
        [SerialNumber, CommonName, OrganizationalUnit, Organization, PostalCode, Street, Locality, Province, Country];

    fn of(oid: &[u8]) -> Option<Self> {
        let &[0x55, 4, number] = oid else { return None };
        Some(match number {
            3 => CommonName,
            5 => SerialNumber,
            6 => Country,
            7 => Locality,
            8 => Province,
            9 => Street,
            10 => Organization,
            11 => OrganizationalUnit,
            17 => PostalCode,
            _ => return None,
        })
    }

    fn short(self) -> &'static str {
        match self {
            SerialNumber => "SERIALNUMBER",
            CommonName => "CN",
            OrganizationalUnit => "OU",
            Organization => "O",
            PostalCode => "POSTALCODE",
            Street => "STREET",
            Locality => "L",
            Province => "ST",
            Country => "C",
        }
    }

    /// Of these only the last one counts.
    fn is_single(self) -> bool {
        matches!(self, CommonName | SerialNumber)
    }
}

/// Attributes of a name that are looked at. Real ones have about ten.
const ATTRIBUTES_MAX: usize = 64;

/// A name: a list of sets of attributes.
#[derive(Debug, Clone, Default)]
pub struct Name<'a> {
    known: Vec<(Part, Cow<'a, [u8]>)>,
    others: Vec<(&'a [u8], Value<'a>)>,
}

impl<'a> Name<'a> {
    /// Reads what the list holds; what is damaged ends it.
    pub fn parse(sets: Reader<'a>) -> Self {
        let mut name = Self::default();
        let attributes = sets.all().flat_map(|set| set.inner().all()).take(ATTRIBUTES_MAX);
        for attribute in attributes {
            let mut inner = attribute.inner();
            let (Some(kind), Some(value)) = (inner.expect(tag::OID), inner.value()) else { break };
            match (Part::of(kind.body), text(value)) {
                (Some(part), Some(text)) => name.known.push((part, text)),
                _ => name.others.push((kind.body, value)),
            }
        }
        name
    }

    /// The value of a part, several with spaces between them; `None` when there is none.
    pub fn part(&self, part: Part) -> Option<Vec<u8>> {
        let mut all = self.values(part).filter(|v| !v.is_empty()).peekable();
        all.peek()?;
        Some(all.collect::<Vec<_>>().join(&b' '))
    }

    fn values(&self, part: Part) -> impl Iterator<Item = &[u8]> {
        let count = self.known.iter().filter(|(p, _)| *p == part).count();
        let skip = if part.is_single() { count.saturating_sub(1) } else { 0 };
        self.known.iter().filter(move |(p, _)| *p == part).skip(skip).map(|(_, value)| &**value)
    }

    /// `CN=www.example.org,O=Example,C=US`: the parts from the narrowest to the widest, values of one part joined by
    /// `+`, then attributes without a name of their own as `oid=#der`.
    pub fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for part in Part::ALL {
            for (at, value) in self.values(part).enumerate() {
                match (at, out.is_empty()) {
                    (0, true) => {}
                    (0, false) => out.push(b','),
                    _ => out.push(b'+'),
                }
                out.extend_from_slice(part.short().as_bytes());
                out.push(b'=');
                escape(value, &mut out);
            }
        }
        for (oid, value) in self.others.iter().rev() {
            let Some(oid) = oid_text(oid) else { continue };
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(oid.as_bytes());
            out.extend_from_slice(b"=#");
            push_der(*value, &mut out);
        }
        out
    }
}

/// The text of a string value in UTF-8.
pub fn text(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    let wide = |size: usize| {
        let units = value.body.chunks_exact(size).map(|c| c.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)));
        let text: String = units.map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    Some(match value.tag {
        tag::UTF8 | tag::NUMERIC | tag::PRINTABLE | tag::IA5 | tag::VISIBLE => Cow::Borrowed(value.body),
        tag::T61 if value.body.is_ascii() => Cow::Borrowed(value.body),
        tag::T61 => Cow::Owned(value.body.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()),
        tag::BMP => wide(2),
        tag::UNIVERSAL => wide(4),
        _ => return None,
    })
}

/// RFC 2253, 2.4: special signs, a `#` or a space at the beginning and a space at the end stand behind a backslash.
fn escape(value: &[u8], out: &mut Vec<u8>) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.iter().enumerate() {
        let special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => at == 0,
            b' ' => at == 0 || at == last,
            _ => false,
        };
        if special {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

/// The value's DER in hexadecimal digits. Text is written anew, as PrintableString where that is enough and as
/// UTF8String where not: so do Packetbeat and other programs in Go.
fn push_der(value: Value<'_>, out: &mut Vec<u8>) {
    let Some(text) = text(value) else { return hex::push(out, value.whole) };
    let printable = |b: &u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(b);
    hex::push(out, &[if text.iter().all(printable) { tag::PRINTABLE } else { tag::UTF8 }]);
    match u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes() {
        [0, short @ ..0x80] => hex::push(out, &[short]),
        [0, long] => hex::push(out, &[0x81, long]),
        both => hex::push(out, &[&[0x82][..], &both].concat()),
    }
    hex::push(out, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag, body.len() as u8][..], body].concat()
    }

    fn set(oid: &[u8], kind: u8, text: &[u8]) -> Vec<u8> {
        let attribute = [value(tag::OID, oid), value(kind, text)].concat();
        value(tag::SET, &value(tag::SEQUENCE, &attribute))
    }

    fn shown(sets: &[Vec<u8>]) -> String {
        let bytes = sets.concat();
        String::from_utf8(Name::parse(Reader::new(&bytes)).to_text()).unwrap()
    }

    // What Go's pkix.Name prints of these names.
    #[test]
    fn the_text_has_a_fixed_order_whatever_the_name_s() {
        let x = |n: u8, text: &str| set(&[0x55, 4, n], tag::UTF8, text.as_bytes());
        let all = [x(3, "cn"), x(6, "US"), x(10, "O"), x(11, "OU"), x(11, "B"), x(7, "L"), x(8, "ST"), x(9, "street")];
        assert_eq!(shown(&all), "CN=cn,OU=OU+OU=B,O=O,STREET=street,L=L,ST=ST,C=US");
        assert_eq!(shown(&[x(17, "pc"), x(5, "ser"), x(3, "a"), x(3, "b")]), "SERIALNUMBER=ser,CN=b,POSTALCODE=pc");
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn special_signs_are_escaped() {
        let sets = [set(&[0x55, 4, 3], tag::UTF8, b" #a,+\"\\<>;=b "), set(&[0x55, 4, 10], tag::UTF8, b"#x y")];
        assert_eq!(shown(&sets), r#"CN=\ #a\,\+\"\\\<\>\;=b\ ,O=\#x y"#);
    }

    #[test]
    fn attributes_without_a_name_stand_at_the_end() {
        let mail = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        let sets =
            [set(&mail, tag::IA5, b"a@b,c"), set(&[0x55, 4, 13], tag::UTF8, b"descr"), set(&[0x55, 4, 3], 0x0c, b"x")];
        assert_eq!(shown(&sets), "CN=x,2.5.4.13=#13056465736372,1.2.840.113549.1.9.1=#0c056140622c63");
        assert_eq!(shown(&[set(&[0x55, 4, 3], tag::OCTET_STRING, b"x")]), "2.5.4.3=#040178");
    }

    #[test]
    fn wide_and_old_strings_become_utf_8() {
        assert_eq!(shown(&[set(&[0x55, 4, 3], tag::BMP, &[0, 0x41, 0x20, 0xac])]), "CN=A€");
        assert_eq!(shown(&[set(&[0x55, 4, 3], tag::UNIVERSAL, &[0, 1, 0xf6, 0])]), "CN=😀");
        assert_eq!(shown(&[set(&[0x55, 4, 3], tag::T61, &[0xfc])]), "CN=ü");
    }
}
