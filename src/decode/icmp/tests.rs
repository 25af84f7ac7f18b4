//! Conversations over made messages: what is paired, what stands alone, what hostile bytes do.

use super::*;
use crate::conf::{FromConf, Section};
use crate::decode::Out;
use crate::decode::analyzer::Stats;
use crate::decode::common::Common;
use crate::decode::flow::{FlowInfo, FlowKey, NEVER, Networks};
use crate::decode::layers::Addr;
use crate::decode::talk::Docs;
use crate::error::Diags;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::net::IpAddr;

const SECOND: i64 = 1_000_000_000;

/// One flow and its conversation.
struct Rig {
    talk: Box<dyn Conversation>,
    flow: FlowInfo,
    docs: Docs,
    common: Common,
    networks: Networks,
    stats: Stats,
    cut: u32,
    wake: Time,
}

impl Rig {
    fn new(from: &str, to: &str) -> Self {
        let mut diags = Diags::new();
        let section = Section::of("INPUT", &[("name", "pcap")]);
        let mut cx = MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) };
        let decoder = make(&mut cx).unwrap();
        let [from, to] = [from, to].map(|ip| ip.parse::<IpAddr>().unwrap());
        let ends = [from, to].map(|ip| (Addr::from(ip), 0));
        let (key, swapped) = FlowKey::of(ends[0], ends[1], [0; 2], Transport::Icmp, from.is_ipv6());
        Self {
            talk: decoder.open(Transport::Icmp),
            flow: FlowInfo::new(key, swapped, Time(0), (0, 0)),
            docs: Docs::default(),
            common: Common::new(),
            networks: Networks::from_conf("private").unwrap(),
            stats: Stats::default(),
            cut: 0,
            wake: NEVER,
        }
    }

    fn v4() -> Self {
        Self::new("10.0.0.1", "10.0.0.2")
    }

    fn v6() -> Self {
        Self::new("2001:db8::1", "2001:db8::2")
    }

    fn call(&mut self, seconds: f64, call: impl FnOnce(&mut dyn Conversation, &mut Cx<'_>)) {
        let time = Time((seconds * SECOND as f64) as i64);
        let out = Out { common: &self.common, networks: &self.networks, sink: &mut self.docs, stats: &mut self.stats };
        let mut cx =
            Cx { time, since: time, skipped: false, cut: self.cut, flow: &self.flow, wake: &mut self.wake, out };
        call(&mut *self.talk, &mut cx);
    }

    fn see(&mut self, seconds: f64, dir: Dir, data: &[u8]) {
        self.call(seconds, |talk, cx| talk.datagram(cx, dir, data));
    }

    fn finish(&mut self) {
        self.call(100.0, |talk, cx| talk.finish(cx));
    }

    /// The documents written so far.
    fn documents(&self) -> &[Value] {
        &self.docs.0
    }

    /// The only document.
    #[track_caller]
    fn one(&mut self) -> Value {
        self.finish();
        assert_eq!(self.documents().len(), 1, "{:#?}", self.documents());
        self.docs.0.remove(0)
    }
}

fn ping(kind: u8, id: u16, seq: u16, payload: usize) -> Vec<u8> {
    let mut data = vec![kind, 0, 0, 0];
    data.extend(id.to_be_bytes());
    data.extend(seq.to_be_bytes());
    data.extend(vec![b'x'; payload]);
    data
}

/// An error that quotes the head of a UDP packet from 10.0.0.1:12345 to 10.0.0.2:53.
fn error4(kind: u8, code: u8, word: u32) -> Vec<u8> {
    let mut data = vec![kind, code, 0, 0];
    data.extend(word.to_be_bytes());
    data.extend([0x45, 0, 0, 60, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    data.extend([0x30, 0x39, 0, 53, 0, 40, 0, 0]);
    data
}

#[test]
fn a_ping_and_its_reply_are_one_document() {
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 56));
    assert_eq!(rig.documents().len(), 0);
    rig.see(1.25, Dir::Back, &ping(0, 7, 1, 56));
    let doc = rig.one();
    let icmp = json!({
        "version": 4,
        "request": {"type": 8, "code": 0, "message": "EchoRequest(0)"},
        "response": {"type": 0, "code": 0, "message": "EchoReply(0)"},
    });
    assert_eq!(doc["icmp"], icmp);
    assert_eq!((&doc["path"], &doc["status"]), (&json!("10.0.0.2"), &json!("OK")));
    assert_eq!(
        (&doc["source"], &doc["destination"]),
        (&json!({"ip": "10.0.0.1", "bytes": 56}), &json!({"ip": "10.0.0.2", "bytes": 56}))
    );
    assert_eq!(doc["event"]["duration"], 250_000_000);
    assert_eq!(doc["event"]["type"], json!(["connection"]));
    assert_eq!(doc["network"]["transport"], "icmp");
    assert_eq!(doc.get("error"), None);
}

#[test]
fn version_6_has_other_numbers() {
    let mut rig = Rig::v6();
    rig.see(1.0, Dir::Forward, &ping(128, 7, 1, 0));
    rig.see(2.0, Dir::Back, &ping(129, 7, 1, 0));
    let doc = rig.one();
    assert_eq!(doc["icmp"]["version"], 6);
    assert_eq!(doc["icmp"]["response"]["message"], "EchoReply(0)");
    assert_eq!((&doc["path"], &doc["network"]["transport"]), (&json!("2001:db8::2"), &json!("ipv6-icmp")));
}

#[test]
fn each_pair_of_types_has_its_own_numbers() {
    for (request, reply) in [(8, 0), (13, 14), (15, 16), (17, 18), (42, 43)] {
        let mut rig = Rig::v4();
        rig.see(1.0, Dir::Forward, &ping(request, 7, 256, 12));
        rig.see(1.1, Dir::Back, &ping(reply, 7, 256, 12));
        assert_eq!(rig.one()["status"], "OK", "{request}");
    }
    for (request, reply) in [(128, 129), (139, 140), (144, 145), (146, 147), (160, 161)] {
        let mut rig = Rig::v6();
        rig.see(1.0, Dir::Forward, &ping(request, 7, 256, 12));
        rig.see(1.1, Dir::Back, &ping(reply, 7, 256, 12));
        assert_eq!(rig.one()["status"], "OK", "{request}");
    }
    // A timestamp does not answer a ping.
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 12));
    rig.see(1.1, Dir::Back, &ping(14, 7, 1, 12));
    rig.finish();
    assert!(rig.documents().iter().all(|d| d["status"] == "Error"));
    assert_eq!(rig.documents().len(), 2);
}

#[test]
fn an_answer_needs_the_same_numbers_and_the_other_direction() {
    for (dir, id, seq) in [(Dir::Back, 8, 1), (Dir::Back, 7, 2), (Dir::Forward, 7, 1)] {
        let mut rig = Rig::v4();
        rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 0));
        rig.see(1.1, dir, &ping(0, id, seq, 0));
        rig.finish();
        let notes: Vec<_> = rig.documents().iter().map(|d| d["error"]["message"].clone()).collect();
        assert_eq!(notes, [NO_REQUEST, NO_RESPONSE]);
    }
}

#[test]
fn replies_may_come_in_any_order_and_both_sides_may_ask() {
    let mut rig = Rig::v4();
    for seq in 1..=3 {
        rig.see(1.0, Dir::Forward, &ping(8, 7, seq, 0));
        rig.see(1.0, Dir::Back, &ping(8, 7, seq, 0));
    }
    for seq in [3, 1, 2] {
        rig.see(2.0, Dir::Back, &ping(0, 7, seq, 0));
        rig.see(2.0, Dir::Forward, &ping(0, 7, seq, 0));
    }
    rig.finish();
    let all = rig.documents();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|d| d["status"] == "OK"));
    assert_eq!(all.iter().filter(|d| d["source"]["ip"] == "10.0.0.2").count(), 3);
}

#[test]
fn a_request_without_a_reply_ends_with_its_time() {
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 4));
    rig.see(5.0, Dir::Forward, &ping(8, 7, 2, 4));
    assert_eq!(rig.wake, Time(11 * SECOND));
    rig.wake = NEVER;
    rig.call(11.0, |talk, cx| talk.expire(cx));
    let all = rig.documents();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["status"], &all[0]["error"]["message"]), (&json!("Error"), &json!(NO_RESPONSE)));
    assert!(all[0]["event"].get("end").is_none() && all[0]["destination"].get("bytes").is_none());
    assert_eq!(rig.wake, Time(15 * SECOND), "the next one is waited for");
    // A reply after its time finds nothing, even if nobody woke the conversation.
    rig.see(15.5, Dir::Back, &ping(0, 7, 2, 4));
    let notes: Vec<_> = rig.documents().iter().map(|d| d["error"]["message"].clone()).collect();
    assert_eq!(notes, [NO_RESPONSE, NO_RESPONSE, NO_REQUEST]);
}

#[test]
fn a_reply_alone_is_turned_round() {
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ping(0, 7, 1, 4));
    let doc = rig.one();
    assert_eq!((&doc["source"]["ip"], &doc["path"]), (&json!("10.0.0.2"), &json!("10.0.0.1")));
    assert_eq!((&doc["status"], &doc["error"]["message"]), (&json!("Error"), &json!(NO_REQUEST)));
    assert!(doc["event"].get("start").is_none() && doc["icmp"].get("request").is_none());
}

#[test]
fn the_same_request_again_closes_the_first() {
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 4));
    rig.see(2.0, Dir::Forward, &ping(8, 7, 1, 4));
    rig.see(3.0, Dir::Back, &ping(0, 7, 1, 4));
    let all = rig.documents();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["error"]["message"], DUPLICATE);
    assert_eq!(all[1]["event"]["duration"], SECOND);
}

#[test]
fn a_flood_is_bounded_and_nothing_of_it_is_lost() {
    let mut rig = Rig::v4();
    for seq in 0..1000 {
        rig.see(1.0, Dir::Forward, &ping(8, 7, seq, 4));
        assert!(rig.talk.memory() < 16 * 1024);
    }
    assert_eq!(rig.documents().len(), 1000 - PENDING_MAX);
    rig.finish();
    assert_eq!(rig.documents().len(), 1000);
    assert!(rig.documents().iter().all(|d| d["error"]["message"] == NO_RESPONSE));
}

#[test]
fn an_error_names_the_packet_it_speaks_of() {
    let mut rig = Rig::new("10.0.0.9", "10.0.0.1");
    rig.see(1.0, Dir::Forward, &error4(3, 3, 0));
    let doc = rig.one();
    assert_eq!(doc["icmp"]["request"]["message"], "DestinationUnreachable(Port)");
    let original = json!({
        "source": {"ip": "10.0.0.1", "port": 12345},
        "destination": {"ip": "10.0.0.2", "port": 53},
        "transport": "udp",
    });
    assert_eq!(doc["icmp"]["original"], original);
    assert_eq!(doc["related"]["ip"], json!(["10.0.0.9", "10.0.0.1", "10.0.0.2"]));
    assert_eq!((&doc["status"], doc.get("error")), (&json!("Error"), None));
    assert_eq!(doc["event"].get("end"), None);
}

#[test]
fn errors_say_more_where_their_type_does() {
    let details = |data: &[u8]| {
        let mut rig = Rig::v4();
        rig.see(1.0, Dir::Forward, data);
        rig.one()["icmp"].clone()
    };
    assert_eq!(details(&error4(3, 4, 1400))["mtu"], 1400);
    assert_eq!(details(&error4(3, 4, 0)).get("mtu"), None, "RFC 1191: an old router does not know");
    assert_eq!(details(&error4(12, 0, 0x1400_0000))["pointer"], 20);
    let redirect = details(&error4(5, 1, 0x0a00_00fe));
    assert_eq!((&redirect["gateway"], &redirect["original"]["transport"]), (&json!("10.0.0.254"), &json!("udp")));
    let mut rig = Rig::v6();
    rig.see(1.0, Dir::Forward, &[2, 0, 0, 0, 0, 0, 5, 0]);
    let doc = rig.one();
    assert_eq!((&doc["icmp"]["mtu"], &doc["status"]), (&json!(1280), &json!("Error")));
    assert_eq!(doc["icmp"]["request"]["message"], "PacketTooBig(0)");
}

#[test]
fn labels_and_interfaces_behind_the_quoted_packet() {
    // RFC 4884: five words are quoted, then a structure with an MPLS object and an incoming interface.
    let mut data = error4(11, 0, 0x0007_0000);
    data.extend([0x20, 0, 0, 0]);
    data.extend([0, 12, 1, 1]);
    data.extend((24_000u32 << 12 | 5 << 9 | 1).to_be_bytes());
    data.extend((99u32 << 12 | 0x100 | 255).to_be_bytes());
    data.extend([0, 32, 2, 0x0f, 0, 0, 0, 7, 0, 1, 0, 0, 192, 0, 2, 1, 12]);
    data.extend(b"eth0\0\0\0\0\0\0\0");
    data.extend([0, 0, 5, 0xdc]);
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &data);
    let icmp = &rig.one()["icmp"];
    assert_eq!(
        icmp["mpls"],
        json!([{"label": 24_000, "traffic_class": 5, "ttl": 1}, {"label": 99, "traffic_class": 0, "ttl": 255}])
    );
    assert_eq!(
        icmp["interfaces"],
        json!([{"role": "incoming", "index": 7, "ip": "192.0.2.1", "name": "eth0", "mtu": 1500}])
    );
    assert_eq!(icmp["original"]["destination"]["port"], 53);
}

#[test]
fn an_old_router_quotes_128_bytes_and_a_checksum_tells_its_structure() {
    let structure = |checksum: [u8; 2]| {
        let mut data = error4(11, 0, 0);
        data.resize(8 + 128, 0);
        data.extend([0x20, 0, checksum[0], checksum[1], 0, 8, 1, 1, 0, 1, 0x01, 9]);
        let mut rig = Rig::v4();
        rig.see(1.0, Dir::Forward, &data);
        rig.one()["icmp"]["mpls"].clone()
    };
    let sum: u16 = 0x2000 + 8 + 0x101 + 1 + 0x109;
    assert_eq!(structure((!sum).to_be_bytes()), json!([{"label": 16, "traffic_class": 0, "ttl": 9}]));
    assert_eq!(structure([0, 0]), Value::Null);
}

#[test]
fn an_extended_echo_says_which_interface_it_asks_about() {
    let mut ask = ping(42, 7, 0x0101, 0);
    ask.extend([0x20, 0, 0, 0, 0, 8, 3, 1]);
    ask.extend(b"lo\0\0");
    let mut answer = ping(43, 7, 0x0184, 0);
    answer[1] = 2;
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &ask);
    rig.see(1.1, Dir::Back, &answer);
    let doc = rig.one();
    assert_eq!(doc["icmp"]["interfaces"], json!([{"role": "probed", "name": "lo"}]));
    assert_eq!(doc["icmp"]["response"]["message"], "ExtendedEchoReply(NoSuchInterface)");
    assert_eq!(doc["status"], "Error");
}

#[test]
fn notices_of_version_6() {
    let details = |data: &[u8]| {
        let mut rig = Rig::v6();
        rig.see(1.0, Dir::Forward, data);
        let doc = rig.one();
        assert_eq!(doc["status"], "OK");
        doc["icmp"].clone()
    };
    let target = "2001:db8::5".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let neighbor = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target].concat();
    assert_eq!(details(&neighbor)["target"], "2001:db8::5");
    assert_eq!(details(&neighbor)["request"]["message"], "NeighborSolicitation(0)");
    let report = [&[131, 0, 0, 0, 0, 0, 0, 0][..], &target].concat();
    assert_eq!(details(&report)["groups"], json!(["2001:db8::5"]));
    assert_eq!(details(&[130, 0, 0, 0, 0, 0, 0, 0]).get("groups"), None);
    let record = [&[4, 1, 0, 1][..], &target, &[0; 16], &[0; 4]].concat();
    let reports = [&[143, 0, 0, 0, 0, 0, 0, 2][..], &record, &record].concat();
    assert_eq!(details(&reports)["groups"], json!(["2001:db8::5", "2001:db8::5"]));
    // A redirect: target, destination, an option of the sender's link address, one with the packet's head.
    let quoted = [&[0x60, 0, 0, 0, 0, 0, 6, 64][..], &target, &target, &[0, 80, 0, 81]].concat();
    let redirect = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &target, &target, &[2, 1, 0, 0, 0, 0, 0, 0]].concat();
    let redirect = [&redirect[..], &[4, 7, 0, 0, 0, 0, 0, 0], &quoted, &[0; 4]].concat();
    let redirect = details(&redirect);
    assert_eq!(redirect["gateway"], "2001:db8::5");
    assert_eq!(redirect["original"]["destination"]["port"], 81);
}

#[test]
fn a_message_that_was_cut_is_noted_not_lost() {
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &[8, 0, 0, 0, 0]);
    assert_eq!(rig.one()["error"]["message"], CUT);
    let mut rig = Rig::v4();
    rig.see(1.0, Dir::Forward, &[0, 0]);
    let doc = rig.one();
    assert_eq!((&doc["error"]["message"], &doc["path"]), (&json!(CUT), &json!("10.0.0.1")));
}

#[test]
fn bytes_are_those_of_the_wire() {
    let mut rig = Rig::v4();
    rig.cut = 1000;
    rig.see(1.0, Dir::Forward, &ping(8, 7, 1, 20));
    rig.see(1.0, Dir::Back, &ping(0, 7, 1, 20));
    let doc = rig.one();
    assert_eq!((&doc["source"]["bytes"], &doc["network"]["bytes"]), (&json!(1020), &json!(2040)));
}

/// Messages of every kind, for mutation.
fn samples() -> Vec<(bool, Vec<u8>)> {
    let mut all = Vec::new();
    for (v6, kind) in [false, true].into_iter().flat_map(|v6| (0..=255).map(move |kind| (v6, kind))) {
        let mut data = error4(kind, 0, 0x0507_0002);
        data.extend([0x20, 0, 0, 0, 0, 32, 2, 0x0f, 0, 0, 0, 7, 0, 1, 0, 0, 192, 0, 2, 1, 12]);
        data.extend(b"eth0\0\0\0\0\0\0\0\0\0\x05\xdc\0\x0c\x01\x01");
        data.extend([0; 64]);
        all.push((v6, data));
    }
    all
}

fn run(v6: bool, messages: &[(bool, &[u8])]) -> Vec<Value> {
    let mut rig = if v6 { Rig::v6() } else { Rig::v4() };
    for (i, (back, data)) in messages.iter().enumerate() {
        rig.see(i as f64, if *back { Dir::Back } else { Dir::Forward }, data);
    }
    rig.finish();
    rig.docs.0
}

#[test]
fn every_cut_of_every_type_makes_one_document() {
    let mut rigs = [Rig::v4(), Rig::v6()];
    for (v6, data) in samples() {
        let rig = &mut rigs[usize::from(v6)];
        rig.docs.0.clear();
        for cut in 2..data.len() {
            rig.see(1.0, Dir::Forward, &data[..cut]);
            rig.finish();
            assert_eq!(rig.documents().len(), cut - 1, "type {} cut at {cut}", data[0]);
        }
    }
}

proptest! {
    /// As many documents as messages, less the pairs; each is JSON, with a type on at least one side.
    #[test]
    fn any_bytes_make_documents(
        v6: bool,
        messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 2..200)), 1..8),
    ) {
        let messages: Vec<_> = messages.iter().map(|(back, data)| (*back, &data[..])).collect();
        let all = run(v6, &messages);
        let sides = all.iter().flat_map(|d| [d["icmp"].get("request"), d["icmp"].get("response")]).flatten().count();
        prop_assert_eq!(sides, messages.len());
    }

    #[test]
    fn flipped_bits_do_no_harm(which in 0usize..512, flips in prop::collection::vec((0usize..150, 0u8..8), 1..6)) {
        let (v6, mut data) = samples().swap_remove(which);
        for (at, bit) in flips {
            let at = at % data.len();
            data[at] ^= 1 << bit;
        }
        prop_assert_eq!(run(v6, &[(false, &data)]).len(), 1);
    }
}
