//! `Decode_Field` and `Decode_Field_As`: text within a field that is JSON or escaped once more.

use super::unescape::{self, Decode};
use crate::conf::FromConf;
use crate::event::{Batch, Cell, Key, Kind, Mark, Span};
use crate::fmt::json_read::JsonReader;
use std::rc::Rc;

/// How a field's text is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Json,
    Escaped,
    EscapedUtf8,
    MysqlQuoted,
}

/// Which outcome of a rule lets the field's next rule run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// None.
    Stop,
    /// `try_next`: failure.
    IfFailed,
    /// `do_next`: any.
    Always,
}

/// The value of one `Decode_Field` or `Decode_Field_As`: `TYPE FIELD [try_next|do_next]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeRule {
    key: Key,
    how: How,
    next: Next,
}

impl DecodeRule {
    /// Whether the outcome can be merged into a record: only JSON has keys of its own.
    pub fn gives_fields(&self) -> bool {
        self.how == How::Json
    }
}

impl FromConf for DecodeRule {
    const KIND: &'static str = "decoder and field";
    const EXAMPLE: &'static str = "json log do_next";

    fn from_conf(text: &str) -> Result<Self, String> {
        const DECODERS: [(&str, How); 4] = [
            ("json", How::Json),
            ("escaped", How::Escaped),
            ("escaped_utf8", How::EscapedUtf8),
            ("mysql_quoted", How::MysqlQuoted),
        ];
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (how, field, next) = match words[..] {
            [how, field] => (how, field, Next::Stop),
            [how, field, next] if next.eq_ignore_ascii_case("try_next") => (how, field, Next::IfFailed),
            [how, field, next] if next.eq_ignore_ascii_case("do_next") => (how, field, Next::Always),
            [_, _, next] => return Err(format!("'{next}' is neither try_next nor do_next")),
            _ => return Err(format!("'{text}' has not the form DECODER FIELD [try_next|do_next]")),
        };
        match DECODERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(how)) {
            Some(&(_, how)) => Ok(Self { key: Key::of(field), how, next }),
            None => Err(format!("'{how}' is no decoder; there are json, escaped, escaped_utf8 and mysql_quoted")),
        }
    }
}

/// The rules of a parser, by field, each field's in written order.
#[derive(Debug, Default)]
pub struct DecodeRules(Vec<(Key, Vec<(Target, DecodeRule)>)>);

/// Where a decoded value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `Decode_Field`: its entries become fields of the record, behind all others.
    Record,
    /// `Decode_Field_As`: it takes the place of the text.
    Field,
}

impl DecodeRules {
    /// Adds the next rule in written order.
    pub fn push(&mut self, into: Target, rule: DecodeRule) {
        match self.0.iter_mut().find(|(key, _)| *key == rule.key) {
            Some((_, rules)) => rules.push((into, rule)),
            None => self.0.push((rule.key, vec![(into, rule)])),
        }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Decoders in use by one parser.
#[derive(Debug)]
pub struct DecodeFields {
    rules: Rc<DecodeRules>,
    json: JsonReader,
    /// The record's cells while it is rebuilt.
    old: Vec<Cell>,
    /// What is to be merged into it.
    extra: Vec<Cell>,
}

impl DecodeFields {
    /// Decoders that follow `rules`.
    pub fn new(rules: Rc<DecodeRules>) -> Self {
        Self { rules, json: JsonReader::default(), old: Vec::new(), extra: Vec::new() }
    }

    /// Decodes the top-level text fields among the cells since `mark`.
    pub fn apply(&mut self, batch: &mut Batch, mark: Mark) {
        if !batch.since(mark).any(|(key, _)| self.rules.0.iter().any(|(k, _)| *k == key)) {
            return;
        }
        let rules = Rc::clone(&self.rules);
        let mut old = std::mem::take(&mut self.old);
        old.clear();
        old.extend_from_slice(batch.since(mark).run());
        self.extra.clear();
        batch.abandon(mark);
        let mut rest = old.as_slice();
        while let Some(cell) = rest.first() {
            let (value, after) = rest.split_at(cell.width().clamp(1, rest.len()));
            rest = after;
            match rules.0.iter().find(|(key, _)| *key == cell.key) {
                Some((_, rules)) if cell.kind == Kind::Str => self.field(batch, *cell, rules),
                _ => batch.push_cells(value),
            }
        }
        batch.push_cells(&self.extra);
        self.old = old;
    }

    /// Decodes one field and pushes what it has become.
    fn field(&mut self, batch: &mut Batch, cell: Cell, rules: &[(Target, DecodeRule)]) {
        let Some(mut text) = batch.plain_text(&cell) else { return batch.push(cell) };
        let mut becomes = cell;
        let mut merged = false;
        for &(into, rule) in rules {
            if into == Target::Record && rule.next == Next::Always && merged {
                continue;
            }
            let done = match (rule.how, into) {
                (How::Json, Target::Record) => self.merge(batch, text),
                (How::Json, Target::Field) => {
                    if self.nest(batch, cell.key, text) {
                        return; // what is no text any more has no use for further rules
                    }
                    false
                }
                (_, Target::Record) => true,
                (how, Target::Field) => {
                    if let Some(decoded) = decode(batch, text, how) {
                        text = decoded;
                        becomes = Cell::str(cell.key, text, 0);
                    }
                    true
                }
            };
            merged |= done && into == Target::Record;
            if rule.next == Next::Stop || (done && rule.next == Next::IfFailed) {
                break;
            }
        }
        batch.push(becomes);
    }

    /// Keeps the entries of the object in `text` for the end of the record.
    fn merge(&mut self, batch: &mut Batch, text: Span) -> bool {
        let mark = batch.begin();
        let done = self.json.object(batch, text).is_ok();
        self.extra.extend_from_slice(batch.since(mark).run());
        batch.abandon(mark);
        done
    }

    /// Pushes the object in `text` as a map under `key`.
    fn nest(&mut self, batch: &mut Batch, key: Key, text: Span) -> bool {
        let opened = batch.open(key, Kind::Map);
        match self.json.object(batch, text) {
            Ok(entries) => {
                batch.close(opened, entries);
                true
            }
            Err(_) => {
                batch.abandon(opened);
                false
            }
        }
    }
}

/// The decoded text, or `None` when there is nothing to decode.
fn decode(batch: &mut Batch, text: Span, how: How) -> Option<Span> {
    let source = batch.arena().get(text);
    let (decode, sign): (Decode, bool) = match how {
        How::Escaped => (unescape::escaped, memchr::memchr(b'\\', source).is_some()),
        How::EscapedUtf8 => (unescape::escaped_utf8, memchr::memchr(b'\\', source).is_some()),
        How::MysqlQuoted => (unescape::mysql_quoted, matches!(source, [b'\'' | b'"', ..])),
        How::Json => return None,
    };
    sign.then(|| unescape::decode_in_arena(batch, text, decode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::check;

    fn run(rules: &[(&str, &str)], line: &str, expected: &str) {
        check(&[&[("Format", "json")], rules].concat(), line, expected);
    }

    #[test]
    fn json_is_merged_behind_the_other_fields() {
        let rules = [("Decode_Field", "json inner")];
        run(&rules, r#"{"inner":"{\"k\":1}","z":2}"#, r#"- {"inner":"{\"k\":1}","z":2,"k":1}"#);
        run(&rules, r#"{"inner":"[1]","z":2}"#, r#"- {"inner":"[1]","z":2}"#);
        run(&rules, r#"{"inner":{"k":"v"},"z":"inner"}"#, r#"- {"inner":{"k":"v"},"z":"inner"}"#);
        let two = [("Decode_Field", "json a"), ("Decode_Field", "json b")];
        run(
            &two,
            r#"{"a":"{\"x\":{\"y\":[1,2]}}","b":"{\"z\":3}"}"#,
            r#"- {"a":"{\"x\":{\"y\":[1,2]}}","b":"{\"z\":3}","x":{"y":[1,2]},"z":3}"#,
        );
    }

    #[test]
    fn a_value_takes_the_place_of_its_text() {
        run(&[("Decode_Field_As", "json log")], r#"{"log":"{\"k\":[1]}\n","s":1}"#, r#"- {"log":{"k":[1]},"s":1}"#);
        run(&[("Decode_Field_As", "json log")], r#"{"log":"no","s":1}"#, r#"- {"log":"no","s":1}"#);
        run(&[("Decode_Field_As", "escaped log")], r#"{"log":"a\\nb\\\"","s":1}"#, r#"- {"log":"a\nb\"","s":1}"#);
        run(&[("Decode_Field_As", "escaped_utf8 log")], r#"{"log":"\\u00e9"}"#, "- {\"log\":\"\u{e9}\"}");
        run(&[("Decode_Field_As", "mysql_quoted q")], r#"{"q":"'it\\'s'"}"#, r#"- {"q":"it's"}"#);
    }

    #[test]
    fn do_next_goes_on_and_try_next_goes_on_after_failure() {
        let chain = [("Decode_Field_As", "escaped_utf8 log do_next"), ("Decode_Field_As", "json log")];
        run(&chain, r#"{"log":"{\\\"k\\\":1}"}"#, r#"- {"log":{"k":1}}"#);
        run(&chain, r#"{"log":"plain"}"#, r#"- {"log":"plain"}"#);
        let either = [("Decode_Field_As", "json log try_next"), ("Decode_Field_As", "escaped log")];
        run(&either, r#"{"log":"{\"k\":\"\\\\n\"}"}"#, r#"- {"log":{"k":"\\n"}}"#);
        run(&either, r#"{"log":"a\\tb"}"#, r#"- {"log":"a\tb"}"#);
        let stop = [("Decode_Field_As", "json log"), ("Decode_Field_As", "escaped log")];
        run(&stop, r#"{"log":"a\\tb"}"#, r#"- {"log":"a\\tb"}"#);
        let both = [("Decode_Field_As", "escaped log do_next"), ("decode_field", "json log")];
        run(&both, r#"{"log":"{\\\"k\\\":1}"}"#, r#"- {"log":"{\"k\":1}","k":1}"#);
    }

    #[test]
    fn rules_are_checked() {
        for (text, says) in [
            ("json", "DECODER FIELD"),
            ("json a b c", "DECODER FIELD"),
            ("jsonn log", "'jsonn' is no decoder"),
            ("json log next", "neither try_next"),
        ] {
            let said = DecodeRule::from_conf(text).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
