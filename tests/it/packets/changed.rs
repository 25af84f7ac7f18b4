//! The same conversations, captured otherwise: documents stay what they are, or say what is lost.

use super::run::{Frame, Run, analyze, frames};
use super::truth::captures;
use super::{flows, mutate};
use crate::lab::samples;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Captures whose documents may change with the order or the cut of their segments, and why.
const NOT_THE_SAME: &[(&str, &str)] = &[
    (
        "broken/sv-firewall-tcp-session-decode-malformed-ipv4.pcap",
        "a method that nobody knows, in a line that comes in two pieces: nothing tells HTTP by the first",
    ),
    (
        "tcp/sv-tcp-fastopen-10-syn-data-ignore.pcap",
        "two servers answer one SYN with sequence numbers of their own: what comes twice decides which one counts",
    ),
];

/// A capture with TCP in it.
struct Case<'a> {
    name: &'a str,
    frames: &'a [Frame],
    /// What its frames say as they are.
    before: Run,
    /// Segments are missing: when a hole is a hole depends on what comes around it.
    has_holes: bool,
}

/// Fields that say when, not what.
const TIMES: &[&str] = &["start", "end", "duration"];

/// What is said over TCP, with how often; times are left out where they may change.
fn said(run: &Run, with_times: bool) -> BTreeMap<String, usize> {
    let scope = super::Scope::asked();
    let mut all = BTreeMap::new();
    let counts = |dataset: &str| dataset != "flow" && scope.wants(dataset);
    let over_tcp = run.docs.iter().filter(|d| d["network"]["transport"] == "tcp");
    for doc in over_tcp.filter(|d| d["event"]["dataset"].as_str().is_some_and(counts)) {
        let mut doc = doc.clone();
        if let Some(event) = doc["event"].as_object_mut().filter(|_| !with_times) {
            event.retain(|name, _| !TIMES.contains(&name.as_str()));
        }
        *all.entry(doc.to_string()).or_default() += 1;
    }
    all
}

/// Larger captures say the same more often, and take most of the time.
const LARGE: usize = 400_000;

/// All captures with TCP in them, asked for by PACKETS.
fn each_tcp_capture(mut test: impl FnMut(Case<'_>)) {
    let Some(data) = samples("data") else { return };
    let scope = super::Scope::asked();
    let mut seen = 0;
    for capture in captures(&data).iter().filter(|c| scope.takes(&c.name)) {
        let (frames, _) = frames(&capture.path);
        let has_data = frames.iter().any(|f| mutate::Segment::of(f).is_some_and(|s| s.is_plain()));
        if !has_data || frames.iter().map(|f| f.data.len()).sum::<usize>() > LARGE {
            continue;
        }
        seen += 1;
        let has_holes = capture.truth.meta("tcp_lost_segment_frames").is_some_and(|n| n > 0);
        test(Case { name: &capture.name, frames: &frames, before: analyze(&frames, &[]), has_holes });
    }
    assert!(seen > 50 || !scope.names.is_empty(), "{seen} captures with TCP");
}

/// The first documents that only one side has.
fn difference(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) -> Option<String> {
    let only = |a: &BTreeMap<String, usize>, b: &BTreeMap<String, usize>, sign: char| {
        let mut lines = String::new();
        for (doc, n) in a.iter().filter(|(doc, n)| b.get(*doc).unwrap_or(&0) < *n).take(3) {
            let short: String = doc.chars().take(1500).collect();
            _ = writeln!(lines, "  {sign} {n} × {short}");
        }
        lines
    };
    (before != after).then(|| only(before, after, '-') + &only(after, before, '+'))
}

fn stays_the_same(what: &str, with_times: bool, change: fn(&[Frame]) -> Vec<Frame>) {
    let mut wrong = String::new();
    each_tcp_capture(|Case { name, frames, before, has_holes }| {
        let after = analyze(&change(frames), &[]);
        let known = NOT_THE_SAME.iter().any(|(n, _)| *n == name) || (has_holes && !with_times);
        let with_times = with_times && !has_holes;
        if let Some(lines) = difference(&said(&before, with_times), &said(&after, with_times)).filter(|_| !known) {
            _ = writeln!(wrong, "{name}:\n{lines}");
        }
    });
    assert!(wrong.is_empty(), "{what}:\n{wrong}");
}

#[test]
fn segments_cut_in_two_say_the_same() {
    stays_the_same("cut in two", true, mutate::cut);
}

#[test]
fn segments_out_of_order_say_the_same() {
    stays_the_same("out of order", false, mutate::reorder);
}

#[test]
fn segments_that_come_twice_say_the_same() {
    stays_the_same("twice", true, mutate::double);
}

/// IP in PPP in L2TP in UDP: 96 bytes do not reach the inner ports.
const DEEP: &str = "http/dpkt-nb6-http.pcap";

/// A short snap length loses contents, but every flow is counted as before.
#[test]
fn short_packets_are_counted_in_full() {
    let Some(data) = samples("data") else { return };
    let scope = super::Scope::asked();
    for capture in captures(&data).iter().filter(|c| scope.takes(&c.name)) {
        let (frames, _) = frames(&capture.path);
        if frames.iter().map(|f| f.data.len()).sum::<usize>() > LARGE {
            continue;
        }
        let count = |frames: &[Frame]| flows::ours(&analyze(frames, &[]).docs);
        let short = analyze(&mutate::snap(&frames, 96), &[]);
        assert_eq!(short.stats.packets, frames.len() as u64);
        let whole = ["dns/", "http/", "tls/"].iter().any(|dir| capture.name.starts_with(dir));
        if whole && capture.name != DEEP {
            assert_eq!(count(&frames), flows::ours(&short.docs), "{}", capture.name);
        }
    }
}

/// One side alone: nobody answers, and what is said is said all the same.
#[test]
fn one_side_alone_is_understood() {
    each_tcp_capture(|Case { name, frames, before, .. }| {
        let sum = |run: &Run| run.of("flow").map(|d| d["network"]["packets"].as_u64().unwrap_or(0)).sum::<u64>();
        let both = sum(&before);
        let sides = [true, false].map(|low| analyze(&mutate::one_side(frames, low), &[]));
        let others: Vec<Frame> = frames.iter().filter(|f| mutate::Segment::of(f).is_none()).cloned().collect();
        let others = analyze(&others, &[]);
        if others.of("flow").any(|d| d["network"]["transport"] == "tcp") {
            // Fragments or tunnels, which were not taken apart.
            return;
        }
        assert_eq!(sum(&sides[0]) + sum(&sides[1]), both + sum(&others), "{name}");
        for doc in sides.iter().flat_map(|s| s.of("http")).filter(|_| super::Scope::asked().wants("http")) {
            let both = doc["http"].get("request").is_some() && doc["http"].get("response").is_some();
            assert!(!both, "{name}: {doc}");
        }
    });
}

/// Without one segment: what came later is there, and what lost something says so.
#[test]
fn a_lost_segment_costs_its_own_transactions() {
    let mut wrong = String::new();
    each_tcp_capture(|Case { name, frames, before, .. }| {
        for nth in [1, 4, 9, 20] {
            let Some((at, rest)) = mutate::lose(frames, nth) else { break };
            let connection = mutate::Segment::of(&frames[at]).map(|s| s.connection());
            let after = analyze(&rest, &[]);
            for dataset in ["http", "dns"].into_iter().filter(|d| super::Scope::asked().wants(d)) {
                let others = |run: &Run| run.of(dataset).count();
                let (all, left) = (others(&before), others(&after));
                // A request and a response may come apart, and the transaction before and behind the hole may be hurt.
                if left + 2 < all {
                    _ = writeln!(wrong, "{name} without frame {}: {left} of {all} {dataset} documents", at + 1);
                }
            }
            if !super::Scope::asked().wants("http") {
                continue;
            }
            let http = |run: &Run| {
                let mut all = said(run, false);
                all.retain(|doc, _| doc.contains("\"dataset\":\"http\""));
                all
            };
            let same = http(&before) == http(&after);
            let noted = |d: &&Value| d["error"].get("message").is_some() || d["status"] == "Error";
            let fewer = after.of("http").count() < before.of("http").count();
            if !same && !fewer && connection.is_some() && !after.docs.iter().any(|d| noted(&d)) {
                _ = writeln!(wrong, "{name} without frame {}: nothing tells of it", at + 1);
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong}");
}
