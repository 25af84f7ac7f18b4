//! A record as the event that Logstash expects.

use crate::event::{Key, Record};
use crate::fmt::json_write::{JsonOpts, write_entries, write_key, write_str};
use crate::fmt::lumberjack::{begin_json, end_json};
use crate::time::rfc3339;

/// Length of a time to the millisecond, without its `Z`.
const MILLIS: usize = 23;

/// How events are written.
pub struct EventFormat {
    timestamp: Key,
    metadata: Key,
    /// Keys of `@metadata` and what they hold, ready as JSON.
    defaults: [(Key, Vec<u8>); 3],
    tag_key: Option<Key>,
    json: JsonOpts,
}

impl EventFormat {
    /// `beat` is what `@metadata` calls us.
    pub fn new(beat: &str, tag_key: Option<Key>, json: JsonOpts) -> Self {
        let defaults =
            [("beat", beat), ("type", "_doc"), ("version", env!("CARGO_PKG_VERSION"))].map(|(key, value)| {
                let mut entry = Vec::new();
                write_str(key.as_bytes(), json, &mut entry);
                entry.push(b':');
                write_str(value.as_bytes(), json, &mut entry);
                (Key::of(key), entry)
            });
        Self { timestamp: Key::of("@timestamp"), metadata: Key::of("@metadata"), defaults, tag_key, json }
    }

    /// Appends a frame with the record as an event.
    pub fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let start = begin_json(out);
        let body = record.body();
        out.push(b'{');
        let begin = out.len();
        if body.position(self.timestamp).is_none() {
            out.extend_from_slice(b"\"@timestamp\":\"");
            let at = out.len();
            rfc3339::write(record.time(), out);
            out.truncate(at + MILLIS);
            out.extend_from_slice(b"Z\"");
        }
        if body.position(self.metadata).is_none() {
            comma(begin, out);
            self.metadata(record, out);
        }
        if let Some(key) = self.tag_key.filter(|key| body.position(*key).is_none()) {
            comma(begin, out);
            write_key(body, key, self.json, out);
            write_str(record.batch().tag().as_bytes(), self.json, out);
        }
        if !body.is_empty() {
            comma(begin, out);
            write_entries(body, self.json, out);
        }
        out.push(b'}');
        end_json(start, out);
    }

    /// What the record's metadata says goes before our defaults.
    fn metadata(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let meta = record.meta();
        out.extend_from_slice(b"\"@metadata\":{");
        let begin = out.len();
        for (_, entry) in self.defaults.iter().filter(|(key, _)| meta.position(*key).is_none()) {
            comma(begin, out);
            out.extend_from_slice(entry);
        }
        if !meta.is_empty() {
            comma(begin, out);
            write_entries(meta, self.json, out);
        }
        out.push(b'}');
    }
}

/// A comma, unless nothing was written since `start`.
fn comma(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}
