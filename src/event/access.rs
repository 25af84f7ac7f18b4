//! The record accessor: a path such as `$kubernetes['labels'][0]` that finds one value of a record.

use super::cell::last_under;
use super::{Cells, Key, Kind, Text, Value};
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while1};
use nom::character::complete::{char, digit1, space0};
use nom::combinator::{map, map_res};
use nom::multi::{fold_many0, many0};
use nom::sequence::delimited;
use nom::{IResult, Parser};
use std::borrow::Cow;

/// A compiled path to a value.
///
/// `$key['sub'][0]` descends into maps and arrays; text without `$` is the name of a top-level key as it stands, dots
/// included. Of several entries with one name the last is meant.
#[derive(Debug, Clone)]
pub struct Accessor {
    text: Box<str>,
    key: Key,
    steps: Box<[Step]>,
}

#[derive(Debug, Clone)]
enum Step {
    Key(Key),
    Index(usize),
}

impl Accessor {
    /// Compiles a path.
    ///
    /// # Errors
    /// Says what is wrong with the text and how to write what was probably meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some(path) = text.strip_prefix('$') else {
            return Self::plain(text);
        };
        match variable(path) {
            Ok(("", (name, steps))) => Ok(Self { text: text.into(), key: Key::of(name), steps }),
            Ok((rest, _)) => Err(format!(
                "'{rest}' does not belong into the record accessor '{text}': a nested key is written $a['b'], an array \
                 element $a[0], and a top-level key with a dot in its name stands without the $"
            )),
            Err(_) => Err(format!("'{text}' is no record accessor: a key is written $a, a nested one $a['b']")),
        }
    }

    /// Text without `$`: a path all the same when it has subkeys.
    fn plain(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the name of a key is missing".into());
        }
        match variable(text) {
            Ok(("", (name, steps))) if !steps.is_empty() => Ok(Self { text: text.into(), key: Key::of(name), steps }),
            _ => Ok(Self { text: text.into(), key: Key::of(text), steps: Box::default() }),
        }
    }

    /// The path as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The top-level key it begins with.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The keys and indices of the path with dots between them: `m.l.0` for `$m['l'][0]`.
    pub fn dotted(&self) -> String {
        let mut text = String::from_utf8_lossy(self.key.name()).into_owned();
        for step in &self.steps {
            text.push('.');
            match step {
                Step::Key(key) => text.push_str(&String::from_utf8_lossy(key.name())),
                Step::Index(n) => text.push_str(&n.to_string()),
            }
        }
        text
    }

    /// Whether it leads into a map or an array.
    pub fn is_nested(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The names of its parts, the top-level key first; an index is its decimal digits.
    pub fn parts(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let step = |step: &Step| match step {
            Step::Key(key) => Cow::Borrowed(key.name()),
            Step::Index(n) => Cow::Owned(n.to_string().into_bytes()),
        };
        std::iter::once(Cow::Borrowed(self.key.name())).chain(self.steps.iter().map(step))
    }

    /// The value in the body of a record; `None` when a part of the path is missing or no map or array.
    #[inline]
    pub fn get<'a>(&self, body: Cells<'a>) -> Option<Value<'a>> {
        if self.steps.is_empty() { body.find(self.key) } else { body.value_at(self.locate(body)?) }
    }

    /// [`Self::get`] for text alone; `None` when the value is of another kind.
    #[inline]
    pub fn get_text<'a>(&self, body: Cells<'a>) -> Option<Text<'a>> {
        let at = if self.steps.is_empty() { last_under(body.run(), self.key) } else { self.locate(body) };
        body.text_at(at?)
    }

    /// The place of the value's head in the run of the body.
    pub fn locate(&self, body: Cells<'_>) -> Option<usize> {
        let run = body.run();
        let key_in = |from: usize, to: usize, key| last_under(run.get(from..to)?, key).map(|at| from + at);
        let mut at = key_in(0, run.len(), self.key)?;
        for step in &self.steps {
            let head = run.get(at)?;
            let (from, to) = (at + 1, at + head.width());
            at = match (step, head.kind) {
                (Step::Key(key), Kind::Map) => key_in(from, to, *key)?,
                (Step::Index(n), Kind::Array) if *n < head.a as usize => {
                    (0..*n).try_fold(from, |at, _| run.get(at).map(|cell| at + cell.width()))?
                }
                _ => return None,
            };
        }
        Some(at)
    }
}

/// The variable at the start of `text` (what follows a `$`), and what is left behind it.
pub(super) fn leading(text: &str) -> Option<(Accessor, &str)> {
    let (rest, (name, steps)) = variable(text).ok()?;
    let written = text.get(..text.len() - rest.len())?;
    Some((Accessor { text: written.into(), key: Key::of(name), steps }, rest))
}

/// `name['sub'][0]`
fn variable(i: &str) -> IResult<&str, (&str, Box<[Step]>)> {
    let (i, name) = take_while1(|c| !matches!(c, '[' | ']' | '.' | ' ' | ',' | '"' | '$'))(i)?;
    let (i, steps) = many0(delimited((char('['), space0), step, (space0, char(']')))).parse(i)?;
    Ok((i, (name, steps.into())))
}

fn step(i: &str) -> IResult<&str, Step> {
    alt((map(quoted, |name| Step::Key(Key::of(&name))), map(map_res(digit1, str::parse), Step::Index))).parse(i)
}

/// `'text'`, where `''` stands for one quote.
fn quoted(i: &str) -> IResult<&str, String> {
    let part = alt((map(tag("''"), |_| "'"), is_not("'")));
    let text = fold_many0(part, String::new, |mut all, part| {
        all.push_str(part);
        all
    });
    delimited(char('\''), text, char('\'')).parse(i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;
    use crate::fmt::json_write::{JsonOpts, write_value};

    fn get(path: &str, json: &str) -> Option<String> {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(json.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        let mut out = Vec::new();
        write_value(&Accessor::parse(path).unwrap().get(b.since(mark))?, JsonOpts::default(), &mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_by_path() {
        let json = r#"{"a":1,"m":{"x":{"y":"deep"},"l":[[1,{"k":2}],"e",{}],"it's":3,"a.b":4},"a":5,"x.y":6,"n":null}"#;
        let table: &[(&str, Option<&str>)] = &[
            ("$a", Some("5")),
            ("a", Some("5")),
            ("$m['x']['y']", Some("\"deep\"")),
            ("$m[ 'x' ]['y']", Some("\"deep\"")),
            ("m['x']['y']", Some("\"deep\"")),
            ("$m['l'][0][1]['k']", Some("2")),
            ("$m['l'][1]", Some("\"e\"")),
            ("$m['l'][2]", Some("{}")),
            ("$m['l'][3]", None),
            ("$m['l']['x']", None),
            ("$m[0]", None),
            ("$a['b']", None),
            ("$m['it''s']", Some("3")),
            ("$m['a.b']", Some("4")),
            ("x.y", Some("6")),
            ("$n", Some("null")),
            ("$y", None),
            ("$m['y']", None),
            ("m[", None),
        ];
        for (path, expected) in table {
            assert_eq!(get(path, json).as_deref(), *expected, "{path}");
        }
        assert_eq!(get("$a", "{}"), None);
        let path = Accessor::parse("$m['a.b'][7]").unwrap();
        assert_eq!(path.parts().collect::<Vec<_>>(), [&b"m"[..], b"a.b", b"7"]);
    }

    #[test]
    fn what_is_no_path() {
        for (path, part) in [
            ("", "missing"),
            ("$", "no record accessor"),
            ("$a.b", "'.b' does not belong"),
            ("$a['b", "'['b' does not belong"),
            ("$a[-1]", "does not belong"),
            ("$a[99999999999999999999999]", "does not belong"),
            ("$['a']", "no record accessor"),
        ] {
            let why = Accessor::parse(path).unwrap_err();
            assert!(why.contains(part), "{path}: {why}");
        }
    }
}
