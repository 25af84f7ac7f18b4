//! Records to messages: topic, key and value of each, one behind the other. Pure.
//!
//! In the payload each message is a head of 8 bytes (the length of its key or -1, the length of its topic's name or 0 for the default one,
//! flags), then the name, the key, the value. It becomes part of a record batch when its partition is known.

use crate::conf::FromConf;
use crate::event::access::Accessor;
use crate::event::{Cells, Key, Record, Value, View};
use crate::fmt::date_format::DateFormat;
use crate::fmt::gelf::Gelf;
use crate::fmt::json_write::{self, JsonOpts};
use crate::fmt::{msgpack_write, text};
use crate::output::Payload;
use crate::time::Time;
use crate::util::decimal::push_fixed;
use std::cell::RefCell;

/// The longest name of a topic.
const TOPIC_MAX: usize = 249;
/// A message's flag: the record has no such field.
const MISSING: u16 = 1;
const HEAD: usize = 8;

/// What a message's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The record as a JSON object.
    Json,
    /// The record as a msgpack map.
    Msgpack,
    /// The record as GELF.
    Gelf,
    /// One field.
    Raw,
}

impl FromConf for Format {
    const KIND: &'static str = "one of: json msgpack gelf raw";
    const EXAMPLE: &'static str = "json";
    fn from_conf(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "msgpack" => Ok(Self::Msgpack),
            "gelf" => Ok(Self::Gelf),
            "raw" => Ok(Self::Raw),
            known @ ("avro" | "otlp_json" | "otlp_proto") => {
                Err(format!("'{known}' is not served: json, msgpack, gelf and raw are"))
            }
            _ => Err(format!("'{text}' is not {}", Self::KIND)),
        }
    }
}

crate::conf_enum! {
    /// How `timestamp_key` is written.
    pub enum TimeFormat {
        /// Seconds with a fraction.
        Double = "double",
        /// `2023-11-14T22:13:21.114916Z`
        Iso8601 = "iso8601",
        /// `2023-11-14T22:13:21.114916123Z`
        Iso8601Ns = "iso8601_ns",
    }
}

/// How records become messages.
#[derive(Debug)]
pub struct Messages {
    /// What the value is.
    pub format: Format,
    /// The topics; the first is the default.
    pub topics: Vec<String>,
    /// The field that names the topic.
    pub topic_key: Option<Accessor>,
    /// Whether any name is taken.
    pub dynamic: bool,
    /// The key of all messages.
    pub key: Option<String>,
    /// The field with the key.
    pub key_field: Option<Accessor>,
    /// The key of the time.
    pub time_key: Key,
    /// How it is written.
    pub time_format: TimeFormat,
    /// The field of `format raw`.
    pub raw: Option<Accessor>,
    /// How GELF is written.
    pub gelf: Gelf,
    /// How JSON is written.
    pub json: JsonOpts,
    /// Kept between records.
    pub scratch: RefCell<Vec<u8>>,
}

impl Messages {
    /// Appends a message per record.
    pub fn write(&self, view: &View<'_>, out: &mut Payload) {
        for record in view.records() {
            self.message(&record, &mut out.bytes);
            out.items.push((out.bytes.len() as u32, record.index() as u32));
        }
    }

    fn message(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let (body, start) = (record.body(), out.len());
        out.extend_from_slice(&[0; HEAD]);
        self.topic(body, out);
        let after_topic = out.len();
        let has_key = self.write_key(body, out);
        let after_key = out.len();
        let flags = if self.value(record, out) { 0 } else { MISSING };
        let key_len = if has_key { (after_key - after_topic) as i32 } else { -1 };
        let topic_len = (after_topic - start - HEAD) as u16;
        if let Some(head) = out.get_mut(start..).and_then(|h| h.first_chunk_mut::<HEAD>()) {
            let ([a, b, c, d], [e, f], [g, h]) = (key_len.to_le_bytes(), topic_len.to_le_bytes(), flags.to_le_bytes());
            *head = [a, b, c, d, e, f, g, h];
        }
    }

    /// The topic's name; nothing for the default one.
    fn topic(&self, body: Cells<'_>, out: &mut Vec<u8>) {
        let Some(named) = self.topic_key.as_ref().and_then(|k| k.get_text(body)) else { return };
        let start = out.len();
        text::write_text(named, out);
        let name = out.get(start..).unwrap_or_default();
        let listed = self.topics.iter().position(|t| t.as_bytes() == name);
        if listed == Some(0) || listed.is_none() && !(self.dynamic && is_topic(name)) {
            out.truncate(start);
        }
    }

    fn write_key(&self, body: Cells<'_>, out: &mut Vec<u8>) -> bool {
        if let Some(own) = self.key_field.as_ref().and_then(|k| k.get_text(body)) {
            text::write_text(own, out);
            return true;
        }
        out.extend_from_slice(self.key.as_deref().unwrap_or_default().as_bytes());
        self.key.is_some()
    }

    fn value(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        let body = record.body();
        let own_time = body.position(self.time_key).is_some();
        match self.format {
            Format::Json => {
                out.push(b'{');
                if !own_time {
                    json_write::write_key(body, self.time_key, self.json, out);
                    self.time(record.time(), out);
                    if !body.is_empty() {
                        out.push(b',');
                    }
                }
                json_write::write_entries(body, self.json, out);
                out.push(b'}');
            }
            Format::Msgpack => {
                msgpack_write::write_map_head(body.count_entries() + usize::from(!own_time), out);
                if !own_time {
                    msgpack_write::write_str(body.name(self.time_key), out);
                    self.time_msgpack(record.time(), out);
                }
                for (key, value) in body {
                    msgpack_write::write_str(body.name(key), out);
                    msgpack_write::write_value(&value, out);
                }
            }
            Format::Gelf => _ = self.gelf.write(record, out),
            Format::Raw => match self.raw.as_ref().and_then(|k| k.get(body)) {
                Some(Value::Str(t)) => text::write_text(t, out),
                Some(value) => text::write_value(&value, out),
                None => return false,
            },
        }
        true
    }

    /// The time as a JSON value.
    fn time(&self, time: Time, out: &mut Vec<u8>) {
        match self.time_format {
            TimeFormat::Double => DateFormat::Double.write(time, out),
            TimeFormat::Iso8601 => DateFormat::Iso8601.write(time, out),
            TimeFormat::Iso8601Ns => {
                DateFormat::Iso8601.write(time, out);
                // Three more digits before the end.
                out.truncate(out.len().saturating_sub(2));
                push_fixed::<3>(out, u64::from(time.subsec_nanos() % 1000));
                out.extend_from_slice(b"Z\"");
            }
        }
    }

    fn time_msgpack(&self, time: Time, out: &mut Vec<u8>) {
        if self.time_format == TimeFormat::Double {
            return msgpack_write::write_value(&Value::Float(time.as_secs_f64()), out);
        }
        let mut quoted = self.scratch.borrow_mut();
        quoted.clear();
        self.time(time, &mut quoted);
        let inner = quoted.strip_prefix(b"\"").and_then(|q| q.strip_suffix(b"\""));
        msgpack_write::write_str(inner.unwrap_or_default(), out);
    }
}

/// Whether a topic may be called so.
pub fn is_topic(name: &[u8]) -> bool {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    (1..=TOPIC_MAX).contains(&name.len()) && name.iter().all(legal) && name != b"." && name != b".."
}

/// A message of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its topic; `None` is the default one.
    pub topic: Option<&'a str>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` when the record has no such field.
    pub value: Option<&'a [u8]>,
}

/// The messages of a payload, in order.
pub fn messages<'a>(bytes: &'a [u8], items: &'a [(u32, u32)]) -> impl Iterator<Item = Message<'a>> {
    let mut at = 0;
    items.iter().map(move |(end, _)| {
        let whole = bytes.get(at..*end as usize).unwrap_or_default();
        at = *end as usize;
        split(whole)
    })
}

fn split(whole: &[u8]) -> Message<'_> {
    let (head, rest) = whole.split_first_chunk::<HEAD>().unwrap_or((&[0; HEAD], &[]));
    let [a, b, c, d, e, f, g, h] = *head;
    let (topic, rest) = rest.split_at_checked(u16::from_le_bytes([e, f]).into()).unwrap_or_default();
    let key_len = usize::try_from(i32::from_le_bytes([a, b, c, d])).ok();
    let (key, value) = rest.split_at_checked(key_len.unwrap_or(0)).unwrap_or_default();
    let topic = std::str::from_utf8(topic).ok().filter(|t| !t.is_empty());
    let missing = u16::from_le_bytes([g, h]) & MISSING != 0;
    Message { topic, key: key_len.map(|_| key), value: (!missing).then_some(value) }
}
