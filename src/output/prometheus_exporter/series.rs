//! The latest values of metrics. Deliveries bring them as lines of fields with tabs between them, made by [`line`].

use crate::event::{Key, Record, Value};
use crate::output::Why;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most values that are kept.
const MOST: usize = 50_000;

/// Families by name.
#[derive(Debug)]
pub(super) struct Series {
    families: BTreeMap<String, Family>,
    count: usize,
    with_time: bool,
}

#[derive(Debug)]
struct Family {
    kind: String,
    help: String,
    /// By their labels as they are written: the value, and its time in ms.
    values: BTreeMap<String, (String, String)>,
}

impl Series {
    pub(super) fn new(with_time: bool) -> Self {
        Self { families: BTreeMap::new(), count: 0, with_time }
    }

    /// Takes the values of a delivery; those of its records that are no metrics come back, with the reason.
    pub(super) fn take(&mut self, lines: &[u8]) -> Vec<(u32, Why)> {
        let mut refused = Vec::new();
        for line in String::from_utf8_lossy(lines).lines() {
            let mut fields = line.split('\t');
            let index = fields.next().and_then(|n| n.parse().ok()).unwrap_or(u32::MAX);
            let parts: Vec<&str> = fields.collect();
            let [name, kind, help, labels, value, time] = parts[..] else {
                refused.push((index, "not a metric: name, labels and a value that is a number are needed".into()));
                continue;
            };
            let family = self.families.entry(name.to_owned()).or_insert_with(|| Family {
                kind: kind.to_owned(),
                help: help.to_owned(),
                values: BTreeMap::new(),
            });
            if !family.values.contains_key(labels) {
                if self.count == MOST {
                    refused.push((index, "50,000 metrics are kept already".into()));
                    continue;
                }
                self.count += 1;
            }
            family.values.insert(labels.to_owned(), (value.to_owned(), time.to_owned()));
        }
        refused
    }

    /// The exposition format, version 0.0.4.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.families.iter().filter(|(_, f)| !f.values.is_empty()) {
            let _ = write!(out, "# HELP {name} {}\n# TYPE {name} {}\n", family.help, family.kind);
            for (labels, (value, time)) in &family.values {
                let _ = write!(out, "{name}{labels} {value}");
                let _ = if self.with_time { writeln!(out, " {time}") } else { writeln!(out) };
            }
        }
        out
    }
}

/// Whether this can name a metric or a label.
pub(super) fn is_name(name: &[u8]) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b':';
    name.first().is_some_and(|b| !b.is_ascii_digit()) && name.iter().all(word)
}

/// Appends a record as a line: its index alone when it is no metric.
pub(super) fn line(record: &Record<'_>, more: &[(String, String)], out: &mut Vec<u8>) {
    let mut text = format!("{}", record.index());
    let before = text.len();
    if metric(record, more, &mut text).is_none() {
        text.truncate(before);
    }
    text.push('\n');
    out.extend_from_slice(text.as_bytes());
}

fn metric(record: &Record<'_>, more: &[(String, String)], out: &mut String) -> Option<()> {
    let body = record.body();
    let text = |key: &str| match body.find(Key::of(key)) {
        Some(Value::Str(text)) => Some(String::from_utf8_lossy(&text.bytes()).replace(['\t', '\r', '\n'], " ")),
        _ => None,
    };
    let name = text("name").filter(|name| is_name(name.as_bytes()))?;
    let kind = text("type").filter(|k| matches!(k.as_str(), "counter" | "gauge")).unwrap_or_else(|| "untyped".into());
    let value = match body.find(Key::of("value"))? {
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Bool(b) => u8::from(b).to_string(),
        _ => return None,
    };
    let help = text("help").unwrap_or_default();
    let _ = write!(out, "\t{name}\t{kind}\t{help}\t");
    let mut comma = '{';
    let mut label = |name: &str, value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace(['\t', '\r'], " ");
        let _ = write!(out, "{comma}{name}=\"{value}\"");
        comma = ',';
    };
    if let Some(Value::Map(labels)) = body.find(Key::of("labels")) {
        for (key, value) in labels {
            let name = String::from_utf8_lossy(record.batch().key_name(key)).into_owned();
            if !is_name(name.as_bytes()) {
                return None;
            }
            match value {
                Value::Str(text) => label(&name, &String::from_utf8_lossy(&text.bytes())),
                Value::Int(n) => label(&name, &n.to_string()),
                Value::Bool(b) => label(&name, if b { "true" } else { "false" }),
                _ => return None,
            }
        }
    }
    more.iter().for_each(|(name, value)| label(name, value));
    if comma == ',' {
        out.push('}');
    }
    let _ = write!(out, "\t{value}\t{}", record.time().0 / 1_000_000);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;
    use crate::time::Time;

    fn lines(records: &[&str], more: &[(&str, &str)]) -> Vec<u8> {
        let mut batch = Batch::new(Tag::new("t"));
        for (n, text) in records.iter().enumerate() {
            let span = batch.arena_mut().push(text.as_bytes());
            let mark = batch.begin();
            JsonReader::default().object(&mut batch, span).unwrap();
            batch.finish(mark, Time(1_000_000 * n as i64));
        }
        let more: Vec<_> = more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut out = Vec::new();
        batch.records().for_each(|r| line(&r, &more, &mut out));
        out
    }

    #[test]
    fn the_latest_value_is_shown() {
        let mut series = Series::new(false);
        let records = [
            r#"{"name":"b","type":"gauge","help":"B\t.","labels":{},"value":1.5}"#,
            r#"{"name":"a_total","type":"counter","help":"A","labels":{"name":"x\"\n"},"value":5}"#,
            r#"{"name":"a_total","type":"counter","help":"A","labels":{"name":"x\"\n"},"value":6}"#,
            r#"{"log":"no metric"}"#,
            r#"{"name":"1x","value":1}"#,
            r#"{"name":"x","labels":{"a-b":"c"},"value":1}"#,
            r#"{"name":"x","value":"1"}"#,
        ];
        let refused = series.take(&lines(&records, &[("c", "d")]));
        assert_eq!(refused.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4, 5, 6]);
        let want = "# HELP a_total A\n# TYPE a_total counter\na_total{name=\"x\\\"\\n\",c=\"d\"} 6\n# HELP b B .\n# TYPE b gauge\nb{c=\"d\"} 1.5\n";
        assert_eq!(series.text(), want);
        let mut series = Series::new(true);
        assert_eq!(series.take(&lines(&[r#"{"name":"x","value":true}"#, r#"{"name":"x","value":-2}"#], &[])), []);
        assert_eq!(series.text(), "# HELP x \n# TYPE x untyped\nx -2 1\n");
    }

    #[test]
    fn memory_is_bounded() {
        let mut series = Series::new(false);
        let records: Vec<String> = (0..MOST + 2).map(|n| format!("{n}\tx\tgauge\t\t{{n=\"{n}\"}}\t1\t0\n")).collect();
        assert_eq!(series.take(records.concat().as_bytes()).len(), 2);
        assert_eq!(series.take(records[0].as_bytes()).len(), 0);
    }
}
