//! `headers` of a message, and the message as it came.

use super::Shared;
use super::conf::{SendHeaders, Settings};
use super::head::{self, HEADERS_MAX, Header, unfold};
use super::mask;
use super::message::{Kind, Message, Part};
use crate::decode::Doc;
use crate::event::Key;

/// Cookies of one message that are written with `split_cookie`; browsers keep fewer for a site.
const COOKIES_MAX: usize = 256;

/// Writes the map `headers`: the length of the body, its type, and what is asked for.
pub(super) fn write(doc: &mut Doc<'_>, key: Key, shared: &Shared, m: &Message) {
    let (settings, k) = (&shared.settings, &shared.keys);
    doc.map(key, |d| {
        d.uint(k.content_length, m.length.unwrap_or(m.body_len));
        let content_type = m.part(Part::Type);
        if !content_type.is_empty() {
            d.text(k.content_type, content_type);
        }
        if settings.headers != SendHeaders::None {
            write_asked(d, settings, m);
        }
    });
}

fn write_asked(doc: &mut Doc<'_>, settings: &Settings, m: &Message) {
    let all: Vec<Header<'_>> = head::headers(&m.head).take(HEADERS_MAX).collect();
    for (i, h) in all.iter().enumerate() {
        let same = |other: &&Header<'_>| other.name.eq_ignore_ascii_case(h.name);
        let name = h.name.to_ascii_lowercase();
        let asked = match &settings.headers {
            SendHeaders::All => true,
            SendHeaders::Some(list) => list.contains(&name),
            SendHeaders::None => false,
        };
        let written = name == b"content-length" || name == b"content-type" || all.iter().take(i).any(|o| same(&o));
        if !asked || written {
            continue;
        }
        let key = doc.key(&name);
        let values = all.iter().skip(i).filter(same);
        if let Some(word) = redaction(settings, &name) {
            doc.plain(key, word);
        } else if settings.split_cookie && is_cookie(m.kind, &name) {
            doc.map(key, |d| write_cookies(d, settings, values.map(|h| h.value)));
        } else {
            // RFC 9110 §5.3: several lines of one name are a list.
            let mut text = Vec::new();
            for (n, value) in values.map(|h| h.value).enumerate() {
                if n > 0 {
                    text.extend_from_slice(b", ");
                }
                unfold(value, &mut text);
            }
            let mut shown = Vec::with_capacity(text.len());
            mask::text(&text, &settings.keywords, &mut shown);
            doc.text(key, &shown);
        }
    }
}

/// What stands in place of a header's value.
fn redaction(settings: &Settings, name: &[u8]) -> Option<&'static [u8]> {
    if settings.redact.iter().any(|r| r == name) {
        return Some(b"REDACTED");
    }
    let authorization = name == b"authorization" || name == b"proxy-authorization";
    (settings.redact_authorization && authorization).then_some(b"*")
}

fn is_cookie(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Request => name == b"cookie",
        Kind::Response => name == b"set-cookie",
    }
}

/// Pairs of all lines; of equal names the last one counts.
fn write_cookies<'a>(doc: &mut Doc<'_>, settings: &Settings, lines: impl Iterator<Item = &'a [u8]>) {
    let mut pairs: Vec<(Vec<u8>, &[u8])> = Vec::new();
    for pair in lines.flat_map(|l| l.split(|b| *b == b';')) {
        let Some(at) = memchr::memchr(b'=', pair) else { continue };
        let name = pair.get(..at).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let value = pair.get(at + 1..).unwrap_or_default().trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        if let Some(old) = pairs.iter_mut().find(|p| p.0 == name) {
            old.1 = value;
        } else if pairs.len() < COOKIES_MAX {
            pairs.push((name, value));
        }
    }
    for (name, value) in &pairs {
        let key = doc.key(name);
        doc.text(key, if mask::is_secret(name, &settings.keywords) { b"xxxxx" } else { value });
    }
}

/// Appends a message as it came, secrets hidden, with its body where that is included.
pub(super) fn raw(settings: &Settings, m: &Message, out: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(m.head.len() + m.body.len());
    let mut done = 0;
    for h in head::headers(&m.head) {
        if redaction(settings, &h.name.to_ascii_lowercase()).is_some() {
            text.extend_from_slice(m.head.get(done..h.at).unwrap_or_default());
            text.resize(text.len() + h.value.len(), b'*');
            done = h.at + h.value.len();
        }
    }
    text.extend_from_slice(m.head.get(done..).unwrap_or_default());
    text.extend_from_slice(&m.body);
    mask::text(&text, &settings.keywords, out);
}
