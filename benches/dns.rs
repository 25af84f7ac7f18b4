//! DNS transactions through the whole way, in nanoseconds for a query with its answer and its document:
//! `cargo bench --profile quick --bench dns`.

use collector::conf::{FromConf, Section};
use collector::decode::Sink;
use collector::decode::analyzer::{Analyzer, Protocols, Settings};
use collector::decode::flow::Networks;
use collector::decode::layers;
use collector::error::Diags;
use collector::event::{Batch, Tag};
use collector::fmt::capture::{LinkType, Packet};
use collector::time::Time;
use std::hint::black_box;
use std::time::{Duration, Instant};

const TRANSACTIONS: usize = 4096;

/// One batch, emptied when it is full.
struct Null(Batch, usize);

impl Sink for Null {
    fn write(&mut self, _dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        write(&mut self.0);
        self.1 += 1;
        if self.0.used() > 512 * 1024 {
            self.0.recycle(Tag::new("dns"), 1 << 20);
        }
    }
}

fn main() {
    // Without `--bench` this runs as a test: does everything work?
    let rounds = if std::env::args().any(|word| word == "--bench") { 100 } else { 1 };
    let name = |n: usize| format!("\x04host\x08{n:08}\x07example\x02co\x02uk\0").into_bytes();
    let ask = |n: usize, flags: [u8; 2], counts: [u8; 8], rest: &[u8]| {
        let id = (n as u16).to_be_bytes();
        [&id[..], &flags, &counts, &name(n), &[0, 1, 0, 1], rest].concat()
    };
    let query = |n: usize| ask(n, [1, 0], [0, 1, 0, 0, 0, 0, 0, 0], &[]);
    let a = [&b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04"[..], &[192, 0, 2, 1]].concat();
    let one = |n: usize| ask(n, [0x81, 0x80], [0, 1, 0, 1, 0, 0, 0, 0], &a);
    let eight = |n: usize| ask(n, [0x81, 0x80], [0, 1, 0, 8, 0, 0, 0, 0], &a.repeat(8));
    println!("{:40} {:>8}", "case", "ns");
    let flow_each = |n: usize| 1024 + n as u16;
    measure("one address, a flow each", rounds, flow_each, query, one);
    measure("one address, all in one flow", rounds, |_| 40_000, query, one);
    measure("eight addresses, all in one flow", rounds, |_| 40_000, query, eight);
    measure("no answer at all", rounds, |_| 40_000, query, |_| Vec::new());
}

/// The best of several rounds.
fn measure(
    name: &str,
    rounds: usize,
    port: impl Fn(usize) -> u16,
    query: impl Fn(usize) -> Vec<u8>,
    response: impl Fn(usize) -> Vec<u8>,
) {
    let frames: Vec<Vec<u8>> = (0..TRANSACTIONS)
        .flat_map(|n| {
            [udp([10, 0, 0, 1], port(n), [10, 0, 0, 2], 53, &query(n)), {
                let answer = response(n);
                if answer.is_empty() { answer } else { udp([10, 0, 0, 2], 53, [10, 0, 0, 1], port(n), &answer) }
            }]
        })
        .filter(|frame| !frame.is_empty())
        .collect();
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let section = Section::of("INPUT", &[]);
        let names = ["dns".to_owned()];
        let protocols =
            Protocols::make(Some(&names), false, &section, Duration::from_secs(10), &mut Diags::new()).unwrap();
        let settings = Settings {
            flows: None,
            flow_timeout: Duration::from_secs(30),
            layers: layers::Settings::default(),
            max_memory: 64 << 20,
            tcp: Default::default(),
            networks: Networks::from_conf("private").unwrap(),
            seed: 1,
        };
        let (mut analyzer, mut sink) = (Analyzer::new(settings, protocols), Null(Batch::new(Tag::new("dns")), 0));
        let begin = Instant::now();
        for (n, frame) in frames.iter().enumerate() {
            let time = Time(1_700_000_000_000_000_000 + n as i64 * 10_000);
            let packet = Packet { time, link: LinkType(101), wire_len: frame.len() as u32, data: black_box(frame) };
            analyzer.packet(&packet, &mut sink);
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / TRANSACTIONS as f64);
        analyzer.finish(&mut sink);
        assert_eq!(sink.1, TRANSACTIONS, "{name}");
    }
    println!("{name:40} {best:8.1}");
}

/// A raw IPv4 packet.
fn udp(from: [u8; 4], from_port: u16, to: [u8; 4], to_port: u16, payload: &[u8]) -> Vec<u8> {
    let total = (28 + payload.len()) as u16;
    let mut frame = vec![0x45, 0];
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    frame.extend(from_port.to_be_bytes());
    frame.extend(to_port.to_be_bytes());
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}
