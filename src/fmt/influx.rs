//! InfluxDB's line protocol: each record is a point, `tag,_seq=0,host=a log="hi",n=1 1700000000000000000`.
//!
//! The measurement is the tag. Source: the line protocol's reference of InfluxDB 1.8 and 2.7. Where Fluent Bit's bytes would
//! arrive as something else they differ: text is escaped once and arrives as it was, doubles keep their precision, maps and arrays
//! are text in JSON instead of nothing, a field `time` (which servers refuse) is `time_`.

use super::json_write::{JsonOpts, write_value};
use super::num::{write_f64_fixed6, write_f64_json, write_i64, write_u64};
use crate::event::{Key, Record, Value, View};

/// After this number the sequence begins at 1 again.
const SEQUENCE_MAX: u64 = 99_999;

/// How records become points.
#[derive(Debug)]
pub struct Influx {
    /// The tag that numbers points, so that those of one time stay apart.
    pub sequence: Option<Box<str>>,
    /// Every text is a tag.
    pub auto_tags: bool,
    /// Keys whose values are tags.
    pub tag_keys: Vec<Key>,
    /// Integers end with `i`: they are numbers without a fraction for the server, too.
    pub integers: bool,
    /// How maps and arrays are written.
    pub json: JsonOpts,
}

/// What the points so far leave behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    sequence: u64,
    /// The time of the last record, and the one that was written.
    last: i64,
    written: i64,
}

impl State {
    /// The next number.
    fn next(&mut self) -> u64 {
        let n = self.sequence;
        self.sequence = if n >= SEQUENCE_MAX { 1 } else { n + 1 };
        n
    }

    /// A point of the same time would replace the one before it: it comes a nanosecond later.
    fn apart(&mut self, time: i64) -> i64 {
        if time == self.last || time == self.written {
            self.written = self.written.saturating_add(1);
        } else {
            self.written = time;
        }
        self.last = time;
        self.written
    }
}

/// Whether a record can be a point: it needs a field.
pub fn is_point(record: &Record<'_>) -> bool {
    record.body().any(|(_, value)| has_value(&value))
}

fn has_value(value: &Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Float(v) => v.is_finite(),
        _ => true,
    }
}

impl Influx {
    /// Appends the records, which must be points, a line each; the last one has no newline.
    pub fn write(&self, view: &View<'_>, state: &mut State, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        for (n, record) in view.records().enumerate() {
            if n > 0 {
                out.push(b'\n');
            }
            self.point(&record, state, &mut text, out);
        }
    }

    fn point(&self, record: &Record<'_>, state: &mut State, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        let body = record.body();
        push_name(record.batch().tag().as_bytes(), b" ,", out);
        let sequence = state.next();
        if let Some(name) = &self.sequence {
            out.push(b',');
            push_name(name.as_bytes(), b" ,=", out);
            out.push(b'=');
            write_u64(sequence, out);
        }
        // A point needs a field: where all would be tags, all are fields.
        let has_field = body.into_iter().any(|(key, value)| has_value(&value) && !self.is_tag(key, &value));
        for (key, value) in body.filter(|(key, value)| has_field && self.is_tag(*key, value)) {
            out.push(b',');
            push_key(body.name(key), out);
            out.push(b'=');
            match value {
                Value::Str(_) | Value::Bin(_) => push_name(plain(&value, self.json, text), b" ,=", out),
                _ => self.value(&value, text, out),
            }
        }
        let mut between = b' ';
        for (key, value) in body.filter(|(key, value)| has_value(value) && !(has_field && self.is_tag(*key, value))) {
            out.push(std::mem::replace(&mut between, b','));
            push_key(body.name(key), out);
            out.push(b'=');
            self.value(&value, text, out);
        }
        out.push(b' ');
        write_i64(state.apart(record.time().0), out);
    }

    /// Whether a value is a tag; an empty one cannot be.
    fn is_tag(&self, key: Key, value: &Value<'_>) -> bool {
        match value {
            Value::Map(_) | Value::Array(_) => false,
            Value::Str(text) => {
                text.raw().iter().any(|b| *b != b'\\') && (self.auto_tags || self.tag_keys.contains(&key))
            }
            Value::Bin(bytes) => bytes.iter().any(|b| *b != b'\\') && self.tag_keys.contains(&key),
            _ => has_value(value) && self.tag_keys.contains(&key),
        }
    }

    /// The value of a field.
    fn value(&self, value: &Value<'_>, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        match value {
            Value::Bool(v) => out.extend_from_slice(if *v { b"TRUE" } else { b"FALSE" }),
            Value::Int(v) => {
                write_i64(*v, out);
                out.extend(self.integers.then_some(b'i'));
            }
            // Beyond what the server takes for an integer.
            Value::Uint(v) => write_u64(*v, out),
            Value::Float(v) => push_float(*v, out),
            _ => {
                out.push(b'"');
                for &b in plain(value, self.json, text) {
                    if matches!(b, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(b);
                }
                out.push(b'"');
            }
        }
    }
}

/// What a value means as text; always UTF-8.
fn plain<'t>(value: &Value<'_>, json: JsonOpts, text: &'t mut Vec<u8>) -> &'t [u8] {
    text.clear();
    match value {
        Value::Str(value) => value.decode(text),
        Value::Bin(bytes) => text.extend_from_slice(bytes),
        other => write_value(other, json, text),
    }
    if std::str::from_utf8(text).is_err() {
        *text = String::from_utf8_lossy(text).into_owned().into_bytes();
    }
    text
}

/// As `%f` where that is all of it, else with as many digits as it needs.
fn push_float(v: f64, out: &mut Vec<u8>) {
    let start = out.len();
    write_f64_fixed6(v, out);
    let written = out.get(start..).and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
    if written != Some(v) {
        out.truncate(start);
        write_f64_json(v, out);
    }
}

/// A key of a tag or field.
fn push_key(name: &[u8], out: &mut Vec<u8>) {
    match String::from_utf8_lossy(name).as_bytes() {
        b"time" => out.extend_from_slice(b"time_"),
        name if name.iter().all(|b| *b == b'\\') => out.push(b'_'),
        name => push_name(name, b" ,=", out),
    }
}

/// A name or the value of a tag with `\` before what would end it. Ends of lines, which cannot be in one, become `\n`
/// and `\r`; a `\` at the end would hide what follows and is left out.
fn push_name(name: &[u8], special: &[u8], out: &mut Vec<u8>) {
    let end = name.iter().rposition(|b| *b != b'\\').map_or(0, |at| at + 1);
    for &b in name.get(..end).unwrap_or_default() {
        match b {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend(special.contains(&b).then_some(b'\\'));
                out.push(b);
            }
        }
    }
}

#[cfg(test)]
mod tests;
