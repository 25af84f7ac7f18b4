//! `Format json`: the entries of an object become fields.

use super::decode_field::DecodeFields;
use super::time_field::TimeField;
use super::{Parsed, Parser};
use crate::event::{Batch, Mark, Span, Value};
use crate::fmt::json_read::JsonReader;
use crate::time::Time;

/// Parses one JSON object, and nothing else. The time is read from a top-level text field; the first of that name
/// counts.
#[derive(Debug)]
pub struct Json {
    pub(super) reader: JsonReader,
    pub(super) time: Option<TimeField>,
    pub(super) decoders: Option<DecodeFields>,
}

impl Parser for Json {
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed {
        let mark = batch.begin();
        if self.reader.object(batch, text).is_err() {
            return Parsed::Miss;
        }
        if let Some(decoders) = &mut self.decoders {
            decoders.apply(batch, mark);
        }
        Parsed::Hit(self.take_time(batch, mark, now))
    }
}

impl Json {
    fn take_time(&mut self, batch: &mut Batch, mark: Mark, now: Time) -> Option<Time> {
        let field = self.time.as_mut()?;
        let cells = batch.since(mark);
        let at = cells.position(field.key())?;
        let Some(Value::Str(text)) = cells.value_at(at) else { return None };
        let time = if text.is_escaped() { field.read(&text.bytes(), now) } else { field.read(text.raw(), now) };
        if !field.keep() {
            batch.remove_since(mark, at);
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::tests::check;

    const CONF: &[(&str, &str)] = &[("Format", "json"), ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L")];

    #[test]
    fn objects_only() {
        check(CONF, r#" {"a":[1,{"b":null}],"c":1.5} "#, r#"- {"a":[1,{"b":null}],"c":1.5}"#);
        check(CONF, "{}", "- {}");
        for text in ["", "[1]", "text", r#"{"a":1"#, r#"{"a":1}{"b":2}"#, r#"{"a":1} x"#] {
            check(CONF, text, "miss");
        }
    }

    #[test]
    fn time_is_taken_out() {
        let line = r#"{"log":"x\n","time":"2024-05-01T10:00:00.25Z","s":1}"#;
        check(CONF, line, r#"1714557600.25 {"log":"x\n","s":1}"#);
        let keep = [CONF, &[("Time_Keep", "on")]].concat();
        check(&keep, line, r#"1714557600.25 {"log":"x\n","time":"2024-05-01T10:00:00.25Z","s":1}"#);
        check(CONF, r#"{"time":"nope","s":1}"#, r#"- {"s":1}"#);
        check(CONF, r#"{"time":5,"s":{"time":"2024"}}"#, r#"- {"time":5,"s":{"time":"2024"}}"#);
        check(&CONF[..1], r#"{"time":"x"}"#, r#"- {"time":"x"}"#);
        let other = [CONF, &[("Time_Key", "@t")]].concat();
        check(&other, r#"{"@t":"2024-05-01T10:00:00.5","time":"x"}"#, r#"1714557600.5 {"time":"x"}"#);
        let odd = r#"{"time":"2024-05-01T10:00\u003a00.5\"","s":1}"#;
        check(CONF, odd, r#"1714557600.5 {"s":1}"#);
    }

    #[test]
    fn time_may_come_out_of_a_decoder() {
        let conf = [CONF, &[("Decode_Field", "json log")]].concat();
        let line = r#"{"log":"{\"time\":\"2024-05-01T10:00:00.5\",\"m\":1}"}"#;
        check(&conf, line, r#"1714557600.5 {"log":"{\"time\":\"2024-05-01T10:00:00.5\",\"m\":1}","m":1}"#);
    }
}
