//! Bodies of the output `http`; what requests and answers do is tested with what they share.

use super::*;
use crate::output::testing::{batch, instance, payload};

const LINES: [(i64, &str); 2] = [(1_700_000_000_000_000_005, r#"{"log":"hi \"x\"","n":1}"#), (1_000_000_000, "{}")];

#[track_caller]
fn check(keys: &[(&str, &str)], content_type: &str, expected: &[u8]) {
    let output = instance(&PLUGIN, keys);
    let p = payload(&*output, &batch("t", &LINES));
    assert_eq!(String::from_utf8_lossy(&p.bytes), String::from_utf8_lossy(expected), "{keys:?}");
    assert_eq!(p.items, [(expected.len() as u32, 0), (expected.len() as u32, 1)]);
    let conf = HttpConf::load(&crate::conf::Section::of("OUTPUT", keys), &mut crate::error::Diags::new()).unwrap();
    let name = match conf.format {
        Format::Gelf => "application/json",
        Format::JsonLines => Container::JsonLines.content_type(),
        Format::Msgpack => Container::Msgpack.content_type(),
        _ => Container::Json.content_type(),
    };
    assert_eq!(name, content_type);
}

#[test]
fn formats() {
    let (one, two) = (r#"{"date":1700000000.0,"log":"hi \"x\"","n":1}"#, r#"{"date":1.0}"#);
    check(&[], "application/json", format!("[{one},{two}]").as_bytes());
    check(&[("format", "json_lines")], "application/x-ndjson", format!("{one}\n{two}\n").as_bytes());
    check(&[("format", "JSON_stream")], "application/json", format!("{one}{two}").as_bytes());
    check(
        &[("json_date_key", "@t"), ("json_date_format", "epoch")],
        "application/json",
        br#"[{"@t":1700000000,"log":"hi \"x\"","n":1},{"@t":1}]"#,
    );
    check(
        &[("format", "gelf"), ("gelf_short_message_key", "log")],
        "application/json",
        b"{\"version\":\"1.1\", \"short_message\":\"hi \\\"x\\\"\", \"_n\":1, \"timestamp\":1700000000.000}\n\
          {\"version\":\"1.1\", \"timestamp\":1.000, \"short_message\":\"-\"}\n",
    );
    let events = [
        &b"\x92\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x05\x80\x82\xa3log\xa6hi \"x\"\xa1n\x01"[..],
        b"\x92\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x00\x80\x80",
    ];
    check(&[("format", "msgpack")], "application/msgpack", &events.concat());
}
