//! X.509 certificates (RFC 5280), as far as documents show them. What is damaged is left out; nothing is verified.

pub mod der;
pub mod key;
pub mod name;

use super::names::Label;
use crate::time::civil::Civil;
use der::{Reader, Value, tag};
use key::{KeyInfo, SignatureInfo};
use name::Name;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Names of a certificate that are shown. Certificates of large hosters have some hundred.
pub const NAMES_MAX: usize = 1000;

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Certificate<'a> {
    /// 1 to 3.
    pub version: u8,
    /// In decimal digits.
    pub serial: String,
    /// What the issuer signed with.
    pub signature: SignatureInfo,
    /// Who signed.
    pub issuer: Name<'a>,
    /// Valid from.
    pub not_before: Option<Civil>,
    /// Valid up to.
    pub not_after: Option<Civil>,
    /// Whose key it is.
    pub subject: Name<'a>,
    /// The key.
    pub key: KeyInfo,
    /// Host names, then mail addresses, addresses, URIs.
    pub alternatives: Vec<Cow<'a, [u8]>>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` when its frame is damaged before the subject's key.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(der).sequence()?;
        let mut body = outer.sequence()?;
        let signature = SignatureInfo::parse(outer.sequence());
        let version = match body.expect(0xa0) {
            Some(v) => v.inner().expect(tag::INTEGER)?.body.last()?.saturating_add(1),
            None => 1,
        };
        let serial = der::decimal(body.expect(tag::INTEGER)?.body);
        body.sequence()?;
        let issuer = Name::parse(body.sequence()?);
        let mut validity = body.sequence()?;
        let (not_before, not_after) = (validity.value().and_then(time), validity.value().and_then(time));
        let subject = Name::parse(body.sequence()?);
        let key = KeyInfo::parse(body.sequence()?);
        let alternatives = body.all().find(|v| v.tag == 0xa3).map(alternatives).unwrap_or_default();
        Some(Self { version, serial, signature, issuer, not_before, not_after, subject, key, alternatives })
    }
}

/// The certificates of a Certificate message up to TLS 1.2 (RFC 5246, 7.4.2): a list with lengths of three bytes.
pub fn chain(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    use nom::multi::length_data;
    use nom::number::complete::be_u24;
    use nom::{IResult, Parser};
    fn block24(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
        length_data(be_u24).parse(input)
    }
    // What is there of a list that was cut is shown, too.
    let mut rest = block24(body).map_or_else(|_| body.get(3..).unwrap_or_default(), |(_, list)| list);
    std::iter::from_fn(move || {
        let (left, certificate) = block24(rest).ok()?;
        rest = left;
        Some(certificate)
    })
}

/// UTCTime and GeneralizedTime, in UTC. Before certificates were strict, seconds could be absent and offsets present.
fn time(value: Value<'_>) -> Option<Civil> {
    let (year_digits, text) = match value.tag {
        tag::UTC_TIME => (2, value.body),
        tag::GENERALIZED_TIME => (4, value.body),
        _ => return None,
    };
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0_i32, |n, d| n * 10 + i32::from(d - b'0')))
    };
    let year = match (year_digits, number(0, year_digits)?) {
        // RFC 5280, 4.1.2.5.1.
        (2, y @ 0..50) => y + 2000,
        (2, y) => y + 1900,
        (_, y) => y,
    };
    let field = |at: usize, low: i32, high: i32| {
        let n = number(year_digits + at, year_digits + at + 2).filter(|n| (low..=high).contains(n))?;
        u8::try_from(n).ok()
    };
    let (month, day, hour, minute) = (field(0, 1, 12)?, field(2, 1, 31)?, field(4, 0, 23)?, field(6, 0, 59)?);
    let mut rest = text.get(year_digits + 8..)?;
    let mut second = 0;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        second = field(8, 0, 60)?;
        rest = rest.get(2..)?;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        rest = fraction.get(digits..)?;
    }
    let at = Civil { year, month, day, hour, minute, second };
    match rest {
        b"Z" => Some(at),
        [sign @ (b'+' | b'-'), offset @ ..] if offset.len() == 4 && offset.iter().all(u8::is_ascii_digit) => {
            let digits: Vec<i64> = offset.iter().map(|d| i64::from(d - b'0')).collect();
            let &[h, hh, m, mm] = digits.as_slice() else { return None };
            let secs = (h * 10 + hh) * 3600 + (m * 10 + mm) * 60;
            Some(Civil::from_secs(if *sign == b'+' { at.secs() - secs } else { at.secs() + secs }))
        }
        _ => None,
    }
}

/// `2020-12-02T12:00:00.000Z`.
pub fn time_text(t: &Civil) -> String {
    let Civil { year, month, day, hour, minute, second } = t;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// The names of the extension subjectAltName (RFC 5280, 4.2.1.6).
fn alternatives<'a>(extensions: Value<'a>) -> Vec<Cow<'a, [u8]>> {
    const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
    const MAIL: u8 = 0x81;
    const DNS: u8 = 0x82;
    const URI: u8 = 0x86;
    const IP: u8 = 0x87;
    let Some(list) = extensions.inner().sequence() else { return Vec::new() };
    let content = list.all().find_map(|extension| {
        let mut inner = extension.inner();
        inner.expect(tag::OID).filter(|id| id.body == SUBJECT_ALT_NAME)?;
        // A flag that says whether it is critical may stand between.
        inner.all().find(|v| v.tag == tag::OCTET_STRING)
    });
    let Some(names) = content.and_then(|c| c.inner().sequence()) else { return Vec::new() };
    let names: Vec<Value<'a>> = names.all().take(NAMES_MAX).collect();
    let of = |kind: u8| names.iter().filter(move |v| v.tag == kind);
    let mut found: Vec<Cow<'a, [u8]>> = of(DNS).chain(of(MAIL)).map(|v| Cow::Borrowed(v.body)).collect();
    found.extend(of(IP).filter_map(|v| address(v.body)).map(|ip| Cow::Owned(ip.into_bytes())));
    found.extend(of(URI).map(|v| Cow::Borrowed(v.body)));
    found
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_canonical().to_string())
}

/// A name from a table, or an identifier with dots.
pub(super) fn registered(name: Option<&'static str>, oid: &[u8]) -> Label {
    match name {
        Some(name) => Label::Name(name),
        None => Label::oid(der::oid_text(oid)),
    }
}

#[cfg(test)]
mod tests;
