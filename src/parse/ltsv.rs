//! Labelled tab-separated values: `label:value<TAB>label:value`.

use super::decode_field::DecodeFields;
use super::fields::Fields;
use super::{Parsed, Parser};
use crate::event::{Batch, Span};
use crate::time::Time;
use std::ops::Range;

/// Parses [LTSV](http://ltsv.org). Labels are made of letters, digits, `_`, `.` and `-`; empty values are kept. The
/// text ends at a newline, or at the first field that has no label.
#[derive(Debug)]
pub struct Ltsv {
    pub(super) fields: Fields,
    pub(super) decoders: Option<DecodeFields>,
}

impl Parser for Ltsv {
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed {
        let mark = batch.begin();
        let mut time = None;
        let mut at = 0;
        while let Some(field) = next_field(batch.arena().get(text), at) {
            at = field.next;
            if field.label.is_empty() {
                continue;
            }
            let value = text.sub(field.value.start, field.value.end);
            let key = batch.key_at(text.sub(field.label.start, field.label.end));
            if self.fields.is_time(key)
                && value.len > 0
                && !self.fields.read_time(batch.arena().get(value), now, &mut time)
            {
                continue;
            }
            let kind = self.fields.type_of(key);
            let cell = self.fields.cell(key, kind, batch.arena().get(value), value, now);
            batch.push(cell);
        }
        if batch.since(mark).is_empty() {
            return Parsed::Miss;
        }
        if let Some(decoders) = &mut self.decoders {
            decoders.apply(batch, mark);
        }
        Parsed::Hit(time)
    }
}

struct Field {
    label: Range<usize>,
    value: Range<usize>,
    /// Where the next field begins.
    next: usize,
}

fn next_field(text: &[u8], at: usize) -> Option<Field> {
    let rest = text.get(at..)?;
    let label = rest.iter().take_while(|&&b| is_label(b)).count();
    if rest.get(label) != Some(&b':') {
        return None;
    }
    let start = at + label + 1;
    let value = text.get(start..)?;
    let len = memchr::memchr2(b'\t', b'\n', value).unwrap_or(value.len());
    let (end, next) = match value.get(len) {
        Some(b'\t') => (start + len, start + len + 1),
        _ => (start + len - usize::from(value.get(..len)?.last() == Some(&b'\r')), text.len()),
    };
    Some(Field { label: at..at + label, value: start..end, next })
}

fn is_label(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')
}

#[cfg(test)]
mod tests {
    use crate::parse::tests::check;

    const CONF: &[(&str, &str)] = &[("Format", "ltsv"), ("Time_Format", "%Y-%m-%dT%H:%M:%S")];

    #[test]
    fn fields() {
        check(CONF, "a:1\tb:x y:z\tc.d-e_f:", r#"- {"a":"1","b":"x y:z","c.d-e_f":""}"#);
        check(CONF, "a:1\t:x\tb:2\r\n", r#"- {"a":"1","b":"2"}"#);
        check(CONF, "a:1\t\r\n", r#"- {"a":"1"}"#);
        check(CONF, "a:1\tno label\tb:2", r#"- {"a":"1"}"#);
        check(CONF, "a:1\nb:2", r#"- {"a":"1"}"#);
        check(CONF, "a:\0\r!", "- {\"a\":\"\\u0000\\r!\"}");
    }

    #[test]
    fn misses() {
        for text in ["", "plain text", "label", ":x", "é:1", "\t"] {
            check(CONF, text, "miss");
        }
    }

    #[test]
    fn time_and_types() {
        check(CONF, "time:2024-05-01T10:00:00\ta:1", r#"1714557600.0 {"a":"1"}"#);
        check(CONF, "time:2024-05-01T10:00:00", "miss");
        check(CONF, "time:\ta:1", r#"- {"time":"","a":"1"}"#);
        check(CONF, "time:nope\ta:1", r#"- {"a":"1"}"#);
        let conf = [CONF, &[("Time_Keep", "on"), ("Types", "a:integer")]].concat();
        check(&conf, "a:12x\ttime:2024-05-01T10:00:00", r#"1714557600.0 {"a":12,"time":"2024-05-01T10:00:00"}"#);
        check(&conf, "a:\ttime:nope", r#"- {"a":0,"time":"nope"}"#);
    }
}
