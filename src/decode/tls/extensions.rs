//! Extensions of hellos as fields: those that say something by name, the others in a list.

use super::hello::{Extensions, block8, ext, pairs};
use super::keys::Keys;
use super::names::{self, Label, Version, is_grease};
use crate::decode::Doc;
use crate::event::Key;
use nom::number::complete::be_u16;

/// Entries of a list that are shown. Real lists have less than 200.
pub const LIST_MAX: usize = 1000;

/// Writes `extensions`, when there are any.
pub fn write(doc: &mut Doc<'_>, k: &Keys, extensions: Extensions<'_>) {
    doc.map_unless_empty(k.extensions, |m| {
        // An extension may stand in a hello once; what is repeated nevertheless is left out.
        let mut seen: u64 = 0;
        for (code, content) in extensions.iter().filter(|(c, _)| !is_grease(*c)) {
            let bit = 1_u64 << code.min(63);
            if code < 63 && seen & bit == 0 {
                seen |= bit;
                one(m, k, code, content, extensions);
            }
        }
        m.list_unless_empty(k.unparsed, |l| {
            let others = extensions.iter().filter(|(c, content)| !is_grease(*c) && !is_shown(*c, content));
            others.take(LIST_MAX).for_each(|(code, _)| match name(code) {
                Some(name) => l.plain(Key::NONE, name.as_bytes()),
                None => l.plain(Key::NONE, names::number(code).as_bytes()),
            });
        });
    });
}

/// How many entries a hello's extensions have beyond those that are shown.
pub fn is_too_long(extensions: Extensions<'_>) -> bool {
    extensions.iter().count() > LIST_MAX
        || [ext::SUPPORTED_GROUPS, ext::SIGNATURE_ALGORITHMS].iter().any(|c| extensions.numbers(*c).count() > LIST_MAX)
        || extensions.protocols().count() > LIST_MAX
}

/// Extensions that Packetbeat names without showing what is in them.
fn name(code: u16) -> Option<&'static str> {
    Some(match code {
        ext::SERVER_NAME => "server_name_indication",
        3 => "trusted_ca_keys",
        5 => "status_request",
        6 => "user_mapping",
        7 => "client_authz",
        8 => "server_authz",
        0xff01 => "renegotiation_info",
        _ => return None,
    })
}

/// Whether an extension has a field of its own.
fn is_shown(code: u16, content: &[u8]) -> bool {
    match code {
        ext::SERVER_NAME => !content.is_empty(),
        ext::MAX_FRAGMENT_LENGTH => content.len() == 1,
        2 | 4 | 9 | ext::SESSION_TICKET => true,
        ext::SUPPORTED_GROUPS | ext::SIGNATURE_ALGORITHMS | ext::ALPN => is_list(content),
        ext::POINT_FORMATS | ext::SRP => block8(content).is_ok(),
        ext::SUPPORTED_VERSIONS => content.len() >= 2,
        _ => false,
    }
}

/// A vector with its length in two bytes, and nothing behind it.
fn is_list(content: &[u8]) -> bool {
    be_u16::<_, ()>(content).is_ok_and(|(rest, len)| rest.len() == usize::from(len))
}

fn one(m: &mut Doc<'_>, k: &Keys, code: u16, content: &[u8], all: Extensions<'_>) {
    if !is_shown(code, content) {
        return;
    }
    match code {
        ext::SERVER_NAME => m.list_unless_empty(k.server_name_indication, |l| {
            all.server_names().for_each(|name| l.text(Key::NONE, name));
        }),
        ext::MAX_FRAGMENT_LENGTH => {
            let asked = names::fragment_length(content.first().copied().unwrap_or_default());
            m.plain(k.max_fragment_length, asked.as_bytes());
        }
        2 => empty(m, k.client_certificate_url, content, names::not_empty),
        4 => empty(m, k.truncated_hmac, content, names::not_empty),
        9 => labels(m, k.cert_type, certificate_types(content).iter().map(|c| names::certificate_type(*c))),
        ext::SUPPORTED_GROUPS => {
            let groups = all.numbers(code).filter(|c| !is_grease(*c));
            labels(m, k.supported_groups, groups.map(names::group));
        }
        ext::POINT_FORMATS => {
            let formats = block8(content).map_or(&[][..], |(_, list)| list);
            labels(m, k.ec_points_formats, formats.iter().map(|c| names::point_format(*c)));
        }
        ext::SRP => m.text(k.srp, block8(content).map_or(&[], |(_, user)| user)),
        ext::SIGNATURE_ALGORITHMS => labels(m, k.signature_algorithms, all.numbers(code).map(names::scheme)),
        ext::ALPN => m.list(k.application_layer_protocol_negotiation, |l| {
            all.protocols().take(LIST_MAX).for_each(|name| l.text(Key::NONE, name));
        }),
        ext::SESSION_TICKET => empty(m, k.session_ticket, content, names::bytes),
        ext::SUPPORTED_VERSIONS => versions(m, k.supported_versions, content),
        _ => {}
    }
}

/// One version from a server, a list from a client.
fn versions(m: &mut Doc<'_>, key: Key, content: &[u8]) {
    if let &[major, minor] = content {
        return m.plain(key, Version(u16::from_be_bytes([major, minor])).label().as_bytes());
    }
    let list = block8(content).map_or(&[][..], |(_, list)| list);
    labels(m, key, pairs(list).filter(|v| !is_grease(*v)).map(|v| Version(v).label()));
}

/// A list from a client, one type from a server.
fn certificate_types(content: &[u8]) -> &[u8] {
    match content {
        [_] => content,
        _ => block8(content).map_or(&[][..], |(_, list)| list),
    }
}

fn empty(m: &mut Doc<'_>, key: Key, content: &[u8], of: fn(usize) -> Label) {
    match content.len() {
        0 => m.plain(key, b""),
        n => m.plain(key, of(n).as_bytes()),
    }
}

/// A list of names.
pub fn labels(m: &mut Doc<'_>, key: Key, all: impl Iterator<Item = Label>) {
    m.list_unless_empty(key, |l| all.take(LIST_MAX).for_each(|label| l.plain(Key::NONE, label.as_bytes())));
}
