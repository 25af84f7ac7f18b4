//! The formats of the file output: one record, one line (but msgpack).

use super::template::Template;
use crate::event::{Cells, Record, Value, View};
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::fmt::msgpack_write::write_event;
use crate::fmt::num::write_f64_fixed6;
use crate::fmt::record::RecordFormat;
use crate::fmt::text;

/// How a record becomes bytes.
#[derive(Debug)]
pub(super) enum Format {
    /// `tag: [1700000000.971739438, {"key":"value"}]`
    Default(JsonOpts),
    /// `{"key":"value"}`
    Plain(JsonOpts),
    /// `{"date":1700000000.97174,"key":"value"}`
    JsonLines(RecordFormat),
    /// The time and the values, with a delimiter between them.
    Csv(Box<str>),
    /// `"time":1700000000.971739` and each `"key":value`; the delimiter, then what stands behind a label.
    Ltsv(Box<str>, Box<str>),
    /// A line made to order.
    Template(Template),
    /// Events one behind the other.
    Msgpack,
}

impl Format {
    /// Appends all records.
    pub(super) fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        for record in view.records() {
            self.write_one(view.tag(), &record, out);
        }
    }

    fn write_one(&self, tag: &str, record: &Record<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Default(json) => {
                out.extend_from_slice(tag.as_bytes());
                out.extend_from_slice(b": [");
                text::write_time(record.time(), out);
                out.extend_from_slice(b", ");
                write_map(record.body(), *json, out);
                out.push(b']');
            }
            Self::Plain(json) => write_map(record.body(), *json, out),
            Self::JsonLines(format) => format.write_object(record, out),
            // A record without fields has no line in these two.
            Self::Csv(_) | Self::Ltsv(..) if record.body().is_empty() => return,
            Self::Csv(delimiter) => csv(record, delimiter, out),
            Self::Ltsv(delimiter, label) => ltsv(record, delimiter, label, out),
            Self::Template(template) => template.write(record, out),
            Self::Msgpack => return write_event(record, out),
        }
        out.push(b'\n');
    }

    /// The line with the names of the columns: those of the first record that has any.
    pub(super) fn header(&self, view: &View<'_>, out: &mut Vec<u8>) {
        let Self::Csv(delimiter) = self else { return };
        let Some(body) = view.records().map(|r| r.body()).find(|b| !b.is_empty()) else { return };
        out.extend_from_slice(b"timestamp");
        for (key, _) in body {
            out.extend_from_slice(delimiter.as_bytes());
            let start = out.len();
            out.push(b'"');
            out.extend_from_slice(body.name(key));
            out.push(b'"');
            double_quotes(start, out);
        }
        out.push(b'\n');
    }
}

fn csv(record: &Record<'_>, delimiter: &str, out: &mut Vec<u8>) {
    text::write_time(record.time(), out);
    for (_, value) in record.body() {
        out.extend_from_slice(delimiter.as_bytes());
        let start = out.len();
        match value {
            Value::Map(_) | Value::Array(_) => {
                text::write_value(&value, out);
                // RFC 4180: what holds a delimiter or a quote stands in quotes.
                let field = out.get(start..).unwrap_or_default();
                let special = |b: u8| b == b'"' || b == b'\n' || b == b'\r' || delimiter.as_bytes().contains(&b);
                if field.iter().any(|&b| special(b)) {
                    out.insert(start, b'"');
                    out.push(b'"');
                    double_quotes(start, out);
                }
            }
            Value::Str(_) | Value::Bin(_) => {
                text::write_value(&value, out);
                double_quotes(start, out);
            }
            other => text::write_value(&other, out),
        }
    }
}

/// Doubles the quotes inside the field from `start`, whose first and last byte are quotes.
fn double_quotes(start: usize, out: &mut Vec<u8>) {
    let inner = out.get(start + 1..out.len().saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'"', inner).is_none() {
        return;
    }
    let inner = inner.to_vec();
    out.truncate(start + 1);
    for part in inner.split_inclusive(|&b| b == b'"') {
        out.extend_from_slice(part);
        if part.last() == Some(&b'"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

fn ltsv(record: &Record<'_>, delimiter: &str, label: &str, out: &mut Vec<u8>) {
    let body: Cells<'_> = record.body();
    out.extend_from_slice(b"\"time\"");
    out.extend_from_slice(label.as_bytes());
    write_f64_fixed6(record.time().as_secs_f64(), out);
    for (key, value) in body {
        out.extend_from_slice(delimiter.as_bytes());
        out.push(b'"');
        out.extend_from_slice(body.name(key));
        out.push(b'"');
        out.extend_from_slice(label.as_bytes());
        text::write_value(&value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::batch;
    use super::*;
    use crate::event::{Batch, Key, Kind, Tag};
    use crate::fmt::date_format::DateFormat;
    use crate::time::Time;
    use proptest::prelude::*;

    const SAMPLE: &str = r#"{"a":"x \"q\"","n":1,"f":1.5,"m":{"k":"v"}}"#;

    fn check(format: &Format, line: &str, expected: &str) {
        let b = batch("d.t", &[(1_700_000_000_971_739_438, line)]);
        let mut out = Vec::new();
        format.write(&View::all(&b), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn json_forms() {
        let json = JsonOpts::default();
        let body = SAMPLE;
        check(&Format::Default(json), body, &format!("d.t: [1700000000.971739438, {body}]\n"));
        check(&Format::Default(json), r#"{"é":"ü\n"}"#, "d.t: [1700000000.971739438, {\"\\u00e9\":\"\\u00fc\\n\"}]\n");
        check(&Format::Plain(json), body, &format!("{body}\n"));
        let dated = RecordFormat::new(Some("date"), DateFormat::Double, json);
        check(&Format::JsonLines(dated), r#"{"a":1}"#, "{\"date\":1700000000.97174,\"a\":1}\n");
    }

    #[test]
    fn csv_can_be_read_back() {
        let csv = Format::Csv(",".into());
        let time = "1700000000.971739438";
        check(&csv, SAMPLE, &format!("{time},\"x \"\"q\"\"\",1,1.500000,\"{{\"\"k\"\"=>\"\"v\"\"}}\"\n"));
        check(
            &csv,
            r#"{"a":"","b":"\"","c":null,"d":[1],"e":[1,2],"f":{}}"#,
            &format!("{time},\"\",\"\"\"\",nil,[1],\"[1, 2]\",{{}}\n"),
        );
        check(&csv, r#"{"a":"1\n2,3"}"#, &format!("{time},\"1\n2,3\"\n"));
        check(&csv, "{}", "");
        check(&Format::Csv("\t".into()), r#"{"a":1,"b":[1,2]}"#, &format!("{time}\t1\t[1, 2]\n"));
    }

    /// The fields of one RFC 4180 record; what follows it must be nothing.
    fn fields(line: &str) -> Vec<String> {
        let (mut all, mut rest) = (Vec::new(), line);
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                Some(mut quoted) => {
                    let mut field = String::new();
                    loop {
                        let (part, after) = quoted.split_once('"').expect("a closing quote");
                        field.push_str(part);
                        match after.strip_prefix('"') {
                            Some(more) => (field.push('"'), quoted = more).1,
                            None => break (field, after),
                        }
                    }
                }
                None => {
                    let (field, after) = rest.split_at(rest.find([',', '\n']).expect("an end"));
                    (field.to_owned(), after)
                }
            };
            all.push(field);
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (assert_eq!(after, "\n"), all).1,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn csv_gives_back_what_went_in(texts in proptest::collection::vec("[a\",\n\r=>é]{0,6}", 1..5), nest in any::<bool>()) {
            let mut b = Batch::new(Tag::new("t"));
            let mark = b.begin();
            for text in &texts {
                let list = nest.then(|| b.open(Key::of("l"), Kind::Array));
                b.push_text(Key::of("k"), text.as_bytes());
                if let Some(list) = list {
                    b.close(list, 1);
                }
            }
            b.finish(mark, Time(1));
            let mut out = Vec::new();
            Format::Csv(",".into()).write(&View::all(&b), &mut out);
            let want = texts.iter().map(|t| if nest { format!("[\"{t}\"]") } else { t.clone() });
            let want: Vec<_> = std::iter::once("0.000000001".to_owned()).chain(want).collect();
            prop_assert_eq!(fields(&String::from_utf8(out).unwrap()), want);
        }
    }

    #[test]
    fn csv_headers() {
        let b = batch("t", &[(0, "{}"), (0, r#"{"a":1,"b\"":2}"#), (0, r#"{"c":1}"#)]);
        let header = |format: Format| {
            let mut out = Vec::new();
            format.header(&View::all(&b), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(header(Format::Csv(",".into())), "timestamp,\"a\",\"b\"\"\"\n");
        assert_eq!(header(Format::Msgpack), "");
    }

    #[test]
    fn ltsv_and_msgpack() {
        let ltsv = Format::Ltsv("\t".into(), ":".into());
        let want = "\"time\":1700000000.971740\t\"a\":\"x \"q\"\"\t\"n\":1\t\"f\":1.500000\t\"m\":{\"k\"=>\"v\"}\n";
        check(&ltsv, SAMPLE, want);
        check(&ltsv, "{}", "");
        check(&Format::Ltsv(" ".into(), "=".into()), r#"{"a":1}"#, "\"time\"=1700000000.971740 \"a\"=1\n");
        let b = batch("t", &[(1_700_000_000_000_000_001, r#"{"a":1}"#), (0, "{}")]);
        let mut out = Vec::new();
        Format::Msgpack.write(&View::all(&b), &mut out);
        let one = b"\x92\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x01\x80\x81\xa1a\x01";
        let two = b"\x92\x92\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x80";
        assert_eq!(out, [&one[..], two].concat());
    }
}
