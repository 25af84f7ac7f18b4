//! Our documents beside Packetbeat's of the same capture, field by field.

use super::rows::at;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Fields that say who made the document, or when it was read: never compared.
const NOT_COMPARED: &[&str] = &["@metadata", "@timestamp", "agent", "ecs", "host", "flow.id"];

/// A difference: the field, and both values as JSON (`-` where it is absent).
pub struct Difference {
    pub field: String,
    pub kind: &'static str,
    pub golden: String,
    pub ours: String,
}

/// Packetbeat's documents of a capture, those of the datasets we know.
pub fn read(path: &Path, knows: impl Fn(&str) -> bool) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|doc| knows(dataset(doc))).collect()
}

/// `dns`, `flow` …
pub fn dataset(doc: &Value) -> &str {
    at(doc, "event.dataset").as_str().unwrap_or("")
}

/// What makes two documents speak of the same: dataset, ends, and the start to the millisecond.
fn identity(doc: &Value) -> String {
    // Packetbeat's documents of flows carry the time at which the file was read.
    let times = if dataset(doc) == "flow" { ["", ""] } else { ["event.start", "event.end"] };
    let time = times.map(|t| at(doc, t).as_str().map_or("", millis).to_owned());
    let time = if time[0].is_empty() { &time[1] } else { &time[0] };
    let mut ends = ["source", "destination"].map(|end| format!("{}:{}", at(doc, end)["ip"], at(doc, end)["port"]));
    ends.sort();
    format!("{} {ends:?} {time}", dataset(doc))
}

/// `2015-10-19T20:49:23.817` of any RFC 3339 time in UTC.
fn millis(time: &str) -> &str {
    time.get(..23).unwrap_or(time.trim_end_matches('Z'))
}

/// Documents of flows with the same ends become one: Packetbeat goes by its own clock, so that silence in a capture ends
/// no flow there.
fn merge_flows(docs: &[Value]) -> Vec<Value> {
    const COUNTS: [&str; 3] = ["source", "destination", "network"];
    let (mut all, mut places) = (Vec::<Value>::new(), BTreeMap::new());
    for doc in docs {
        let new = all.len();
        let place = if dataset(doc) == "flow" { *places.entry(identity(doc)).or_insert(new) } else { new };
        if place == new {
            all.push(doc.clone());
            continue;
        }
        let into = &mut all[place];
        let turned = into["source"]["ip"] != doc["source"]["ip"] || into["source"]["port"] != doc["source"]["port"];
        for (side, count) in COUNTS.iter().flat_map(|s| ["packets", "bytes"].map(|c| (*s, c))) {
            let from = match side {
                "source" if turned => "destination",
                "destination" if turned => "source",
                side => side,
            };
            let sum = [&into[side][count], &doc[from][count]].map(|n| n.as_u64().unwrap_or(0)).iter().sum::<u64>();
            if sum > 0 {
                into[side][count] = sum.into();
            }
        }
    }
    all
}

/// Pairs the documents and compares them: the differences of each of Packetbeat's, and those that have no counterpart.
pub fn compare(golden: &[Value], ours: &[Value]) -> (Vec<(String, Vec<Difference>)>, Vec<String>) {
    let (golden, ours) = (merge_flows(golden), merge_flows(ours));
    let mut open: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for doc in &ours {
        open.entry(identity(doc)).or_default().push(doc);
    }
    let (mut compared, mut missing) = (Vec::new(), Vec::new());
    for doc in &golden {
        let name = identity(doc);
        // Several at the same time: the most alike.
        let candidates = open.get_mut(&name).filter(|c| !c.is_empty());
        let Some(candidates) = candidates else {
            missing.push(name);
            continue;
        };
        let differences = |c: &Value| differences(doc, c).len();
        let best = (0..candidates.len()).min_by_key(|i| differences(candidates[*i])).unwrap();
        let best = candidates.swap_remove(best);
        compared.push((name, self::differences(doc, best)));
    }
    (compared, missing)
}

fn differences(golden: &Value, ours: &Value) -> Vec<Difference> {
    let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
    flatten("", golden, &mut a);
    flatten("", ours, &mut b);
    let fields: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut found = Vec::new();
    for field in fields {
        let compared =
            !NOT_COMPARED.iter().any(|n| field == n || field.strip_prefix(n).is_some_and(|f| f.starts_with('.')));
        let is_time = field == "event.start" || field == "event.end" || field == "event.duration";
        if !compared || (is_time && dataset(golden) == "flow") {
            continue;
        }
        let show = |v: Option<&Value>| v.map_or("-".to_owned(), Value::to_string);
        let kind = match (a.get(field), b.get(field)) {
            (Some(x), Some(y)) if same(field, x, y) => continue,
            (Some(_), Some(_)) => "differs",
            (Some(_), None) => "missing",
            _ => "more",
        };
        found.push(Difference { field: field.clone(), kind, golden: show(a.get(field)), ours: show(b.get(field)) });
    }
    found
}

/// Maps become paths; lists are compared as a whole.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (name, v) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, v, into);
            }
        }
        v => _ = into.insert(path.to_owned(), v.clone()),
    }
}

/// Equality; times to the millisecond, addresses in a list in any order. Which way a packet went is known to Packetbeat
/// from the addresses of the machine it ran on.
fn same(field: &str, golden: &Value, ours: &Value) -> bool {
    match field {
        "event.start" | "event.end" => golden.as_str().map(millis) == ours.as_str().map(millis),
        "network.direction" => golden == ours || golden == "ingress" || golden == "egress",
        "related.ip" | "related.hosts" => {
            let set = |v: &Value| v.as_array().map(|l| l.iter().map(Value::to_string).collect::<BTreeSet<_>>());
            set(golden) == set(ours)
        }
        _ => golden == ours,
    }
}

#[test]
fn a_document_differs_where_it_does() {
    let golden = serde_json::json!({"event": {"dataset": "dns", "start": "2015-08-27T08:18:50.064Z"}, "agent": {"id": 1},
        "source": {"ip": "a"}, "destination": {"ip": "b"}, "dns": {"id": 1, "type": "answer"}, "status": "OK"});
    let mut ours = golden.clone();
    ours["event"]["start"] = "2015-08-27T08:18:50.064123Z".into();
    ours["agent"] = Value::Null;
    ours["dns"] = serde_json::json!({"id": 2, "op_code": "QUERY"});
    let (compared, missing) = compare(std::slice::from_ref(&golden), &[ours]);
    let found: Vec<_> = compared[0].1.iter().map(|d| (d.field.as_str(), d.kind)).collect();
    assert_eq!(found, [("dns.id", "differs"), ("dns.op_code", "more"), ("dns.type", "missing")]);
    assert!(missing.is_empty());
    let (_, missing) = compare(&[golden], &[]);
    assert_eq!(missing.len(), 1);
}
