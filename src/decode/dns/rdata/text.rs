//! Bytes as text: hexadecimal, base64, base32, times, character strings.

use super::super::Bad;
use super::super::code::rtype_name;
use super::super::name::escape;
use super::super::wire::Parsed;
use super::bytes;
use crate::time::civil::Civil;
use crate::util::decimal::push_padded;
use crate::util::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nom::number::complete::be_u8;
use std::convert::Infallible;
use std::fmt::Arguments;
use std::io::Write as _;

/// Appends formatted text.
pub(in super::super) fn put(out: &mut Vec<u8>, text: Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

/// Appends hexadecimal digits.
pub(in super::super) fn hex(data: &[u8], upper: bool, out: &mut Vec<u8>) {
    let from = out.len();
    hex::push(out, data);
    if upper {
        out.get_mut(from..).unwrap_or_default().make_ascii_uppercase();
    }
}

/// Appends base64 with padding (RFC 4648 §4).
pub(super) fn base64(data: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + data.len().div_ceil(3) * 4, 0);
    // The place is as long as the text.
    let _ = STANDARD.encode_slice(data, out.get_mut(from..).unwrap_or_default());
}

/// Appends base32 with the extended hexadecimal digits, without padding (RFC 4648 §7, RFC 5155 §3.3).
pub(super) fn base32hex(data: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    for chunk in data.chunks(5) {
        let word = (0..5).fold(0u64, |word, at| word << 8 | u64::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..(chunk.len() * 8).div_ceil(5) {
            out.push(DIGITS[(word >> (35 - 5 * digit) & 31) as usize]);
        }
    }
}

/// Appends `YYYYMMDDHHmmSS` (RFC 4034 §3.2) of seconds since 1970.
pub(super) fn stamp(secs: u64, out: &mut Vec<u8>) {
    let t = Civil::from_secs(i64::try_from(secs).unwrap_or(i64::MAX / 2));
    push_padded(out, t.year.unsigned_abs().into(), 4, b'0');
    for part in [t.month, t.day, t.hour, t.minute, t.second] {
        push_padded(out, part.into(), 2, b'0');
    }
}

/// A character string: its length, then its bytes (RFC 1035 §3.3).
pub(super) fn string(i: &[u8]) -> Parsed<'_, &[u8]> {
    let (i, len) = be_u8(i)?;
    bytes(i, len.into())
}

/// Appends bytes that are mostly text: quotes and backslashes behind a backslash, what cannot be printed as `\ddd`.
pub(in super::super) fn escaped(text: &[u8], out: &mut Vec<u8>) {
    let _: Result<(), Infallible> = escape(text, b"\"\\", |piece| {
        out.extend_from_slice(piece);
        Ok(())
    });
}

/// Appends character strings with blanks between them, each in quotes if `quotes`.
pub(super) fn strings(mut i: &[u8], quotes: bool, out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut first = true;
    while !i.is_empty() {
        let (rest, text) = string(i)?;
        if !std::mem::take(&mut first) {
            out.push(b' ');
        }
        if quotes {
            out.push(b'"');
        }
        escaped(text, out);
        if quotes {
            out.push(b'"');
        }
        i = rest;
    }
    Ok(())
}

/// Appends the types of a bitmap with blanks between them (RFC 4034 §4.1.2).
pub(super) fn type_bits(mut i: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut last = None;
    let begin = out.len();
    while !i.is_empty() {
        let (rest, window) = be_u8::<_, ()>(i)?;
        let (rest, map) = string(rest)?;
        // Windows rise, and have 1 to 32 bytes: so the text is bounded.
        if map.is_empty() || map.len() > 32 || last.is_some_and(|last| window <= last) {
            return Err(Bad);
        }
        last = Some(window);
        for (at, byte) in (0u16..).step_by(8).zip(map) {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                if out.len() > begin {
                    out.push(b' ');
                }
                rtype_name(u16::from(window) << 8 | (at + bit)).write(out);
            }
        }
        i = rest;
    }
    Ok(())
}
