//! Conversations: what is asked, answered, lost.

mod build;
mod fields;
mod hostile;
mod records;
mod tcp;

use crate::conf::Section;
use crate::decode::talk::Talk;
use crate::decode::{Decoder, Dir, MakeProtocol, Transport};
use crate::error::Diags;
use build::{Built, query, reply};
use serde_json::{Value, json};
use std::time::Duration;

fn decoder(keys: &[(&str, &str)]) -> Box<dyn Decoder> {
    let section = Section::of("INPUT", keys);
    let mut diags = Diags::new();
    let made =
        super::make(&mut MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) });
    made.unwrap_or_else(|| panic!("{diags}"))
}

fn udp() -> Talk {
    Talk::new(&*decoder(&[]), Transport::Udp, 53)
}

/// Sends a query one way and a response the other.
fn exchange(keys: &[(&str, &str)], asked: &Built, answered: &Built) -> Value {
    let mut talk = Talk::new(&*decoder(keys), Transport::Udp, 53);
    talk.datagram(Dir::Forward, &asked.0);
    talk.wait(5);
    talk.datagram(Dir::Back, &answered.0);
    let mut docs = talk.finish();
    assert_eq!(docs.len(), 1, "{docs:?}");
    docs.remove(0)
}

/// `error.message`, status, id and type of each document.
fn outcome(docs: &[Value]) -> Vec<(Value, &str, u64, &str)> {
    docs.iter()
        .map(|d| {
            let (status, kind) = (d["status"].as_str().unwrap(), d["dns"]["type"].as_str().unwrap_or("-"));
            (d["error"]["message"].clone(), status, d["dns"]["id"].as_u64().unwrap_or(99_999), kind)
        })
        .collect()
}

const NULL: Value = Value::Null;

#[test]
fn a_question_and_its_answer() {
    let doc = exchange(&[], &query(7, "www.example.co.uk"), &reply(7, "www.example.co.uk").answer(1, &[192, 0, 2, 1]));
    assert_eq!(doc["dns"]["question"]["name"], "www.example.co.uk");
    assert_eq!(doc["dns"]["answers"][0]["data"], "192.0.2.1");
    assert_eq!((&doc["source"]["bytes"], &doc["destination"]["bytes"]), (&json!(35), &json!(51)));
    assert_eq!(doc["event"]["duration"], 5_000_000);
    assert_eq!(doc["source"]["port"], 40000);
    assert_eq!(doc["related"]["ip"], json!(["10.0.0.1", "10.0.0.2", "192.0.2.1"]));
    assert_eq!(outcome(&[doc]), [(NULL, "OK", 7, "answer")]);
}

#[test]
fn several_at_once_are_answered_in_any_order() {
    let mut talk = udp();
    for id in 1..=3 {
        talk.datagram(Dir::Forward, &query(id, "a.example").0);
    }
    for id in [3, 1, 2] {
        talk.datagram(Dir::Back, &reply(id, "A.example").0);
    }
    let docs = talk.finish();
    assert_eq!(outcome(&docs), [3, 1, 2].map(|id| (NULL, "OK", id, "answer")));
}

#[test]
fn one_id_for_two_questions() {
    let mut talk = udp();
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Forward, &query(1, "b.example").0);
    talk.datagram(Dir::Back, &reply(1, "b.example").0);
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    let docs = talk.finish();
    assert_eq!(docs.iter().map(|d| d["resource"].as_str().unwrap()).collect::<Vec<_>>(), ["b.example", "a.example"]);
}

#[test]
fn nobody_answers() {
    let mut talk = udp();
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.wait(9_000);
    talk.datagram(Dir::Forward, &query(2, "a.example").0);
    assert_eq!(talk.docs.0.len(), 0);
    talk.wait(1_500);
    assert_eq!(talk.docs.0.len(), 1, "the first is overdue");
    talk.wait(10_000);
    let docs = talk.finish();
    let text = json!("No response to this query was received");
    assert_eq!(outcome(&docs), [(text.clone(), "Error", 1, "query"), (text, "Error", 2, "query")]);
    assert!(docs[0]["event"].get("end").is_none() && docs[0]["event"].get("start").is_some());
    assert!(docs[0]["destination"].get("bytes").is_none());
}

#[test]
fn nobody_asked() {
    let mut talk = udp();
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    talk.wait(200);
    let docs = talk.docs.0;
    let text = json!("Response: received without an associated Query");
    assert_eq!(outcome(&docs), [(text, "Error", 1, "answer")]);
    assert!(docs[0]["event"].get("end").is_some() && docs[0]["event"].get("start").is_none());
    assert_eq!(docs[0]["source"]["port"], 40000, "who would have asked");
}

#[test]
fn the_answer_comes_first() {
    let mut talk = udp();
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    talk.wait(20);
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    let docs = talk.finish();
    assert_eq!(outcome(&docs), [(NULL, "OK", 1, "answer")]);
    assert!(docs[0]["event"].get("duration").is_none(), "it would be negative");
}

#[test]
fn a_query_is_sent_again() {
    let twice = |answers: usize| {
        let mut talk = udp();
        talk.datagram(Dir::Forward, &query(1, "a.example").0);
        talk.wait(5_000);
        talk.datagram(Dir::Forward, &query(1, "a.example").0);
        for _ in 0..answers {
            talk.datagram(Dir::Back, &reply(1, "a.example").0);
        }
        talk.finish()
    };
    let lost = json!("No response to this query was received");
    let closed = json!(super::notes::TWIN);
    assert_eq!(outcome(&twice(0)), [(lost.clone(), "Error", 1, "query"), (lost, "Error", 1, "query")]);
    assert_eq!(outcome(&twice(1)), [(NULL, "OK", 1, "answer"), (closed, "Error", 1, "query")]);
    assert_eq!(outcome(&twice(2)), [(NULL, "OK", 1, "answer"), (NULL, "OK", 1, "answer")]);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut talk = udp();
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Back, &reply(1, "evil.example").0);
    talk.datagram(Dir::Back, &Built::new(1, 0x8185).0);
    let docs = talk.finish();
    let orphan = json!(super::notes::NO_QUERY);
    assert_eq!(outcome(&docs), [(NULL, "Error", 1, "answer"), (orphan, "Error", 1, "answer")]);
    assert_eq!((&docs[0]["dns"]["response_code"], &docs[0]["resource"]), (&json!("REFUSED"), &json!("a.example")));
    assert_eq!(docs[0]["dns"]["question"]["name"], "a.example", "the response has no question of its own");
}

#[test]
fn both_ask_each_other() {
    let mut talk = udp();
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Back, &query(1, "a.example").0);
    talk.datagram(Dir::Forward, &reply(1, "a.example").0);
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    let docs = talk.finish();
    assert_eq!(docs.iter().map(|d| d["source"]["port"].as_u64().unwrap()).collect::<Vec<_>>(), [53, 40000]);
}

#[test]
fn what_waits_is_bounded() {
    let mut talk = udp();
    let sent = super::pending::WAITING_MAX + 100;
    for n in 0..sent {
        talk.datagram(Dir::Forward, &query(n as u16, "a.example").0);
        assert!(talk.memory() < 512 * 1024, "{}", talk.memory());
    }
    assert_eq!(talk.docs.0.len(), 100);
    assert_eq!(outcome(&talk.docs.0[..1]), [(json!(super::notes::CROWDED), "Error", 0, "query")]);
    assert_eq!(talk.finish().len(), sent, "each has its document");

    let mut talk = udp();
    for n in 0..64 {
        talk.datagram(Dir::Forward, &query(n, "a.example").record(3, b"\0", 16, 1, 0, &[0; 60_000]).0);
        assert!(talk.memory() < super::pending::HELD_MAX + 128 * 1024, "{}", talk.memory());
    }
}

#[test]
fn an_idle_flow_is_small() {
    let mut talk = udp();
    assert!(talk.memory() <= 100, "{}", talk.memory());
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    assert!(talk.memory() <= 100, "{}", talk.memory());
}

#[test]
fn extended_dns_on_one_side_alone() {
    let (plain, with) = (query(1, "a.example"), query(1, "a.example").opt(4096, 0, &[]));
    let (bare, extended) = (reply(1, "a.example"), reply(1, "a.example").opt(1232, 0, &[]));
    let note = |asked: &Built, answered: &Built| exchange(&[], asked, answered)["error"]["message"].clone();
    assert_eq!(note(&plain, &bare), NULL);
    assert_eq!(note(&with, &extended), NULL);
    assert_eq!(note(&with, &bare), "Responder does not support EDNS");
    assert_eq!(note(&plain, &extended), "Unexpected EDNS answer");
    let long = reply(1, "a.example").answer(16, &[&[0; 512][..]].concat());
    assert_eq!(
        note(&with, &long),
        json!(["Response: Non-EDNS packet has size greater than 512", "Responder does not support EDNS"])
    );
}

#[test]
fn bytes_that_are_no_message() {
    let mut talk = udp();
    talk.datagram(Dir::Forward, b"");
    talk.datagram(Dir::Forward, b"hello");
    let cut = query(9, "a.example").0;
    talk.datagram(Dir::Forward, &cut[..cut.len() - 3]);
    talk.datagram(Dir::Back, &reply(9, "a.example").0[..14]);
    let docs = talk.finish();
    let text = json!("Message's data could not be decoded as DNS");
    assert_eq!(outcome(&docs)[0], (text.clone(), "Error", 99_999, "-"));
    let both = json!([text, format!("Response: {}", text.as_str().unwrap())]);
    assert_eq!(outcome(&docs)[1], (both, "Error", 9, "answer"), "the id still pairs them");
    assert_eq!(docs.len(), 2);
}

#[test]
fn a_truncated_response_is_no_fault() {
    let whole = Built::new(1, 0x8380).ask("a.example", 1).answer(1, &[1, 2, 3, 4]).answer(1, &[1, 2, 3, 5]).0;
    let cut = Built(whole[..whole.len() - 16].to_vec());
    let doc = exchange(&[], &query(1, "a.example"), &cut);
    assert_eq!((&doc["status"], &doc["dns"]["answers_count"]), (&json!("OK"), &json!(1)));
    assert_eq!(doc["dns"]["flags"]["truncated_response"], true);
}

#[test]
fn multicast_dns_has_a_document_for_each_message() {
    let mut talk = Talk::between([224, 0, 0, 251], 5353, 5353, &*decoder(&[]), Transport::Udp);
    let mut asked = Built::new(0, 0).ask("_http._tcp.local", 12).ask("printer.local", 1).0;
    // "Answer to me alone."
    let at = 12 + 18 + 2;
    asked[at] |= 0x80;
    talk.datagram(Dir::Forward, &asked);
    let owner = build::name("printer.local");
    let told = Built::new(0, 0x8400).record(1, &owner, 1, 0x8001, 120, &[10, 0, 0, 1]);
    talk.datagram(Dir::Forward, &told.0);
    let docs = talk.docs.0;
    assert_eq!(outcome(&docs), [(NULL, "OK", 0, "query"), (NULL, "OK", 0, "answer")]);
    assert_eq!(docs[0]["dns"]["question"]["class"], "IN");
    assert_eq!(docs[0]["dns"]["question"]["unicast_response"], true);
    assert_eq!(docs[0]["dns"]["questions"][1]["name"], "printer.local");
    assert_eq!(docs[1]["dns"]["answers"][0]["class"], "IN");
    assert_eq!(docs[1]["dns"]["answers"][0]["cache_flush"], true);
    let (bytes, ip) = (&docs[1]["source"]["bytes"], &docs[1]["source"]["ip"]);
    assert_eq!((bytes, ip), (&json!(told.0.len()), &json!("10.0.0.1")), "who speaks is the source");
}

#[test]
fn a_server_on_the_port_of_multicast_dns() {
    let mut talk = Talk::new(&*decoder(&[]), Transport::Udp, 5353);
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Back, &reply(1, "a.example").0);
    // An answer to a question that went to the group.
    talk.datagram(Dir::Back, &reply(2, "b.local").0);
    let docs = talk.finish();
    assert_eq!(outcome(&docs), [(NULL, "OK", 1, "answer"), (NULL, "OK", 2, "answer")]);
    assert_eq!(docs[1]["source"]["port"], 5353);
}
