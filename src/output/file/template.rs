//! `template`: text with `{key}` where the values go, and `{time}`.

use crate::event::{Key, Record, Value};
use crate::fmt::num::write_f64_fixed6;
use crate::fmt::text;

/// A line with placeholders.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Time,
    Field(Key, Box<str>),
}

impl Template {
    /// Braces that do not enclose a name stand for themselves.
    pub(super) fn compile(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.into()));
            match after.find(['{', '}']) {
                Some(end) if after[end..].starts_with('}') => {
                    let name = &after[..end];
                    parts.push(if name == "time" { Part::Time } else { Part::Field(Key::of(name), name.into()) });
                    rest = &after[end + 1..];
                }
                // Another brace opens inside: this one is text.
                Some(inner) => {
                    parts.push(Part::Text(format!("{{{}", &after[..inner]).into()));
                    rest = &after[inner..];
                }
                None => {
                    parts.push(Part::Text("{".into()));
                    rest = after;
                }
            }
        }
        parts.push(Part::Text(rest.into()));
        Self(parts)
    }

    /// Appends the line: strings as they are, a missing field as its placeholder.
    pub(super) fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let body = record.body();
        for part in &self.0 {
            match part {
                Part::Text(t) => out.extend_from_slice(t.as_bytes()),
                Part::Time => write_f64_fixed6(record.time().as_secs_f64(), out),
                Part::Field(key, name) => match body.find(*key) {
                    Some(Value::Str(t)) => text::write_text(t, out),
                    Some(value) => text::write_value(&value, out),
                    None => {
                        out.push(b'{');
                        out.extend_from_slice(name.as_bytes());
                        out.push(b'}');
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::batch;
    use super::*;

    fn check(template: &str, expected: &str) {
        let line = r#"{"message":"hi \"you\"","n":1,"f":1.5,"m":{"k":"v"},"time":"own","":"empty"}"#;
        let b = batch("t", &[(1_700_000_000_971_739_438, line)]);
        let mut out = Vec::new();
        Template::compile(template).write(&b.record(0), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{template}");
    }

    #[test]
    fn placeholders() {
        check("{time} {message}", "1700000000.971740 hi \"you\"");
        check("<{n}|{f}|{m}>", "<1|1.500000|{\"k\"=>\"v\"}>");
        check("{t} {none} {} end", "{t} {none} empty end");
        check("{a{n} {", "{a1 {");
        check("} {n}}", "} 1}");
        check("plain é", "plain é");
        check("", "");
    }
}
