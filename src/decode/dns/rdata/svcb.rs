//! SVCB and HTTPS (RFC 9460): a priority, and as data the target followed by its parameters.

use super::super::Bad;
use super::super::code::svc_param;
use super::text::{escaped, string};
use super::{Cx, Field, array, base64, bytes, end, put};
use nom::number::complete::be_u16;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Writes `target key=value …`.
pub(super) fn write<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Result<(), Bad> {
    let (i, priority) = be_u16::<_, ()>(i)?;
    let mut i = cx.name(i)?;
    cx.text.extend_from_slice(cx.name);
    let mut last = None;
    while !i.is_empty() {
        let (rest, key) = be_u16::<_, ()>(i)?;
        let (rest, len) = be_u16::<_, ()>(rest)?;
        let (rest, value) = bytes(rest, len.into())?;
        // Keys rise strictly (§2.2).
        if last.is_some_and(|last| key <= last) {
            return Err(Bad);
        }
        last = Some(key);
        param(key, value, cx.text)?;
        i = rest;
    }
    cx.out.number(Field::Priority, priority.into());
    cx.data_is_text();
    Ok(())
}

fn param(key: u16, value: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    out.push(b' ');
    put_key(key, out);
    if value.is_empty() {
        return Ok(());
    }
    out.push(b'=');
    match key {
        0 => list(value, out, |i, out| {
            let (i, key) = be_u16::<_, ()>(i)?;
            put_key(key, out);
            Ok(i)
        }),
        1 => list(value, out, |i, out| {
            let (i, alpn) = string(i)?;
            escaped(alpn, out);
            Ok(i)
        }),
        3 => {
            let (rest, port) = be_u16::<_, ()>(value)?;
            put(out, format_args!("{port}"));
            end(rest)
        }
        4 => list(value, out, |i, out| {
            let (i, ip) = array::<4>(i)?;
            put(out, format_args!("{}", Ipv4Addr::from(ip)));
            Ok(i)
        }),
        5 => {
            base64(value, out);
            Ok(())
        }
        6 => list(value, out, |i, out| {
            let (i, ip) = array::<16>(i)?;
            put(out, format_args!("{}", Ipv6Addr::from(ip)));
            Ok(i)
        }),
        9 => list(value, out, |i, out| {
            let (i, group) = be_u16::<_, ()>(i)?;
            put(out, format_args!("{group}"));
            Ok(i)
        }),
        _ => {
            escaped(value, out);
            Ok(())
        }
    }
}

fn put_key(key: u16, out: &mut Vec<u8>) {
    match svc_param(key) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => put(out, format_args!("key{key}")),
    }
}

/// Elements that `each` reads and writes, with commas between them.
fn list(
    mut i: &[u8],
    out: &mut Vec<u8>,
    each: impl for<'m> Fn(&'m [u8], &mut Vec<u8>) -> Result<&'m [u8], Bad>,
) -> Result<(), Bad> {
    while !i.is_empty() {
        i = each(i, out)?;
        if !i.is_empty() {
            out.push(b',');
        }
    }
    Ok(())
}
