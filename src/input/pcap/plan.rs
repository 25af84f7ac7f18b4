//! Where to capture: the interfaces of the configuration, opened before anything runs.

use super::PcapConf;
use super::interfaces::{self, ANY};
use super::libpcap::{self, Filter, Handle, Refusal, Terms};
use crate::error::{Error, Place};
use crate::fmt::capture::LinkType;
use crate::plugin::MakeCx;

/// Interfaces to capture from.
#[derive(Debug)]
pub struct Plan {
    /// `[input:pcap:pcap.0]`.
    who: String,
    terms: Terms,
    /// Where the filter stands, when the user gave one.
    filter_place: Option<Place>,
    wanted: Vec<Wanted>,
}

/// One interface of the configuration.
#[derive(Debug)]
struct Wanted {
    name: String,
    place: Place,
    /// Open since [`Plan::start`]; none while the interface is down.
    handle: Option<Handle>,
}

impl Plan {
    /// Reads the keys. Whether the interfaces exist is asked at the start: a configuration may be checked elsewhere.
    /// `generated` are the filters to try when the user gives none.
    pub fn new(conf: &PcapConf, generated: Option<[String; 2]>, cx: &mut MakeCx<'_>) -> Option<Self> {
        if cfg!(not(feature = "pcap")) {
            let help =
                "Build it with the feature `pcap`, which links libpcap. Packets of files (File) are read all the same.";
            return cx.refuse("Interface", "Interface: this build cannot capture", help);
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        for item in &conf.interface.0 {
            for name in &item.value.0 {
                if !wanted.iter().any(|w| w.name == *name) {
                    wanted.push(Wanted { name: name.clone(), place: item.place.clone(), handle: None });
                }
            }
        }
        if wanted.is_empty() {
            return cx.refuse("Interface", "Interface names none", "Write for example: Interface eth0");
        }
        if wanted.len() > 1 && wanted.iter().any(|w| w.name == ANY) {
            let help = "Leave the others out: every packet would be seen twice.";
            return cx.refuse("Interface", "Interface: 'any' stands beside others", help);
        }
        if !(MIN_SNAPLEN..=MAX_SNAPLEN).contains(&conf.snaplen) {
            let why = format!("Snaplen {} is not between {MIN_SNAPLEN} and {MAX_SNAPLEN}", conf.snaplen);
            return cx.refuse("Snaplen", why, "Leave it out to capture whole packets.");
        }
        let buffer = u32::try_from(conf.buffer_size.0).unwrap_or(u32::MAX);
        if !(MIN_BUFFER..=MAX_BUFFER).contains(&buffer) {
            let help = "Write for example: Buffer_Size 8M";
            return cx.refuse("Buffer_Size", "Buffer_Size is not between 512 KiB and 2 GiB", help);
        }
        let filter_place = cx.section.get("BPF_Filter").map(|e| e.value_place.clone());
        if let Some(why) = conf.bpf_filter.as_deref().and_then(certainly_wrong) {
            return cx.refuse("BPF_Filter", format!("BPF_Filter: {why}"), FILTER_HELP);
        }
        let filters = match (&conf.bpf_filter, generated) {
            (Some(text), _) => vec![text.clone()],
            (None, Some(texts)) => texts.into(),
            // With a program that takes everything the kernel already cuts packets to Snaplen, which saves room.
            (None, None) => vec![String::new()],
        };
        let terms = Terms { snaplen: conf.snaplen, promisc: conf.promisc, buffer, filters };
        Some(Self { who: cx.section.who(), terms, filter_place, wanted })
    }

    /// Opens every interface. One that is down is waited for later.
    ///
    /// # Errors
    /// When one does not exist or cannot be captured from, with its place in the configuration and a remedy.
    pub fn start(&mut self) -> Result<(), Error> {
        for wanted in &mut self.wanted {
            match Handle::open(&wanted.name, &self.terms) {
                Ok(handle) => wanted.handle = Some(handle),
                Err(Refusal::Down) => {}
                Err(refusal) => {
                    let place = match (&refusal, &self.filter_place) {
                        (Refusal::Filter(_), Some(place)) => place,
                        _ => &wanted.place,
                    };
                    let (what, help) = explain(&wanted.name, &refusal);
                    return Err(Error::Config(format!("{place}: {} {what}\n    {help}", self.who)));
                }
            }
        }
        Ok(())
    }

    /// The interfaces, with how to open them again.
    pub fn into_parts(self) -> (Terms, Vec<(String, Option<Handle>)>) {
        (self.terms, self.wanted.into_iter().map(|w| (w.name, w.handle)).collect())
    }
}

/// Headers alone, and libpcap's own limit.
const MIN_SNAPLEN: u32 = 64;
const MAX_SNAPLEN: u32 = 262_144;
/// Two blocks of the ring; what libpcap takes as an `int`.
const MIN_BUFFER: u32 = 512 * 1024;
const MAX_BUFFER: u32 = 1 << 31;

pub(super) const FILTER_HELP: &str = "The language is that of tcpdump, pcap-filter(7): tcp port 80 or udp port 53";

/// What is wrong with a filter whatever the link. Words that only some links or live captures know may still be right.
pub(super) fn certainly_wrong(text: &str) -> Option<String> {
    Filter::compile(text, LinkType::EN10MB).err().filter(|why| !why.contains("support"))
}

/// What is wrong, and its remedy.
fn explain(name: &str, refusal: &Refusal) -> (String, String) {
    match refusal {
        Refusal::Missing => {
            let (what, help) = interfaces::unknown(name, &libpcap::interfaces().unwrap_or_default());
            (format!("Interface: {what}"), help)
        }
        Refusal::Denied => {
            let program = std::env::current_exe().unwrap_or_else(|_| "collector".into());
            let help = format!(
                "Run it as root, or give the program the privilege: setcap cap_net_raw+ep {} (a systemd service: \
                 AmbientCapabilities=CAP_NET_RAW)",
                program.display()
            );
            (format!("Interface: capturing from '{name}' needs the privilege CAP_NET_RAW"), help)
        }
        Refusal::Down => (format!("Interface: '{name}' is down"), format!("Bring it up: ip link set {name} up")),
        Refusal::Filter(why) => (format!("BPF_Filter: {why}"), FILTER_HELP.into()),
        Refusal::Other(why) => {
            (format!("Interface: cannot capture from '{name}': {why}"), "collector --list-interfaces shows all".into())
        }
    }
}
