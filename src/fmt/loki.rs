//! Bodies for Loki's push API: records grouped into streams by their labels, in the order of time.
//!
//! `{"streams":[{"stream":{"job":"fluent-bit"},"values":[["1000000000","{\"log\":\"hi\"}"]]}]}`. Source: Loki's HTTP API,
//! `POST /loki/api/v1/push`.

use super::json_write::{JsonOpts, write_str, write_text, write_value};
use super::num::{write_f64_json, write_i64, write_u64};
use super::without::{Left, Without};
use crate::event::template::write_plain;
use crate::event::{Accessor, Record, Template, Value, View};
use crate::time::Time;
use rustc_hash::FxHashMap;

/// How a record becomes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A JSON object.
    Json,
    /// `key="value" …`, texts without escapes.
    KeyValue,
}

/// What becomes of a record of which one field is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Single {
    /// It is written as any other.
    Kept,
    /// The field's value is the line.
    Value,
    /// The same, text without quotes.
    Raw,
}

/// A label or a piece of structured metadata.
#[derive(Debug, Clone)]
pub struct Label {
    name: Box<str>,
    value: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Fixed(Box<str>),
    Of(Template),
}

impl Label {
    /// Reads `name=value`, `name=$accessor` or `$accessor`; the second of the pair is the field that it uses up.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<(Self, Option<Accessor>), String> {
        if text.starts_with('$') {
            let path = Accessor::parse(text)?;
            return Ok((Self::of_path(&path, None)?, Some(path)));
        }
        let (name, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is neither name=value nor $key"))?;
        let (name, value) = (name.trim(), value.trim());
        let is_name = |i: usize, c: char| c.is_ascii_alphabetic() || c == '_' || (i > 0 && c.is_ascii_digit());
        if name.is_empty() || !name.char_indices().all(|(i, c)| is_name(i, c)) {
            return Err(format!("'{name}' is not the name of a label: letters, digits and _ make one"));
        }
        if value.is_empty() {
            return Err(format!("the label {name} has no value"));
        }
        if !value.starts_with('$') {
            return Ok((Self { name: name.into(), value: Source::Fixed(value.into()) }, None));
        }
        let value_of = Template::parse(value)?;
        Ok((Self { name: name.into(), value: Source::Of(value_of) }, Accessor::parse(value).ok()))
    }

    /// The value at a path, under this name or the path's own.
    ///
    /// # Errors
    /// Says what is wrong with the path.
    pub fn of_path(path: &Accessor, name: Option<&str>) -> Result<Self, String> {
        let mut own = Vec::new();
        for (n, part) in path.parts().enumerate() {
            if n > 0 {
                own.push(b'_');
            }
            own.extend_from_slice(&part);
        }
        if own.first().is_some_and(u8::is_ascii_digit) {
            return Err(format!("{}: a key may not begin with a digit", path.text()));
        }
        let mut clean = Vec::new();
        push_label_name(name.map_or(&own, |n| n.as_bytes()), &mut clean);
        let text = if path.text().starts_with('$') { path.text().to_owned() } else { format!("${}", path.text()) };
        let value = Source::Of(Template::parse(&text)?);
        Ok(Self { name: String::from_utf8_lossy(&clean).into(), value })
    }

    fn is_fixed(&self) -> bool {
        matches!(self.value, Source::Fixed(_))
    }
}

/// Labels as JSON, and the records with them.
type Stream<'a> = (Vec<u8>, Vec<(Time, Record<'a>)>);

/// How records become bodies.
#[derive(Debug)]
pub struct Loki {
    /// The labels of streams.
    pub labels: Vec<Label>,
    /// The labels of the pod become labels, too.
    pub kubernetes: Option<Accessor>,
    /// Structured metadata.
    pub metadata: Vec<Label>,
    /// Maps whose entries are structured metadata.
    pub metadata_maps: Vec<Accessor>,
    /// Fields that do not stand in lines.
    pub removed: Vec<Accessor>,
    /// The form of lines.
    pub line: Line,
    /// Lines of one field.
    pub single: Single,
    /// How JSON is written.
    pub json: JsonOpts,
}

impl Loki {
    /// Appends a body with all records.
    pub fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"streams\":[");
        let (mut line, mut skip) = (Vec::new(), Vec::new());
        for (n, (labels, mut records)) in self.streams(view).into_iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"stream\":");
            out.extend_from_slice(&labels);
            out.extend_from_slice(b",\"values\":[");
            records.sort_by_key(|r| r.0);
            for (n, (time, record)) in records.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(b"[\"");
                write_i64(time.0, out);
                out.extend_from_slice(b"\",");
                self.write_line(record, &mut skip, &mut line, out);
                if !self.metadata.is_empty() || !self.metadata_maps.is_empty() {
                    out.push(b',');
                    self.write_metadata(record, &mut line, out);
                }
                out.push(b']');
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"]}");
    }

    /// The records of each set of labels, written as JSON; sets in the order in which they came.
    fn streams<'a>(&self, view: &View<'a>) -> Vec<Stream<'a>> {
        let mut streams: Vec<Stream<'a>> = Vec::new();
        let mut known: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
        let (mut labels, mut text) = (Vec::new(), Vec::new());
        let is_fixed = self.kubernetes.is_none() && self.labels.iter().all(Label::is_fixed);
        for record in view.records() {
            if !is_fixed || streams.is_empty() {
                labels.clear();
                self.write_labels(&record, &mut text, &mut labels);
            }
            let at = match streams.last() {
                Some((last, _)) if *last == labels => streams.len() - 1,
                _ => *known.entry(labels.clone()).or_insert_with(|| {
                    streams.push((labels.clone(), Vec::new()));
                    streams.len() - 1
                }),
            };
            if let Some((_, records)) = streams.get_mut(at) {
                records.push((record.time(), record));
            }
        }
        streams
    }

    fn write_labels(&self, record: &Record<'_>, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        self.write_pairs(&self.labels, record, start, text, out);
        if let Some(Value::Map(map)) = self.kubernetes.as_ref().and_then(|path| path.get(record.body())) {
            for (key, value) in map {
                let Some(value) = value.as_text() else { continue };
                write_name(map.name(key), start, out);
                write_text(value, self.json, out);
            }
        }
        if out.len() == start {
            // A stream needs a label.
            out.extend_from_slice(b"\"job\":\"fluent-bit\"");
        }
        out.push(b'}');
    }

    /// Pairs that have a value.
    fn write_pairs(&self, pairs: &[Label], record: &Record<'_>, start: usize, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        for label in pairs {
            text.clear();
            match &label.value {
                Source::Fixed(fixed) => text.extend_from_slice(fixed.as_bytes()),
                Source::Of(template) => template.render(record.body(), record.batch().tag(), |_| None, text),
            }
            if !text.is_empty() {
                write_name(label.name.as_bytes(), start, out);
                write_str(text, self.json, out);
            }
        }
    }

    fn write_metadata(&self, record: &Record<'_>, text: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for path in &self.metadata_maps {
            let Some(Value::Map(map)) = path.get(record.body()) else { continue };
            for (key, value) in map {
                write_name(map.name(key), start, out);
                match value.as_text() {
                    Some(value) => write_text(value, self.json, out),
                    None => {
                        text.clear();
                        write_value(&value, self.json, text);
                        write_str(text, self.json, out);
                    }
                }
            }
        }
        self.write_pairs(&self.metadata, record, start, text, out);
        out.push(b'}');
    }

    /// The line as a JSON string.
    fn write_line(&self, record: &Record<'_>, skip: &mut Vec<usize>, line: &mut Vec<u8>, out: &mut Vec<u8>) {
        let left = Without::new(record.body(), &self.removed, skip);
        let single = if self.single == Single::Kept { None } else { left.single() };
        line.clear();
        match (self.line, single) {
            (Line::KeyValue, Some(Left::Whole(Value::Str(text)))) => return write_text(text, self.json, out),
            (Line::Json, Some(Left::Whole(Value::Str(text)))) if self.single == Single::Raw => {
                return write_text(text, self.json, out);
            }
            (Line::Json, Some(value)) => value.write_json(self.json, line),
            (Line::KeyValue, Some(value)) => key_value(&value, line),
            (Line::Json, None) => left.write_json(self.json, line),
            (Line::KeyValue, None) => pairs(left, b'=', line),
        }
        write_str(line, self.json, out);
    }
}

/// `a="b" c=1`, or with `:` in nested maps.
fn pairs(map: Without<'_, '_>, between: u8, out: &mut Vec<u8>) {
    for (n, (key, value)) in map.entries().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(map.name(key));
        out.push(between);
        key_value(&value, out);
    }
}

/// A value of a line of keys and values: texts as they are between quotes, `"map[a:1 b:2]"`, `"[1 2]"`.
fn key_value(value: &Left<'_, '_>, out: &mut Vec<u8>) {
    let value = match value {
        Left::Part(map) => {
            out.extend_from_slice(b"\"map[");
            pairs(*map, b':', out);
            return out.extend_from_slice(b"]\"");
        }
        Left::Whole(value) => value,
    };
    match value {
        Value::Map(map) => {
            let mut none = Vec::new();
            key_value(&Left::Part(Without::new(*map, &[], &mut none)), out);
        }
        Value::Array(cells) => {
            out.extend_from_slice(b"\"[");
            for (n, (_, value)) in cells.enumerate() {
                if n > 0 {
                    out.push(b' ');
                }
                key_value(&Left::Whole(value), out);
            }
            out.extend_from_slice(b"]\"");
        }
        Value::Str(_) | Value::Bin(_) => {
            out.push(b'"');
            write_plain(value, out);
            out.push(b'"');
        }
        Value::Float(v) => write_f64_json(*v, out),
        Value::Int(v) => write_i64(*v, out),
        Value::Uint(v) => write_u64(*v, out),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

/// `"name":` behind a comma where something was written since `start`.
fn write_name(name: &[u8], start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
    out.push(b'"');
    push_label_name(name, out);
    out.extend_from_slice(b"\":");
}

/// Appends a name with `_` for all that labels may not have in theirs.
fn push_label_name(name: &[u8], out: &mut Vec<u8>) {
    if name.first().is_none_or(u8::is_ascii_digit) {
        out.push(b'_');
    }
    out.extend(name.iter().map(|&b| if b.is_ascii_alphanumeric() { b } else { b'_' }));
}

#[cfg(test)]
mod tests;
