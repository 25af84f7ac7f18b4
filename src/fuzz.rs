//! Entries for fuzzing: arbitrary bytes into each reader of foreign text, with what must hold of the result asserted.
//!
//! The targets under `fuzz/` are one line each; an ordinary test replays their seeds and mutations of them.

mod forward;
mod kafka;
mod kube;
mod lumberjack;
mod mqtt;
mod names;
mod streams;
mod web;

pub use forward::forward;
pub use kafka::kafka;
pub use kube::kube_api;
pub use lumberjack::lumberjack;
pub use mqtt::mqtt;
pub use names::dns_reply;
pub use streams::http;
pub use web::{http_server, otlp_answer};

use crate::conf::{FromConf, Section, ini};
use crate::decode::Sink;
use crate::decode::analyzer::{self, Analyzer, Protocols};
use crate::decode::flow::Networks;
use crate::decode::layers::{Body, MAX_TUNNELS, Settings, Unwrapper};
use crate::error::Diags;
use crate::event::{Batch, Tag, View};
use crate::fmt::capture::{CaptureReader, LinkType, MAX_PACKET, Packet};
use crate::fmt::journal::{self, Journal, MAX_DATA};
use crate::fmt::json_read::{JsonErrorKind, JsonReader};
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::fmt::msgpack_read::MsgpackReader;
use crate::fmt::msgpack_write;
use crate::parse::regex::Regex;
use crate::parse::syslog::SyslogParser;
use crate::parse::{Parsed, Parser};
use crate::store::rejected::{Entry, Note, Reader, write_line};
use crate::store::{self, pack};
use crate::time::Time;
use crate::time::strptime::TimeFormat;
use crate::time::zone::Zone;
use serde_json::Value;
use std::time::Duration;

/// A classic configuration: every finding has a place inside the text, every entry a key and a value.
pub fn ini(data: &[u8]) {
    let mut diags = Diags::new();
    let doc = ini::parse("fuzz.conf", data, &mut diags);
    let lines = data.split(|b| *b == b'\n').count();
    for place in diags.sorted().into_iter().filter_map(|d| d.place.as_ref()) {
        assert!(place.line as usize <= lines, "{place} of {lines} lines");
    }
    for entry in doc.sections.iter().flat_map(|s| &s.entries) {
        assert!(!entry.key.is_empty() && !entry.value.is_empty(), "{entry:?}");
        assert_eq!(entry.value, entry.value.trim_matches(' '));
    }
}

/// An object of JSON: what serde_json takes is taken too, but for its depth, and comes out as the same.
pub fn json(data: &[u8]) {
    let mut batch = Batch::new(Tag::new("fuzz"));
    let text = batch.arena_mut().push(data);
    let mark = batch.begin();
    let read = JsonReader::default().object(&mut batch, text);
    let expected = serde_json::from_slice::<Value>(data).ok().filter(Value::is_object);
    match (read, expected) {
        (Ok(_), expected) => {
            batch.finish(mark, Time(0));
            let mut out = Vec::new();
            write_map(batch.body(0), JsonOpts::default(), &mut out);
            let got = serde_json::from_slice::<Value>(&out);
            assert!(got.is_ok(), "{:?} became {:?}", String::from_utf8_lossy(data), String::from_utf8_lossy(&out));
            if let (Ok(got), Some(expected)) = (got, expected) {
                assert!(same(&got, &expected), "{expected} became {got}");
            }
        }
        (Err(e), Some(expected)) => assert!(matches!(e.kind, JsonErrorKind::Depth(_)), "{e}: {expected}"),
        (Err(_), None) => {}
    }
}

/// Equality, numbers by their value: doubles are written with 16 digits.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let close = |a: f64, b: f64| (a - b).abs() <= 2e-15 * a.abs();
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| close(a, b))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

/// A syslog message: what is told of it stands in it, in one piece each, and nothing is told twice.
pub fn syslog(data: &[u8]) {
    let mut batch = Batch::new(Tag::new("fuzz"));
    let text = batch.arena_mut().push(data);
    let mark = batch.begin();
    let now = Time(1_700_000_000_000_000_000);
    if SyslogParser::default().parse(&mut batch, text, now) == Parsed::Miss {
        assert_eq!(batch.since(mark).count_entries(), 0);
        return;
    }
    batch.finish(mark, now);
    let mut told = 0;
    for (_, value) in batch.body(0) {
        let crate::event::Value::Str(part) = value else { continue };
        assert!(!part.raw().is_empty() && part.raw().len() <= data.len());
        told += part.raw().len();
    }
    assert!(told <= data.len(), "{told} of {} bytes", data.len());
}

/// The first line is a time format, the rest a text.
pub fn strptime(data: &[u8]) {
    let Some((format, text)) = two(data) else { return };
    let Ok(format) = TimeFormat::compile(format, Zone::UTC) else { return };
    let now = Time(1_700_000_000_000_000_000);
    let prefix = format.parse_prefix(text, now);
    assert_eq!(format.parse(text, now).ok(), prefix.as_ref().ok().map(|(time, _)| *time));
    if let Ok((time, used)) = prefix {
        assert!(used <= text.len());
        let again = text.get(..used).map(|text| format.parse_prefix(text, now));
        assert!(
            again.is_some_and(|r| r.is_ok_and(|(t, n)| t == time && n == used)),
            "what was read says the same alone"
        );
    }
    let _ = format.parse_partial(text, now);
}

/// The first line is a pattern, the rest a text: the lowered pattern finds what the slow engine finds.
pub fn regex(data: &[u8]) {
    let Some((pattern, text)) = two(data) else { return };
    let (Ok(regex), Ok(text)) = (Regex::new(pattern), std::str::from_utf8(text)) else { return };
    assert!(regex.engines_agree(text.as_bytes()), "{pattern:?} on {text:?}");
}

/// Events in msgpack: what was read and written is read and written the same again.
pub fn msgpack(data: &[u8]) {
    let Some(first) = events(data) else { return };
    let Some(second) = events(&first) else { return };
    assert_eq!(first, second);
}

/// All events that `data` begins with, written again.
fn events(data: &[u8]) -> Option<Vec<u8>> {
    let mut batch = Batch::new(Tag::new("fuzz"));
    let all = batch.arena_mut().push(data);
    let (mut reader, mut at) = (MsgpackReader::default(), 0);
    while let Ok(Some(used @ 1..)) = reader.next_event(&mut batch, all.sub(at, data.len())) {
        at += used;
    }
    let mut out = Vec::new();
    msgpack_write::write_events(&View::all(&batch), &mut out);
    (!batch.is_empty()).then_some(out)
}

/// A chunk file, and the payload of one: as many records are read as are said, and they are written and read as the same.
pub fn chunk(data: &[u8]) {
    let mut batch = Batch::new(Tag::new("fuzz"));
    let loaded = store::load(data, &mut batch);
    assert_eq!(loaded.map_or(0, |l| l.records), batch.len());
    let mut batch = Batch::new(Tag::new("fuzz"));
    let count = pack::read(data, &mut batch);
    assert_eq!(count.unwrap_or(0), batch.len());
    let (mut packed, mut again) = (Vec::new(), Batch::new(Tag::new("fuzz")));
    pack::write(&batch, 0..batch.len(), &mut packed);
    assert_eq!(pack::read(&packed, &mut again), Ok(batch.len()));
    let written = [batch, again].map(|b| {
        let mut out = Vec::new();
        msgpack_write::write_events(&View::all(&b), &mut out);
        out
    });
    assert_eq!(written[0], written[1]);
}

/// Lines of rejected records: one that is read is written and read as the same.
pub fn rejected(data: &[u8]) {
    let write = |entry: &Entry| {
        let note = Note { rejected_at: Time(0), output: &entry.output, input: &entry.input, reason: "", attempts: 1 };
        let mut line = Vec::new();
        write_line(&entry.batch.record(0), &note, &mut line);
        line
    };
    for line in Reader::new(data).map_while(Result::ok) {
        let Some(Ok(entry)) = line.record else { continue };
        let written = write(&entry);
        let again = Reader::new(&written[..]).next().and_then(Result::ok).and_then(|l| l.record);
        assert_eq!(again.map(|entry| entry.map(|e| write(&e))), Some(Ok(written)));
    }
}

/// A journal file: however damaged it is, every entry and field of it is read or refused, and a place is found.
pub fn journal(data: &[u8]) {
    let mut source = data;
    let Ok(mut journal) = Journal::open(&mut source) else { return };
    let (mut entry, mut field) = (journal::Entry::default(), Vec::new());
    for n in 0..journal.header().entries.min(64) {
        match journal.entry(&mut source, n, &mut entry) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if journal.can_go_on(&mut source, n) => continue,
            Err(_) => break,
        }
        assert!(entry.items.len() * 4 <= data.len());
        for at in entry.items.iter().take(64) {
            field.clear();
            let read = journal.data(&mut source, *at, &mut field);
            assert!(field.len() <= MAX_DATA && (read.is_ok() || field.is_empty()));
        }
        let seqnum = entry.seqnum;
        let _ = journal.partition(&mut source, |e| e.seqnum <= seqnum);
    }
    let _ = journal.refresh(&mut source);
}

/// Replies of a Redis server: what is read is inside of the bytes, and a shorter beginning of them is incomplete or wrong.
pub fn resp(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((reply, used))) = crate::fmt::resp::read(rest) {
        assert!(used >= 3 && used <= rest.len(), "{reply:?}");
        let before = rest.get(..used - 1).unwrap_or_default();
        assert_eq!(crate::fmt::resp::read(before), Ok(None), "{reply:?}");
        rest = rest.get(used..).unwrap_or_default();
    }
}

/// A frame of any link type, and the same cut in the middle and at its end: nothing is seen outside of it, and every frame is
/// counted once. The first two bytes are the link type, the third a size of pieces: the rest is a run of frames.
pub fn layers(data: &[u8]) {
    const LIMIT: usize = 16 << 10;
    const WHOLE: usize = 4 * 65_535;
    let Some((&[a, b, size], rest)) = data.split_first_chunk() else { return };
    let link = LinkType(u16::from_le_bytes([a, b]));
    for tunnels in [true, false] {
        let mut unwrapper = Unwrapper::new(Settings { tunnels, fragment_bytes: LIMIT, ..Settings::default() });
        let mut frames = 0;
        for (n, frame) in rest.chunks(usize::from(size).max(1) * 8).enumerate() {
            for cut in [frame.len(), frame.len() / 2] {
                let data = frame.get(..cut).unwrap_or_default();
                let wire_len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                let packet = Packet { time: Time(n as i64 * 1_000_000_000), link, wire_len, data };
                frames += 1;
                if let Ok(found) = unwrapper.unwrap(&packet) {
                    assert!(found.tunnels <= MAX_TUNNELS && (tunnels || found.tunnels == 0));
                    let (len, said) = match found.body {
                        Body::Tcp(t) => (t.payload.len(), t.wire_payload_len),
                        Body::Udp(u) => (u.payload.len(), u.wire_len),
                        Body::Icmp { data, wire_len } => (data.len(), wire_len),
                        Body::Ports { .. } | Body::Other(_) => (0, 0),
                    };
                    assert!(len <= said as usize, "{found:?}");
                    assert!(len <= data.len() || found.earlier.frames > 0, "{found:?}");
                }
                assert!(unwrapper.memory() <= LIMIT + WHOLE);
            }
        }
        assert_eq!(unwrapper.counters().frames(), frames);
    }
}

/// A conversation on the port of DNS; see [`conversation`]. Each message has at most two documents: its own, and that of
/// the one it pushes out.
pub fn dns(data: &[u8]) {
    let keys = ["include_authorities", "include_additionals", "send_request", "send_response"];
    let keys = keys.map(|key| (format!("dns.{key}"), "on"));
    let documents = conversation("dns", 53, &keys, data);
    assert!(documents.len() <= 4 + data.len(), "{} documents of {} bytes", documents.len(), data.len());
    for document in documents {
        assert_eq!(document["event"]["dataset"], "dns");
        assert!(matches!(document["status"].as_str(), Some("OK" | "Error")), "{document}");
    }
}

/// A connection on the port of TLS, see [`conversation`]: it has one document at most.
pub fn tls(data: &[u8]) {
    let keys =
        [("tls.fingerprints".to_owned(), "md5, sha1, sha256"), ("tls.include_raw_certificates".to_owned(), "on")];
    let documents = conversation("tls", 443, &keys, data);
    assert!(documents.len() <= 1, "{} documents", documents.len());
    for document in documents {
        let established = document["tls"]["established"].as_bool();
        let status = if established == Some(true) { "OK" } else { "Error" };
        assert!(established.is_some() && document["status"] == status, "{document}");
        assert_eq!(document["event"].get("end").is_some(), status == "OK", "{document}");
    }
}

/// Two ends talk to each other: the first byte says over what (even: UDP, odd: TCP), then pieces follow, each a byte for
/// the direction, two for its length (high byte first), and so many bytes. Returns the documents of the protocol, which are
/// sound JSON.
fn conversation(name: &str, port: u16, keys: &[(String, &str)], data: &[u8]) -> Vec<Value> {
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let Some(mut analyzer) = analyzer(name, &keys) else { return Vec::new() };
    let mut documents = Documents::default();
    let Some((over, mut rest)) = data.split_first() else { return Vec::new() };
    let tcp = over & 1 == 1;
    let mut next = [1000u32, 5000];
    for n in 0.. {
        let Some((&[way, high, low], body)) = rest.split_first_chunk() else { break };
        // What an IP packet holds, less its headers.
        let len = usize::from(u16::from_be_bytes([high, low])).min(body.len()).min(65_000);
        let (payload, after) = body.split_at(len);
        rest = after;
        let back = way & 1 == 1;
        let mut ends = [([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], port)];
        if back {
            ends.reverse();
        }
        let mut above = Vec::new();
        ends.iter().for_each(|(_, port)| above.extend_from_slice(&port.to_be_bytes()));
        if tcp {
            let [seq, ack] = [next[usize::from(back)], next[usize::from(!back)]];
            above.extend([seq.to_be_bytes(), ack.to_be_bytes(), [0x50, 0x10, 1, 0], [0; 4]].concat());
            next[usize::from(back)] = seq.wrapping_add(len as u32);
        } else {
            above.extend_from_slice(&(8 + len as u16).to_be_bytes());
            above.extend_from_slice(&[0; 2]);
        }
        above.extend_from_slice(payload);
        let total = (20 + above.len()) as u16;
        let mut frame = vec![0x45, 0];
        frame.extend_from_slice(&total.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 0, 64, if tcp { 6 } else { 17 }, 0, 0]);
        ends.iter().for_each(|(ip, _)| frame.extend_from_slice(ip));
        frame.extend_from_slice(&above);
        let time = Time(1_700_000_000_000_000_000 + n * 1_000_000);
        let packet = Packet { time, link: LinkType(101), wire_len: frame.len() as u32, data: &frame };
        analyzer.packet(&packet, &mut documents);
    }
    analyzer.finish(&mut documents);
    documents.0
}

/// An analyzer of one protocol.
fn analyzer(name: &str, keys: &[(&str, &str)]) -> Option<Analyzer> {
    let section = Section::of("INPUT", keys);
    let timeout = Duration::from_secs(10);
    let protocols = Protocols::make(Some(&[name.to_owned()]), false, &section, timeout, &mut Diags::new())?;
    let settings = analyzer::Settings {
        flows: None,
        flow_timeout: Duration::from_secs(30),
        layers: Settings::default(),
        max_memory: 64 << 20,
        tcp: Default::default(),
        networks: Networks::from_conf("private").ok()?,
        seed: 1,
    };
    Some(Analyzer::new(settings, protocols))
}

/// Documents, which are sound JSON.
#[derive(Default)]
struct Documents(Vec<Value>);

impl Sink for Documents {
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        let mut batch = Batch::new(Tag::new(dataset));
        write(&mut batch);
        for n in 0..batch.len() {
            let mut json = Vec::new();
            write_map(batch.body(n), JsonOpts::default(), &mut json);
            let document = serde_json::from_slice(&json);
            assert!(document.is_ok(), "{}", String::from_utf8_lossy(&json));
            self.0.extend(document.ok());
        }
    }
}

/// ICMP messages between two machines: each is told, on one side of one document. The first byte is the version; of each
/// message the first bit says who sends it, the other bits and the next byte when, the third how long it is.
pub fn icmp(data: &[u8]) {
    const HEADER: usize = 8;
    let Some((&first, mut rest)) = data.split_first() else { return };
    let v6 = first & 1 != 0;
    let Some(mut analyzer) = analyzer("icmp", &[]) else { return };
    let (mut documents, mut now, mut sent) = (Documents::default(), 0i64, 0);
    while let Some((&[who, later, len], more)) = rest.split_first_chunk() {
        let message = more.get(..HEADER + usize::from(len)).unwrap_or(more);
        rest = more.get(message.len()..).unwrap_or_default();
        if message.len() < HEADER {
            break;
        }
        now += ((i64::from(who >> 1) << 8) | i64::from(later)) * 1_000_000;
        let (from, to) = if who & 1 == 0 { (1, 2) } else { (2, 1) };
        let mut frame = Vec::new();
        if v6 {
            let [high, low] = (message.len() as u16).to_be_bytes();
            frame.extend([0x60, 0, 0, 0, high, low, 58, 64]);
            [from, to].iter().for_each(|end| frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, *end]));
        } else {
            let [high, low] = (20 + message.len() as u16).to_be_bytes();
            frame.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        }
        frame.extend(message);
        let packet = Packet { time: Time(now), link: LinkType::RAW, wire_len: frame.len() as u32, data: &frame };
        analyzer.packet(&packet, &mut documents);
        sent += 1;
    }
    analyzer.finish(&mut documents);
    let sides = |doc: &Value| ["request", "response"].iter().filter(|side| doc["icmp"].get(**side).is_some()).count();
    assert!(documents.0.iter().all(|doc| doc["path"].is_string() && doc["icmp"]["version"].is_u64()));
    assert_eq!(documents.0.iter().map(sides).sum::<usize>(), sent);
}

/// The first line as text, and what follows it.
fn two(data: &[u8]) -> Option<(&str, &[u8])> {
    let at = memchr::memchr(b'\n', data)?;
    Some((std::str::from_utf8(data.get(..at)?).ok()?, data.get(at + 1..)?))
}

/// A capture file, at once and in pieces: the same packets and the same end, but for what damaged gzip data gave before.
pub fn capture(data: &[u8]) {
    let read = |piece: usize| {
        let (mut reader, mut rest, mut packets) = (CaptureReader::new(), data, Vec::new());
        let end = loop {
            match reader.packet() {
                Ok(Some(p)) => {
                    assert!(p.data.len() <= MAX_PACKET as usize);
                    packets.push((p.time, p.link, p.wire_len, p.data.len()));
                }
                Ok(None) if rest.is_empty() => break None,
                Ok(None) => {
                    let space = reader.space();
                    let (now, later) = rest.split_at(rest.len().min(piece).min(space.len()));
                    assert!(!now.is_empty());
                    for (to, from) in space.iter_mut().zip(now) {
                        *to = *from;
                    }
                    reader.filled(now.len());
                    rest = later;
                    if rest.is_empty() {
                        reader.end();
                    }
                }
                Err(damage) => break Some(damage),
            }
        };
        (packets, end)
    };
    let whole = read(usize::MAX);
    let pieces = read(7);
    if !data.starts_with(&[0x1f, 0x8b]) {
        assert!(whole.0.iter().map(|p| p.3).sum::<usize>() <= data.len());
        assert_eq!(whole, pieces);
    }
}
