//! The record of a flow: who talked to whom, how much, for how long.

use super::{Count, Flow};
use crate::decode::common::{self, Common};
use crate::decode::{Dir, Doc, Out, Transport};
use crate::event::{Batch, Key};
use crate::util::hex;
use crate::util::murmur3::murmur3_x64_128;

/// The dataset of flows.
pub const DATASET: &str = "flow";

/// Why a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The flow goes on.
    Period,
    /// FIN from both sides.
    Fin,
    /// RST.
    Reset,
    /// A new connection on the same ports.
    Reused,
    /// Silence.
    Timeout,
    /// For want of memory.
    Evicted,
    /// The capture ended.
    End,
}

impl Why {
    /// `flow.end_reason`; none for a flow that goes on.
    fn text(self) -> Option<&'static str> {
        match self {
            Self::Period => None,
            Self::Fin => Some("fin"),
            Self::Reset => Some("reset"),
            Self::Reused => Some("port reused"),
            Self::Timeout => Some("timeout"),
            Self::Evicted => Some("memory limit"),
            Self::End => Some("end of capture"),
        }
    }
}

/// Writes the record of a flow.
pub fn write(out: &mut Out<'_>, flow: &Flow, why: Why) {
    let Out { common, sink, stats, .. } = out;
    stats.documents += 1;
    sink.write(DATASET, &mut |batch: &mut Batch| {
        let mark = batch.begin();
        fill(&mut Doc::new(batch), common, flow, why);
        batch.finish(mark, flow.last);
    });
}

fn fill(doc: &mut Doc<'_>, k: &Common, flow: &Flow, why: Why) {
    let reason = why.text();
    let dataset = doc.keep(DATASET.as_bytes());
    doc.span(k.kind, dataset);
    doc.map(k.event, |e| {
        let types: &[&str] = if reason.is_some() { &["connection", "end"] } else { &["connection"] };
        common::write_kind(e, k, dataset, types);
        e.plain(k.action, b"network_flow");
        common::write_span_of_time(e, k, Some(flow.begun), Some(flow.last));
    });
    doc.map(k.flow, |f| {
        f.plain(k.id, &id(flow));
        f.bool(k.final_, reason.is_some());
        if let Some(reason) = reason {
            f.plain(k.end_reason, reason.as_bytes());
        }
        match flow.info.key.vlan {
            [0, _] => {}
            [outer, 0] => f.uint(k.vlan, outer.into()),
            both => f.list(k.vlan, |l| both.iter().for_each(|&v| l.uint(Key::NONE, v.into()))),
        }
    });
    for (key, dir) in [(k.source, Dir::Forward), (k.destination, Dir::Back)] {
        let end = common::end(doc, &flow.info, dir);
        let Count { packets, bytes } = flow.count[dir.index()];
        doc.map(key, |d| {
            common::write_end(d, k, end, (packets > 0).then_some(bytes));
            if packets > 0 {
                d.uint(k.packets, packets);
            }
            if let Some(macs) = flow.macs {
                d.plain(k.mac, &mac(macs[dir.index()]));
            }
        });
    }
    doc.map(k.network, |n| {
        common::write_network(n, k, &flow.info);
        n.uint(k.bytes, flow.count[0].bytes.saturating_add(flow.count[1].bytes));
        n.uint(k.packets, flow.packets());
    });
}

/// The same for all records of a flow, and for no other: a hash of its key and of the time of its first packet.
fn id(flow: &Flow) -> [u8; 22] {
    let key = &flow.info.key;
    let mut text = [0; 64];
    let parts: [&[u8]; 8] = [
        &key.addr[0].0,
        &key.addr[1].0,
        &key.port[0].to_be_bytes(),
        &key.port[1].to_be_bytes(),
        &key.vlan[0].to_be_bytes(),
        &key.vlan[1].to_be_bytes(),
        &[match key.over {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Icmp => 1,
        }],
        &flow.info.first.0.to_be_bytes(),
    ];
    let mut at = 0;
    for part in parts {
        text[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    let (high, low) = murmur3_x64_128(&text[..at], 0);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    let mut out = [0; 22];
    // Sixteen bytes fill 22 characters, always.
    let _ = base64::Engine::encode_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes, &mut out);
    out
}

fn mac(octets: [u8; 6]) -> [u8; 17] {
    let mut text = [b':'; 17];
    for (pair, octet) in text.chunks_mut(3).zip(octets) {
        pair[..2].copy_from_slice(&hex::digits(octet));
    }
    text
}
