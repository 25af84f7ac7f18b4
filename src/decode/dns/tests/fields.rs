//! The document's fields beside the records.

use super::build::{Built, name, query, reply};
use super::{NULL, decoder, exchange};
use crate::decode::talk::Talk;
use crate::decode::{Dir, Transport};
use serde_json::{Value, json};

/// The `dns.question` of a query for the address of `host`.
fn question(host: &str) -> Value {
    exchange(&[], &query(1, host), &reply(1, host))["dns"]["question"].clone()
}

#[test]
fn the_parts_of_the_name() {
    assert_eq!(
        question("a.www.Example.co.uk"),
        json!({"name": "a.www.Example.co.uk", "type": "A", "class": "IN", "etld_plus_one": "Example.co.uk",
               "registered_domain": "Example.co.uk", "top_level_domain": "co.uk", "subdomain": "a.www"})
    );
    assert_eq!(
        question("example.com"),
        json!({"name": "example.com", "type": "A", "class": "IN", "etld_plus_one": "example.com",
               "registered_domain": "example.com", "top_level_domain": "com"})
    );
    let suffix = question("co.uk");
    let parts = (&suffix["etld_plus_one"], &suffix["registered_domain"], &suffix["top_level_domain"]);
    assert_eq!(parts, (&NULL, &json!("co.uk"), &json!("uk")));
    assert_eq!(question(""), json!({"name": ".", "type": "A", "class": "IN"}));
    assert_eq!(question("localhost"), json!({"name": "localhost", "type": "A", "class": "IN"}));
}

#[test]
fn header_and_flags() {
    let doc = exchange(&[], &Built::new(1, 0x2010).ask("a.example", 6), &Built::new(1, 0xa6b5).ask("a.example", 6));
    assert_eq!(doc["dns"]["header_flags"], json!(["AA", "TC", "RA", "AD", "CD"]));
    let all = json!({"authoritative": true, "truncated_response": true, "recursion_desired": false,
                     "recursion_available": true, "authentic_data": true, "checking_disabled": true});
    assert_eq!(doc["dns"]["flags"], all);
    assert_eq!((&doc["method"], &doc["dns"]["op_code"]), (&json!("NOTIFY"), &json!("NOTIFY")));
    assert_eq!((&doc["status"], &doc["dns"]["response_code"]), (&json!("Error"), &json!("REFUSED")));
    assert_eq!((&doc["query"], &doc["resource"]), (&json!("class IN, type SOA, a.example"), &json!("a.example")));
    let bare = exchange(&[], &Built::new(1, 0).ask("a.example", 1), &Built::new(1, 0x800c).ask("a.example", 1));
    assert_eq!((&bare["dns"]["header_flags"], &bare["dns"]["response_code"]), (&NULL, &json!("Unknown 12")));
}

#[test]
fn authorities_and_additionals_on_demand() {
    let ns = name("ns.example");
    let answered = reply(1, "a.example")
        .record(2, b"\xc0\x0e", 2, 1, 60, &ns)
        .record(3, &ns, 1, 1, 60, &[10, 0, 0, 9])
        .opt(1232, 0, &[]);
    let doc = exchange(&[], &query(1, "a.example").opt(1232, 0, &[]), &answered);
    let counts =
        |doc: &Value| ["answers_count", "authorities_count", "additionals_count"].map(|k| doc["dns"][k].as_u64());
    assert_eq!(counts(&doc), [Some(0), Some(1), Some(1)], "OPT does not count");
    assert_eq!((&doc["dns"]["authorities"], &doc["dns"]["additionals"], &doc["dns"]["answers"]), (&NULL, &NULL, &NULL));
    let keys = [("dns.include_authorities", "on"), ("dns.include_additionals", "on")];
    let doc = exchange(&keys, &query(1, "a.example").opt(1232, 0, &[]), &answered);
    let ns = json!([{"name": "example", "type": "NS", "class": "IN", "ttl": "60", "data": "ns.example"}]);
    assert_eq!(doc["dns"]["authorities"], ns);
    let a = json!([{"name": "ns.example", "type": "A", "class": "IN", "ttl": "60", "data": "10.0.0.9"}]);
    assert_eq!(doc["dns"]["additionals"], a);
    assert_eq!(doc["dns"]["resolved_ip"], NULL, "of answers alone");
}

/// `dns.opt` of a response with these options.
fn opt(ttl: u32, options: &[u8]) -> Value {
    let asked = query(1, "a.example").opt(4096, 0, &[]);
    exchange(&[], &asked, &reply(1, "a.example").opt(1232, ttl, options))["dns"]["opt"].clone()
}

#[test]
fn extended_dns() {
    let plain = json!({"do": false, "ext_rcode": "NOERROR", "udp_size": 1232, "version": "0"});
    assert_eq!(opt(0, &[]), plain);
    let extended = json!({"do": true, "ext_rcode": "BADVERS", "udp_size": 1232, "version": "3"});
    assert_eq!(opt(0x0103_8000, &[]), extended);
    let doc = exchange(&[], &query(1, "a.example").opt(9, 0, &[]), &reply(1, "a.example").opt(9, 0x0100_8000, &[]));
    assert_eq!((&doc["dns"]["response_code"], &doc["status"]), (&json!("BADVERS"), &json!("Error")));
    assert_eq!(doc["dns"]["header_flags"], json!(["RD", "RA", "DO"]));
}

#[test]
fn options_of_extended_dns() {
    let options = [
        &b"\0\x03\0\x03ns1"[..],
        b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02",
        b"\0\x0a\0\x08\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\0\x0f\0\x02\0\x12",
        b"\0\x0f\0\x05\0\x0fads",
        b"\0\x0b\0\x02\0\x14",
        b"\0\x0c\0\x04\0\0\0\0",
        b"\0\x05\0\x02\x08\x0d",
        b"\0\x09\0\x04\0\0\x0e\x10",
        b"\0\x0e\0\x04\x01\x02\x03\x04",
        b"\xfd\xe9\0\x01\xff",
    ]
    .concat();
    let mut found = opt(0, &options);
    for key in ["do", "ext_rcode", "udp_size", "version"] {
        found.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(
        found,
        json!({"options_count": 11, "nsid": "6e7331", "subnet": "192.0.2.0/24/0", "cookie": "0102030405060708",
               "extended_errors": [{"code": 18, "name": "Prohibited"}, {"code": 15, "name": "Blocked", "text": "ads"}],
               "keepalive_ms": 2000, "padding": 4, "dau": "RSASHA256 ECDSAP256SHA256", "expire": 3600,
               "key_tags": [258, 772], "other_options": ["65001:ff"]})
    );
    // Twice the same, and malformed: nothing is lost.
    let found = opt(0, b"\0\x03\0\x01a\0\x03\0\x01b\0\x08\0\x01\0\0\x0b\0\x01\0\0\x0f\0\x01\0");
    assert_eq!((&found["nsid"], &found["other_options"]), (&json!("61"), &json!(["3:62", "8:00", "11:00", "15:00"])));
}

#[test]
fn messages_as_text() {
    let keys = [("dns.send_request", "on"), ("dns.send_response", "on")];
    let answered =
        reply(1, "a.example").answer(15, b"\0\x0a\x02mx\xc0\x0c").answer(1, &[1, 2, 3, 4]).opt(1232, 0x8000, &[]);
    let doc = exchange(&keys, &query(1, "a.example"), &answered);
    assert_eq!(
        doc["request"],
        "ID 1; QR query; OPCODE QUERY; FLAGS rd; RCODE NOERROR; QUESTION class IN, type A, a.example"
    );
    assert_eq!(
        doc["response"],
        "ID 1; QR response; OPCODE QUERY; FLAGS rd ra; RCODE NOERROR; QUESTION class IN, type A, a.example; \
         ANSWER preference 10, mx.a.example; 1.2.3.4; ADDITIONAL OPT udp_size 1232, version 0, do"
    );
}

#[test]
fn an_update_of_a_zone() {
    let update = Built::new(1, 0x2800)
        .ask("example", 6)
        .record(1, b"\xc0\x0c", 255, 254, 0, &[])
        .record(2, b"\xc0\x0c", 1, 1, 60, &[1, 2, 3, 4])
        .record(2, b"\xc0\x0c", 1, 255, 0, &[]);
    let mut talk = Talk::new(&*decoder(&[("dns.include_authorities", "on")]), Transport::Udp, 53);
    talk.datagram(Dir::Forward, &update.0);
    let docs = talk.finish();
    let prerequisite = json!([{"name": "example", "type": "ANY", "class": "NONE", "ttl": "0"}]);
    assert_eq!(docs[0]["dns"]["answers"], prerequisite);
    assert_eq!(docs[0]["dns"]["authorities"][1]["class"], "ANY");
    assert_eq!(docs[0]["method"], "UPDATE");
}

#[test]
fn a_message_that_unfolds_is_bounded() {
    let label = [&[63][..], &[b'x'; 63]].concat();
    let long = [&label.repeat(3)[..], &[0]].concat();
    let mut message = Built::new(1, 0x8180).ask("a.example", 1).record(1, &long, 16, 1, 60, b"\x01a");
    let at = 12 + 15;
    for _ in 0..4000 {
        message = message.record(1, &[0xc0, at], 16, 1, 60, b"\x01a");
    }
    let doc = exchange(&[], &query(1, "a.example"), &message);
    let written = doc["dns"]["answers"].as_array().map_or(0, Vec::len) as u64;
    assert!((500..2000).contains(&written), "{written}");
    assert_eq!(doc["dns"]["answers_count"], 4001);
    assert_eq!(doc["dns"]["records_left_out"], 4001 - written);
    assert!(doc.to_string().len() < 2 * super::super::doc::TEXT_MAX);
}
