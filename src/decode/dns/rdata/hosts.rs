//! Records that lead to hosts: addresses, names, services.

use super::super::Bad;
use super::super::code::rtype;
use super::text::{escaped, string};
use super::{Cx, Field, array, end, put};
use crate::decode::layers::Addr;
use crate::decode::layers::addr::TEXT_MAX;
use nom::number::complete::{be_u16, be_u32};
use std::net::Ipv4Addr;

type Written = Result<(), Bad>;

pub(super) fn a(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, ip) = array::<4>(i)?;
    end(i)?;
    cx.text.extend_from_slice(Addr::v4(ip).text(false, &mut [0; TEXT_MAX]));
    cx.data_is_text();
    Ok(())
}

pub(super) fn aaaa(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, ip) = array::<16>(i)?;
    end(i)?;
    cx.text.extend_from_slice(Addr(ip).text(true, &mut [0; TEXT_MAX]));
    cx.data_is_text();
    Ok(())
}

pub(super) fn name<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    end(cx.name(i)?)?;
    cx.data_is_name();
    Ok(())
}

/// RFC 1035 §3.3.13.
pub(super) fn soa<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let i = cx.name(i)?;
    let i = cx.other(i)?;
    let (i, serial) = be_u32::<_, ()>(i)?;
    let (i, refresh) = be_u32::<_, ()>(i)?;
    let (i, retry) = be_u32::<_, ()>(i)?;
    let (i, expire) = be_u32::<_, ()>(i)?;
    let (i, minimum) = be_u32::<_, ()>(i)?;
    end(i)?;
    cx.out.number(Field::Expire, expire);
    cx.out.number(Field::Minimum, minimum);
    cx.out.number(Field::Refresh, refresh);
    cx.out.number(Field::Retry, retry);
    cx.out.text(Field::Rname, cx.other);
    cx.out.number(Field::Serial, serial);
    cx.data_is_name();
    Ok(())
}

/// MX, RT, KX, LP: a preference and a host.
pub(super) fn preferred<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, preference) = be_u16::<_, ()>(i)?;
    end(cx.name(i)?)?;
    cx.out.number(Field::Preference, preference.into());
    cx.data_is_name();
    Ok(())
}

/// RFC 2782.
pub(super) fn srv<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, priority) = be_u16::<_, ()>(i)?;
    let (i, weight) = be_u16::<_, ()>(i)?;
    let (i, port) = be_u16::<_, ()>(i)?;
    end(cx.name(i)?)?;
    cx.out.number(Field::Port, port.into());
    cx.out.number(Field::Priority, priority.into());
    cx.out.number(Field::Weight, weight.into());
    cx.data_is_name();
    Ok(())
}

/// RFC 3403 §4.1; the data is the replacement.
pub(super) fn naptr<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, order) = be_u16::<_, ()>(i)?;
    let (i, preference) = be_u16::<_, ()>(i)?;
    let (i, flags) = string(i)?;
    let (i, service) = string(i)?;
    let (i, regexp) = string(i)?;
    end(cx.name(i)?)?;
    let text = |cx: &mut Cx<'_, '_>, field, value| {
        cx.text.clear();
        escaped(value, cx.text);
        cx.out.text(field, cx.text);
    };
    text(cx, Field::Flags, flags);
    cx.out.number(Field::Order, order.into());
    cx.out.number(Field::Preference, preference.into());
    text(cx, Field::Regexp, regexp);
    text(cx, Field::Service, service);
    cx.data_is_name();
    Ok(())
}

/// MINFO, RP, TALINK: two names with a blank between them.
pub(super) fn two_names<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let i = cx.name(i)?;
    end(cx.other(i)?)?;
    cx.text.extend_from_slice(cx.name);
    cx.text.push(b' ');
    cx.text.extend_from_slice(cx.other);
    cx.data_is_text();
    Ok(())
}

/// AFSDB (RFC 1183 §1): a subtype and a host. PX (RFC 2163 §4): a preference and two names.
pub(super) fn numbered<'m>(cx: &mut Cx<'_, 'm>, i: &'m [u8]) -> Written {
    let (i, number) = be_u16::<_, ()>(i)?;
    let i = cx.name(i)?;
    put(cx.text, format_args!("{number} "));
    cx.text.extend_from_slice(cx.name);
    if cx.rtype == rtype::PX {
        end(cx.other(i)?)?;
        cx.text.push(b' ');
        cx.text.extend_from_slice(cx.other);
    } else {
        end(i)?;
    }
    cx.data_is_text();
    Ok(())
}

/// RFC 7553 §4.5.
pub(super) fn uri(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, priority) = be_u16::<_, ()>(i)?;
    let (target, weight) = be_u16::<_, ()>(i)?;
    escaped(target, cx.text);
    cx.out.number(Field::Priority, priority.into());
    cx.out.number(Field::Weight, weight.into());
    cx.data_is_text();
    Ok(())
}

/// NID, L32 and L64 (RFC 6742): a preference, then 8 bytes in groups of two, or an IPv4 address.
pub(super) fn locator(cx: &mut Cx<'_, '_>, i: &[u8]) -> Written {
    let (i, preference) = be_u16::<_, ()>(i)?;
    if cx.rtype == rtype::L32 {
        let (rest, ip) = array::<4>(i)?;
        end(rest)?;
        put(cx.text, format_args!("{}", Ipv4Addr::from(ip)));
    } else {
        let (rest, id) = array::<8>(i)?;
        end(rest)?;
        let group = |at: u32| (u64::from_be_bytes(id) >> (48 - 16 * at)) as u16;
        put(cx.text, format_args!("{:04x}:{:04x}:{:04x}:{:04x}", group(0), group(1), group(2), group(3)));
    }
    cx.out.number(Field::Preference, preference.into());
    cx.data_is_text();
    Ok(())
}
