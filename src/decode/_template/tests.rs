//! What the tests of every protocol look at.

use super::*;
use crate::conf::Section;
use crate::decode::talk::Talk;
use crate::error::Diags;
use proptest::prelude::*;
use serde_json::Value;

const ASK: &[u8] = b"6193, 23\r\n";
const TELL: &[u8] = b"6193, 23 : USERID : UNIX : stjohns\r\n";

fn decoder() -> Box<dyn Decoder> {
    let (section, mut diags) = (Section::of("INPUT", &[("name", "pcap")]), Diags::new());
    make(&mut MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) }).unwrap()
}

fn talk() -> Talk {
    Talk::new(&*decoder(), Transport::Tcp, 113)
}

/// Status and note of each document.
fn told(talk: Talk) -> Vec<String> {
    let line =
        |d: &Value| format!("{} {}", d["status"].as_str().unwrap(), d["error"]["message"].as_str().unwrap_or("-"));
    talk.finish().iter().map(line).collect()
}

#[test]
fn the_entry_of_the_table_is_whole() {
    assert!(PROTOCOL.keys.keys.iter().all(|k| k.name.starts_with("ident.") && !k.doc.is_empty()));
    assert_eq!(PROTOCOL.over, [Transport::Tcp]);
    assert_eq!(decoder().ports(), [113]);
}

#[test]
fn a_question_and_its_answer_are_one_document() {
    let mut talk = talk();
    talk.send(Dir::Forward, ASK);
    talk.wait(5);
    talk.send(Dir::Back, TELL);
    let docs = talk.finish();
    assert_eq!(docs.len(), 1);
    assert_eq!(docs[0]["ident"], serde_json::json!({"type": "USERID", "response": "UNIX : stjohns"}));
    assert_eq!((&docs[0]["source"]["bytes"], &docs[0]["destination"]["bytes"]), (&10.into(), &36.into()));
    assert_eq!(docs[0]["event"]["duration"], 5_000_000);
}

#[test]
fn byte_by_byte_is_the_same() {
    let mut talk = talk();
    ASK.iter().for_each(|b| talk.send(Dir::Forward, &[*b]));
    TELL.iter().for_each(|b| talk.send(Dir::Back, &[*b]));
    assert_eq!(told(talk), ["OK -"]);
}

#[test]
fn questions_are_answered_in_order() {
    let mut talk = talk();
    talk.send(Dir::Forward, &ASK.repeat(3));
    talk.send(Dir::Back, &TELL.repeat(2));
    assert_eq!(told(talk), ["OK -", "OK -", "Error Unmatched request"]);
}

#[test]
fn one_side_alone_is_told() {
    let mut only_asked = talk();
    only_asked.send(Dir::Forward, ASK);
    only_asked.wait(10_000);
    assert_eq!(only_asked.docs.0.len(), 1, "after its time");
    let mut only_told = talk();
    only_told.send(Dir::Back, TELL);
    assert_eq!(told(only_told), ["Error Unmatched response"]);
}

#[test]
fn behind_a_hole_it_goes_on() {
    let mut talk = talk();
    talk.send(Dir::Forward, &ASK.repeat(2));
    talk.send(Dir::Back, &TELL[..10]);
    talk.lose(Dir::Back, 5);
    talk.send(Dir::Back, &TELL[15..]);
    talk.send(Dir::Back, TELL);
    assert_eq!(told(talk), ["Error -", "OK -"]);
}

#[test]
fn memory_is_bounded() {
    let mut talk = talk();
    for _ in 0..10_000 {
        talk.send(Dir::Forward, ASK);
        talk.send(Dir::Back, &[b'x'; 700]);
    }
    assert!(talk.memory() < 4096, "{}", talk.memory());
}

#[test]
fn first_bytes_are_recognised() {
    let probes = [&b"6193"[..], ASK, TELL, b"GET / HTTP/1.1\r\n"].map(probe);
    assert_eq!(probes, [Probe::Maybe, Probe::Yes, Probe::No, Probe::No]);
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(prop::sample::select(b"6,:\r\n xU\xff".to_vec()), 0..40)), 0..20),
    ) {
        let mut talk = talk();
        for (back, bytes) in &pieces {
            talk.send(if *back { Dir::Back } else { Dir::Forward }, bytes);
        }
        prop_assert!(talk.memory() < 8192);
        talk.finish();
    }
}
