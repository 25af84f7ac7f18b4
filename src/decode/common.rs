//! The fields that all documents share (ECS names), written once per document.

use super::cx::Head;
use super::flow::{FlowInfo, Networks, community};
use super::layers::Addr;
use super::layers::addr::TEXT_MAX;
use super::{Dir, Doc, Transport};
use crate::event::{Key, Span};
use crate::keys;
use crate::time::{Time, rfc3339};

keys! {
    /// Names of the shared fields.
    #[allow(dead_code)]
    pub struct Common {
        kind = "type", status, event, category, dataset, event_kind = "kind", action, start, end, duration,
        source, destination, client, server, ip, port, bytes, packets, domain, mac,
        network, transport, protocol, community_id, direction, forwarded_ip, related, hosts, user, error, message,
        flow, id, final_ = "final", vlan, end_reason,
    }
}

/// Writes what stands in front of every transaction.
pub(super) fn write_common(doc: &mut Doc<'_>, k: &Common, networks: &Networks, flow: &FlowInfo, head: &Head<'_>) {
    let (from, to) = (head.requester, head.requester.other());
    let dataset = doc.keep(head.dataset.as_bytes());
    doc.span(k.kind, dataset);
    doc.plain(k.status, head.status.as_bytes());
    doc.map(k.event, |e| {
        write_kind(
            e,
            k,
            dataset,
            if flow.over() == Transport::Icmp { &["connection"] } else { &["connection", "protocol"] },
        );
        if let Some(action) = head.action {
            e.text(k.action, action);
        }
        write_span_of_time(e, k, head.start, head.end);
    });
    let ends = [end(doc, flow, from), end(doc, flow, to)];
    let domain = head.server_domain.map(|d| doc.keep(d));
    for [asker, answerer] in [[k.source, k.destination], [k.client, k.server]] {
        doc.map(asker, |d| write_end(d, k, ends[0], head.bytes[0]));
        doc.map(answerer, |d| {
            write_end(d, k, ends[1], head.bytes[1]);
            if let Some(domain) = domain {
                d.copy(k.domain, domain);
            }
        });
    }
    doc.map(k.network, |n| {
        write_network(n, k, flow);
        if flow.over() != Transport::Icmp {
            n.span(k.protocol, dataset);
        }
        if head.bytes != [None; 2] {
            n.uint(k.bytes, head.bytes[0].unwrap_or(0).saturating_add(head.bytes[1].unwrap_or(0)));
        }
        n.plain(k.direction, networks.direction(flow.addr(from), flow.addr(to)).as_bytes());
        if let Some(ip) = head.forwarded_ip {
            n.text(k.forwarded_ip, ip);
        }
    });
    doc.map(k.related, |r| {
        r.list(k.ip, |l| {
            l.span(Key::NONE, ends[0].ip);
            if flow.addr(from) != flow.addr(to) {
                l.span(Key::NONE, ends[1].ip);
            }
            if let Some(ip) = head.forwarded_ip {
                l.text(Key::NONE, ip);
            }
            for (at, ip) in head.ips.iter().enumerate() {
                let addr = Addr::from(*ip);
                let known = ip.is_ipv6() == flow.is_v6() && [flow.addr(from), flow.addr(to)].contains(&addr);
                if !known && !head.ips.iter().take(at).any(|earlier| earlier == ip) {
                    l.plain(Key::NONE, addr.text(ip.is_ipv6(), &mut [0; TEXT_MAX]));
                }
            }
        });
        for (key, list) in [(k.hosts, head.hosts), (k.user, head.users)] {
            if !list.is_empty() {
                r.list(key, |l| list.iter().for_each(|text| l.text(Key::NONE, text)));
            }
        }
    });
    match head.notes {
        [] => {}
        [note] => doc.map(k.error, |e| e.text(k.message, note.as_bytes())),
        notes => doc.map(k.error, |e| {
            e.list(k.message, |l| notes.iter().for_each(|note| l.text(Key::NONE, note.as_bytes())));
        }),
    }
}

/// `event.{kind,category,type,dataset}`.
pub(super) fn write_kind(e: &mut Doc<'_>, k: &Common, dataset: Span, types: &[&str]) {
    e.plain(k.event_kind, b"event");
    e.list(k.category, |l| {
        l.plain(Key::NONE, b"network_traffic");
        l.plain(Key::NONE, b"network");
    });
    e.list(k.kind, |l| types.iter().for_each(|t| l.plain(Key::NONE, t.as_bytes())));
    e.span(k.dataset, dataset);
}

/// `event.{start,end,duration}`: what is known of them. The duration is in nanoseconds.
pub(super) fn write_span_of_time(e: &mut Doc<'_>, k: &Common, start: Option<Time>, end: Option<Time>) {
    let mut text = Vec::with_capacity(30);
    for (key, time) in [(k.start, start), (k.end, end)] {
        if let Some(time) = time {
            text.clear();
            rfc3339::write(time, &mut text);
            e.plain(key, &text);
        }
    }
    if let (Some(start), Some(end)) = (start, end)
        && end >= start
    {
        e.int(k.duration, end.0.saturating_sub(start.0));
    }
}

/// One end of a flow, its address as text in the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) ip: Span,
    pub(super) port: Option<u16>,
}

/// The sender in a direction.
pub(super) fn end(doc: &mut Doc<'_>, flow: &FlowInfo, dir: Dir) -> End {
    let mut buf = [0; TEXT_MAX];
    let ip = doc.keep(flow.addr(dir).text(flow.is_v6(), &mut buf));
    End { ip, port: (flow.over() != Transport::Icmp).then(|| flow.port(dir)) }
}

/// `{ip,port,bytes}`.
pub(super) fn write_end(d: &mut Doc<'_>, k: &Common, end: End, bytes: Option<u64>) {
    d.span(k.ip, end.ip);
    if let Some(port) = end.port {
        d.uint(k.port, port.into());
    }
    if let Some(bytes) = bytes {
        d.uint(k.bytes, bytes);
    }
}

/// `network.{type,transport,community_id}`.
pub(super) fn write_network(n: &mut Doc<'_>, k: &Common, flow: &FlowInfo) {
    n.plain(k.kind, if flow.is_v6() { b"ipv6" } else { b"ipv4" });
    n.plain(
        k.transport,
        match (flow.over(), flow.is_v6()) {
            (Transport::Tcp, _) => b"tcp",
            (Transport::Udp, _) => b"udp",
            (Transport::Icmp, false) => b"icmp",
            (Transport::Icmp, true) => b"ipv6-icmp",
        },
    );
    n.plain(k.community_id, &community::text(flow));
}
