//! The shapes in which outputs send whole records: JSON objects that begin with their date, in four containers.

use super::date_format::DateFormat;
use super::json_write::{JsonOpts, write_entries, write_map, write_str};
use super::msgpack_write::write_events;
use crate::event::{Record, View};

/// What holds the records of a batch together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// One JSON array: `[{…},{…}]`.
    Json,
    /// One object a line, each with its newline.
    JsonLines,
    /// Objects one behind the other, with nothing between.
    JsonStream,
    /// Events in msgpack, one behind the other: no date key, for an event has a time of its own.
    Msgpack,
}

impl Container {
    /// The names a configuration may use, for messages.
    pub const NAMES: &str = "json, json_lines, json_stream, msgpack";

    /// The container of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "json_lines" => Self::JsonLines,
            "json_stream" => Self::JsonStream,
            "msgpack" => Self::Msgpack,
            _ => return None,
        })
    }

    /// The media type of such a body.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::JsonStream => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Msgpack => "application/msgpack",
        }
    }
}

/// How a record becomes a JSON object: `{"date":1.0,"__internal__":{"log_metadata":{…}},"field":…}`.
///
/// The metadata stands there only when there is some.
#[derive(Debug, Clone)]
pub struct RecordFormat {
    /// `"date":`, or nothing when no date is written.
    date_key: Box<[u8]>,
    date_format: DateFormat,
    json: JsonOpts,
}

impl RecordFormat {
    /// With the date under `date_key`, or without any; see [`date_key`] for the value of `json_date_key`.
    pub fn new(date_key: Option<&str>, date_format: DateFormat, json: JsonOpts) -> Self {
        let mut quoted = Vec::new();
        if let Some(name) = date_key {
            write_str(name.as_bytes(), json, &mut quoted);
            quoted.push(b':');
        }
        Self { date_key: quoted.into(), date_format, json }
    }

    /// How values are written.
    pub fn json(&self) -> JsonOpts {
        self.json
    }

    /// Appends one record as a JSON object.
    pub fn write_object(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        if !self.date_key.is_empty() {
            out.extend_from_slice(&self.date_key);
            self.date_format.write(record.time(), out);
        }
        let meta = record.meta();
        if !meta.is_empty() {
            comma(start, out);
            out.extend_from_slice(b"\"__internal__\":{\"log_metadata\":");
            write_map(meta, self.json, out);
            out.push(b'}');
        }
        let body = record.body();
        if !body.is_empty() {
            comma(start, out);
            write_entries(body, self.json, out);
        }
        out.push(b'}');
    }

    /// Appends every record of `view`. Only [`Container::JsonLines`] ends with a newline.
    pub fn write(&self, container: Container, view: &View<'_>, out: &mut Vec<u8>) {
        match container {
            Container::Json => {
                out.push(b'[');
                let start = out.len();
                for record in view.records() {
                    comma(start, out);
                    self.write_object(&record, out);
                }
                out.push(b']');
            }
            Container::JsonLines => {
                for record in view.records() {
                    self.write_object(&record, out);
                    out.push(b'\n');
                }
            }
            Container::JsonStream => {
                for record in view.records() {
                    self.write_object(&record, out);
                }
            }
            Container::Msgpack => write_events(view, out),
        }
    }
}

/// The name that the value of a `json_date_key` means: `false`, `off` and `no` write no date.
pub fn date_key(value: &str) -> Option<&str> {
    let off = ["false", "off", "no"].iter().any(|word| value.eq_ignore_ascii_case(word));
    (!off && !value.is_empty()).then_some(value)
}

/// A comma, unless nothing was written since `start`.
fn comma(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Cell, Key, Tag};
    use crate::time::Time;

    fn batch() -> Batch {
        let mut b = Batch::new(Tag::new("t"));
        let mark = b.begin();
        b.push_text(Key::of("a"), b"x\n");
        b.push(Cell::int(Key::of("n"), 1));
        b.finish(mark, Time(1_700_000_001_041_066_000));
        let mark = b.begin();
        b.finish(mark, Time(1_000_000_000));
        let mark = b.begin();
        b.push(Cell::bool(Key::of("mk"), true));
        b.replace_meta(1, mark);
        b
    }

    fn check(format: &RecordFormat, container: Container, expected: &str) {
        let mut out = Vec::new();
        format.write(container, &View::all(&batch()), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn containers() {
        let f = RecordFormat::new(date_key("date"), DateFormat::Double, JsonOpts::default());
        let one = r#"{"date":1700000001.041066,"a":"x\n","n":1}"#;
        let two = r#"{"date":1.0,"__internal__":{"log_metadata":{"mk":true}}}"#;
        check(&f, Container::Json, &format!("[{one},{two}]"));
        check(&f, Container::JsonLines, &format!("{one}\n{two}\n"));
        check(&f, Container::JsonStream, &format!("{one}{two}"));
        let mut out = Vec::new();
        f.write(Container::Msgpack, &View::all(&batch()), &mut out);
        assert!(out.starts_with(b"\x92\x92\xd7\x00\x65\x53\xf1\x01\x02\x72\x9e\x10\x80\x82\xa1a\xa2x\n\xa1n\x01\x92"));
        out.clear();
        f.write(Container::Json, &View::all(&Batch::new(Tag::new("t"))), &mut out);
        assert_eq!(out, b"[]");
    }

    #[test]
    fn dates() {
        let json = JsonOpts::default();
        let off = RecordFormat::new(date_key("False"), DateFormat::Double, json);
        check(
            &off,
            Container::JsonLines,
            "{\"a\":\"x\\n\",\"n\":1}\n{\"__internal__\":{\"log_metadata\":{\"mk\":true}}}\n",
        );
        let odd = RecordFormat::new(date_key("d\"é"), DateFormat::Epoch, json);
        let mut out = Vec::new();
        odd.write_object(&batch().record(0), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), r#"{"d\"\u00e9":1700000001,"a":"x\n","n":1}"#);
        assert_eq!((date_key("no"), date_key("OFF"), date_key(""), date_key("@t")), (None, None, None, Some("@t")));
    }

    #[test]
    fn names() {
        for name in Container::NAMES.split(", ") {
            assert!(Container::parse(&name.to_uppercase()).is_some(), "{name}");
        }
        assert_eq!(Container::parse("xml"), None);
        assert_eq!(Container::JsonLines.content_type(), "application/x-ndjson");
    }
}
