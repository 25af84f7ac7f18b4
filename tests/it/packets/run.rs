//! The whole way in one process: a capture file to packets, packets to documents.

use collector::conf::{FromConf, Section};
use collector::decode::analyzer::{Analyzer, Protocols, Settings, Stats};
use collector::decode::flow::Networks;
use collector::decode::{Sink, layers, tcp};
use collector::error::Diags;
use collector::event::{Batch, Tag};
use collector::fmt::capture::{CaptureReader, LinkType, Packet};
use collector::fmt::json_write::{JsonOpts, write_map};
use collector::time::Time;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// A packet that was copied out of its file, to be changed.
#[derive(Clone, PartialEq)]
pub struct Frame {
    pub time: Time,
    pub link: LinkType,
    pub wire_len: u32,
    pub data: Vec<u8>,
}

/// All packets of a file, and what is wrong with it.
pub fn frames(path: &Path) -> (Vec<Frame>, Option<String>) {
    let mut file = File::open(path).unwrap();
    let mut reader = CaptureReader::new();
    let (mut frames, mut ended) = (Vec::new(), false);
    loop {
        match reader.packet() {
            Ok(Some(Packet { time, link, wire_len, data })) => {
                frames.push(Frame { time, link, wire_len, data: data.to_vec() });
                continue;
            }
            Ok(None) => {}
            Err(damage) => return (frames, Some(damage.to_string())),
        }
        match file.read(reader.space()).unwrap() {
            0 if ended => return (frames, None),
            0 => {
                reader.end();
                ended = true;
            }
            n => reader.filled(n),
        }
    }
}

/// What became of packets.
pub struct Run {
    pub docs: Vec<Value>,
    pub stats: Stats,
}

impl Run {
    /// The documents of a dataset.
    pub fn of<'a>(&'a self, dataset: &'a str) -> impl Iterator<Item = &'a Value> {
        self.docs.iter().filter(move |d| d["event"]["dataset"] == dataset)
    }
}

#[derive(Default)]
struct Docs(Vec<Value>);

impl Sink for Docs {
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        let mut batch = Batch::new(Tag::new(dataset));
        write(&mut batch);
        for i in 0..batch.len() {
            let mut json = Vec::new();
            write_map(batch.body(i), JsonOpts::default(), &mut json);
            self.0.push(serde_json::from_slice(&json).unwrap());
        }
    }
}

/// Analyses packets with the defaults, flows at their end only; `keys` are further keys of the input.
pub fn analyze(frames: &[Frame], keys: &[(&str, &str)]) -> Run {
    let mut diags = Diags::new();
    let section = Section::of("INPUT", &[&[("name", "pcap")], keys].concat());
    let protocols = Protocols::make(None, true, &section, Duration::from_secs(10), &mut diags).unwrap();
    let settings = Settings {
        flows: Some(None),
        flow_timeout: Duration::from_secs(30),
        layers: layers::Settings::default(),
        max_memory: 64 << 20,
        tcp: tcp::Limits::default(),
        networks: Networks::from_conf("private").unwrap(),
        seed: 1,
    };
    let (mut analyzer, mut docs) = (Analyzer::new(settings, protocols), Docs::default());
    for Frame { time, link, wire_len, data } in frames {
        analyzer.packet(&Packet { time: *time, link: *link, wire_len: *wire_len, data }, &mut docs);
    }
    analyzer.finish(&mut docs);
    Run { docs: docs.0, stats: *analyzer.stats() }
}
