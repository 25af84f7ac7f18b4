//! A request and its response from frames to a document: `cargo bench --profile quick --bench http`.

use collector::conf::{FromConf, Section};
use collector::decode::Sink;
use collector::decode::analyzer::{Analyzer, Protocols, Settings};
use collector::decode::flow::Networks;
use collector::error::Diags;
use collector::event::{Batch, Tag};
use collector::fmt::capture::{LinkType, Packet};
use collector::time::Time;
use std::time::{Duration, Instant};

/// Pairs of a run, on this many connections that stay open.
const PAIRS: u32 = 8192;
const CONNECTIONS: u32 = 256;

/// As large as a chunk; then it is emptied.
struct Documents {
    batch: Batch,
    written: u64,
}

impl Sink for Documents {
    fn write(&mut self, _: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        write(&mut self.batch);
        self.written += 1;
        if self.batch.used() > 640 << 10 {
            self.batch.recycle(Tag::new("bench"), 1 << 20);
        }
    }
}

fn main() {
    let request = "GET /assets/app.js?v=12 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
                   AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\nAccept: */*\r\nAccept-Language: en\r\n\
                   Accept-Encoding: gzip, deflate\r\nReferer: http://www.example.org/index.html\r\nCookie: sid=0123456789abcdef\r\n\
                   Connection: keep-alive\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/javascript\r\n\
                Content-Length: 512\r\nConnection: keep-alive\r\nETag: \"5f-1\"\r\nAccept-Ranges: bytes\r\n\r\n";
    let response = [head.as_bytes(), &[b'x'; 512]].concat();
    for (name, protocols, keys) in [
        ("packets alone", &[][..], &[][..]),
        ("http", &["http".to_owned()], &[]),
        ("http, all headers", &["http".to_owned()], &[("http.send_all_headers", "on")]),
    ] {
        measure(name, protocols, keys, request.as_bytes(), &response);
    }
}

fn measure(name: &str, protocols: &[String], keys: &[(&str, &str)], request: &[u8], response: &[u8]) {
    let runs = if std::env::args().any(|a| a == "--bench") { 50 } else { 1 };
    let mut frames = Vec::new();
    for n in 0..PAIRS {
        let (conn, round) = (n % CONNECTIONS, n / CONNECTIONS);
        let (seq, ack) = (round * request.len() as u32, round * response.len() as u32);
        frames.push(tcp(conn, true, 1 + seq, 1 + ack, request));
        frames.push(tcp(conn, false, 1 + ack, 1 + seq + request.len() as u32, response));
    }
    let (mut best, mut written) = (Duration::MAX, 0);
    for _ in 0..runs {
        let mut analyzer = analyzer(protocols, keys);
        let mut sink = Documents { batch: Batch::new(Tag::new("bench")), written: 0 };
        let start = Instant::now();
        for (n, data) in frames.iter().enumerate() {
            let time = Time(1_700_000_000_000_000_000 + n as i64 * 1000);
            let packet = Packet { time, link: LinkType::EN10MB, wire_len: data.len() as u32, data };
            analyzer.packet(&packet, &mut sink);
        }
        best = best.min(start.elapsed());
        written = sink.written;
    }
    let ns = best.as_nanos() as f64 / f64::from(PAIRS);
    println!("{name:<18} {ns:>8.0} ns/pair {written:>6} documents");
}

fn analyzer(protocols: &[String], keys: &[(&str, &str)]) -> Analyzer {
    let mut diags = Diags::new();
    let section = Section::of("INPUT", keys);
    let made = Protocols::make(Some(protocols), true, &section, Duration::from_secs(10), &mut diags);
    let Some(made) = made else { panic!("{diags}") };
    let settings = Settings {
        flows: None,
        flow_timeout: Duration::from_secs(30),
        layers: Default::default(),
        max_memory: 64 << 20,
        tcp: Default::default(),
        networks: Networks::from_conf("private").unwrap_or_else(|e| panic!("{e}")),
        seed: 1,
    };
    Analyzer::new(settings, made)
}

fn tcp(conn: u32, forward: bool, seq: u32, ack: u32, data: &[u8]) -> Vec<u8> {
    let [hi, lo] = (20_000 + conn as u16).to_be_bytes();
    let (ports, addrs) = if forward {
        ([hi, lo, 0, 80], [10, 0, 0, 1, 10, 0, 0, 2])
    } else {
        ([0, 80, hi, lo], [10, 0, 0, 2, 10, 0, 0, 1])
    };
    let [a, b] = (40 + data.len() as u16).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, a, b, 0, 0, 0x40, 0, 64, 6, 0, 0];
    frame.extend_from_slice(&addrs);
    frame.extend_from_slice(&ports);
    frame.extend_from_slice(&seq.to_be_bytes());
    frame.extend_from_slice(&ack.to_be_bytes());
    frame.extend_from_slice(&[0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend_from_slice(data);
    frame
}
