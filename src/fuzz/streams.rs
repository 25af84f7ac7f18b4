//! TCP conversations of a protocol, from bytes that say who sends what and what is lost.

use crate::conf::{FromConf, Section};
use crate::decode::Sink;
use crate::decode::analyzer::{Analyzer, Protocols, Settings};
use crate::decode::flow::Networks;
use crate::error::Diags;
use crate::event::{Batch, Tag};
use crate::fmt::capture::{LinkType, Packet};
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::time::Time;
use serde_json::Value;
use std::time::Duration;

/// Every document can be written, and is JSON.
struct Check {
    written: usize,
}

impl Sink for Check {
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        let mut batch = Batch::new(Tag::new(dataset));
        write(&mut batch);
        let mut out = Vec::new();
        for i in 0..batch.len() {
            out.clear();
            write_map(batch.body(i), JsonOpts::default(), &mut out);
            assert!(serde_json::from_slice::<Value>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
            self.written += 1;
        }
    }
}

/// HTTP with everything kept. See [`stream`].
pub fn http(data: &[u8]) {
    let keys = [
        ("http.send_all_headers", "on"),
        ("http.split_cookie", "on"),
        ("http.send_request", "on"),
        ("http.send_response", "on"),
        ("http.include_body_for", "text, json, form"),
        ("http.hide_keywords", "pass, token"),
        ("http.real_ip_header", "X-Forwarded-For"),
        ("http.max_message_size", "64K"),
    ];
    stream("http", 80, &keys, data);
}

/// A connection to `port`. Two bytes say what comes: bit 0 of the first the direction, bit 1 that it is lost, bit 2 that the
/// sender ends, bit 3 that time passes; its upper half and the second how many of the bytes behind.
fn stream(protocol: &str, port: u16, keys: &[(&str, &str)], data: &[u8]) {
    const LIMIT: usize = 4 << 20;
    let mut diags = Diags::new();
    let section = Section::of("INPUT", keys);
    let made = Protocols::make(Some(&[protocol.to_owned()]), true, &section, Duration::from_secs(10), &mut diags);
    let (Some(made), Ok(networks)) = (made, Networks::from_conf("private")) else {
        unreachable!("{diags}");
    };
    let settings = Settings {
        flows: None,
        flow_timeout: Duration::from_secs(30),
        layers: Default::default(),
        max_memory: LIMIT,
        tcp: Default::default(),
        networks,
        seed: 1,
    };
    let (mut analyzer, mut check) = (Analyzer::new(settings, made), Check { written: 0 });
    let (mut time, mut rest, mut seq) = (1_700_000_000_000_000_000, data, [1u32, 1]);
    let mut bytes = 0;
    // A first byte of odd value: the capture begins within the connection.
    let joined = rest.split_off_first().is_some_and(|b| b & 1 != 0);
    let mut send = |time: i64, frame: &[u8]| {
        let packet = Packet { time: Time(time), link: LinkType::RAW, wire_len: frame.len() as u32, data: frame };
        analyzer.packet(&packet, &mut check);
    };
    if !joined {
        send(time, &segment(false, port, [0, 0], 0x02, &[]));
        send(time, &segment(true, port, [0, 1], 0x12, &[]));
    }
    while let Some((&[what, low], more)) = rest.split_first_chunk() {
        let (sent, more) = more.split_at((usize::from(what >> 4) << 8 | usize::from(low)).min(more.len()));
        rest = more;
        let (back, lost) = (what & 1 != 0, what & 2 != 0);
        time += if what & 8 != 0 { 4_000_000_000 } else { 1_000_000 };
        bytes += sent.len();
        let [here, there] = if back { [seq[1], seq[0]] } else { seq };
        let flags = if what & 4 != 0 { 0x11 } else { 0x10 };
        if !lost {
            send(time, &segment(back, port, [here, there], flags, sent));
        }
        let next = here.wrapping_add(sent.len() as u32).wrapping_add(u32::from(flags & 1));
        seq[usize::from(back)] = next;
    }
    analyzer.finish(&mut check);
    // No document stands for less than a short line.
    assert!(check.written <= bytes / 8 + 2, "{} documents of {bytes} bytes", check.written);
}

/// An IPv4 packet of a client at 10.0.0.1:40000 and a server at 10.0.0.2.
fn segment(back: bool, port: u16, [seq, ack]: [u32; 2], flags: u8, data: &[u8]) -> Vec<u8> {
    let [a, b] = ((40 + data.len()) as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, a, b, 0, 0, 0x40, 0, 64, 6, 0, 0];
    let (from, to, ports) = if back { (2, 1, [port, 40_000]) } else { (1, 2, [40_000, port]) };
    packet.extend_from_slice(&[10, 0, 0, from, 10, 0, 0, to]);
    packet.extend(ports.iter().flat_map(|p| p.to_be_bytes()));
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&ack.to_be_bytes());
    packet.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend_from_slice(data);
    packet
}
