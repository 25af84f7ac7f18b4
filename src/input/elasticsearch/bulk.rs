//! The body of a bulk request: action lines, each but that of a deletion with its document on the next line.

use crate::event::{Batch, Cell, Key, Kind, Span, Value};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_str};
use crate::time::Time;

/// Reads one request.
pub(super) struct Bulk<'a> {
    reader: &'a mut JsonReader,
    meta_key: Key,
    /// The index of the path; empty when that has none.
    index: &'a str,
    now: Time,
    items: Vec<u8>,
    /// Items that were not taken.
    pub(super) refused: u64,
}

/// What an action line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"index" => Self::Index,
            b"create" => Self::Create,
            b"update" => Self::Update,
            b"delete" => Self::Delete,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl<'a> Bulk<'a> {
    pub(super) fn new(reader: &'a mut JsonReader, meta_key: Key, index: &'a str, now: Time) -> Self {
        Self { reader, meta_key, index, now, items: Vec::new(), refused: 0 }
    }

    /// Appends the documents as records. An error concerns the whole request, as with Elasticsearch: what follows an action
    /// line that cannot be read has no meaning.
    pub(super) fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(), String> {
        let all = batch.arena_mut().push(body);
        let index = batch.arena_mut().push(self.index.as_bytes());
        let (mut lines, mut number) = (Lines { body, at: 0 }, 0);
        while let Some((from, to)) = lines.next() {
            number += 1;
            if body.get(from..to).unwrap_or_default().trim_ascii().is_empty() {
                continue;
            }
            let stand = batch.stand();
            let mark = batch.begin();
            let head = batch.parts_mut().1.len();
            let wrong = |what: &str| format!("line {number} of the bulk request is no action line: {what}");
            match self.reader.next_value(batch, all.sub(from, to)) {
                Ok(Some(_)) => {}
                Ok(None) => return Err(wrong("it ends too early")),
                Err(e) => return Err(wrong(&e.to_string())),
            }
            let action = match batch.since(mark).next() {
                Some((_, Value::Map(mut entries))) => {
                    entries.next().and_then(|(key, _)| Action::of(batch.key_name(key)))
                }
                _ => None,
            };
            let Some(action) = action else {
                return Err(wrong("it is to be an object with index, create, update or delete"));
            };
            if action == Action::Delete {
                batch.go_back(&stand);
                self.item(action, 404, Err("deletions are not served"));
                continue;
            }
            self.name_meta(batch, head, index);
            let Some((from, to)) = lines.next() else { return Err("the last action line has no document".into()) };
            number += 1;
            if action == Action::Update {
                batch.go_back(&stand);
                self.item(action, 403, Err("updates are not served"));
                continue;
            }
            match self.reader.object(batch, all.sub(from, to)) {
                Ok(_) => {
                    batch.finish(mark, self.now);
                    self.item(action, 201, Ok("created"));
                }
                Err(e) => {
                    batch.go_back(&stand);
                    self.item(action, 400, Err(&format!("failed to parse: {e}")));
                }
            }
        }
        Ok(())
    }

    /// Gives what the action line said its key, and the index of the path where it names none.
    fn name_meta(&self, batch: &mut Batch, head: usize, index: Span) {
        let tape = batch.parts_mut().1;
        if let Some(cell) = tape.get_mut(head) {
            cell.key = self.meta_key;
        }
        let name = Key::of("_index");
        let named = tape.iter().skip(head + 2).any(|cell| cell.key == name);
        // The map of the line holds that of the action, which is the last thing on the tape.
        if index.len == 0 || named || !tape.get(head + 1).is_some_and(|cell| cell.kind == Kind::Map) {
            return;
        }
        let alone = tape.get(head).is_some_and(|cell| cell.a == 1);
        if !alone {
            return;
        }
        tape.push(Cell::str(name, index, 0));
        if let Some([line, action, ..]) = tape.get_mut(head..) {
            line.b += 1;
            (action.a, action.b) = (action.a + 1, action.b + 1);
        }
    }

    fn item(&mut self, action: Action, status: u16, result: Result<&str, &str>) {
        let comma = if self.items.is_empty() { "" } else { "," };
        let name = action.name();
        match result {
            Ok(result) => {
                // One for each document: no formatting.
                for part in [comma, "{\"", name, "\":{\"status\":201,\"result\":\"", result, "\"}}"] {
                    self.items.extend_from_slice(part.as_bytes());
                }
            }
            Err(why) => {
                self.refused += 1;
                let kind = if status == 400 { "mapper_parsing_exception" } else { "illegal_argument_exception" };
                let head =
                    format!("{comma}{{\"{name}\":{{\"status\":{status},\"error\":{{\"type\":\"{kind}\",\"reason\":");
                self.items.extend_from_slice(head.as_bytes());
                write_str(why.as_bytes(), JsonOpts::default(), &mut self.items);
                self.items.extend_from_slice(b"}}}");
            }
        }
    }

    /// The answer, item by item.
    pub(super) fn answer(self) -> Vec<u8> {
        let mut out = format!("{{\"took\":0,\"errors\":{},\"items\":[", self.refused > 0).into_bytes();
        out.extend_from_slice(&self.items);
        out.extend_from_slice(b"]}");
        out
    }
}

/// The places of the lines of a text.
struct Lines<'a> {
    body: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
        let from = self.at;
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += (len + 1).min(rest.len());
        Some((from, from + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::write_map;
    use proptest::prelude::*;

    fn read(body: &str, index: &str) -> Result<(Vec<String>, String), String> {
        let mut batch = Batch::new(Tag::new("t"));
        let mut reader = JsonReader::default();
        let mut bulk = Bulk::new(&mut reader, Key::of("@meta"), index, Time(7));
        bulk.read(body.as_bytes(), &mut batch)?;
        let answer = String::from_utf8(bulk.answer()).unwrap();
        let text = |r: crate::event::Record<'_>| {
            let mut out = Vec::new();
            write_map(r.body(), JsonOpts::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        Ok((batch.records().map(text).collect(), answer))
    }

    #[test]
    fn documents() {
        let body = "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":1}\n\r\n{ \"index\" : { } }\r\n{\"y\":{\"z\":[]}}\r\n";
        let (records, answer) = read(body, "").unwrap();
        assert_eq!(
            records,
            [r#"{"@meta":{"create":{"_index":"a","_id":"1"}},"x":1}"#, r#"{"@meta":{"index":{}},"y":{"z":[]}}"#]
        );
        assert_eq!(
            answer,
            r#"{"took":0,"errors":false,"items":[{"create":{"status":201,"result":"created"}},{"index":{"status":201,"result":"created"}}]}"#
        );
        let (records, _) = read(body, "p").unwrap();
        assert_eq!(records[0], r#"{"@meta":{"create":{"_index":"a","_id":"1"}},"x":1}"#);
        assert_eq!(records[1], r#"{"@meta":{"index":{"_index":"p"}},"y":{"z":[]}}"#);
        assert_eq!(read("", "").unwrap().1, r#"{"took":0,"errors":false,"items":[]}"#);
    }

    #[test]
    fn items_that_are_refused_do_not_disturb_others() {
        let body = "{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"2\"}}\n{\"doc\":{}}\n{\"index\":{}}\n{\"a\":\n{\"index\":{}}\n[]\n{\"create\":{}}\n{\"ok\":1}";
        let (records, answer) = read(body, "").unwrap();
        assert_eq!(records, [r#"{"@meta":{"create":{}},"ok":1}"#]);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["errors"], true);
        let status = |n: usize, action: &str| answer["items"][n][action]["status"].as_u64();
        assert_eq!(status(0, "delete"), Some(404));
        assert_eq!(status(1, "update"), Some(403));
        assert_eq!((status(2, "index"), status(3, "index"), status(4, "create")), (Some(400), Some(400), Some(201)));
        assert!(answer["items"][2]["index"]["error"]["reason"].as_str().unwrap().starts_with("failed to parse: "));
    }

    #[test]
    fn requests_that_make_no_sense() {
        for (body, want) in [
            ("{\"x\":1}\n{}\n", "line 1 of the bulk request is no action line: it is to be an object with"),
            ("{\"index\":{}}\n{}\n{\"index\"", "line 3 of the bulk request is no action line: it ends too early"),
            ("nonsense\n", "expected"),
            ("[]\n{}", "it is to be an object"),
            ("{}\n{}", "it is to be an object"),
            ("{\"index\":{}}", "the last action line has no document"),
            ("{\"index\":{}}\n", "the last action line has no document"),
        ] {
            let got = read(body, "i");
            assert!(got.as_ref().is_err_and(|e| e.contains(want)), "{body}: {got:?}");
        }
    }

    proptest! {
        #[test]
        fn any_lines(lines in prop::collection::vec("(\\{\"(index|create|update|delete|x)\":(\\{\\}|1|\\{\"_index\":1\\})(,\"b\":\\{\\})?\\}|[{}\\[\\]:,\"a1 ]{0,8})", 0..8)) {
            if let Ok((records, answer)) = read(&lines.join("\n"), "i") {
                let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                let items = answer["items"].as_array().unwrap();
                let taken = items.iter().filter(|i| i.to_string().contains("201")).count();
                prop_assert_eq!(taken, records.len());
                for r in records {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&r).is_ok(), "{}", r);
                }
            }
        }
    }
}
