//! The output `opentelemetry` against scripted servers; the bytes are tested with their format.

use super::*;
use crate::fmt::codec::Codec;
use crate::fmt::proto::{Field, fields};
use crate::output::request::testing::server;
use crate::output::testing::{batch, instance, payload, refused, send};
use crate::rt::run;

/// Log records of a request.
fn count(request: &[u8]) -> usize {
    let inner = |bytes: &[u8], field: u32| -> Vec<Vec<u8>> {
        let found = fields(bytes).filter_map(|f| match f {
            (n, Field::Bytes(inner)) if n == field => Some(inner.to_vec()),
            _ => None,
        });
        found.collect()
    };
    inner(request, 1).iter().flat_map(|r| inner(r, 2)).map(|scope| inner(&scope, 2).len()).sum()
}

#[test]
fn batches_and_headers() {
    let lines: Vec<(i64, String)> = (0..25).map(|n| (n, format!(r#"{{"log":"x","n":{n}}}"#))).collect();
    let lines: Vec<(i64, &str)> = lines.iter().map(|(n, l)| (*n, l.as_str())).collect();
    // The second answer says that two records were left out.
    let (port, got) = server(vec![(200, "", ""), (200, "", "\n\x0b\x08\x02\x12\x07too old"), (503, "", "")]);
    let keys =
        [("port", port.as_str()), ("workers", "1"), ("batch_size", "10"), ("compress", "gzip"), ("header", "X-A b")];
    let output = instance(&PLUGIN, &keys);
    match run(async { send(&*output, &batch("t", &lines)).await }).unwrap() {
        Outcome::Part { retry, refused, .. } => assert_eq!((retry, refused.len()), ((20..25).collect(), 0)),
        other => panic!("{other:?}"),
    }
    let got = got.join().unwrap();
    let mut counts = Vec::new();
    for got in &got {
        assert_eq!(got.head[0], "POST /v1/logs HTTP/1.1");
        assert_eq!((got.all("content-type"), got.all("x-a")), (vec!["application/x-protobuf"], vec!["b"]));
        let mut plain = Vec::new();
        Codec::Gzip.unpack(&got.body, 100_000, &mut plain).unwrap();
        counts.push(count(&plain));
    }
    assert_eq!(counts, [10, 10, 5]);
}

#[test]
fn fields_by_the_keys_of_the_configuration() {
    let keys = [("logs_body_key", "$m['text']"), ("logs_body_key", "$b"), ("logs_body_key_attributes", "on")];
    let more = [("logs_severity_text_message_key", "$level"), ("logs_trace_id_message_key", "$ids['t']")];
    let output = instance(&PLUGIN, &[&keys[..], &more].concat());
    let line = r#"{"m":{"text":"hi","k":1},"level":"warn","ids":{"t":"000102030405060708090a0b0c0d0e0f"}}"#;
    let bytes = payload(&*output, &batch("t", &[(1, line)])).bytes;
    let has = |part: &[u8]| memchr::memmem::find(&bytes, part).is_some();
    assert!(has(b"\x1a\x04warn") && has(b"\x2a\x04\x0a\x02hi") && has(b"\x4a\x10\x00\x01\x02\x03"), "{bytes:?}");
    // What is left: m without its text, and the others.
    assert!(
        has(b"\x32\x10\x0a\x01m\x12\x0b\x32\x09\x0a\x07\x0a\x01k\x12\x02\x18\x01")
            && has(b"\x32\x0f\x0a\x05level\x12\x06\x0a\x04warn")
    );
}

#[test]
fn what_is_refused() {
    for (pair, part) in [
        (("logs_body_key", "$a.b"), "Logs_Body_Key: '.b' does not belong"),
        (("logs_trace_id_message_key", "$"), "Logs_Trace_ID_Message_Key: '$' is no record accessor"),
        (("batch_size", "0"), "Batch_Size: a request needs a log record"),
        (("compress", "snappy"), "Compress: OTLP knows gzip and zstd alone"),
        (("header", "X"), "'X' is not a header's name"),
        (("logs_urii", "x"), "Did you mean 'Logs_URI'?"),
    ] {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}
