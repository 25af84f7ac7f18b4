//! What the tables and our documents say in the same words: one text for each request and each response.

use super::truth::{Row, Truth, number};
use serde_json::Value;

/// A protocol with a table of truth.
pub struct Subject {
    /// Its dataset.
    pub name: &'static str,
    /// Its tables.
    pub tables: &'static [&'static str],
    /// How many of a hundred rows must be found.
    pub least: usize,
    /// What the truth says.
    pub truth: fn(&Truth) -> Vec<String>,
    /// What a document of the dataset says.
    pub ours: fn(&Value) -> Vec<String>,
}

/// All of them. Rows of TLS are few: what PostgreSQL and a second hello hide weighs more there.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "dns", tables: &["dns"], least: 99, truth: dns_truth, ours: dns_ours },
    Subject { name: "http", tables: &["http"], least: 99, truth: http_truth, ours: http_ours },
    Subject { name: "tls", tables: &["tls"], least: 98, truth: tls_truth, ours: tls_ours },
    Subject { name: "icmp", tables: &["icmp", "icmpv6"], least: 99, truth: icmp_truth, ours: icmp_ours },
];

fn text<'a>(doc: &'a Value, path: &str) -> &'a str {
    at(doc, path).as_str().unwrap_or("")
}

/// `a.b.c` of a document; null where it is absent.
pub fn at<'a>(doc: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(doc, |v, name| &v[name])
}

fn rows<'a>(truth: &'a Truth, table: &'a str) -> impl Iterator<Item = Row<'a>> {
    truth.rows(table)
}

/// The types that tests meet, by number (IANA "DNS Parameters").
const DNS_TYPES: &[(u64, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (49, "DHCID"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (32769, "DLV"),
];

const DNS_RCODES: &[&str] = &[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

/// The number of a name, or of `TYPE65`, or of a number.
fn dns_type(name: &str) -> String {
    let known = DNS_TYPES.iter().find(|(_, n)| *n == name).map(|(number, _)| number.to_string());
    known.unwrap_or_else(|| name.trim_start_matches("TYPE").to_owned())
}

fn dns_rcode(name: &str) -> String {
    let known = DNS_RCODES.iter().position(|n| *n == name).map(|n| n.to_string());
    known.unwrap_or_else(|| name.trim_start_matches("Unknown ").to_owned())
}

fn dns_truth(truth: &Truth) -> Vec<String> {
    // An ICMP error that quotes a query is no query.
    let quoted = truth.frames("icmp").into_iter().chain(truth.frames("icmpv6")).collect::<Vec<_>>();
    let mut found = Vec::new();
    for row in rows(truth, "dns").filter(|r| !quoted.contains(&r.frame())) {
        let [ids, flags, codes, names, types, counts] =
            ["dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.count.queries"]
                .map(|f| row.values(f));
        let (mut question, mut answer) = (0, 0);
        for (i, id) in ids.iter().enumerate() {
            let id = number(id).unwrap_or(0);
            // Responses alone have a code, messages with a question alone a name; the first question counts.
            // An update has a zone in place of its questions, which the table does not count.
            let zone = || usize::from(question < names.len());
            let asked = counts.get(i).and_then(|n| n.parse::<usize>().ok()).unwrap_or_else(zone);
            let named = |list: &[String]| list.get(question).filter(|_| asked > 0).cloned().unwrap_or_default();
            let (name, kind) = (named(&names), named(&types));
            question += asked;
            let name = if name == "<Root>" { String::new() } else { name };
            if matches!(flags.get(i).map(String::as_str), Some("1" | "True")) {
                found.push(format!("response {id} {name} {kind} rcode {}", codes.get(answer).map_or("", |c| c)));
                answer += 1;
            } else {
                found.push(format!("request {id} {name} {kind}"));
            }
        }
    }
    found
}

fn dns_ours(doc: &Value) -> Vec<String> {
    let id = at(doc, "dns.id");
    // A dot inside a label has a backslash, which tshark leaves out; the root is nothing there.
    let name = match text(doc, "dns.question.name") {
        "." => String::new(),
        name => name.replace("\\.", ".").replace("\\\\", "\\"),
    };
    let kind = dns_type(text(doc, "dns.question.type"));
    let mut found = Vec::new();
    if at(doc, "event.start").is_string() {
        found.push(format!("request {id} {name} {kind}"));
    }
    if at(doc, "event.end").is_string() {
        found.push(format!("response {id} {name} {kind} rcode {}", dns_rcode(text(doc, "dns.response_code"))));
    }
    found
}

/// The path of a request's target: without scheme, host, query and fragment.
fn http_path(target: &str) -> &str {
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => &rest[rest.find(['/', '?']).unwrap_or(rest.len())..],
        _ => target,
    };
    &rest[..rest.find(['?', '#']).unwrap_or(rest.len())]
}

/// The target of CONNECT is no path.
fn http_request(method: &str, target: &str) -> String {
    format!("request {method} {}", if method == "CONNECT" { "" } else { http_path(target) })
}

fn http_truth(truth: &Truth) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows(truth, "http") {
        let targets = row.values("http.request.uri");
        for (i, method) in row.values("http.request.method").iter().enumerate() {
            found.push(http_request(method, targets.get(i).map_or("", |t| t)));
        }
        found.extend(row.values("http.response.code").iter().map(|code| format!("response {code}")));
    }
    found
}

fn http_ours(doc: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let method = text(doc, "http.request.method");
    if !method.is_empty() {
        found.push(http_request(&method.to_uppercase(), text(doc, "url.path")));
    }
    if let Some(code) = at(doc, "http.response.status_code").as_u64() {
        found.push(format!("response {code}"));
    }
    found
}

/// `1.2` for 0x0303; drafts of 1.3 are what they draft (RFC 8446 §4.2.1).
fn tls_version(number: u64) -> &'static str {
    match number {
        0x0002 => "2.0",
        0x0300 => "3.0",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 | 0x7f00..=0x7fff => "1.3",
        _ => "?",
    }
}

fn tls_truth(truth: &Truth) -> Vec<String> {
    let mut found = Vec::new();
    let (mut asked, mut answered) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
    // QUIC carries hellos, too; it is no subject here.
    for row in rows(truth, "tls").filter(|r| !r.text("stream").starts_with("udp")) {
        let kinds = row.values("tls.handshake.type");
        let first = |name: &str| row.values(name).into_iter().next().unwrap_or_default();
        // A second hello, which the server asked for, has no document of its own, nor has what asked for it.
        let hello = kinds.iter().any(|k| k == "1") && !first("tls.handshake.ja3").is_empty();
        if hello && asked.insert(row.text("stream").to_owned()) {
            let name = first("tls.handshake.extensions_server_name");
            found.push(format!("client {name} {}", first("tls.handshake.ja3")));
        }
        if kinds.iter().any(|k| k == "2") && !first("tls.handshake.ja3s").is_empty() {
            // In a hello of the server the extension holds the version that was chosen.
            let version = row.number("tls.handshake.extensions.supported_version");
            let version = version.or(row.number("tls.handshake.version")).unwrap_or(0);
            let hello = format!("server {} {}", tls_version(version), first("tls.handshake.ja3s"));
            answered.insert(row.text("stream").to_owned(), hello);
        }
    }
    found.extend(answered.into_values());
    found
}

fn tls_ours(doc: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let [ja3, ja3s] = ["tls.client.ja3", "tls.server.ja3s"].map(|path| text(doc, path));
    if !ja3.is_empty() {
        found.push(format!("client {} {ja3}", text(doc, "tls.client.server_name")));
    }
    if !ja3s.is_empty() {
        found.push(format!("server {} {ja3s}", text(doc, "tls.version")));
    }
    found
}

fn icmp_truth(truth: &Truth) -> Vec<String> {
    let mut found = Vec::new();
    for (table, version) in [("icmp", 4), ("icmpv6", 6)] {
        for row in rows(truth, table) {
            // The first value is the message, a second one what it quotes.
            let [kind, code] = ["type", "code"].map(|f| row.number(&format!("{table}.{f}")).unwrap_or(0));
            found.push(format!("v{version} {kind} {code}"));
        }
    }
    found
}

fn icmp_ours(doc: &Value) -> Vec<String> {
    let version = at(doc, "icmp.version");
    let sides = ["icmp.request", "icmp.response"].map(|side| at(doc, side)).into_iter().filter(|s| s.is_object());
    sides.map(|side| format!("v{version} {} {}", side["type"], side["code"])).collect()
}
