//! Tests of the JSON reader.

use super::*;
use crate::event::{Cells, Tag, Value};
use crate::fmt::json_write::{JsonOpts, write_map, write_value};
use crate::time::Time;
use crate::util::rng::Rng;
use proptest::prelude::*;
use serde_json::json;

fn batch() -> Batch {
    let mut b = Batch::new(Tag::new("t"));
    b.arena_mut().push(b"bytes before");
    b
}

/// Reads one object; on an error checks that nothing stays behind.
fn read(reader: &mut JsonReader, b: &mut Batch, json: &[u8]) -> Result<u32, JsonError> {
    let text = b.arena_mut().push(json);
    let (mark, bytes) = (b.begin(), b.arena().len());
    let result = reader.object(b, text);
    match result {
        Ok(_) => b.finish(mark, Time(0)),
        Err(_) => {
            assert!(b.since(mark).is_empty(), "cells stay after an error");
            assert_eq!(b.arena().len(), bytes, "bytes stay after an error");
        }
    }
    result
}

fn error(json: &[u8]) -> Option<JsonError> {
    read(&mut JsonReader::default(), &mut batch(), json).err()
}

fn object(cells: Cells<'_>) -> serde_json::Value {
    cells.map(|(k, v)| (String::from_utf8_lossy(cells.name(k)).into_owned(), value(v))).collect()
}

fn value(v: Value<'_>) -> serde_json::Value {
    match v {
        Value::Null => json!(null),
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Uint(v) => json!(v),
        Value::Float(v) => json!(v),
        Value::Str(t) => json!(String::from_utf8_lossy(&t.bytes())),
        Value::Bin(_) => panic!("JSON has no opaque bytes"),
        Value::Map(m) => object(m),
        Value::Array(a) => a.map(|(_, v)| value(v)).collect(),
    }
}

/// Equal, where numbers are as near as two correct readers come (the oracle may be one bit off).
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as J;
    match (a, b) {
        (J::Number(a), J::Number(b)) => {
            let (x, y) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || ((a.is_f64() || b.is_f64()) && (x - y).abs() <= x.abs() * 4.0 * f64::EPSILON + f64::MIN_POSITIVE)
        }
        (J::Array(a), J::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (J::Object(a), J::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same(v, w))
        }
        _ => a == b,
    }
}

/// Holds the reader against serde_json; false when the text uses one of the liberties of this reader.
fn compare(reader: &mut JsonReader, b: &mut Batch, json: &[u8]) -> bool {
    let ours = read(reader, b, json);
    let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json);
    let shown = String::from_utf8_lossy(json);
    match (ours, theirs) {
        (Ok(_), Ok(map)) => {
            let got = object(b.record(b.len() - 1).body());
            assert!(same(&got, &map.into()), "{shown}: {got}");
            true
        }
        (Err(e), Err(_)) => {
            assert!(e.at <= json.len(), "{shown}: {e}");
            true
        }
        (Ok(_), Err(e)) => {
            let e = e.to_string();
            let liberty =
                ["control character", "surrogate", "hex escape", "unicode code point"].iter().any(|l| e.contains(l));
            assert!(liberty, "{shown}: taken, but {e}");
            false
        }
        (Err(e), Ok(_)) => panic!("{shown}: {e}, but it is valid"),
    }
}

#[test]
fn strings_keep_the_form_they_can_be_written_in() {
    let table: &[(&[u8], u8, &[u8])] = &[
        (b"plain", CLEAN, b"plain"),
        (b"", CLEAN, b""),
        (b"long enough for several words of eight bytes", CLEAN, b"long enough for several words of eight bytes"),
        (br#"a\n\t\r\b\f\"\\"#, CLEAN | ESCAPED, br#"a\n\t\r\b\f\"\\"#),
        ("é".as_bytes(), 0, "é".as_bytes()),
        ("é\\n".as_bytes(), ESCAPED, "é\\n".as_bytes()),
        (b"\x7f", 0, b"\x7f"),
        (br"\/", 0, b"/"),
        (br"\u00e9\n", 0, "é\n".as_bytes()),
        (br"\ud83d\ude00", 0, "😀".as_bytes()),
        (br"\ud83d", 0, "\u{fffd}".as_bytes()),
        (b"raw\ttab", 0, b"raw\ttab"),
        (b"raw\tand\\n", 0, b"raw\tand\n"),
        (b"\xff\xc3", 0, b"\xff\xc3"),
        (b"\xff\\n", ESCAPED, b"\xff\\n"),
    ];
    for &(source, flags, stored) in table {
        let mut b = batch();
        read(&mut JsonReader::default(), &mut b, &[b"{\"k\":\"", source, b"\"}"].concat()).unwrap();
        let cell = b.record(0).body().run()[0];
        assert_eq!(cell.flags, flags, "{}", source.escape_ascii());
        assert_eq!(b.arena().get(cell.span()), stored, "{}", source.escape_ascii());
    }
}

#[test]
fn numbers() {
    let table: &[(&str, serde_json::Value)] = &[
        ("0", json!(0)),
        ("-0", json!(0)),
        ("9223372036854775807", json!(i64::MAX)),
        ("9223372036854775808", json!(1u64 << 63)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("-9223372036854775809", json!(-9223372036854775809.0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18446744073709551616.0)),
        ("1.0", json!(1.0)),
        ("-0.5e-3", json!(-0.0005)),
        ("1E+2", json!(100.0)),
        ("123456789.1234568", json!(123456789.1234568)),
        ("1e-400", json!(0.0)),
        ("2.2250738585072011e-308", json!("2.2250738585072011e-308".parse::<f64>().unwrap())),
    ];
    for (source, expected) in table {
        let mut b = batch();
        read(&mut JsonReader::default(), &mut b, format!("{{\"k\":{source}}}").as_bytes()).unwrap();
        assert_eq!(object(b.record(0).body())["k"], *expected, "{source}");
    }
    for wrong in ["01", "-", "-a", "1.", ".5", "1e", "1e+", "1.e3", "+1", "1e400", "-1e400", "00", "0x1", "1_0", "NaN"]
    {
        assert!(error(format!("{{\"k\":{wrong}}}").as_bytes()).is_some(), "{wrong}");
    }
}

#[test]
fn errors_say_where() {
    use JsonErrorKind::{Depth, End, Escape, Expected, Number, Trailing};
    let table: &[(&str, usize, JsonErrorKind)] = &[
        ("", 0, End),
        ("  ", 2, End),
        ("[]", 0, Expected("an object")),
        ("{", 1, End),
        ("{}x", 2, Trailing),
        ("{} {}", 3, Trailing),
        ("{\"a\"}", 4, Expected("':'")),
        ("{\"a\":}", 5, Expected("a value")),
        ("{\"a\":1,}", 7, Expected("a key")),
        ("{\"a\":1 \"b\":2}", 7, Expected("',' or '}'")),
        ("{\"a\":[1}", 7, Expected("',' or ']'")),
        ("{\"a\":[1,]}", 8, Expected("a value")),
        ("{\"a\":tru3}", 8, Expected("true, false or null")),
        ("{\"a\":tru", 8, End),
        ("{\"a\":\"x", 7, End),
        ("{\"a\":\"\\x\"}", 7, Escape),
        ("{\"a\":\"\\u12G4\"}", 10, Escape),
        ("{\"a\":\"\\u12", 10, End),
        ("{\"a\":01}", 6, Number),
        ("{\"a\":1.}", 7, Number),
        ("{\"a\":1e999}", 5, Number),
        ("{a:1}", 1, Expected("a key")),
    ];
    for &(json, at, kind) in table {
        assert_eq!(error(json.as_bytes()), Some(JsonError { at, kind }), "{json}");
    }
    let deep = |n: usize| ["{\"a\":".repeat(n - 1), "{}".into(), "}".repeat(n - 1)].concat();
    assert_eq!(error(deep(MAX_DEPTH).as_bytes()), None);
    assert_eq!(error(deep(MAX_DEPTH + 1).as_bytes()), Some(JsonError { at: 5 * MAX_DEPTH, kind: Depth(MAX_DEPTH) }));
    assert_eq!(error(["{\"a\":", &"[".repeat(100_000)].concat().as_bytes()).map(|e| e.kind), Some(Depth(MAX_DEPTH)));
    let mut b = batch();
    assert_eq!(read(&mut JsonReader::deep(MAX_DEPTH + 1), &mut b, deep(MAX_DEPTH + 1).as_bytes()), Ok(1));
    assert_eq!(JsonError { at: 4, kind: Expected("':'") }.to_string(), "expected ':' at byte 4");
}

#[test]
fn order_duplicates_and_odd_keys_stay() {
    let long = "k".repeat(300);
    let json = format!(r#"{{"b":1,"a":{{"x":[1,{{"y":2}}]}},"b":3,"\u00e9\n":4,"é":5,"":6,"{long}":7,"{long}\t":8}}"#);
    let mut reader = JsonReader::default();
    let mut b = batch();
    for _ in 0..3 {
        assert_eq!(read(&mut reader, &mut b, json.as_bytes()), Ok(8));
    }
    for r in b.records() {
        let names: Vec<_> = r.body().map(|(k, _)| String::from_utf8_lossy(r.body().name(k)).into_owned()).collect();
        assert_eq!(names, ["b", "a", "b", "é\n", "é", "", &long, &format!("{long}\t")]);
        assert_eq!(object(r.body())["a"], json!({"x": [1, {"y": 2}]}));
        assert_eq!(r.body().count_entries(), 8);
    }
}

#[test]
fn values_follow_each_other_however_they_are_cut() {
    let stream = b" {\"a\":1}{\"b\":[2,\"}\"]}\n[3, {\"c\":\"\\u00e9\"}] 12 true\n\"s\"";
    let wanted = [r#"{"a":1}"#, r#"{"b":[2,"}"]}"#, r#"[3,{"c":"\u00e9"}]"#, "12", "true", "\"s\""];
    for step in 1..stream.len() {
        let mut reader = JsonReader::default();
        let (mut from, mut to, mut got) = (0, 0, Vec::new());
        while to < stream.len() {
            to = (to + step).min(stream.len());
            let mut b = batch();
            let text = b.arena_mut().push(&stream[from..to]);
            let mut at = 0;
            loop {
                let mark = b.begin();
                let rest = text.sub(at, text.len as usize);
                let Some(used) = reader.next_value(&mut b, rest).unwrap() else {
                    assert!(b.since(mark).is_empty());
                    break;
                };
                at += used;
                let mut out = Vec::new();
                write_value(&b.since(mark).value_at(0).unwrap(), JsonOpts::default(), &mut out);
                got.push(String::from_utf8(out).unwrap());
            }
            from += at;
        }
        assert_eq!(got, wanted, "in steps of {step}");
    }
}

#[test]
fn stream_errors_and_records_from_arrays() {
    let mut reader = JsonReader::default();
    let mut b = batch();
    let mark = b.begin();
    let text = b.arena_mut().push(b"[1700000000.5, {\"a\":\"x\",\"m\":{\"k\":1}}]");
    assert_eq!(reader.next_value(&mut b, text), Ok(Some(text.len as usize)));
    assert!(!b.finish_map(mark, 1, Time(7)), "a number is no record");
    assert!(b.finish_map(mark, 2, Time(7)));
    assert_eq!(object(b.record(0).body()), json!({"a": "x", "m": {"k": 1}}));
    for (json, at) in [("}", 0), ("{\"a\" 1}", 5), ("[1 2]", 3), ("nul!", 3)] {
        let text = b.arena_mut().push(json.as_bytes());
        assert_eq!(reader.next_value(&mut b, text).map_err(|e| e.at), Err(at), "{json}");
    }
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof!["[a-c\\\\\"/ \n\t\u{8}\u{1}é日😀\u{7f}]{0,12}", "[ -~]{0,40}", any::<String>()];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|v| json!(v)),
        any::<i64>().prop_map(|v| json!(v)),
        any::<u64>().prop_map(|v| json!(v)),
        any::<f64>().prop_map(|v| json!(v)),
        (-1e6..1e6).prop_map(|v: f64| json!(v)),
        text.prop_map(|v| json!(v)),
    ];
    let key = prop_oneof!["[a-d]{1,2}", "[a-z_]{5,20}", "[ -~é\n]{0,12}"];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_serde_json(a in tree(), b in tree(), cut in any::<prop::sample::Index>(), pretty: bool) {
        let doc = json!({"a": a, "b": b});
        let text = if pretty { serde_json::to_string_pretty(&doc) } else { serde_json::to_string(&doc) }.unwrap();
        let mut reader = JsonReader::default();
        let mut batch = batch();
        // Twice: the second time the keys are predicted.
        prop_assert!(compare(&mut reader, &mut batch, text.as_bytes()));
        prop_assert!(compare(&mut reader, &mut batch, text.as_bytes()));
        // What is written reads back the same.
        let mut again = Vec::new();
        write_map(batch.record(0).body(), JsonOpts::default(), &mut again);
        compare(&mut reader, &mut batch, &again);
        prop_assert!(same(&object(batch.record(2).body()), &doc));
        let cut = cut.index(text.len());
        prop_assert_eq!(error(&text.as_bytes()[..cut]).map(|e| e.kind), Some(JsonErrorKind::End));
    }
}

#[test]
fn mutated_text_agrees_with_serde_json() {
    let seeds: &[&str] = &[
        r#"{"log":"10.0.0.1 - \"GET / HTTP/1.1\" 200\n","stream":"stdout","time":"2021-03-01T10:00:00.123456789Z"}"#,
        r#"{"a":[1,-2.5e3,{"b":null,"c":[true,false]},""],"d":{"e":{"f":[[],{}]}},"\u00e9":"\ud83d\ude00\/"}"#,
        r#" { "k" : 0 , "k" : -0.0 , "long key that is predicted" : 18446744073709551615 , "é日" : "é日😀" } "#,
    ];
    let splice: &[&str] = &[
        "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "\\u", "d8", " ", "\n", "null", "\u{1}", "é",
        "1e9",
    ];
    let mut rng = Rng::new(1);
    let (mut reader, mut b) = (JsonReader::default(), batch());
    let (mut held, mut taken) = (0, 0);
    for round in 0..20_000 {
        let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..rng.between(1, 4) {
            let at = rng.between(0, text.len() as u64 - 1) as usize;
            match rng.between(0, 3) {
                0 => drop(text.remove(at)),
                1 => text[at] = rng.between(0, 127) as u8,
                2 => text.truncate(at.max(1)),
                _ => drop(text.splice(at..at, splice[rng.between(0, splice.len() as u64 - 1) as usize].bytes())),
            }
            if text.is_empty() {
                break;
            }
        }
        if b.used() > 1 << 20 {
            b = batch();
        }
        if std::str::from_utf8(&text).is_ok() {
            let before = b.len();
            held += usize::from(compare(&mut reader, &mut b, &text));
            taken += b.len() - before;
        } else {
            let _ = read(&mut reader, &mut b, &text);
        }
    }
    assert!(held > 15_000 && taken > 2_000, "{held} held against the oracle, {taken} taken");
}

#[test]
fn random_bytes_never_panic() {
    let alphabet = b"{}[]\",:\\u0123456789abcdefntrl.-+eE \n\x00\xff\xc3\xa9";
    let mut rng = Rng::new(2);
    let (mut reader, mut b) = (JsonReader::default(), batch());
    for _ in 0..20_000 {
        let text: Vec<u8> =
            (0..rng.between(0, 60)).map(|_| alphabet[rng.between(0, alphabet.len() as u64 - 1) as usize]).collect();
        let span = b.arena_mut().push(&text);
        let mark = b.begin();
        let (read, bytes) = (reader.next_value(&mut b, span), b.arena().len());
        if let Ok(Some(used)) = read {
            assert!(used > 0 && used <= text.len());
            write_value(&b.since(mark).value_at(0).unwrap(), JsonOpts::default(), &mut Vec::new());
        } else {
            assert!(b.since(mark).is_empty() && bytes == span.at as usize + text.len());
        }
        b.abandon(mark);
        b.arena_mut().truncate(0);
    }
}
