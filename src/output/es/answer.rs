//! Reading a bulk answer item by item.
//!
//! Source: the bulk API of Elasticsearch 7.10 and OpenSearch: `{"took":…,"errors":…,"items":[{"create":{"status":…}}…]}`.

use crate::event::{Batch, Cells, Key, Tag, Value};
use crate::fmt::json_read::JsonReader;

/// What a bulk answer says about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored, or stored before.
    Done,
    /// Try it again: the server was busy.
    Retry(String),
    /// It can never be stored; the server's reason.
    Refused(String),
}

/// What a bulk answer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every item is stored.
    AllDone,
    /// One verdict per item, in order.
    Items(Vec<Verdict>),
    /// It is not a bulk answer.
    Unreadable(String),
}

/// Reads the body of a 200 or 201.
pub fn read(body: &[u8]) -> Answer {
    // The common answer says so in its first bytes; nothing more is read then.
    let head = &body[..body.len().min(64)];
    if memchr::memmem::find(head, b"\"errors\":false").is_some() {
        return Answer::AllDone;
    }
    let mut batch = Batch::new(Tag::new(""));
    let span = batch.arena_mut().push(body);
    let mark = batch.begin();
    if let Err(e) = JsonReader::default().object(&mut batch, span) {
        return Answer::Unreadable(format!("the answer is not JSON: {e}"));
    }
    let root = batch.since(mark);
    if let Some(Value::Bool(false)) = root.find(Key::of("errors")) {
        return Answer::AllDone;
    }
    let Some(Value::Array(items)) = root.find(Key::of("items")) else {
        return Answer::Unreadable("the answer has no 'items': is this a bulk API?".into());
    };
    Answer::Items(items.map(|(_, item)| verdict(&item)).collect())
}

/// The verdict of `{"create":{"status":429,"error":{…}}}`.
fn verdict(item: &Value<'_>) -> Verdict {
    let &Value::Map(mut action) = item else { return Verdict::Retry("an item of the answer is no object".into()) };
    let Some((key, Value::Map(result))) = action.next() else {
        return Verdict::Retry("an item of the answer is empty".into());
    };
    let status = match result.find(Key::of("status")) {
        Some(Value::Int(n)) => n,
        _ => return Verdict::Retry("an item of the answer has no status".into()),
    };
    match status {
        200..=299 => Verdict::Done,
        // The id exists: an earlier attempt stored it.
        409 if key.name() == b"create" => Verdict::Done,
        408 | 409 | 429 | 500.. => Verdict::Retry(format!("{status} {}", reason(result))),
        _ => Verdict::Refused(format!("{status} {}", reason(result))),
    }
}

/// `type: reason; caused by type: reason` of an item's error.
fn reason(result: Cells<'_>) -> String {
    fn text(cells: Cells<'_>, key: &str) -> String {
        let found = cells.find(Key::of(key)).and_then(|v| v.as_text());
        found.map(|t| String::from_utf8_lossy(&t.bytes()).into_owned()).unwrap_or_default()
    }
    match result.find(Key::of("error")) {
        Some(Value::Map(error)) => {
            let mut out = format!("{}: {}", text(error, "type"), text(error, "reason"));
            if let Some(Value::Map(cause)) = error.find(Key::of("caused_by")) {
                out.push_str(&format!("; caused by {}: {}", text(cause, "type"), text(cause, "reason")));
            }
            out
        }
        Some(Value::Str(t)) => String::from_utf8_lossy(&t.bytes()).into_owned(),
        _ => "no reason given".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_answer_needs_no_reading() {
        assert_eq!(read(br#"{"took":3,"errors":false,"items":[{"create":{"status":201}}]}"#), Answer::AllDone);
        assert_eq!(read(b"{\"errors\" : false, \"items\": []}"), Answer::AllDone);
    }

    #[test]
    fn each_item_has_its_verdict() {
        let body = br#"{"took":1,"errors":true,"items":[
            {"create":{"status":201}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue full"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [n]","caused_by":{"type":"number_format_exception","reason":"For input string: \"x\""}}}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
            {"update":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"changed"}}},
            {"index":{"status":503,"error":"unavailable"}},
            {"index":{"status":404}}]}"#;
        let Answer::Items(items) = read(body) else { panic!("no items") };
        assert_eq!(
            items,
            [
                Verdict::Done,
                Verdict::Retry("429 es_rejected_execution_exception: queue full".into()),
                Verdict::Refused(
                    "400 mapper_parsing_exception: failed to parse field [n]; caused by number_format_exception: For input string: \"x\"".into()
                ),
                Verdict::Done,
                Verdict::Retry("409 version_conflict_engine_exception: changed".into()),
                Verdict::Retry("503 unavailable".into()),
                Verdict::Refused("404 no reason given".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for body in [&b""[..], b"<html>", b"{\"took\":1}", b"[]"] {
            assert!(matches!(read(body), Answer::Unreadable(_)), "{body:?}");
        }
    }
}
