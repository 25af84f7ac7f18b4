//! GELF 1.1: a record as one flat JSON object, byte for byte as Fluent Bit writes it.
//!
//! `{"version":"1.1", "short_message":"hi", "level":4, "_k_a":"b", "timestamp":1.000}`. Fields of the protocol are taken
//! from keys of the record; every other key is an additional field behind `_`, its characters outside `A-Za-z0-9_.-`
//! replaced by `_`. Maps are flattened with `_` between the names, arrays become text. Source: the GELF payload
//! specification 1.1, <https://go2docs.graylog.org/current/getting_in_log_data/gelf.html>.
//!
//! Where Fluent Bit loses a value it stays here: `id`, which must not be a field, becomes `__id`; a second key of one
//! name, a level that is no level and a time that is no number become additional fields; a record without a message
//! gets `-`, for receivers refuse an empty one.

use super::json_write::{JsonOpts, write_inner};
use super::num::{write_f64_fixed6, write_i64, write_u64};
use super::text;
use crate::event::{Cells, Key, Record, Text, Value};
use crate::time::Time;
use crate::util::decimal::push_fixed;

/// The words for levels 0 to 7, as syslog has them.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Which keys of a record are fields of the protocol.
#[derive(Debug, Clone, Copy)]
pub struct GelfKeys {
    /// `timestamp`: seconds since 1970; the record's own time when the key is missing.
    pub timestamp: Key,
    /// `host`
    pub host: Key,
    /// `short_message`
    pub short_message: Key,
    /// `full_message`
    pub full_message: Key,
    /// `level`: 0 to 7, or one of syslog's words for it.
    pub level: Key,
}

impl Default for GelfKeys {
    fn default() -> Self {
        Self {
            timestamp: Key::of("timestamp"),
            host: Key::of("host"),
            short_message: Key::of("short_message"),
            full_message: Key::of("full_message"),
            level: Key::of("level"),
        }
    }
}

impl GelfKeys {
    /// The keys of a configuration (`gelf_timestamp_key` and so on); what is not given has its usual name.
    pub fn new(
        timestamp: Option<&str>,
        host: Option<&str>,
        short_message: Option<&str>,
        full_message: Option<&str>,
        level: Option<&str>,
    ) -> Self {
        let usual = Self::default();
        // A key may be written as an accessor: `$host`.
        let key = |given: Option<&str>, usual| given.map_or(usual, |g| Key::of(g.strip_prefix('$').unwrap_or(g)));
        Self {
            timestamp: key(timestamp, usual.timestamp),
            host: key(host, usual.host),
            short_message: key(short_message, usual.short_message),
            full_message: key(full_message, usual.full_message),
            level: key(level, usual.level),
        }
    }
}

/// Writes records as GELF.
#[derive(Debug, Clone, Copy)]
pub struct Gelf {
    keys: GelfKeys,
    json: JsonOpts,
    /// Additional fields with the value of the tag.
    tag: Option<Key>,
}

/// Fields that were written already.
#[derive(Default)]
struct Seen {
    timestamp: bool,
    host: bool,
    short_message: bool,
    full_message: bool,
    level: bool,
}

impl Gelf {
    /// With these keys.
    pub fn new(keys: GelfKeys, json: JsonOpts) -> Self {
        Self { keys, json, tag: None }
    }

    /// Adds the tag of the record as the additional field `_<key>` (`gelf_tag_key`), unless the record has that key.
    pub fn with_tag(mut self, key: Option<&str>) -> Self {
        self.tag = key.map(|k| Key::of(k.strip_prefix('$').unwrap_or(k)));
        self
    }

    /// Appends one record, without a newline. Answers whether it had a message; if not, `-` stands for it.
    pub fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        let mut seen = Seen::default();
        let mut name = Vec::new();
        let body = record.body();
        out.extend_from_slice(b"{\"version\":\"1.1\"");
        for (key, value) in body {
            if let Some((field, value)) = self.field(key, &value, &mut seen) {
                write_name(field.as_bytes(), out);
                self.value(&value, out);
                continue;
            }
            name.clear();
            name.push(b'_');
            // `_id` is the receiver's own.
            if body.name(key) == b"id" {
                name.push(b'_');
            }
            push_clean(body.name(key), &mut name);
            self.additional(&mut name, &value, true, out);
        }
        if let Some(key) = self.tag.filter(|key| body.position(*key).is_none()) {
            name.clear();
            name.push(b'_');
            push_clean(key.name(), &mut name);
            write_name(&name, out);
            self.value(&Value::Str(Text::plain(record.batch().tag().as_bytes())), out);
        }
        if !seen.timestamp {
            write_name(b"timestamp", out);
            write_time(record.time(), out);
        }
        if !seen.short_message {
            out.extend_from_slice(b", \"short_message\":\"-\"");
        }
        out.push(b'}');
        seen.short_message
    }

    /// The field of the protocol that a key stands for, unless its value cannot be one.
    fn field<'a>(&self, key: Key, value: &Value<'a>, seen: &mut Seen) -> Option<(&'static str, Value<'a>)> {
        let keys = &self.keys;
        let (field, seen) = match key {
            _ if key == keys.host => ("host", &mut seen.host),
            _ if key == keys.short_message => ("short_message", &mut seen.short_message),
            _ if key == keys.timestamp => ("timestamp", &mut seen.timestamp),
            _ if key == keys.level => ("level", &mut seen.level),
            _ if key == keys.full_message => ("full_message", &mut seen.full_message),
            _ => return None,
        };
        let value = match (field, value) {
            (_, Value::Null | Value::Map(_)) => return None,
            ("level", _) => level(value)?,
            ("timestamp", Value::Int(_) | Value::Uint(_)) => *value,
            ("timestamp", Value::Float(v)) if v.is_finite() => *value,
            ("timestamp", _) => return None,
            _ => *value,
        };
        (!std::mem::replace(seen, true)).then_some((field, value))
    }

    /// An additional field, or those of a map. `top` leaves out what has no value; deeper it is `null`.
    fn additional(&self, name: &mut Vec<u8>, value: &Value<'_>, top: bool, out: &mut Vec<u8>) {
        match value {
            Value::Map(cells) => {
                for (key, value) in *cells {
                    let before = name.len();
                    name.push(b'_');
                    push_clean(cells.name(key), name);
                    self.additional(name, &value, false, out);
                    name.truncate(before);
                }
            }
            Value::Null if top => {}
            _ => {
                write_name(name, out);
                self.value(value, out);
            }
        }
    }

    /// A value that is no map.
    fn value(&self, value: &Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Int(v) => write_i64(*v, out),
            Value::Uint(v) => write_u64(*v, out),
            Value::Float(v) if v.is_finite() => write_f64_fixed6(*v, out),
            _ => {
                out.push(b'"');
                self.plain(value, &mut Vec::new(), out);
                out.push(b'"');
            }
        }
    }

    /// A value inside quotes: elements of an array behind commas, entries of a map as `key=value`.
    fn plain(&self, value: &Value<'_>, name: &mut Vec<u8>, out: &mut Vec<u8>) {
        match value {
            Value::Str(text) => write_inner(&text.bytes(), self.json, out),
            Value::Bin(bytes) => write_inner(bytes, self.json, out),
            Value::Array(cells) => {
                for (n, (_, value)) in cells.enumerate() {
                    if n > 0 {
                        out.extend_from_slice(b", ");
                    }
                    self.plain(&value, &mut Vec::new(), out);
                }
            }
            Value::Map(cells) => self.entries(*cells, name, out),
            Value::Null => out.extend_from_slice(b"null"),
            other => text::write_value(other, out),
        }
    }

    fn entries(&self, cells: Cells<'_>, name: &mut Vec<u8>, out: &mut Vec<u8>) {
        for (n, (key, value)) in cells.enumerate() {
            if n > 0 {
                out.push(b' ');
            }
            let before = name.len();
            if before > 0 {
                name.push(b'_');
            }
            push_clean(cells.name(key), name);
            match &value {
                Value::Map(inner) => self.entries(*inner, name, out),
                _ => {
                    out.extend_from_slice(name);
                    out.push(b'=');
                    self.plain(&value, &mut Vec::new(), out);
                }
            }
            name.truncate(before);
        }
    }
}

/// A level between 0 and 7 for syslog's words and for digits; other numbers and words as they stand.
fn level<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Int(0..) | Value::Uint(_) => Some(*value),
        Value::Str(text) => {
            let word = text.bytes();
            if let [digit @ b'0'..=b'7'] = *word {
                return Some(Value::Int(i64::from(digit - b'0')));
            }
            let known = LEVELS.iter().position(|l| l.as_bytes().eq_ignore_ascii_case(&word));
            Some(known.map_or(*value, |n| Value::Int(n as i64)))
        }
        _ => None,
    }
}

/// `, "name":`
fn write_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b", \"");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}

/// A name in which only characters that the specification allows are left.
fn push_clean(name: &[u8], out: &mut Vec<u8>) {
    let clean = |b: &u8| if b.is_ascii_alphanumeric() || b"_.-".contains(b) { *b } else { b'_' };
    out.extend(name.iter().map(clean));
}

/// Seconds with three decimals.
fn write_time(time: Time, out: &mut Vec<u8>) {
    write_i64(time.secs(), out);
    out.push(b'.');
    push_fixed::<3>(out, u64::from(time.subsec_nanos() / 1_000_000));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;
    use proptest::prelude::*;

    fn gelf(gelf: Gelf, json: &str) -> (String, bool) {
        let mut b = Batch::new(Tag::new("a.b"));
        let text = b.arena_mut().push(json.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        b.finish(mark, Time(1_001_999_999));
        let mut out = Vec::new();
        let had_message = gelf.write(&b.record(0), &mut out);
        (String::from_utf8(out).unwrap(), had_message)
    }

    #[track_caller]
    fn check(json: &str, fields: &str) {
        let (got, had_message) = gelf(Gelf::new(GelfKeys::default(), JsonOpts::default()), json);
        assert_eq!(got, format!("{{\"version\":\"1.1\"{fields}}}"), "{json}");
        assert_eq!(had_message, !fields.ends_with("\"short_message\":\"-\""), "{json}");
    }

    #[test]
    fn fields() {
        check(
            r#"{"short_message":"hi","level":"warn","k":{"a":"b"}}"#,
            r#", "short_message":"hi", "level":"warn", "_k_a":"b", "timestamp":1.001"#,
        );
        check(
            r#"{"host":"h","short_message":"m \"q\" é","full_message":"a\nb","level":"ERR","timestamp":5.25}"#,
            r#", "host":"h", "short_message":"m \"q\" \u00e9", "full_message":"a\nb", "level":3, "timestamp":5.250000"#,
        );
        check(
            r#"{"short_message":"m","i":-1,"u":18446744073709551615,"f":1.5,"t":true,"n":null,"level":"7"}"#,
            r#", "short_message":"m", "_i":-1, "_u":18446744073709551615, "_f":1.500000, "_t":"true", "level":7, "timestamp":1.001"#,
        );
        check(
            r#"{"short_message":["a",1,null,{"x":true,"m":{"y":1.0,"z":"q\""},"w":2}],"a b/é":{"c d":{},"e":[],"n":null}}"#,
            r#", "short_message":"a, 1, null, x=true m_y=1.000000 m_z=q\" w=2", "_a_b____e":"", "_a_b____n":null, "timestamp":1.001"#,
        );
    }

    #[test]
    fn nothing_is_lost() {
        check(r#"{"id":7,"_id":8}"#, r#", "__id":7, "__id":8, "timestamp":1.001, "short_message":"-""#);
        check(
            r#"{"short_message":"a","short_message":"b","level":true,"timestamp":"noon","host":{"name":"x"}}"#,
            r#", "short_message":"a", "_short_message":"b", "_level":"true", "_timestamp":"noon", "_host_name":"x", "timestamp":1.001"#,
        );
        check("{}", r#", "timestamp":1.001, "short_message":"-""#);
    }

    #[test]
    fn keys_and_tag() {
        let keys = GelfKeys::new(Some("ts"), Some("$node"), Some("log"), Some("all"), Some("sev"));
        let with = |tag| Gelf::new(keys, JsonOpts { escape_unicode: false, ..JsonOpts::default() }).with_tag(tag);
        let record = r#"{"log":"é","node":"n","sev":"info","all":"l","ts":9,"host":"x"}"#;
        let fields = r#""short_message":"é", "host":"n", "level":6, "full_message":"l", "timestamp":9, "_host":"x""#;
        assert_eq!(gelf(with(None), record).0, format!("{{\"version\":\"1.1\", {fields}}}"));
        assert_eq!(gelf(with(Some("t")), record).0, format!("{{\"version\":\"1.1\", {fields}, \"_t\":\"a.b\"}}"));
        assert!(!gelf(with(Some("sev")), record).0.contains("a.b"));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[a\"\\\\\u{0}-\u{20}é😀]{0,5}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("[a-c\"\\\\é ]{0,3}", inner), 0..4)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_record_is_a_flat_object(value in any_json(), message in any_json()) {
            let record = serde_json::json!({"v": value, "short_message": message, "level": value});
            let (text, _) = gelf(Gelf::new(GelfKeys::default(), JsonOpts::default()), &record.to_string());
            let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
            prop_assert!(read.values().all(|v| !v.is_object() && !v.is_array()));
            prop_assert!(read["timestamp"].is_number() && read.contains_key("short_message"));
        }
    }
}
