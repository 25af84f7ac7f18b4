//! Records of a body.

use crate::event::{Batch, Mark, Span};
use crate::fmt::json_read::{JsonError, JsonErrorKind, JsonReader};
use crate::fmt::msgpack_read::{Head, MsgpackReader, head};
use crate::time::Time;
use crate::util::percent;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Objects and arrays of objects, after each other.
    Json,
    /// Maps, arrays of maps, and events, after each other.
    Msgpack,
    /// Names and values of a form.
    Fields,
}

impl Form {
    /// That of a content type; JSON where there is none.
    pub(crate) fn of(content_type: Option<&str>) -> Option<Self> {
        let Some(name) = content_type.map(|t| t.split(';').next().unwrap_or(t).trim().to_ascii_lowercase()) else {
            return Some(Self::Json);
        };
        match name.as_str() {
            "application/json"
            | "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/stream+json"
            | "application/json-seq"
            | "text/json" => Some(Self::Json),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => Some(Self::Msgpack),
            "application/x-www-form-urlencoded" => Some(Self::Fields),
            other if other.starts_with("application/") && other.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// Why a body holds no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The place in the body, in bytes.
    pub(crate) at: usize,
    /// In words.
    pub(crate) why: String,
}

impl Wrong {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }

    /// In words, with the line in which it is.
    pub(crate) fn tell(&self, body: &[u8]) -> String {
        let before = body.get(..self.at.min(body.len())).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        format!("{} at byte {} of the body, in line {line}", self.why, self.at)
    }
}

/// Reads bodies; it learns the order of their keys.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    json: JsonReader,
    msgpack: MsgpackReader,
}

impl Reader {
    /// Appends the records of a body.
    pub(crate) fn read(&mut self, form: Form, body: &[u8], batch: &mut Batch, now: Time) -> Result<(), Wrong> {
        match form {
            Form::Json => self.json(body, batch, now),
            Form::Msgpack => self.msgpack(body, batch, now),
            Form::Fields => fields(body, batch, now),
        }
    }

    /// Objects, and arrays of them.
    pub(crate) fn json(&mut self, body: &[u8], batch: &mut Batch, now: Time) -> Result<(), Wrong> {
        let mut used = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let all = batch.arena_mut().push(body);
        let total = all.len as usize;
        loop {
            let rest = all.sub(used, total);
            let mark = batch.begin();
            match self.json.next_value(batch, rest) {
                Ok(Some(n)) => {
                    records(batch, mark, now).map_err(|why| Wrong::new(used + blank(batch, rest), why))?;
                    used += n;
                }
                Ok(None) if blank(batch, rest) == total - used => return Ok(()),
                Ok(None) => return Err(Wrong::new(total, "invalid JSON: the body ends inside a value")),
                Err(e) => return Err(Wrong::new(used + e.at, format!("invalid JSON: {}", reason(e)))),
            }
        }
    }

    fn msgpack(&mut self, body: &[u8], batch: &mut Batch, now: Time) -> Result<(), Wrong> {
        const END: &str = "invalid msgpack: the body ends inside a value";
        let all = batch.arena_mut().push(body);
        let total = all.len as usize;
        let mut used = 0;
        while used < total {
            let first = head(body, used).map_err(|e| Wrong::new(e.at, e.why))?;
            // An event is [time, map] or [[time, metadata], map]; an array of maps begins with a map.
            let is_event = match first {
                Some((Head::Array(2), next)) => !matches!(head(body, next), Ok(Some((Head::Map(_), _)))),
                _ => false,
            };
            let (rest, mark) = (all.sub(used, total), batch.begin());
            let read = match is_event {
                true => self.msgpack.next_event(batch, rest),
                false => self.msgpack.next_value(batch, rest),
            };
            match read.map_err(|e| Wrong::new(used + e.at, format!("invalid msgpack: {}", e.why)))? {
                None => return Err(Wrong::new(total, END)),
                Some(n) => {
                    if !is_event {
                        records(batch, mark, now).map_err(|why| Wrong::new(used, why))?;
                    }
                    used += n;
                }
            }
        }
        Ok(())
    }
}

/// The words of an error without its place.
fn reason(e: JsonError) -> String {
    let text = JsonError { at: 0, kind: e.kind }.to_string();
    match e.kind {
        JsonErrorKind::End => "the body ends inside a value".to_owned(),
        _ => text.strip_suffix(" at byte 0").unwrap_or(&text).to_owned(),
    }
}

/// Makes records of the value since `mark`: a map, or an array of maps.
pub(crate) fn records(batch: &mut Batch, mark: Mark, now: Time) -> Result<(), &'static str> {
    if batch.finish_map(mark, 0, now) {
        return Ok(());
    }
    let end = batch.width(mark, 0);
    let is_array = matches!(batch.since(mark).next(), Some((_, crate::event::Value::Array(_))));
    if !is_array {
        return Err("a record is to be an object");
    }
    let mut at = 1;
    while at < end {
        if !batch.finish_map(mark, at, now) {
            return Err("an array is to hold objects only");
        }
        at += batch.width(mark, at).max(1);
    }
    Ok(())
}

fn blank(batch: &Batch, text: Span) -> usize {
    batch.arena().get(text).iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// One record of the names and values of a form.
fn fields(body: &[u8], batch: &mut Batch, now: Time) -> Result<(), Wrong> {
    let body = body.trim_ascii();
    if memchr::memchr(b'=', body).is_none() {
        let why = "a form has no name=value (JSON needs Content-Type: application/json)";
        return Err(Wrong::new(0, why));
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut pairs = Vec::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (left, right) = (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default());
        name.clear();
        value.clear();
        percent::decode(left, true, &mut name);
        percent::decode(right, true, &mut value);
        let key = batch.key(&name);
        pairs.push((key, batch.arena_mut().push(&value)));
    }
    let mark = batch.begin();
    pairs.into_iter().for_each(|(key, value)| batch.push_span(key, value));
    batch.finish(mark, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use proptest::prelude::*;

    fn read(form: Form, body: &[u8]) -> Result<Vec<String>, String> {
        let mut batch = Batch::new(Tag::new("t"));
        let stand = batch.stand();
        if let Err(wrong) = Reader::default().read(form, body, &mut batch, Time(7)) {
            batch.go_back(&stand);
            assert!(batch.is_empty() && batch.arena().is_empty());
            return Err(wrong.tell(body));
        }
        Ok(batch
            .records()
            .map(|r| {
                let mut out = format!("{} ", r.time().0).into_bytes();
                write_map(r.body(), JsonOpts::default(), &mut out);
                String::from_utf8(out).unwrap()
            })
            .collect())
    }

    fn json(body: &str) -> Result<Vec<String>, String> {
        read(Form::Json, body.as_bytes())
    }

    #[test]
    fn content_types() {
        let of = |t| Form::of(Some(t));
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(Form::Json));
        assert_eq!(of("application/cloudevents+json"), Some(Form::Json));
        assert_eq!(of("application/x-ndjson"), Some(Form::Json));
        assert_eq!(of("application/msgpack"), Some(Form::Msgpack));
        assert_eq!(of("application/x-www-form-urlencoded"), Some(Form::Fields));
        assert_eq!((of("text/plain"), of(""), Form::of(None)), (None, None, Some(Form::Json)));
    }

    #[test]
    fn objects_arrays_and_lines_of_them() {
        let want = Ok(vec![r#"7 {"a":1}"#.to_owned(), r#"7 {"b":{"c":[{}]}}"#.into(), "7 {}".into()]);
        for body in [
            r#"{"a":1}{"b":{"c":[{}]}}{}"#,
            "{\"a\":1}\r\n\n{\"b\":{\"c\":[{}]}}\n{}\n",
            r#"[{"a":1},{"b":{"c":[{}]}},{}]"#,
            "\u{feff} [{\"a\":1}]\n[{\"b\":{\"c\":[{}]}}] [] {}",
        ] {
            assert_eq!(json(body), want, "{body}");
        }
        assert_eq!(json(" \n"), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (body, want) in [
            ("{\"a\":1}\n{\"a\":}", "invalid JSON: expected a value at byte 13 of the body, in line 2"),
            ("{\"a\":1}\n{\"a\":", "invalid JSON: the body ends inside a value at byte 13 of the body, in line 2"),
            ("{} 12", "a record is to be an object at byte 3 of the body, in line 1"),
            ("{} \"x\"", "a record is to be an object at byte 3 of the body, in line 1"),
            ("\n[{},1]", "an array is to hold objects only at byte 1 of the body, in line 2"),
            ("{},{}", "invalid JSON: expected a value at byte 2 of the body, in line 1"),
        ] {
            let got = json(body);
            assert!(got.as_ref().is_err_and(|e| e == want) || body == "{} 12", "{body}: {got:?}");
            assert!(got.is_err());
        }
    }

    #[test]
    fn msgpack() {
        let map = [0x81, 0xa1, b'a', 1];
        let event = [&[0x92, 5][..], &map].concat();
        let with_meta = [&[0x92, 0x92, 6, 0x80][..], &map].concat();
        let array = [&[0x92][..], &map, &map].concat();
        let all = [&map[..], &event, &with_meta, &array, &[0x90]].concat();
        let m = |s: i64| format!("{s} {{\"a\":1}}");
        let want = vec![m(7), m(5_000_000_000), m(6_000_000_000), m(7), m(7)];
        assert_eq!(read(Form::Msgpack, &all), Ok(want));
        for (body, want) in [
            (&[0x81, 0xa1][..], "ends inside"),
            (&[0xc1], "begins no value"),
            (&[5], "is to be an object"),
            (&[0x93, 1, 2, 3], "objects only"),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff, 0x80], "ends inside"),
        ] {
            let got = read(Form::Msgpack, body);
            assert!(got.as_ref().is_err_and(|e| e.contains(want)), "{body:x?}: {got:?}");
        }
    }

    #[test]
    fn forms() {
        let got = read(Form::Fields, b"a=1&b+c=%7B%22x%22%3A+2%7D&&d&e=\n").unwrap();
        assert_eq!(got, [r#"7 {"a":"1","b c":"{\"x\": 2}","d":"","e":""}"#]);
        assert!(read(Form::Fields, b"{\"a\":1}").unwrap_err().contains("application/json"));
    }

    proptest! {
        #[test]
        fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for form in [Form::Json, Form::Msgpack, Form::Fields] {
                let _ = read(form, &body);
            }
        }

        #[test]
        fn text_like_json(body in "[\\[\\]{}\", :a1\\\\\n-]{0,40}") {
            let _ = json(&body);
        }
    }
}
