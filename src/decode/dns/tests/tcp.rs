//! Messages in TCP streams.

use super::build::{Built, name, query, reply};
use super::{NULL, decoder, outcome};
use crate::decode::talk::Talk;
use crate::decode::{Dir, Transport};
use serde_json::{Value, json};

fn tcp() -> Talk {
    Talk::new(&*decoder(&[]), Transport::Tcp, 53)
}

fn soa(serial: u32) -> Vec<u8> {
    [name("ns.example"), name("root.example"), serial.to_be_bytes().to_vec(), vec![0; 16]].concat()
}

#[test]
fn any_segmentation_gives_the_same() {
    let asked: Vec<u8> = (1..=3).flat_map(|id| query(id, "a.example").framed()).collect();
    let answered: Vec<u8> =
        [2, 3, 1].iter().flat_map(|id| reply(*id, "a.example").answer(1, &[1, 1, 1, 1]).framed()).collect();
    let cut = |step: usize| {
        let mut talk = tcp();
        asked.chunks(step).for_each(|c| talk.send(Dir::Forward, c));
        answered.chunks(step).for_each(|c| talk.send(Dir::Back, c));
        talk.close(Some(Dir::Forward));
        talk.close(Some(Dir::Back));
        talk.finish()
    };
    let whole = cut(usize::MAX);
    assert_eq!(outcome(&whole), [2, 3, 1].map(|id| (NULL, "OK", id, "answer")));
    assert_eq!(whole[0]["source"]["bytes"], query(1, "a.example").0.len() + 2, "the length counts");
    for step in 1..asked.len() {
        assert_eq!(cut(step), whole, "{step}");
    }
}

#[test]
fn a_zone_in_several_messages_is_one_document() {
    let owner = name("example");
    let mut talk = tcp();
    talk.send(Dir::Forward, &Built::new(5, 0).ask("example", 252).framed());
    let first = Built::new(5, 0x8400).ask("example", 252).answer(6, &soa(9)).answer(2, &name("ns.example"));
    let second = Built::new(5, 0x8400).record(1, &owner, 1, 1, 60, &[1, 2, 3, 4]);
    let last = Built::new(5, 0x8400).record(1, &owner, 6, 1, 60, &soa(9));
    talk.send(Dir::Back, &first.framed());
    talk.wait(3);
    talk.send(Dir::Back, &second.framed());
    assert!(talk.docs.0.is_empty());
    talk.send(Dir::Back, &last.framed());
    let docs = talk.docs.0.clone();
    assert_eq!(outcome(&docs), [(NULL, "OK", 5, "answer")]);
    assert_eq!((&docs[0]["dns"]["answers_count"], &docs[0]["dns"]["messages_count"]), (&json!(4), &json!(3)));
    assert_eq!(docs[0]["dns"]["answers"].as_array().map(Vec::len), Some(2), "those of the first");
    let bytes = first.framed().len() + second.framed().len() + last.framed().len();
    assert_eq!(docs[0]["destination"]["bytes"], bytes);
    assert_eq!(docs[0]["event"]["duration"], 3_000_000);
    assert_eq!(talk.finish().len(), 1);
}

#[test]
fn transfers_that_end_at_once_or_never() {
    let zone = |kind: u16, answers: &[Vec<u8>], close: bool| {
        let mut talk = tcp();
        talk.send(Dir::Forward, &Built::new(5, 0).ask("example", kind).framed());
        let response = answers.iter().fold(Built::new(5, 0x8400).ask("example", kind), |b, soa| b.answer(6, soa));
        talk.send(Dir::Back, &response.framed());
        if close {
            talk.close(Some(Dir::Back));
        }
        outcome(&talk.docs.0).into_iter().map(|(note, status, ..)| (note, status.to_owned())).collect::<Vec<_>>()
    };
    let fine = || vec![(NULL, "OK".to_owned())];
    assert_eq!(zone(252, &[soa(1), soa(1)], false), fine());
    assert_eq!(zone(251, &[soa(1)], false), fine(), "nothing changed");
    assert_eq!(zone(251, &[soa(2), soa(1), soa(2)], false), fine());
    assert_eq!(zone(252, &[soa(1)], false), []);
    let cut = json!("Response: The zone's transfer is incomplete");
    assert_eq!(zone(252, &[soa(1)], true), [(cut, "Error".to_owned())]);
}

#[test]
fn who_closes_answers_nothing() {
    let mut talk = tcp();
    talk.send(Dir::Forward, &query(1, "a.example").framed());
    talk.close(Some(Dir::Forward));
    assert!(talk.docs.0.is_empty(), "the server may still answer");
    talk.close(Some(Dir::Back));
    assert_eq!(outcome(&talk.docs.0), [(json!(super::super::notes::NO_RESPONSE), "Error", 1, "query")]);
    let mut talk = tcp();
    talk.send(Dir::Forward, &query(1, "a.example").framed());
    talk.close(None);
    assert_eq!(talk.docs.0.len(), 1);
}

#[test]
fn after_a_gap_the_next_message_is_found() {
    let mut talk = tcp();
    let big = reply(1, "a.example").answer(16, &[60; 61]).framed();
    talk.send(Dir::Forward, &query(1, "a.example").framed());
    talk.send(Dir::Back, &big[..30]);
    talk.lose(Dir::Back, 20);
    talk.send(Dir::Forward, &query(2, "a.example").framed());
    let rest = [&big[50..], &reply(2, "a.example").framed()].concat();
    for byte in rest {
        talk.send(Dir::Back, &[byte]);
    }
    let docs = talk.finish();
    let cut = json!("Response: Message's data is incomplete");
    assert_eq!(outcome(&docs), [(cut, "Error", 1, "query"), (NULL, "OK", 2, "answer")]);
}

#[test]
fn lengths_that_cannot_be() {
    for (bytes, note) in
        [(&b"\0\0"[..], "Message's length was set to zero"), (b"\0\x05abcde", "Unexpected message data length")]
    {
        let mut talk = tcp();
        talk.send(Dir::Forward, &[bytes, &query(1, "a.example").framed()].concat());
        let docs = talk.finish();
        let expected: [(Value, &str, u64, &str); 2] =
            [(json!(note), "Error", 99_999, "-"), (json!(super::super::notes::NO_RESPONSE), "Error", 1, "query")];
        assert_eq!(outcome(&docs), expected);
    }
}

#[test]
fn a_stream_of_something_else_is_given_up() {
    let mut talk = tcp();
    talk.send(Dir::Forward, &[0, 0]);
    for _ in 0..80 {
        talk.send(Dir::Forward, &[b'x'; 8192]);
        assert!(talk.memory() < 64 * 1024);
    }
    talk.send(Dir::Forward, &query(1, "a.example").framed());
    assert_eq!(talk.finish().len(), 1);
}

#[test]
fn a_message_that_ends_with_its_stream() {
    let mut talk = tcp();
    talk.send(Dir::Forward, &query(1, "a.example").framed()[..20]);
    talk.close(Some(Dir::Forward));
    assert_eq!(outcome(&talk.finish()), [(json!("Message's data is incomplete"), "Error", 99_999, "-")]);
}
