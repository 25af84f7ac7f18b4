//! Packets and bytes of flows, each way: ours, summed, beside the truth.

use super::rows::at;
use super::truth::Truth;
use serde_json::Value;
use std::collections::BTreeMap;

/// Transport, then an end and what it sent, and the other one. Addresses as text.
pub type Ends = (String, [(String, u64); 2]);
/// Packets and bytes of each end, in the order of the ends.
pub type Sums = [[u64; 2]; 2];

fn put(into: &mut BTreeMap<Ends, Sums>, transport: &str, a: (String, u64), b: (String, u64), sums: Sums) {
    let (ends, sums) = if a <= b { ([a, b], sums) } else { ([b, a], [sums[1], sums[0]]) };
    let slot = into.entry((transport.to_owned(), ends)).or_default();
    for (to, from) in slot.iter_mut().flatten().zip(sums.iter().flatten()) {
        *to += from;
    }
}

fn truth(truth: &Truth) -> BTreeMap<Ends, Sums> {
    let mut found = BTreeMap::new();
    for row in truth.rows("flow") {
        let n = |name: &str| row.number(name).unwrap_or(0);
        let end = |ip: &str, port: &str| (row.text(ip).to_owned(), n(port));
        let sums = [[n("packets_ab"), n("bytes_ab")], [n("packets_ba"), n("bytes_ba")]];
        put(&mut found, row.text("proto"), end("src", "sport"), end("dst", "dport"), sums);
    }
    found
}

pub fn ours(docs: &[Value]) -> BTreeMap<Ends, Sums> {
    let mut found = BTreeMap::new();
    for doc in docs.iter().filter(|d| at(d, "event.dataset") == "flow") {
        let n = |path: &str| at(doc, path).as_u64().unwrap_or(0);
        let text = |path: &str| at(doc, path).as_str().unwrap_or("").to_owned();
        let end = |name: &str| (text(&format!("{name}.ip")), n(&format!("{name}.port")));
        let sums = ["source", "destination"].map(|s| ["packets", "bytes"].map(|c| n(&format!("{s}.{c}"))));
        put(&mut found, &text("network.transport"), end("source"), end("destination"), sums);
    }
    found
}

/// How many flows the truth has, and what differs, a line each.
pub fn compare(capture: &Truth, docs: &[Value]) -> (usize, Vec<String>) {
    let (truth, ours) = (truth(capture), ours(docs));
    let mut wrong = Vec::new();
    for (ends, sums) in &truth {
        match ours.get(ends) {
            Some(found) if found == sums => {}
            found => wrong.push(format!("{ends:?}: truth {sums:?}, ours {found:?}")),
        }
    }
    (truth.len(), wrong)
}
