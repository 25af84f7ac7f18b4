//! EDNS: the OPT record and its options (RFC 6891).

use super::Bad;
use super::code::{Code, algorithm, digest, extended_error, rcode};
use super::keys::Names;
use super::name::{self, NameText};
use super::rdata::{Scratch, escaped, hex, put};
use super::wire::{Message, Parsed, Record};
use crate::decode::Doc;
use crate::event::Key;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Elements of a list within one record that are written; sixteen options are registered.
const OPTIONS_MAX: usize = 64;

/// DNSSEC OK.
const DO: u32 = 0x8000;

/// Whether the sender understands DNSSEC.
pub(super) fn wants_dnssec(opt: &Record) -> bool {
    opt.ttl & DO != 0
}

/// Writes `dns.opt`. A malformed option is written among the others in hexadecimal.
pub(super) fn write(msg: &Message<'_>, opt: &Record, k: &Names, scratch: &mut Scratch, doc: &mut Doc<'_>) {
    let text = scratch.text();
    doc.bool(k.do_, wants_dnssec(opt));
    // Its own upper bits alone say whether there is an extended code.
    let extended = if opt.ttl >> 24 == 0 { 0 } else { msg.rcode() };
    rcode(extended).write(text);
    doc.plain(k.ext_rcode, text);
    doc.uint(k.udp_size, opt.class.into());
    text.clear();
    Code::Number((opt.ttl >> 16 & 0xff) as u16).write(text);
    doc.plain(k.version, text);
    let data = msg.data.get(opt.data.clone()).unwrap_or_default();
    if data.is_empty() {
        return;
    }
    let mut count: u64 = 0;
    let mut strange = false;
    for option in options(data) {
        count += 1;
        strange |= !option.fits;
        if option.fits && known(&option, k, text, doc).is_err() {
            // Not reached: it fits.
            strange = true;
        }
    }
    doc.uint(k.options_count, count);
    write_errors(data, k, text, doc);
    if strange {
        write_others(data, k, text, doc);
    }
}

/// An option.
struct Opt<'m> {
    code: u16,
    value: &'m [u8],
    /// Whether it has a field of its own, is well formed, and is the first with its code.
    fits: bool,
}

fn options(mut i: &[u8]) -> impl Iterator<Item = Opt<'_>> {
    fn option(i: &[u8]) -> Parsed<'_, (u16, &[u8])> {
        let (i, code) = be_u16(i)?;
        let (i, len) = be_u16(i)?;
        let (i, value) = take(len)(i)?;
        Ok((i, (code, value)))
    }
    let mut seen: u32 = 0;
    std::iter::from_fn(move || {
        let (rest, (code, value)) = option(i).ok()?;
        i = rest;
        let bit = 1u32.checked_shl(code.into()).unwrap_or(0);
        let fits = (code == EDE || seen & bit == 0) && fits(code, value);
        seen |= bit;
        Some(Opt { code, value, fits })
    })
}

/// Extended DNS error.
const EDE: u16 = 15;

/// Writes an option that has a field of its own.
fn known(option: &Opt<'_>, k: &Names, text: &mut Vec<u8>, doc: &mut Doc<'_>) -> Result<(), Bad> {
    let Opt { code, value, .. } = *option;
    text.clear();
    match code {
        3 => {
            hex(value, false, text);
            doc.plain(k.nsid, text);
        }
        5..=7 => {
            for (at, number) in value.iter().enumerate() {
                if at > 0 {
                    text.push(b' ');
                }
                if code == 5 { algorithm(*number) } else { digest(*number) }.write(text);
            }
            doc.plain([k.dau, k.dhu, k.n3u][usize::from(code - 5)], text);
        }
        8 => {
            subnet(value, text)?;
            doc.plain(k.subnet, text);
        }
        // Only asked for.
        9 | 11 if value.is_empty() => {}
        9 => doc.uint(k.expire, be_u32::<_, ()>(value)?.1.into()),
        10 => {
            hex(value, false, text);
            doc.plain(k.cookie, text);
        }
        // In tenths of a second.
        11 => doc.uint(k.keepalive_ms, u64::from(be_u16::<_, ()>(value)?.1) * 100),
        12 => doc.uint(k.padding, value.len() as u64),
        13 => {
            let mut chain = NameText::new();
            name::text(value, 0, &mut chain)?;
            doc.text(k.chain, &chain);
        }
        14 => doc.list(k.key_tags, |l| {
            for tag in value.as_chunks::<2>().0.iter().take(OPTIONS_MAX) {
                l.uint(Key::NONE, u16::from_be_bytes(*tag).into());
            }
        }),
        // All of them together.
        EDE => {}
        _ => return Err(Bad),
    }
    Ok(())
}

/// RFC 7871 §6: `192.0.2.0/24/0`, the lengths of the source and of the scope.
fn subnet(i: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let (i, family) = be_u16::<_, ()>(i)?;
    let (i, source) = be_u8::<_, ()>(i)?;
    let (part, scope) = be_u8::<_, ()>(i)?;
    let mut ip = [0; 16];
    ip.get_mut(..part.len()).ok_or(Bad)?.copy_from_slice(part);
    match family {
        1 if part.len() <= 4 => {
            let [a, b, c, d, ..] = ip;
            put(out, format_args!("{}/{source}/{scope}", Ipv4Addr::new(a, b, c, d)));
        }
        2 => put(out, format_args!("{}/{source}/{scope}", Ipv6Addr::from(ip))),
        // Without an address the family may be none.
        0 if part.is_empty() => put(out, format_args!("0/{source}/{scope}")),
        _ => return Err(Bad),
    }
    Ok(())
}

/// RFC 8914: a list, since there may be several. The name of the code, and what the server adds.
fn write_errors(data: &[u8], k: &Names, text: &mut Vec<u8>, doc: &mut Doc<'_>) {
    doc.list_unless_empty(k.extended_errors, |l| {
        for option in options(data).filter(|o| o.fits && o.code == EDE).take(OPTIONS_MAX) {
            let Some((number, extra)) = option.value.split_first_chunk::<2>() else { continue };
            let number = u16::from_be_bytes(*number);
            l.map(Key::NONE, |m| {
                m.uint(k.code, number.into());
                text.clear();
                extended_error(number).write(text);
                m.plain(k.name, text);
                if !extra.is_empty() {
                    text.clear();
                    escaped(extra, text);
                    m.text(k.text, text);
                }
            });
        }
    });
}

/// What has no field: `code:hexadecimal`.
fn write_others(data: &[u8], k: &Names, text: &mut Vec<u8>, doc: &mut Doc<'_>) {
    doc.list_unless_empty(k.other_options, |l| {
        for option in options(data).filter(|o| !o.fits).take(OPTIONS_MAX) {
            text.clear();
            put(text, format_args!("{}:", option.code));
            hex(option.value, false, text);
            l.plain(Key::NONE, text);
        }
    });
}

/// Whether [`known`] can write the option.
fn fits(code: u16, value: &[u8]) -> bool {
    match code {
        3 | 5..=7 | 10 | 12 => true,
        8 => subnet(value, &mut Vec::new()).is_ok(),
        9 => matches!(value.len(), 0 | 4),
        11 => matches!(value.len(), 0 | 2),
        13 => name::skip(value, 0).is_ok(),
        14 => value.len().is_multiple_of(2),
        EDE => value.len() >= 2,
        _ => false,
    }
}
