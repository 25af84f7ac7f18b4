//! Records of texts, digests, places and other things.

use super::super::Bad;
use super::super::code::rtype;
use super::text::{escaped, string};
use super::{Cx, array, base64, bytes, end, hex, put, strings};
use nom::number::complete::{be_u8, be_u16, be_u32};
use std::net::{Ipv4Addr, Ipv6Addr};

type Written = Result<(), Bad>;

/// TXT and its like: the strings with blanks between them.
pub(super) fn txt(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    strings(i, false, cx.text)?;
    cx.data_is_text();
    Ok(())
}

/// HINFO, X25, ISDN, GPOS: the strings in quotes.
pub(super) fn quoted(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    strings(i, true, cx.text)?;
    cx.data_is_text();
    Ok(())
}

/// RFC 8659 §4: `0 issue "ca.example.net"`.
pub(super) fn caa(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, flags) = be_u8::<_, ()>(i)?;
    let (value, tag) = string(i)?;
    put(cx.text, format_args!("{flags} "));
    escaped(tag, cx.text);
    cx.text.extend_from_slice(b" \"");
    escaped(value, cx.text);
    cx.text.push(b'"');
    cx.data_is_text();
    Ok(())
}

/// RFC 1876 §2 and §3: `51 30 12.748 N 0 7 39.611 W 0.00m 1m 10000m 10m`, sizes in metres with centimetres.
pub(super) fn loc(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, version) = be_u8::<_, ()>(i)?;
    let (i, sizes) = array::<3>(i)?;
    let (i, latitude) = be_u32::<_, ()>(i)?;
    let (i, longitude) = be_u32::<_, ()>(i)?;
    let (i, altitude) = be_u32::<_, ()>(i)?;
    end(i)?;
    // Each size is a digit and a power of ten.
    if version != 0 || sizes.iter().any(|s| s >> 4 > 9 || s & 15 > 9) {
        return Err(Bad);
    }
    degrees(latitude, ['N', 'S'], cx.text);
    degrees(longitude, ['E', 'W'], cx.text);
    // Centimetres above 100 km below the reference.
    metres(i64::from(altitude) - 10_000_000, cx.text);
    for size in sizes {
        cx.text.push(b' ');
        metres(i64::from(size >> 4) * 10_i64.pow(u32::from(size & 15)), cx.text);
    }
    cx.data_is_text();
    Ok(())
}

/// Thousandths of a second of arc from 2³¹, then a blank.
fn degrees(n: u32, [positive, negative]: [char; 2], out: &mut Vec<u8>) {
    let side = if n >= 1 << 31 { positive } else { negative };
    let n = n.abs_diff(1 << 31);
    let (seconds, thousandths) = (n / 1000, n % 1000);
    let (degrees, minutes) = (seconds / 3600, seconds / 60 % 60);
    put(out, format_args!("{degrees} {minutes} {}.{thousandths:03} {side} ", seconds % 60));
}

fn metres(cm: i64, out: &mut Vec<u8>) {
    let sign = if cm < 0 { "-" } else { "" };
    put(out, format_args!("{sign}{}.{:02}m", cm.unsigned_abs() / 100, cm.unsigned_abs() % 100));
}

/// RFC 3123 §4: `1:192.168.32.0/21 !1:192.168.38.0/28`.
pub(super) fn apl(cx: &mut Cx<'_, '_>, mut i: &[u8]) -> Written {
    while !i.is_empty() {
        let (rest, family) = be_u16::<_, ()>(i)?;
        let (rest, prefix) = be_u8::<_, ()>(rest)?;
        let (rest, len) = be_u8::<_, ()>(rest)?;
        let (rest, part) = bytes(rest, (len & 0x7f).into())?;
        let space = if cx.text.is_empty() { "" } else { " " };
        let not = if len & 0x80 != 0 { "!" } else { "" };
        put(cx.text, format_args!("{space}{not}{family}:"));
        match family {
            1 => put(cx.text, format_args!("{}", Ipv4Addr::from(padded(part)?))),
            2 => put(cx.text, format_args!("{}", Ipv6Addr::from(padded::<16>(part)?))),
            _ => hex(part, false, cx.text),
        }
        put(cx.text, format_args!("/{prefix}"));
        i = rest;
    }
    cx.data_is_text();
    Ok(())
}

/// An address whose zeros at the end were left out.
fn padded<const N: usize>(part: &[u8]) -> Result<[u8; N], Bad> {
    let mut all = [0; N];
    all.get_mut(..part.len()).ok_or(Bad)?.copy_from_slice(part);
    Ok(all)
}

/// RFC 1035 §3.4.2: address, protocol, ports.
pub(super) fn wks(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, ip) = array::<4>(i)?;
    let (map, protocol) = be_u8::<_, ()>(i)?;
    // 65,536 ports.
    if map.len() > 8192 {
        return Err(Bad);
    }
    put(cx.text, format_args!("{} {protocol}", Ipv4Addr::from(ip)));
    for (at, byte) in (0u32..).step_by(8).zip(map) {
        for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
            put(cx.text, format_args!(" {}", at + bit));
        }
    }
    cx.data_is_text();
    Ok(())
}

/// RFC 7043: `00-00-5e-00-53-2a`.
pub(super) fn eui(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    if i.len() != if cx.rtype == rtype::EUI48 { 6 } else { 8 } {
        return Err(Bad);
    }
    for (at, byte) in i.iter().enumerate() {
        let dash = if at == 0 { "" } else { "-" };
        put(cx.text, format_args!("{dash}{byte:02x}"));
    }
    cx.data_is_text();
    Ok(())
}

/// Numbers, then a digest: SSHFP (RFC 4255), TLSA and SMIMEA (RFC 6698, RFC 8162), ZONEMD (RFC 8976).
pub(super) fn digests(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, numbers) = match cx.rtype {
        rtype::SSHFP => bytes(i, 2)?,
        rtype::ZONEMD => {
            let (i, serial) = be_u32::<_, ()>(i)?;
            put(cx.text, format_args!("{serial} "));
            bytes(i, 2)?
        }
        _ => bytes(i, 3)?,
    };
    for number in numbers {
        put(cx.text, format_args!("{number} "));
    }
    hex(i, true, cx.text);
    cx.data_is_text();
    Ok(())
}

/// DHCID (RFC 4701), OPENPGPKEY (RFC 7929): base64.
pub(super) fn blob(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    base64(i, cx.text);
    cx.data_is_text();
    Ok(())
}
