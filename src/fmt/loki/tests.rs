//! Bodies for Loki.

use super::*;
use crate::event::{Batch, Tag};
use crate::fmt::json_read::JsonReader;
use proptest::prelude::*;

fn plain() -> Loki {
    Loki {
        labels: Vec::new(),
        kubernetes: None,
        metadata: Vec::new(),
        metadata_maps: Vec::new(),
        removed: Vec::new(),
        line: Line::Json,
        single: Single::Kept,
        json: JsonOpts::default(),
    }
}

/// With these labels; their fields leave the line.
fn with(labels: &[&str]) -> Loki {
    let mut loki = plain();
    for text in labels {
        let (label, used) = Label::parse(text).unwrap();
        loki.labels.push(label);
        loki.removed.extend(used);
    }
    loki
}

fn body(loki: &Loki, records: &[(i64, &str)]) -> String {
    let mut b = Batch::new(Tag::new("a.b"));
    for (time, line) in records {
        let text = b.arena_mut().push(line.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        b.finish(mark, Time(*time));
    }
    let mut out = Vec::new();
    loki.write(&View::all(&b), &mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(loki: &Loki, record: &str, labels: &str, rest: &str) {
    let expected = format!(r#"{{"streams":[{{"stream":{labels},"values":[["1000000000",{rest}]]}}]}}"#);
    assert_eq!(body(loki, &[(1_000_000_000, record)]), expected, "{record}");
}

#[test]
fn labels() {
    let job = r#"{"job":"fluent-bit"}"#;
    check(&plain(), r#"{"log":"hi","n":1.5,"é":"\n"}"#, job, r#""{\"log\":\"hi\",\"n\":1.5,\"\\u00e9\":\"\\n\"}""#);
    let loki = with(&["job=fb", "$level", "where=$TAG[1].$k8s['x/y']", "$k8s['x/y']", "$l[0]"]);
    let record = r#"{"level":"warn \"q\"","k8s":{"x/y":7,"z":1},"l":[true],"log":"m"}"#;
    check(
        &loki,
        record,
        r#"{"job":"fb","level":"warn \"q\"","where":"b.7","k8s_x_y":"7","l_0":"true"}"#,
        r#""{\"k8s\":{\"z\":1},\"l\":[true],\"log\":\"m\"}""#,
    );
    // What is missing is no label; one is needed.
    check(&with(&["$none", "x=$none"]), "{}", job, r#""{}""#);
    let mut loki = plain();
    loki.kubernetes = Some(Accessor::parse("$kubernetes['labels']").unwrap());
    check(
        &loki,
        r#"{"kubernetes":{"labels":{"app.io/name":"web","1":"x","n":2}}}"#,
        r#"{"app_io_name":"web","_1":"x"}"#,
        r#""{\"kubernetes\":{\"labels\":{\"app.io/name\":\"web\",\"1\":\"x\",\"n\":2}}}""#,
    );
}

#[test]
fn records_of_one_stream_are_together_and_in_the_order_of_time() {
    let record = |level: &str, n: i64| format!(r#"{{"l":"{level}","n":{n}}}"#);
    let lines: Vec<_> =
        [("a", 3), ("b", 1), ("a", 2), ("c", 9), ("b", 1), ("a", 3)].map(|(l, n)| (n, record(l, n))).into();
    let lines: Vec<_> =
        lines.iter().enumerate().map(|(i, (n, l))| (*n, l.replace('}', &format!(",\"i\":{i}}}")))).collect();
    let lines: Vec<_> = lines.iter().map(|(n, l)| (*n, l.as_str())).collect();
    let line = |n: i64, i: usize| format!(r#"["{n}","{{\"n\":{n},\"i\":{i}}}"]"#);
    let stream = |l: &str, lines: &[String]| format!(r#"{{"stream":{{"l":"{l}"}},"values":[{}]}}"#, lines.join(","));
    let streams = [
        stream("a", &[line(2, 2), line(3, 0), line(3, 5)]),
        stream("b", &[line(1, 1), line(1, 4)]),
        stream("c", &[line(9, 3)]),
    ];
    assert_eq!(body(&with(&["$l"]), &lines), format!(r#"{{"streams":[{}]}}"#, streams.join(",")));
}

#[test]
fn lines_of_keys_and_values() {
    let mut loki = with(&["$m['x']"]);
    loki.line = Line::KeyValue;
    let record = r#"{"log":"a \"b\"","n":-1,"f":1.5,"o":2.0,"t":true,"z":null,"m":{"x":"l","k":"v","d":{"e":[1,"q"]}},"a":["b",{"c":1}]}"#;
    check(
        &loki,
        record,
        r#"{"m_x":"l"}"#,
        r#""log=\"a \"b\"\" n=-1 f=1.5 o=2.0 t=true z=null m=\"map[k:\"v\" d:\"map[e:\"[1 \"q\"]\"]\"]\" a=\"[\"b\" \"map[c:1]\"]\"""#,
    );
}

#[test]
fn lines_of_one_field() {
    let job = r#"{"job":"fluent-bit"}"#;
    let one = r#"{"log":"a \"b\""}"#;
    for (line, single, record, expected) in [
        (Line::Json, Single::Kept, one, r#""{\"log\":\"a \\\"b\\\"\"}""#),
        (Line::Json, Single::Value, one, r#""\"a \\\"b\\\"\"""#),
        (Line::Json, Single::Raw, one, r#""a \"b\"""#),
        (Line::Json, Single::Raw, r#"{"m":{"k":1}}"#, r#""{\"k\":1}""#),
        (Line::KeyValue, Single::Value, one, r#""a \"b\"""#),
        (Line::KeyValue, Single::Raw, r#"{"n":[1]}"#, r#""\"[1]\"""#),
        (Line::Json, Single::Raw, r#"{"a":"x","b":"y"}"#, r#""{\"a\":\"x\",\"b\":\"y\"}""#),
    ] {
        let loki = Loki { line, single, ..plain() };
        check(&loki, record, job, expected);
    }
}

#[test]
fn structured_metadata() {
    let mut loki = plain();
    loki.metadata_maps = vec![Accessor::parse("$m").unwrap(), Accessor::parse("$none").unwrap()];
    loki.metadata = vec![Label::parse("id=$id").unwrap().0, Label::parse("k=fixed").unwrap().0];
    loki.removed = vec![Accessor::parse("$m").unwrap(), Accessor::parse("$id").unwrap()];
    check(
        &loki,
        r#"{"log":"x","id":"7","m":{"a-b":"t","n":[1,"q"]}}"#,
        r#"{"job":"fluent-bit"}"#,
        r#""{\"log\":\"x\"}",{"a_b":"t","n":"[1,\"q\"]","id":"7","k":"fixed"}"#,
    );
}

#[test]
fn what_is_no_label() {
    for (text, part) in [
        ("job", "neither name=value nor $key"),
        ("job=", "the label job has no value"),
        ("a-b=c", "'a-b' is not the name of a label"),
        ("1=c", "'1' is not the name of a label"),
        ("$a.b", "does not belong"),
        ("$0", "may not begin with a digit"),
        ("x=$TAG[", "$TAG[n]"),
    ] {
        let why = Label::parse(text).map(|l| l.0).unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bodies_are_json_with_every_record(
        records in prop::collection::vec((0..3i64, "[a\"\\\\é\u{1}]{0,4}", "[a\" é]{0,2}"), 1..20), key_value: bool, raw: bool
    ) {
        let lines: Vec<_> = records.iter().map(|(t, log, l)| (*t, serde_json::json!({"log": log, "l": l}).to_string())).collect();
        let lines: Vec<_> = lines.iter().map(|(t, l)| (*t, l.as_str())).collect();
        let mut loki = with(&["$l"]);
        loki.line = if key_value { Line::KeyValue } else { Line::Json };
        loki.single = if raw { Single::Raw } else { Single::Kept };
        let read: serde_json::Value = serde_json::from_str(&body(&loki, &lines)).unwrap();
        let streams = read["streams"].as_array().unwrap();
        let mut seen = Vec::new();
        for stream in streams {
            let values = stream["values"].as_array().unwrap();
            let times: Vec<_> = values.iter().map(|v| v[0].as_str().unwrap().to_owned()).collect();
            prop_assert!(times.is_sorted());
            prop_assert!(!seen.contains(&&stream["stream"]));
            seen.push(&stream["stream"]);
        }
        let all: usize = streams.iter().map(|s| s["values"].as_array().unwrap().len()).sum();
        prop_assert_eq!(all, records.len());
    }
}
