//! Log records in protobuf, read back.

use super::*;
use crate::event::{Batch, Tag};
use crate::fmt::json_read::JsonReader;
use crate::time::Time;

fn place(name: &str, path: &str, body: bool) -> Place {
    let path = |is| if is { Some(Accessor::parse(path).unwrap()) } else { None };
    Place { name: Key::of(name), metadata: path(true), body: path(body) }
}

fn plain(rest_is_attributes: bool) -> OtlpLogs {
    OtlpLogs {
        body_keys: vec![Accessor::parse("$log").unwrap()],
        rest_is_attributes,
        metadata_key: Key::of("otlp"),
        timestamp: place("timestamp", "$Timestamp", false),
        observed: place("observed_timestamp", "$ObservedTimestamp", false),
        severity_text: place("severity_text", "$SeverityText", true),
        severity_number: place("severity_number", "$SeverityNumber", true),
        trace_flags: place("trace_flags", "$TraceFlags", false),
        trace_id: place("trace_id", "$TraceId", true),
        span_id: place("span_id", "$SpanId", true),
        attributes: place("attributes", "$Attributes", false),
    }
}

/// The log record of a record with metadata, and whether fields were left out.
fn record(logs: &OtlpLogs, meta: &str, body: &[u8]) -> (Vec<u8>, usize) {
    let mut b = Batch::new(Tag::new("t"));
    for (n, line) in [body, meta.as_bytes()].into_iter().enumerate() {
        let text = b.arena_mut().push(line);
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        if n == 0 { b.finish(mark, Time(0x0102)) } else { b.replace_meta(0, mark) }
    }
    let mut out = Vec::new();
    let left = logs.write(&View::all(&b), &mut out);
    let inner = |bytes: &[u8], field: u32| match fields_of(bytes, field)[..] {
        [Field::Bytes(inner)] => inner.to_vec(),
        ref other => panic!("{field}: {other:?}"),
    };
    let resource = inner(&out, 1);
    assert_eq!(inner(&resource, 1), b"");
    let scope = inner(&resource, 2);
    assert_eq!(inner(&scope, 1), b"");
    (inner(&scope, 2), left)
}

fn fields_of(bytes: &[u8], field: u32) -> Vec<Field<'_>> {
    proto::fields(bytes).filter(|f| f.0 == field).map(|f| f.1).collect()
}

#[test]
fn a_body_of_one_field_and_of_all() {
    let (got, left) = record(&plain(false), "{}", br#"{"log":"hi"}"#);
    assert_eq!((got.as_slice(), left), (&b"\x09\x02\x01\0\0\0\0\0\0\x2a\x04\x0a\x02hi"[..], 0));
    assert_eq!(record(&plain(false), "{}", br#"{"log":"hi","n":1}"#), (got, 1));
    let (got, left) = record(&plain(true), "{}", br#"{"log":7,"n":-1,"f":1.0}"#);
    assert_eq!(left, 0);
    assert_eq!(fields_of(&got, 5), [Field::Bytes(b"\x18\x07")]);
    assert_eq!(
        fields_of(&got, 6),
        [
            Field::Bytes(b"\x0a\x01n\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Field::Bytes(b"\x0a\x01f\x12\x09\x21\0\0\0\0\0\0\xf0\x3f"),
        ]
    );
    let (got, left) =
        record(&plain(false), "{}", b"{\"a\":[true,null],\"b\":\"\xff\",\"u\":18446744073709551615,\"e\":\"\"}");
    let all = b"\x32\x3e\x0a\x0f\x0a\x01a\x12\x0a\x2a\x08\x0a\x02\x10\x01\x0a\x00";
    let [Field::Bytes(body)] = fields_of(&got, 5)[..] else { panic!() };
    assert_eq!(left, 0);
    assert_eq!(body[0], all[0]);
    let has = |part: &[u8]| memchr::memmem::find(body, part).is_some();
    assert!(has(b"\x0a\x01a\x12\x08\x2a\x06\x0a\x02\x10\x01\x0a\x00"), "{body:?}");
    assert!(has(b"\x0a\x01b\x12\x03\x3a\x01\xff") && has(b"\x0a\x01e\x12\x02\x0a\x00"), "{body:?}");
    assert!(has(b"\x0a\x01u\x12\x16\x0a\x1418446744073709551615"), "{body:?}");
}

#[test]
fn severity_ids_and_times() {
    let meta = r#"{"otlp":{"timestamp":5,"observed_timestamp":6,"severity_number":9,"severity_text":"INFO","trace_flags":1,
        "trace_id":"000102030405060708090A0b0c0d0e0f","span_id":"0001020304050607","attributes":{"k":"v"}},"other":1}"#;
    let (got, _) = record(&plain(false), meta, br#"{"log":"x"}"#);
    let number = |field| fields_of(&got, field);
    assert_eq!(
        (number(1), number(2), number(11)),
        (vec![Field::Number(5)], vec![Field::Number(9)], vec![Field::Number(6)])
    );
    assert_eq!((number(3), number(8)), (vec![Field::Bytes(b"INFO")], vec![Field::Number(1)]));
    assert_eq!(number(9), [Field::Bytes(b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f")]);
    assert_eq!(number(10), [Field::Bytes(b"\x00\x01\x02\x03\x04\x05\x06\x07")]);
    let attributes = [Field::Bytes(b"\x0a\x05other\x12\x02\x18\x01"), Field::Bytes(b"\x0a\x01k\x12\x03\x0a\x01v")];
    assert_eq!(number(6), attributes);
    // From the metadata at its paths, then from the record; what does not fit is as if it were not there.
    let meta = r#"{"SeverityText":"meta","SeverityNumber":99,"TraceId":"xyz"}"#;
    let (got, _) =
        record(&plain(false), meta, br#"{"SeverityText":"body","SeverityNumber":3,"SpanId":"00000000000000FF"}"#);
    assert_eq!((fields_of(&got, 3), fields_of(&got, 2)), (vec![Field::Bytes(b"meta")], vec![Field::Number(3)]));
    assert_eq!((fields_of(&got, 9), fields_of(&got, 10)), (vec![], vec![Field::Bytes(b"\0\0\0\0\0\0\0\xff")]));
    assert_eq!(fields_of(&got, 1), [Field::Number(0x0102)]);
}

#[test]
fn answers() {
    assert_eq!(left_out(b""), None);
    assert_eq!(left_out(b"\x0a\x00"), None);
    assert_eq!(left_out(b"\x0a\x06\x08\x03\x12\x02no"), Some((3, "no".into())));
    assert_eq!(left_out(b"\x0a\x09\x12\x07careful"), Some((0, "careful".into())));
    assert_eq!(left_out(b"<html>"), None);
    assert_eq!(left_out(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), None);
}
