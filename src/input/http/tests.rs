//! Configurations that are refused, with what is said of them; requests of Firehose.

use super::*;
use crate::conf::Kind;
use crate::event::Tag;
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::net::web::Inlet;
use crate::plugin::made;
use crate::time::Time;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

fn said(conf: &[(&str, &str)]) -> String {
    made(Kind::Input, &PLUGIN.info, PLUGIN.make, conf).1
}

#[test]
fn configurations() {
    for key in ["Tag_Key", "Remote_Addr_Key", "HTTP_User", "Bearer_Token", "Listen", "success_header"] {
        assert_eq!(said(&[(key, "127.0.0.1")]), "", "{key}");
    }
    assert_eq!(said(&[("Successful_Response_Code", "204"), ("Port", "1"), ("http2", "on"), ("Ack", "received")]), "");
    for (key, value, want) in [
        ("Successful_Response_Code", "202", "201 is taken"),
        ("Successful_Response_Code", "ok", "'ok' is not 200, 201 or 204"),
        ("Success_Header", "X:A b", "'X:A' is not the name of a header field"),
        ("HTTP_Passwd", "x", "HTTP_Passwd needs HTTP_User"),
        ("Ack", "maybe", "one of: delivered received"),
        ("Buffer_Max_Size", "1G", "not between 1 and 256M"),
        ("tls", "on", "needs a certificate"),
        ("oauth2.validate", "on", "'oauth2.validate' is not served yet"),
        ("http2", "off", "is not served yet"),
        ("Tag_Key", "$a[", "record accessor"),
        ("Tagkey", "x", "Did you mean 'Tag_Key'?"),
    ] {
        assert!(said(&[(key, value)]).contains(want), "{key} {value}: {}", said(&[(key, value)]));
    }
}

fn request(id: &str) -> firehose::Request {
    let text = format!("POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Firehose-Request-Id: {id}\r\n\r\n");
    let mut inlet = Inlet::default();
    inlet.room(false)[..text.len()].copy_from_slice(text.as_bytes());
    inlet.filled(text.len());
    firehose::Request::of(&inlet.head().unwrap().unwrap()).unwrap()
}

#[test]
fn firehose_records() {
    let mut packed = Vec::new();
    crate::fmt::codec::Codec::Gzip.pack(b"{\"logEvents\":[]}", &mut packed);
    let data = [&b"{\"a\":1}\n{\"b\":2}\n"[..], b"one line\r\nanother\n", b"{\"broken\":", &packed, b""];
    let records: Vec<String> = data.map(|d| format!("{{\"data\":\"{}\"}}", BASE64_STANDARD.encode(d))).into();
    let body = format!("{{\"requestId\":\"r-1\",\"timestamp\":5,\"records\":[{}]}}", records.join(","));
    let mut batch = Batch::new(Tag::new("t"));
    let mut reader = Reader::default();
    request("r-1").read(&mut reader, body.as_bytes(), &mut batch, Time(7)).unwrap();
    let mut out = Vec::new();
    batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
    let want = r#"{"a":1}{"b":2}{"log":"one line"}{"log":"another"}{"log":"{\"broken\":"}{"logEvents":[]}"#;
    assert_eq!(String::from_utf8(out).unwrap(), want);
    for (body, want) in [
        ("{", "ends too early"),
        ("{}", "has no records"),
        ("{\"requestId\":\"r-2\",\"records\":[]}", "requestId is not"),
        ("{\"records\":[1]}", "record 0 has no data"),
        ("{\"records\":[{\"data\":\"?\"}]}", "record 0 is not base64"),
    ] {
        let (status, why) = request("r-1").read(&mut reader, body.as_bytes(), &mut batch, Time(7)).unwrap_err();
        assert!(status == 400 && why.contains(want), "{body}: {why}");
    }
}

#[test]
fn firehose_answers() {
    let body = |error| String::from_utf8(request("a\"b").answer(200, error).body().to_vec()).unwrap();
    assert!(body(None).starts_with("{\"requestId\":\"a\\\"b\",\"timestamp\":1") && body(None).ends_with("}"));
    assert!(body(Some("no")).ends_with(",\"errorMessage\":\"no\"}"));
}
