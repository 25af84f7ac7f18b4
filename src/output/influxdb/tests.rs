//! The output `influxdb` against scripted servers.

use super::*;
use crate::output::request::testing::{Got, server};
use crate::output::testing::{batch, instance, refused, send};
use crate::rt::run;

fn one(keys: &[(&str, &str)], lines: &[(i64, &str)]) -> (Outcome, Got) {
    let (port, got) = server(vec![(204, "", "")]);
    let output = instance(&PLUGIN, &[&[("port", port.as_str()), ("workers", "1")], keys].concat());
    let outcome = run(async { send(&*output, &batch("cpu", lines)).await }).unwrap();
    (outcome, got.join().unwrap().remove(0))
}

#[test]
fn versions_one_and_two() {
    let lines = [(1_000_000_001, r#"{"h":"a","v":1}"#), (2_000_000_000, r#"{"v":2}"#)];
    let (outcome, got) =
        one(&[("database", "my db"), ("tag_keys", "h x"), ("http_user", "u"), ("http_passwd", "p")], &lines);
    assert!(matches!(outcome, Outcome::Done));
    assert_eq!(got.head[0], "POST /write?db=my%20db&precision=n HTTP/1.1");
    assert_eq!(got.all("authorization"), ["Basic dTpw"]);
    assert_eq!(got.text(), "cpu,_seq=0,h=a v=1 1000000001\ncpu,_seq=1 v=2 2000000000");
    let keys =
        [("bucket", "b"), ("org", "o&p"), ("http_token", "T"), ("http_header", "X-A b"), ("sequence_tag", "off")];
    let (_, got) = one(&[&keys[..], &[("add_integer_suffix", "on"), ("auto_tags", "on")]].concat(), &lines[..1]);
    assert_eq!(got.head[0], "POST /api/v2/write?org=o%26p&bucket=b&precision=ns HTTP/1.1");
    assert_eq!((got.all("authorization"), got.all("x-a")), (vec!["Token T"], vec!["b"]));
    assert_eq!(got.text(), "cpu,h=a v=1i 1000000001");
    assert!(one(&[("uri", "/push?x=1")], &lines).1.head[0].starts_with("POST /push?x=1 "));
}

#[test]
fn a_record_without_a_field_is_refused_alone() {
    let (outcome, got) = one(&[], &[(1, r#"{"v":1}"#), (2, "{}"), (3, r#"{"v":null}"#), (4, r#"{"v":4}"#)]);
    match outcome {
        Outcome::Part { retry, refused, .. } => {
            assert!(retry.is_empty());
            let why = "a point needs a field, and it has none";
            assert_eq!(refused, [(1, why.into()), (2, why.into())]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(got.text(), "cpu,_seq=0 v=1 1\ncpu,_seq=1 v=4 4");
    let alone = instance(&PLUGIN, &[]);
    assert!(matches!(run(async { send(&*alone, &batch("m", &[(1, "{}")])).await }).unwrap(), Outcome::Drop(_)));
}

#[test]
fn what_is_refused() {
    for (pair, part) in [
        (("uri", "write"), "URI: 'write' does not begin with '/'"),
        (("http_header", "X"), "'X' is not a header's name and"),
        (("auto_tags", "perhaps"), "is not a boolean"),
        (("compress", "zstd"), "'zstd' is not one of: off gzip"),
        (("buket", "x"), "Did you mean 'Bucket'?"),
    ] {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}
