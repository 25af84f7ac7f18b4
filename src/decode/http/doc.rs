//! The document of a transaction.

use super::Shared;
use super::body::{self, Trouble};
use super::headers;
use super::mask;
use super::message::{Message, Part};
use super::notes::{NOTES, Note, Notes};
use super::queue::Exchange;
use super::url::{Url, authority, host_of, ip, is_ip};
use crate::decode::{Cx, Dir, Doc, Head, Transport};
use crate::keys;

keys! {
    /// Names of fields.
    pub(super) struct Keys {
        http, request, response, method, version, bytes, body, content, headers, referrer, id, status_code, status_phrase,
        url, scheme, domain, path, query, port, full, extension, username, user_agent, original,
        content_length = "content-length", content_type = "content-type",
    }
}

/// Writes an exchange: both sides, or the one that was seen. Its requests went in direction `client`.
pub(super) fn write(cx: &mut Cx<'_>, shared: &Shared, client: Dir, exchange: Exchange) {
    let Exchange { mut request, mut response } = exchange;
    for m in [&mut request, &mut response].into_iter().flatten() {
        if m.keeps_body {
            decode_body(shared, m);
        }
    }
    write_transaction(cx, shared, client, request.as_deref(), response.as_deref());
    for m in [request, response].into_iter().flatten() {
        shared.recycle(m);
    }
}

/// Tells of a connection that speaks HTTP/2.
pub(super) fn write_preface(cx: &mut Cx<'_>, shared: &Shared, client: Dir) {
    let mut notes = Notes::default();
    notes.add(Note::Http2);
    let mut texts = [""; NOTES];
    let n = notes.texts(&mut texts);
    let head = Head { start: Some(cx.since()), notes: texts.get(..n).unwrap_or_default(), ..Head::new("http", client) };
    let k = &shared.keys;
    cx.emit(&head, |d| d.map(k.http, |h| h.plain(k.version, b"2")));
}

fn write_transaction(
    cx: &mut Cx<'_>,
    shared: &Shared,
    client: Dir,
    request: Option<&Message>,
    response: Option<&Message>,
) {
    let server = cx.flow().port(client.other());
    let url = request.map(|m| Url::of(m.part(Part::First), m.part(Part::Target), m.part(Part::Host)));
    let mut notes = Notes::default();
    for m in [request, response].into_iter().flatten() {
        notes.join(m.notes);
    }
    // A datagram stands for itself (UPnP): notifications are not answered, searches by others than they were sent to.
    let alone = cx.flow().over() == Transport::Udp;
    match (request, response) {
        _ if alone => {}
        (_, None) => notes.add(Note::UnmatchedRequest),
        (None, _) => notes.add(Note::UnmatchedResponse),
        _ => {}
    }
    if url.is_some_and(|u| !u.absolute && u.port.is_some_and(|p| p != server)) {
        notes.add(Note::PortMismatch);
    }
    let mut texts = [""; NOTES];
    let told = notes.texts(&mut texts);

    let host = url.map(|u| u.host).filter(|h| !h.is_empty());
    let address = host.and_then(ip);
    let domain = host.filter(|_| address.is_none());
    let referer = request.and_then(|m| host_of(m.part(Part::Referer))).filter(|h| !is_ip(h) && Some(*h) != domain);
    let (mut hosts, mut named) = ([&b""[..]; 2], 0);
    for (slot, host) in hosts.iter_mut().zip([domain, referer].into_iter().flatten()) {
        *slot = host;
        named += 1;
    }
    let user = url.map(|u| u.user).filter(|u| !u.is_empty());
    let ok = match response {
        Some(m) => m.status < 400 && (alone || request.is_some()),
        None => alone,
    };
    let head = Head {
        start: request.map(|m| m.start),
        end: response.map(|m| m.end),
        bytes: [request.map(|m| m.size), response.map(|m| m.size)],
        status: if ok { "OK" } else { "Error" },
        notes: texts.get(..told).unwrap_or_default(),
        server_domain: domain,
        hosts: hosts.get(..named).unwrap_or_default(),
        users: user.as_slice(),
        ips: address.as_slice(),
        forwarded_ip: request.and_then(|m| first_address(m.part(Part::RealIp))),
        ..Head::new("http", client)
    };
    let k = &shared.keys;
    cx.emit(&head, |d| {
        d.map(k.http, |h| {
            if let Some(m) = request {
                h.map(k.request, |r| write_request(r, shared, m));
            }
            if let Some(m) = response {
                h.map(k.response, |r| write_response(r, shared, m));
            }
            if let Some(m) = request.or(response) {
                let digit = |n: u8| b'0'.saturating_add(n);
                if m.version.0 > 0 || m.version.1 > 0 {
                    h.plain(k.version, &[digit(m.version.0), b'.', digit(m.version.1)]);
                }
            }
        });
        if let (Some(m), Some(url)) = (request, &url) {
            write_asked(d, shared, m, url, server);
        }
        for (key, m, asked) in
            [(k.request, request, shared.settings.send_request), (k.response, response, shared.settings.send_response)]
        {
            if let Some(m) = m.filter(|_| asked) {
                d.write(key, |out| headers::raw(&shared.settings, m, out));
            }
        }
    });
}

fn write_request(r: &mut Doc<'_>, shared: &Shared, m: &Message) {
    let k = &shared.keys;
    lower(r, k.method, m.part(Part::First));
    r.uint(k.bytes, m.size);
    write_body(r, shared, m);
    headers::write(r, k.headers, shared, m);
    let referer = m.part(Part::Referer);
    if !referer.is_empty() {
        let mut text = shared.scratch.borrow_mut();
        text.clear();
        mask::text(referer, &shared.settings.keywords, &mut text);
        r.text(k.referrer, &text);
    }
    let id = m.part(Part::Id);
    if !id.is_empty() {
        r.text(k.id, id);
    }
}

fn write_response(r: &mut Doc<'_>, shared: &Shared, m: &Message) {
    let k = &shared.keys;
    r.uint(k.status_code, m.status.into());
    if !m.part(Part::First).is_empty() {
        lower(r, k.status_phrase, m.part(Part::First));
    }
    r.uint(k.bytes, m.size);
    write_body(r, shared, m);
    headers::write(r, k.headers, shared, m);
}

fn write_body(r: &mut Doc<'_>, shared: &Shared, m: &Message) {
    let k = &shared.keys;
    if m.body_len == 0 {
        return;
    }
    r.map(k.body, |b| {
        b.uint(k.bytes, m.body_len);
        if m.keeps_body && !m.body.is_empty() {
            if shared.settings.keywords.is_empty() {
                b.text(k.content, &m.body);
            } else {
                b.write(k.content, |out| mask::text(&m.body, &shared.settings.keywords, out));
            }
        }
    });
}

/// What a request asks for: `method`, `query`, `url`, `user_agent`.
fn write_asked(d: &mut Doc<'_>, shared: &Shared, m: &Message, url: &Url<'_>, server: u16) {
    let k = &shared.keys;
    let method = m.part(Part::First);
    let mut text = shared.scratch.borrow_mut();
    lower(d, k.method, method);
    text.clear();
    text.extend_from_slice(method);
    text.push(b' ');
    text.extend_from_slice(if url.scheme.is_empty() { m.part(Part::Target) } else { url.path });
    d.text(k.query, &text);
    d.map(k.url, |u| {
        if !url.scheme.is_empty() {
            u.text(k.scheme, url.scheme);
        }
        if !url.host.is_empty() {
            u.text(k.domain, url.host);
        }
        if let Some(port) = url.odd_port(server) {
            u.uint(k.port, port.into());
        }
        if !url.path.is_empty() {
            u.text(k.path, url.path);
        }
        if let Some(extension) = url.extension() {
            u.text(k.extension, extension);
        }
        if !url.user.is_empty() {
            u.text(k.username, url.user);
        }
        // In the buffer: the query, then the whole URL.
        text.clear();
        if let Some(query) = url.query {
            mask::parameters(query, &shared.settings.keywords, &mut text);
            if !text.is_empty() {
                u.text(k.query, &text);
            }
        }
        let query = text.len();
        if url.write_full(server, &mut text) {
            if url.query.is_some() {
                text.push(b'?');
                text.extend_from_within(..query);
            }
            u.text(k.full, text.get(query..).unwrap_or_default());
        }
    });
    let agent = m.part(Part::Agent);
    if !agent.is_empty() {
        d.map(k.user_agent, |u| u.text(k.original, agent));
    }
}

/// Writes short text in lower case.
fn lower(d: &mut Doc<'_>, key: crate::event::Key, text: &[u8]) {
    let mut buf = [0; 64];
    match buf.get_mut(..text.len()) {
        Some(out) => {
            out.copy_from_slice(text);
            out.make_ascii_lowercase();
            d.text(key, out);
        }
        None => d.text(key, &text.to_ascii_lowercase()),
    }
}

/// The first address of a list: who asked, before all proxies. Some write its port behind it, or a word in its place.
fn first_address(value: &[u8]) -> Option<&[u8]> {
    let first = authority(value.split(|b| *b == b',').next()?).host;
    is_ip(first).then_some(first)
}

fn decode_body(shared: &Shared, m: &mut Message) {
    if m.body.is_empty() || !shared.settings.decode_body {
        return;
    }
    let mut trouble = None;
    // The transfer coding was applied last.
    for codings in [m.transfer, m.content] {
        if trouble.is_none() && codings.any() {
            trouble = body::decode(&mut m.body, &codings, shared.settings.max_body);
        } else if trouble.is_some() && codings.any() {
            m.body.clear();
        }
    }
    match trouble {
        Some(Trouble::Damaged) => m.notes.add(Note::BodyDamaged),
        Some(Trouble::TooLong) => m.notes.add(Note::BodyTooLong),
        Some(Trouble::Unsupported) => m.notes.add(Note::BodyUnsupported),
        None => {}
    }
}
