//! Events as records.

use super::Metadata;
use crate::event::access::Accessor;
use crate::event::{Batch, Cell, Key, Kind, Tag};
use crate::fmt::json_read::JsonReader;
use crate::fmt::lumberjack::Event;
use crate::time::{Time, rfc3339};
use rustc_hash::FxHashSet;
use std::cell::RefCell;

/// Tags that peers may make: each has a batch of its own.
const TAGS: usize = 1000;

/// What records are made of.
#[derive(Debug)]
pub struct Options {
    metadata: Metadata,
    tag_key: Option<Accessor>,
    address: Option<Key>,
    keys: Keys,
    tags: RefCell<FxHashSet<Tag>>,
}

/// Keys with a meaning.
#[derive(Debug)]
struct Keys {
    timestamp: Key,
    metadata: Key,
    message: Key,
    parse_error: Key,
}

impl Options {
    /// As configured.
    pub fn new(metadata: Metadata, tag_key: Option<Accessor>, address: Option<&str>) -> Self {
        let [timestamp, meta, message, parse_error] =
            ["@timestamp", "@metadata", "message", "parse_error"].map(Key::of);
        let keys = Keys { timestamp, metadata: meta, message, parse_error };
        Self { metadata, tag_key, address: address.map(Key::of), keys, tags: RefCell::default() }
    }

    /// Whether records choose their tags.
    pub fn has_tags(&self) -> bool {
        self.tag_key.is_some()
    }

    /// The tag of this name; `None` when it is no text, or there are too many.
    fn tag(&self, name: &[u8]) -> Option<Tag> {
        let name = std::str::from_utf8(name).ok().filter(|n| !n.is_empty())?;
        let mut tags = self.tags.borrow_mut();
        if let Some(tag) = tags.get(name) {
            return Some(tag.clone());
        }
        let tag = (tags.len() < TAGS).then(|| Tag::new(name))?;
        tags.insert(tag.clone());
        Some(tag)
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A record with its fields.
    Whole,
    /// A record of the text, which is no JSON object.
    Text,
    /// A record of the beginning of the text.
    Cut,
}

/// Makes records of the events of one connection.
#[derive(Debug, Default)]
pub struct Events {
    json: JsonReader,
    /// The metadata of one record while it moves.
    moved: Vec<Cell>,
    /// The tags that the records asked for, one for each when [`Options::has_tags`].
    pub tags: Vec<Option<Tag>>,
}

impl Events {
    /// Makes `event` a record of `batch`.
    pub fn push(&mut self, options: &Options, batch: &mut Batch, event: Event<'_>, address: &str, now: Time) -> Made {
        let keys = &options.keys;
        let mark = batch.begin();
        let mut made = Made::Whole;
        match event {
            Event::Json(text) => {
                let span = batch.arena_mut().push(text);
                if let Err(e) = self.json.object(batch, span) {
                    made = Made::Text;
                    batch.push_span(keys.message, span);
                    batch.push_text(keys.parse_error, format!("no JSON object: {e}").as_bytes());
                }
            }
            Event::Cut(text) => {
                made = Made::Cut;
                batch.push_text(keys.message, text);
                batch.push_text(keys.parse_error, b"the beginning of an event longer than Buffer_Max_Size");
            }
            Event::Pairs(pairs) => {
                for (key, value) in pairs {
                    let key = if key == b"line" { keys.message } else { batch.key(key) };
                    batch.push_text(key, value);
                }
            }
        }
        let cells = batch.since(mark);
        let time = cells.position(keys.timestamp).and_then(|at| cells.text_at(at));
        let time = time.and_then(|text| rfc3339::parse(text.raw())).unwrap_or(now);
        if let Some(path) = &options.tag_key {
            let tag = path.get_text(cells).and_then(|name| options.tag(&name.bytes()));
            self.tags.push(tag);
        }
        self.moved.clear();
        if options.metadata != Metadata::Field
            && let Some(at) = cells.position(keys.metadata)
        {
            if let (Metadata::Record, Some(head)) =
                (options.metadata, cells.run().get(at).filter(|c| c.kind == Kind::Map))
            {
                self.moved.extend_from_slice(cells.run().get(at + 1..at + head.width()).unwrap_or_default());
            }
            batch.remove_since(mark, at);
        }
        if let Some(key) = options.address {
            batch.push_text(key, address.as_bytes());
        }
        batch.finish(mark, time);
        if !self.moved.is_empty() {
            let mark = batch.begin();
            batch.push_cells(&self.moved);
            batch.replace_meta(batch.len() - 1, mark);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::json_write::{JsonOpts, write_map};

    const EVENT: &[u8] =
        br#"{"@timestamp":"2026-01-02T03:04:05.678Z","@metadata":{"beat":"fb","x":{"y":1}},"message":"a\nb"}"#;

    fn record(options: &Options, event: Event<'_>) -> (Made, Time, String, String) {
        let mut batch = Batch::new(Tag::new("t"));
        let made = Events::default().push(options, &mut batch, event, "tcp://[::1]:9", Time(7));
        let json = |cells| {
            let mut out = Vec::new();
            write_map(cells, JsonOpts::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        (made, batch.record(0).time(), json(batch.body(0)), json(batch.meta(0)))
    }

    #[test]
    fn metadata_stays_moves_or_goes() {
        let time = Time(1_767_323_045_678_000_000);
        let table = [
            (Metadata::Field, std::str::from_utf8(EVENT).unwrap(), "{}"),
            (
                Metadata::Record,
                r#"{"@timestamp":"2026-01-02T03:04:05.678Z","message":"a\nb"}"#,
                r#"{"beat":"fb","x":{"y":1}}"#,
            ),
            (Metadata::Drop, r#"{"@timestamp":"2026-01-02T03:04:05.678Z","message":"a\nb"}"#, "{}"),
        ];
        for (metadata, body, meta) in table {
            let got = record(&Options::new(metadata, None, None), Event::Json(EVENT));
            assert_eq!(got, (Made::Whole, time, body.into(), meta.into()), "{metadata:?}");
        }
    }

    #[test]
    fn what_is_no_event_is_kept() {
        let options = Options::new(Metadata::Record, None, Some("from"));
        for (event, made, part) in [
            (Event::Json(b"[1]"), Made::Text, r#"{"message":"[1]","parse_error":"no JSON object: expected an object"#),
            (Event::Json(b"{\"@timestamp\":1}"), Made::Whole, r#"{"@timestamp":1,"#),
            (Event::Json(b"{\"@metadata\":5}"), Made::Whole, r#"{"from""#),
            (Event::Cut(b"{\"a\":"), Made::Cut, r#"{"message":"{\"a\":","parse_error":"the beginning of"#),
        ] {
            let (got, time, body, _) = record(&options, event);
            assert_eq!((got, time), (made, Time(7)), "{body}");
            assert!(body.starts_with(part) && body.ends_with(r#""from":"tcp://[::1]:9"}"#), "{body}");
        }
    }

    #[test]
    fn tags_are_bounded() {
        let path = Accessor::parse("$@metadata['beat']").unwrap();
        let options = Options::new(Metadata::Drop, Some(path), None);
        let mut events = Events::default();
        let mut batch = Batch::new(Tag::new("t"));
        for n in 0..TAGS + 1 {
            let text = format!(r#"{{"@metadata":{{"beat":"b{n}"}}}}"#);
            events.push(&options, &mut batch, Event::Json(text.as_bytes()), "", Time(0));
        }
        events.push(&options, &mut batch, Event::Json(EVENT), "", Time(0));
        assert_eq!(events.tags[0], Some(Tag::new("b0")));
        assert!(events.tags[TAGS - 1].is_some() && events.tags[TAGS..] == [None, None]);
    }
}
