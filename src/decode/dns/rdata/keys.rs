//! Records of DNSSEC and of other keys and signatures.

use super::super::Bad;
use super::super::code::{algorithm, certificate, digest, rtype_name, tsig_error};
use super::text::{base32hex, stamp, string, type_bits};
use super::{Cx, Field, array, base64, bytes, end, hex, put};
use nom::number::complete::{be_u8, be_u16, be_u32};
use std::net::{Ipv4Addr, Ipv6Addr};

type Written = Result<(), Bad>;

/// DS, CDS, DLV, TA (RFC 4034 §5).
pub(super) fn ds(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, key_tag) = be_u16::<_, ()>(i)?;
    let (i, signed_with) = be_u8::<_, ()>(i)?;
    let (i, digest_type) = be_u8::<_, ()>(i)?;
    hex(i, true, cx.text);
    cx.code(Field::Algorithm, algorithm(signed_with));
    cx.code(Field::DigestType, digest(digest_type));
    cx.digits(Field::KeyTag, key_tag.into());
    cx.data_is_text();
    Ok(())
}

/// DNSKEY, CDNSKEY, KEY, RKEY (RFC 4034 §2).
pub(super) fn dnskey(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, flags) = be_u16::<_, ()>(i)?;
    let (i, protocol) = be_u8::<_, ()>(i)?;
    let (i, used_with) = be_u8::<_, ()>(i)?;
    base64(i, cx.text);
    cx.code(Field::Algorithm, algorithm(used_with));
    cx.digits(Field::Flags, flags.into());
    cx.digits(Field::Protocol, protocol.into());
    cx.data_is_text();
    Ok(())
}

/// RRSIG (RFC 4034 §3) and SIG (RFC 2535 §4).
pub(super) fn rrsig<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, covered) = be_u16::<_, ()>(i)?;
    let (i, signed_with) = be_u8::<_, ()>(i)?;
    let (i, labels) = be_u8::<_, ()>(i)?;
    let (i, original_ttl) = be_u32::<_, ()>(i)?;
    let (i, expiration) = be_u32::<_, ()>(i)?;
    let (i, inception) = be_u32::<_, ()>(i)?;
    let (i, key_tag) = be_u16::<_, ()>(i)?;
    let signature = cx.name(i)?;
    cx.code(Field::Algorithm, algorithm(signed_with));
    time(cx, Field::Expiration, expiration.into());
    time(cx, Field::Inception, inception.into());
    cx.digits(Field::KeyTag, key_tag.into());
    cx.digits(Field::Labels, labels.into());
    cx.digits(Field::OriginalTtl, original_ttl);
    cx.out.text(Field::SignerName, cx.name);
    cx.code(Field::TypeCovered, rtype_name(covered));
    cx.text.clear();
    base64(signature, cx.text);
    cx.data_is_text();
    Ok(())
}

/// `YYYYMMDDHHmmSS` under `field`.
fn time(cx: &mut Cx<'_, '_>, field: Field, secs: u64) {
    cx.text.clear();
    stamp(secs, cx.text);
    cx.out.text(field, cx.text);
}

/// RFC 4034 §4.
pub(super) fn nsec<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let i = cx.name(i)?;
    type_bits(i, cx.text)?;
    cx.out.text(Field::TypeBits, cx.text);
    cx.data_is_name();
    Ok(())
}

/// What NSEC3 and NSEC3PARAM begin with (RFC 5155 §3.2 and §4.2).
struct Hashing<'m> {
    hash: u8,
    flags: u8,
    iterations: u16,
    salt: &'m [u8],
}

fn hashing(i: &[u8]) -> Result<(&[u8], Hashing<'_>), Bad> {
    let (i, hash) = be_u8::<_, ()>(i)?;
    let (i, flags) = be_u8::<_, ()>(i)?;
    let (i, iterations) = be_u16::<_, ()>(i)?;
    let (i, salt) = string(i)?;
    Ok((i, Hashing { hash, flags, iterations, salt }))
}

/// All but the salt, which is left in [`Cx::text`].
fn write_hashing(cx: &mut Cx<'_, '_>, h: &Hashing<'_>) {
    cx.digits(Field::Flags, h.flags.into());
    cx.code(Field::Hash, digest(h.hash));
    cx.digits(Field::Iterations, h.iterations.into());
    cx.text.clear();
    if h.salt.is_empty() {
        cx.text.push(b'-');
    }
    hex(h.salt, true, cx.text);
}

/// RFC 5155 §3.
pub(super) fn nsec3(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, h) = hashing(i)?;
    let (types, next) = string(i)?;
    type_bits(types, cx.text)?;
    write_hashing(cx, &h);
    cx.out.text(Field::Salt, cx.text);
    cx.text.clear();
    type_bits(types, cx.text)?;
    cx.out.text(Field::TypeBits, cx.text);
    cx.text.clear();
    base32hex(next, cx.text);
    cx.data_is_text();
    Ok(())
}

/// RFC 5155 §4; the data is the salt.
pub(super) fn nsec3param(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, h) = hashing(i)?;
    end(i)?;
    write_hashing(cx, &h);
    cx.data_is_text();
    Ok(())
}

/// RFC 7477 §2.1.
pub(super) fn csync(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, serial) = be_u32::<_, ()>(i)?;
    let (i, flags) = be_u16::<_, ()>(i)?;
    put(cx.text, format_args!("{serial} {flags} "));
    type_bits(i, cx.text)?;
    cx.data_is_text();
    Ok(())
}

/// RFC 4398 §2.
pub(super) fn cert(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, kind) = be_u16::<_, ()>(i)?;
    let (i, key_tag) = be_u16::<_, ()>(i)?;
    let (i, signed_with) = be_u8::<_, ()>(i)?;
    certificate(kind).write(cx.text);
    put(cx.text, format_args!(" {key_tag} "));
    algorithm(signed_with).write(cx.text);
    cx.text.push(b' ');
    base64(i, cx.text);
    cx.data_is_text();
    Ok(())
}

/// RFC 4025 §2.
pub(super) fn ipseckey<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, precedence) = be_u8::<_, ()>(i)?;
    let (i, gateway) = be_u8::<_, ()>(i)?;
    let (i, used_with) = be_u8::<_, ()>(i)?;
    put(cx.text, format_args!("{precedence} {gateway} {used_with} "));
    let key = match gateway {
        0 => {
            cx.text.push(b'.');
            i
        }
        1 => {
            let (i, ip) = array::<4>(i)?;
            put(cx.text, format_args!("{}", Ipv4Addr::from(ip)));
            i
        }
        2 => {
            let (i, ip) = array::<16>(i)?;
            put(cx.text, format_args!("{}", Ipv6Addr::from(ip)));
            i
        }
        3 => {
            let i = cx.name(i)?;
            cx.text.extend_from_slice(cx.name);
            i
        }
        _ => return Err(Bad),
    };
    if !key.is_empty() {
        cx.text.push(b' ');
        base64(key, cx.text);
    }
    cx.data_is_text();
    Ok(())
}

/// RFC 8945 §4.2; the data is the message's authentication code.
pub(super) fn tsig<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let i = cx.name(i)?;
    let (i, high) = be_u16::<_, ()>(i)?;
    let (i, low) = be_u32::<_, ()>(i)?;
    let (i, fudge) = be_u16::<_, ()>(i)?;
    let (i, mac) = sized(i)?;
    let (i, original_id) = be_u16::<_, ()>(i)?;
    let (i, error) = be_u16::<_, ()>(i)?;
    let (i, _) = sized(i)?;
    end(i)?;
    cx.out.text(Field::Algorithm, cx.name);
    cx.code(Field::Error, tsig_error(error));
    cx.digits(Field::Fudge, fudge.into());
    cx.digits(Field::OriginalId, original_id.into());
    time(cx, Field::TimeSigned, u64::from(high) << 32 | u64::from(low));
    cx.text.clear();
    base64(mac, cx.text);
    cx.data_is_text();
    Ok(())
}

/// RFC 2930 §2; the data is the key.
pub(super) fn tkey<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let i = cx.name(i)?;
    let (i, inception) = be_u32::<_, ()>(i)?;
    let (i, expiration) = be_u32::<_, ()>(i)?;
    let (i, mode) = be_u16::<_, ()>(i)?;
    let (i, error) = be_u16::<_, ()>(i)?;
    let (i, key) = sized(i)?;
    let (i, _) = sized(i)?;
    end(i)?;
    cx.out.text(Field::Algorithm, cx.name);
    cx.code(Field::Error, tsig_error(error));
    time(cx, Field::Expiration, expiration.into());
    time(cx, Field::Inception, inception.into());
    cx.digits(Field::Mode, mode.into());
    cx.text.clear();
    base64(key, cx.text);
    cx.data_is_text();
    Ok(())
}

/// Bytes behind a 16-bit length.
fn sized(i: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let (i, len) = be_u16::<_, ()>(i)?;
    Ok(bytes(i, len.into())?)
}
