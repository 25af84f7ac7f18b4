//! What is done with packets: the analysis, and its documents as records of the tags of their protocols.

use super::conf::PcapConf;
use super::tags::Tags;
use crate::conf::LeftOut;
use crate::decode::analyzer::{Analyzer, Protocols, Settings, Stats};
use crate::decode::layers::{self, Counters};
use crate::decode::tcp::Limits;
use crate::decode::{LEFT_OUT, PROTOCOLS, Sink, Transport};
use crate::event::Batch;
use crate::fmt::capture::Packet;
use crate::input::InputCx;
use crate::plugin::MakeCx;
use crate::time::Time;
use std::hash::{BuildHasher, RandomState};

/// Documents after which they are handed on, whatever else is going on: about half a chunk.
const DOCUMENTS: u64 = 256;
/// Flows that are told of in one step.
const STEP: usize = 256;
/// The least that `Max_Memory` can be, in bytes: room for some connections and the fragments of their packets.
const MIN_MEMORY: u64 = 8_000_000;

/// The analysis as it is configured, before it begins.
#[derive(Debug)]
pub struct Analysis {
    settings: Settings,
    protocols: Protocols,
}

impl Analysis {
    /// Reads the keys of the protocols; what is wrong goes to the findings.
    pub fn new(conf: &PcapConf, cx: &mut MakeCx<'_>) -> Option<Self> {
        let names = conf.protocols.as_ref().map(|list| &list.0[..]);
        for name in names.unwrap_or_default() {
            if let Some(left_out) = LeftOut::find(LEFT_OUT, name) {
                let what = format!("Protocols: '{name}' is not in this build");
                return cx.refuse("Protocols", what, &left_out.help());
            }
            if !PROTOCOLS.iter().any(|p| p.name.eq_ignore_ascii_case(name)) {
                let known = PROTOCOLS.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
                return cx.refuse(
                    "Protocols",
                    format!("Protocols: '{name}' is not known"),
                    &format!("There are {known}."),
                );
            }
        }
        if conf.max_memory.0 < MIN_MEMORY {
            return cx.refuse("Max_Memory", "Max_Memory is below 8M", "Leave it out for 64M.");
        }
        let protocols = Protocols::make(names, conf.detect, cx.section, conf.transaction_timeout, cx.diags)?;
        let settings = Settings {
            flows: conf.flows.then_some(conf.flow_period.0),
            flow_timeout: conf.flow_timeout,
            layers: layers::Settings { tunnels: conf.tunnels, ..layers::Settings::default() },
            max_memory: usize::try_from(conf.max_memory.0).unwrap_or(usize::MAX),
            tcp: Limits::default(),
            networks: conf.internal_networks.clone(),
            seed: RandomState::new().hash_one(0),
        };
        Some(Self { settings, protocols })
    }

    /// The ports of all protocols, for a filter of the kernel; `None` where any packet may be of use.
    pub fn wanted(&self, conf: &PcapConf) -> Option<Vec<(Transport, Vec<u16>)>> {
        let all = conf.flows || conf.detect;
        let ports = || self.protocols.ports().flat_map(|(p, ports)| p.over.iter().map(|over| (*over, ports.to_vec())));
        (!all).then(|| ports().collect())
    }
}

/// The analysis of one input.
#[derive(Debug)]
pub struct Work {
    analyzer: Analyzer,
    out: Tagged,
    /// What was counted when records were last handed on.
    counted: [u64; COUNTERS.len()],
}

impl Work {
    /// Nothing was seen yet.
    pub fn new(analysis: Analysis, cx: &InputCx) -> Self {
        Self {
            analyzer: Analyzer::new(analysis.settings, analysis.protocols),
            out: Tagged { cx: cx.clone(), tags: Tags::new(cx.tag()), touched: Vec::new(), documents: 0 },
            counted: [0; COUNTERS.len()],
        }
    }

    /// Takes a packet in.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.analyzer.packet(packet, &mut self.out);
    }

    /// No packet before `now` will come: tells of some of the flows that are due. Whether there is another such step to
    /// take, after the records found room.
    #[inline]
    pub fn tick_some(&mut self, now: Time) -> bool {
        self.analyzer.tick_some(now, STEP, &mut self.out)
    }

    /// Whether something waits for time to pass.
    pub fn waits(&self) -> bool {
        self.analyzer.is_waiting()
    }

    /// Hands on what was written since the last time.
    pub fn commit(&mut self) {
        self.out.commit();
        let (stats, layers) = (self.analyzer.stats(), self.analyzer.unwrapper().counters());
        for ((name, count), before) in COUNTERS.iter().zip(&mut self.counted) {
            let now = count(stats, &layers);
            if now > *before {
                self.out.cx.count(name, now - *before);
                *before = now;
            }
        }
    }

    /// Nothing more will come: what waits is written, in steps as with [`Self::tick_some`].
    pub fn finish_some(&mut self) -> bool {
        let more = self.analyzer.finish_some(STEP, &mut self.out);
        self.commit();
        more
    }
}

type Count = fn(&Stats, &Counters) -> u64;

/// What the account says beside packets: only what there was.
const COUNTERS: [(&str, Count); 15] = [
    ("flows", |s, _| s.flows),
    ("flows given up for want of memory", |s, _| s.evicted),
    ("times the clock went back", |s, _| s.turned_back),
    ("bytes of TCP not captured", |s, _| s.tcp.gap_bytes),
    ("messages too large to hold", |s, _| s.oversized),
    ("not IP", |_, l| l.not_ip),
    ("cut too short", |_, l| l.truncated),
    ("malformed", |_, l| l.malformed),
    ("fragments", |_, l| l.fragment),
    ("useless fragments", |_, l| l.bad_fragment),
    ("802.11", |_, l| l.wireless),
    ("of an unknown link type", |_, l| l.unknown_link),
    ("tunnels opened", |_, l| l.tunnels),
    ("tunnels too deep", |_, l| l.too_deep),
    ("datagrams never whole", |_, l| l.fragments.timed_out + l.fragments.evicted + l.fragments.contradictory),
];

/// Where documents go: each into the open batch of its tag.
#[derive(Debug)]
struct Tagged {
    cx: InputCx,
    tags: Tags,
    /// Datasets with documents that were not handed on.
    touched: Vec<&'static str>,
    documents: u64,
}

impl Tagged {
    fn commit(&mut self) {
        self.documents = 0;
        for dataset in self.touched.drain(..) {
            self.cx.commit_now(self.tags.of(dataset), None);
        }
    }
}

impl Sink for Tagged {
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        if self.documents >= DOCUMENTS {
            self.commit();
        }
        self.documents += 1;
        if !self.touched.contains(&dataset) {
            self.touched.push(dataset);
        }
        write(&mut self.cx.batch(self.tags.of(dataset)));
    }
}
