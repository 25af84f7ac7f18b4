//! The data of DNS records beside tshark's: addresses, aliases, pointers, hosts, name servers of every response.

use super::rows::at;
use super::truth::captures;
use super::{run, samples};
use std::collections::BTreeMap;

/// Our type, tshark's column.
const COLUMNS: &[(&str, &str)] = &[
    ("A", "dns.a"),
    ("AAAA", "dns.aaaa"),
    ("CNAME", "dns.cname"),
    ("PTR", "dns.ptr.domain_name"),
    ("MX", "dns.mx.mail_exchange"),
    ("NS", "dns.ns"),
];

/// Captures that differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("dns/pcapplusplus-dns_over_tcp.pcapng", "the same sequence number again, years later: a retransmission to tshark"),
    ("link/zeek-radiotap.pcap", "802.11 is left out"),
];

fn is_response(flag: &str) -> bool {
    matches!(flag, "1" | "True")
}

#[test]
fn records_say_what_tshark_reads_in_them() {
    let Some(data) = samples("data") else { return };
    let keys = [("dns.include_authorities", "on"), ("dns.include_additionals", "on")];
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for capture in captures(&data) {
        // An ICMP error that quotes a response is no response.
        let quoted = ["icmp", "icmpv6"].map(|table| capture.truth.frames(table));
        let rows: Vec<_> =
            capture.truth.rows("dns").filter(|r| !quoted.iter().any(|q| q.contains(&r.frame()))).collect();
        // The table does not say which of a frame's values belong to its responses.
        let mixed = rows.iter().any(|r| {
            let flags = r.values("dns.flags.response");
            flags.iter().any(|f| is_response(f)) && flags.iter().any(|f| !is_response(f))
        });
        if rows.is_empty() || mixed || capture.truth.is_cut("dns") {
            continue;
        }
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows.iter().filter(|r| r.values("dns.flags.response").iter().any(|f| is_response(f))) {
            for (kind, column) in COLUMNS {
                for value in row.values(column) {
                    compared += 1;
                    let value = if value == "<Root>" { ".".to_owned() } else { value };
                    *counts.entry(format!("{kind} {value}")).or_default() += 1;
                }
            }
        }
        let (frames, _) = run::frames(&capture.path);
        let run = run::analyze(&frames, &keys);
        for doc in run.of("dns").filter(|d| d["dns"]["type"] == "answer") {
            for section in ["answers", "authorities", "additionals"] {
                for record in at(doc, &format!("dns.{section}")).as_array().into_iter().flatten() {
                    let kind = record["type"].as_str().unwrap_or("");
                    let Some(value) = record["data"].as_str().filter(|_| COLUMNS.iter().any(|(k, _)| *k == kind))
                    else {
                        continue;
                    };
                    *counts.entry(format!("{kind} {}", value.replace("\\.", "."))).or_default() -= 1;
                }
            }
        }
        let before = wrong.len();
        for (row, n) in counts.into_iter().filter(|(_, n)| *n != 0) {
            wrong.push(format!("{} {n:+} {row}", capture.name));
        }
        if DIFFERENT.iter().any(|(name, _)| *name == capture.name) {
            assert!(wrong.len() > before, "{} does not differ", capture.name);
            wrong.truncate(before);
        }
    }
    println!("{compared} records of tshark");
    assert!(compared > 500 && wrong.is_empty(), "{compared} compared\n{}", wrong.join("\n"));
}
