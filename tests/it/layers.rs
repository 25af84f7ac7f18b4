//! Frames of captures of other people: their flows and VLANs, as tshark counts them.

use crate::captures::captures;
use collector::decode::layers::{Body, Layers, Settings, Skip, Unwrapper};
use collector::fmt::capture::{CaptureReader, LinkType, Packet};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Captures of which we tell something else than tshark, and why. Every difference of theirs is excused, and no other; one
/// without a difference does not belong here.
const DIFFERENT: &[(&str, &str)] = &[
    ("broken/sv-bug-6875-01-fuzz.pcap", "a TCP header of zeroes: we show its ports, tshark nothing"),
    (
        "broken/sv-firewall-tcp-session-decode-malformed-ipv4.pcap",
        "frame 8 has an IPv4 security option that is too short: tshark stops there, a receiver does not",
    ),
    (
        "container/pcap-parser-wireshark_samples-test.pcapng",
        "Teredo packets without a payload: the truth puts the outer ports to the inner addresses",
    ),
    (
        "ipfrag_ext/libpcap-ipv6_ext_headers.pcap",
        "a hundred extension headers in one packet: tshark shows ports and no addresses, we stop at sixteen",
    ),
    ("link/zeek-radiotap.pcap", "802.11 is left out"),
    (
        "tcp/pcapplusplus-tcp-reassembly.pcap",
        "tshark opens the samples of other people's packets within an sFlow datagram",
    ),
];

/// The truth lists no more flows.
const LISTED: usize = 3000;

/// Protocol and both ends as text, the sender of the first packet first.
type Flow = (String, String, String, String, String);

/// What is told of a capture: packets and bytes of each flow in both directions, and frames of each VLAN.
#[derive(Default)]
struct Told {
    flows: HashMap<Flow, [u64; 4]>,
    vlans: BTreeMap<u16, u64>,
    frames: u64,
    counted: u64,
}

impl Told {
    fn add(&mut self, found: &Layers<'_>) {
        let (tcp, from, to) = match found.body {
            Body::Tcp(t) => (true, t.src_port, t.dst_port),
            Body::Udp(u) => (false, u.src_port, u.dst_port),
            Body::Ports { tcp, src_port, dst_port } => (tcp, src_port, dst_port),
            _ => return,
        };
        let (src, dst) = (found.src.to_ip(found.v6).to_string(), found.dst.to_ip(found.v6).to_string());
        let (name, from, to) = (if tcp { "tcp" } else { "udp" }.to_owned(), from.to_string(), to.to_string());
        let there = (name.clone(), src.clone(), from.clone(), dst.clone(), to.clone());
        let back = (name, dst, to, src, from);
        let (flow, at) = if self.flows.contains_key(&back) && there != back { (back, 2) } else { (there, 0) };
        let counts = self.flows.entry(flow).or_default();
        counts[at] += 1;
        counts[at + 1] += u64::from(found.frame_len);
    }
}

/// Shows all frames of a file, as many as can be read.
fn each(path: &Path, mut see: impl FnMut(&Packet<'_>)) {
    let file = fs::read(path).unwrap();
    let (mut reader, mut rest) = (CaptureReader::new(), &file[..]);
    while let Ok(next) = reader.packet() {
        if let Some(packet) = next {
            see(&packet);
            continue;
        }
        if rest.is_empty() {
            return;
        }
        let space = reader.space();
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        reader.filled(n);
        rest = &rest[n..];
        if rest.is_empty() {
            reader.end();
        }
    }
}

/// Unwraps all frames of a file.
fn tell(path: &Path) -> Told {
    let mut unwrapper = Unwrapper::new(Settings::default());
    let mut told = Told::default();
    each(path, |packet| {
        told.frames += 1;
        let found = unwrapper.unwrap(packet);
        if std::env::var_os("LAYERS").is_some() {
            println!("{} {found:?}", told.frames);
        }
        if let Ok(found) = found {
            told.add(&found);
        }
        // Of a service tag tshark shows the number elsewhere.
        let service = packet.link == LinkType::EN10MB && packet.data.get(12..14) == Some(&[0x88, 0xa8]);
        for id in unwrapper.vlans().as_slice().iter().skip(usize::from(service)) {
            *told.vlans.entry(*id).or_default() += 1;
        }
    });
    told.counted = unwrapper.counters().frames();
    told
}

/// The differences to the truth, a line each.
fn differences(told: &Told, truth: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut vlans, mut listed) = (BTreeMap::new(), 0);
    for line in truth.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["vlan", id, frames] => {
                vlans.insert(id.parse().unwrap(), frames.parse().unwrap());
            }
            ["flow", name, src, from, dst, to, ..] => {
                listed += 1;
                let flow: Flow = (name.into(), src.into(), from.into(), dst.into(), to.into());
                let ours = told.flows.get(&flow).map(|counts| counts.map(|n| n.to_string()).join(" "));
                let theirs = words[6..].join(" ");
                if ours.as_deref() != Some(&theirs[..]) {
                    wrong.push(format!("flow {flow:?}: {} tshark {theirs}", ours.unwrap_or("none".into())));
                }
            }
            _ => {}
        }
    }
    if listed < LISTED && listed != told.flows.len() {
        wrong.push(format!("{} flows, tshark {listed}", told.flows.len()));
    }
    if vlans != told.vlans {
        wrong.push(format!("VLANs {:?} tshark {vlans:?}", told.vlans));
    }
    wrong
}

#[test]
fn flows_and_vlans_are_those_of_tshark() {
    let Some(captures) = captures() else { return };
    let mut wrong = Vec::new();
    for (name, path, truth) in &captures {
        if std::env::var("CAPTURE").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        let told = tell(path);
        assert_eq!(told.counted, told.frames, "{name}: every frame is counted once");
        // What tshark cannot open it says nothing of.
        if truth["packets"] == "0" {
            continue;
        }
        let tsv = path.to_str().unwrap().replace("/data/pcap/", "/data/truth/pcap/") + ".tsv";
        let found = differences(&told, &String::from_utf8_lossy(&fs::read(tsv).unwrap()));
        match DIFFERENT.iter().any(|(different, _)| different == name) {
            true if found.is_empty() => wrong.push(format!("{name} is as tshark has it")),
            true => {}
            false => wrong.extend(found.iter().map(|line| format!("{name} {line}"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Captures once more, with bytes of each frame changed or its end cut off: nothing panics.
#[test]
fn damaged_frames_are_harmless() {
    let Some(captures) = captures() else { return };
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % n.max(1) as u64) as usize
    };
    let mut unwrapper = Unwrapper::new(Settings { fragment_bytes: 1 << 20, ..Settings::default() });
    let mut seen = 0;
    for (_, path, _) in captures.iter().filter(|(_, path, _)| fs::metadata(path).unwrap().len() < 200_000) {
        each(path, |packet| {
            let mut data = packet.data.to_vec();
            for _ in 0..4 {
                let at = below(data.len().min(120));
                if let Some(byte) = data.get_mut(at) {
                    *byte = below(256) as u8;
                }
                let cut = if below(2) == 0 { data.len() } else { below(data.len()) };
                let damaged = Packet { data: &data[..cut], ..*packet };
                seen += usize::from(!matches!(unwrapper.unwrap(&damaged), Err(Skip::UnknownLink(_))));
            }
            assert!(unwrapper.memory() <= (1 << 20) + (256 << 10), "{}", unwrapper.memory());
        });
    }
    assert!(seen > 50_000, "{seen}");
}
