//! Tests of the msgpack reader.

use super::*;
use crate::event::{Cells, Tag, Value, View};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_map, write_value};
use crate::fmt::msgpack_write;
use crate::util::rng::Rng;
use proptest::prelude::*;

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// A value as JSON; `None` when it is incomplete.
fn read(bytes: &[u8]) -> Result<Option<String>, MsgpackError> {
    let mut b = Batch::new(Tag::new("t"));
    b.arena_mut().push(b"before");
    let span = b.arena_mut().push(bytes);
    let mark = b.begin();
    let used = MsgpackReader::default().next_value(&mut b, span)?;
    assert_eq!(skip(bytes, 0), Ok(used), "skip agrees");
    if used.is_none() {
        assert!(b.since(mark).is_empty(), "cells stay");
        assert_eq!(b.arena().len(), 6 + bytes.len(), "bytes stay");
        return Ok(None);
    }
    let mut out = Vec::new();
    write_value(&b.since(mark).value_at(0).unwrap(), JsonOpts::default(), &mut out);
    Ok(Some(String::from_utf8(out).unwrap()))
}

#[test]
fn values() {
    let long_key = format!("81d9ff{}01", "6b".repeat(255));
    let local_key = format!("81da0101{}a176", "6b".repeat(257));
    let table: &[(&str, &str)] = &[
        ("c0", "null"),
        ("c3", "true"),
        ("7f", "127"),
        ("e0", "-32"),
        ("ccff", "255"),
        ("cfffffffffffffffff", "18446744073709551615"),
        ("d0ff", "-1"),
        ("d07f", "127"),
        ("d38000000000000000", "-9223372036854775808"),
        ("ca3fc00000", "1.5"),
        ("cb3ff8000000000000", "1.5"),
        ("a3616263", "\"abc\""),
        ("d9026869", "\"hi\""),
        ("da000178", "\"x\""),
        ("db0000000178", "\"x\""),
        ("c402ff61", "\"\\ue0ffa\""),
        ("c5000161", "\"a\""),
        ("d40561", "\"a\""),
        ("c70105ff", "\"\\ue0ff\""),
        ("93c0c2920102", "[null,false,[1,2]]"),
        ("dc0001c0", "[null]"),
        ("82a16180a162de0001a16301", "{\"a\":{},\"b\":{\"c\":1}}"),
        ("8501020304c005c306cb3ff800000000000007", "{\"1\":2,\"3\":4,\"nil\":5,\"true\":6,\"1.5\":7}"),
        (&long_key, &format!("{{\"{}\":1}}", "k".repeat(255))),
        (&local_key, &format!("{{\"{}\":\"v\"}}", "k".repeat(257))),
    ];
    for (hex, expected) in table {
        let bytes = unhex(hex);
        assert_eq!(read(&bytes), Ok(Some((*expected).to_owned())), "{hex}");
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Ok(None), "{hex} cut at {cut}");
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(
        read(&[0x92, 0x01, 0xc1]).map_err(|e| e.to_string()),
        Err("a byte that begins no value at byte 2".into())
    );
    let mut b = Batch::new(Tag::new("t"));
    for (bytes, why) in [
        ([&[0x91; 64][..], &[0xc0]].concat(), None),
        (vec![0x91; 100_000], Some("more than 64 levels")),
        (unhex("819101c0"), Some("a key that has no name")),
    ] {
        let span = b.arena_mut().push(&bytes);
        let read = MsgpackReader::default().next_value(&mut b, span);
        assert_eq!(read.err().map(|e| e.why), why);
    }
    for (hex, why) in [
        ("01", "not an event"),
        ("9101", "not an event"),
        ("92a13080", "not the time of an event"),
        ("920190", "not a map"),
    ] {
        let span = b.arena_mut().push(&unhex(hex));
        let mark = b.begin();
        assert_eq!(MsgpackReader::default().next_event(&mut b, span).map_err(|e| e.why), Err(why), "{hex}");
        assert!(b.is_empty() && b.since(mark).is_empty());
    }
}

fn shown(cells: Cells<'_>) -> String {
    let mut out = Vec::new();
    write_map(cells, JsonOpts::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn events_of_every_form() {
    let table: &[(&str, i64, &str, &str)] = &[
        ("9292d7006553f100000000058081a16101", 1_700_000_000_000_000_005, "{}", "{\"a\":1}"),
        ("9292d7006553f1000000000581a16d0181a16101", 1_700_000_000_000_000_005, "{\"m\":1}", "{\"a\":1}"),
        ("92ce6553f10080", 1_700_000_000_000_000_000, "{}", "{}"),
        ("92c708006553f1000000000081a161a162", 1_700_000_000_000_000_000, "{}", "{\"a\":\"b\"}"),
        ("92cb3ff800000000000080", 1_500_000_000, "{}", "{}"),
        ("92ff80", -1_000_000_000, "{}", "{}"),
    ];
    let mut reader = MsgpackReader::default();
    let mut b = Batch::new(Tag::new("t"));
    for (hex, time, meta, body) in table {
        let bytes = unhex(hex);
        let whole = b.arena_mut().push(&bytes);
        for cut in 0..bytes.len() {
            assert_eq!(reader.next_event(&mut b, whole.sub(0, cut)), Ok(None), "{hex} cut at {cut}");
        }
        assert_eq!(reader.next_event(&mut b, whole), Ok(Some(bytes.len())), "{hex}");
        let r = b.record(b.len() - 1);
        assert_eq!(
            (r.time(), shown(r.meta()).as_str(), shown(r.body()).as_str()),
            (Time(*time), *meta, *body),
            "{hex}"
        );
    }
    assert_eq!(b.len(), table.len());
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|v| json!(v)),
        any::<i64>().prop_map(|v| json!(v)),
        (-300i64..70_000).prop_map(|v| json!(v)),
        any::<u64>().prop_map(|v| json!(v)),
        any::<f64>().prop_map(|v| json!(v)),
        "[ -~é\n]{0,40}".prop_map(|v| json!(v)),
        "[a\n\"]{240,300}".prop_map(|v| json!(v)),
    ];
    leaf.prop_recursive(3, 40, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(serde_json::Value::from),
            proptest::collection::vec(("[a-z]{1,3}", inner), 0..20)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_reads_back(docs in proptest::collection::vec(("[a-z]{1,3}", tree()), 0..4), nanos in 0..i64::from(u32::MAX)) {
        let doc: serde_json::Map<_, _> = docs.into_iter().collect();
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(serde_json::to_string(&doc).unwrap().as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        b.finish(mark, Time(nanos * 1000));
        let mut bytes = Vec::new();
        msgpack_write::write_events(&View::all(&b), &mut bytes);
        let mut again = Batch::new(Tag::new("t"));
        let span = again.arena_mut().push(&bytes);
        prop_assert_eq!(MsgpackReader::default().next_event(&mut again, span), Ok(Some(bytes.len())));
        prop_assert_eq!(again.record(0).time(), Time(nanos * 1000));
        let mut three = Vec::new();
        prop_assert_eq!(shown(b.record(0).body()), shown(again.record(0).body()));
        msgpack_write::write_events(&View::all(&again), &mut three);
        prop_assert_eq!(bytes, three);
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = Rng::new(3);
    let mut reader = MsgpackReader::default();
    let event = unhex("9292d7006553f1000000000581a16d0183a161a178a16293c0c2cb3ff8000000000000a163c4020102");
    let mut whole = 0;
    for round in 0..20_000 {
        let mut b = Batch::new(Tag::new("t"));
        let bytes: Vec<u8> = if round % 2 == 0 {
            (0..rng.between(0, 40)).map(|_| rng.next_u64() as u8).collect()
        } else {
            let mut bytes = event.clone();
            for _ in 0..rng.between(0, 3) {
                let at = rng.between(0, bytes.len() as u64 - 1) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            bytes
        };
        let span = b.arena_mut().push(&bytes);
        let mark = b.begin();
        if let Ok(Some(used)) = reader.next_value(&mut b, span) {
            assert!(used <= bytes.len());
            let value = b.since(mark).value_at(0).unwrap();
            let mut out = Vec::new();
            msgpack_write::write_value(&value, &mut out);
            assert!(!matches!(value, Value::Map(_)) || skip(&out, 0) == Ok(Some(out.len())));
        }
        b.abandon(mark);
        whole += usize::from(matches!(reader.next_event(&mut b, span), Ok(Some(_))));
    }
    assert!(whole > 2_000, "{whole}");
}
