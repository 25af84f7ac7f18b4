//! The shapes in which outputs send whole records: JSON objects that begin with their date, in four containers.

use super::clean::put;
use super::date_format::DateFormat;
use super::json_write::{JsonOpts, put_entries, put_map, write_str};
use super::msgpack_write::write_events;
use super::room::Room;
use crate::event::{Record, View};
use crate::time::Time;
use crate::util::short::Short;

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

/// Bytes that the head of an object takes at most when it is short.
const HEAD: usize = Short::SIZE + 16;

/// How a record becomes a JSON object: `{"date":1.0,"__internal__":{"log_metadata":{…}},"field":…}`.
///
/// The metadata stands there only when there is some.
#[derive(Debug, Clone)]
pub struct RecordFormat {
    /// `{"date":`, or nothing when no date is written.
    date_key: Option<Box<[u8]>>,
    /// The same, when it is short.
    short_key: Option<Short>,
    date_format: DateFormat,
    json: JsonOpts,
}

impl RecordFormat {
    /// With the date under `date_key`, or without any; see [`date_key`] for the value of `json_date_key`.
    pub fn new(date_key: Option<&str>, date_format: DateFormat, json: JsonOpts) -> Self {
        let quoted = |name: &str| {
            let mut text = vec![b'{'];
            write_str(name.as_bytes(), json, &mut text);
            text.push(b':');
            text.into_boxed_slice()
        };
        let date_key = date_key.map(quoted);
        Self { short_key: date_key.as_ref().and_then(|key| Short::new(key)), date_key, date_format, json }
    }

    /// How values are written.
    pub fn json(&self) -> JsonOpts {
        self.json
    }

    /// Appends one record as a JSON object.
    pub fn write_object(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.put_object(record, &mut Room::new(out));
    }

    #[inline]
    fn put_object(&self, record: &Record<'_>, room: &mut Room<'_>) {
        let start = room.end() + 1;
        let (time, meta, body) = record.parts();
        match &self.date_key {
            None => room.push(b'{'),
            Some(key) => self.put_date(key, time, room),
        }
        if !meta.is_empty() {
            comma(start, room);
            room.extend(b"\"__internal__\":{\"log_metadata\":");
            put_map(meta, self.json, room);
            room.push(b'}');
        }
        if !body.is_empty() {
            comma(start, room);
            put_entries(body, self.json, room);
        }
        room.push(b'}');
    }

    /// The start of an object, up to its date.
    #[inline]
    fn put_date(&self, key: &[u8], time: Time, room: &mut Room<'_>) {
        if let Some(short) = &self.short_key
            && let Some((date, len)) = self.date_format.short(time)
            && let Some(to) = room.spare(HEAD).first_chunk_mut::<HEAD>()
        {
            put(to, 0, short.filled());
            put(to, short.len(), &date);
            return room.advance(short.len() + len);
        }
        room.extend(key);
        room.with(|out| self.date_format.write(time, out));
    }

    /// Appends every record of `view`. Only [`Container::JsonLines`] ends with a newline.
    pub fn write(&self, container: Container, view: &View<'_>, out: &mut Vec<u8>) {
        if container == Container::Msgpack {
            return write_events(view, out);
        }
        let mut room = Room::new(out);
        let room = &mut room;
        if container == Container::Json {
            room.push(b'[');
        }
        let start = room.end();
        for record in view.records() {
            if container == Container::Json {
                comma(start, room);
            }
            self.put_object(&record, room);
            if container == Container::JsonLines {
                room.push(b'\n');
            }
        }
        if container == Container::Json {
            room.push(b']');
        }
    }
}

/// The name that the value of a `json_date_key` means: `false`, `off` and `no` write no date.
pub fn date_key(value: &str) -> Option<&str> {
    let off = ["false", "off", "no"].iter().any(|word| value.eq_ignore_ascii_case(word));
    (!off && !value.is_empty()).then_some(value)
}

/// A comma, unless nothing was written since `start`.
#[inline]
fn comma(start: usize, room: &mut Room<'_>) {
    if room.end() > start {
        room.push(b',');
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
