//! Templates: text with variables of the tag, of a regex match and of the record, as new tags and index names have it.

use super::access::{self, Accessor};
use super::{Cells, Value};
use crate::fmt::json_write::{self, JsonOpts};
use crate::fmt::num;

/// A compiled template.
///
/// `$TAG` is the tag and `$TAG[n]` its n-th part between dots, from 0; `$0` to `$9` are the groups of a match; `$key` and
/// `$key['sub'][0]` are values of the record. A variable ends before `.`, a space, `,`, `"` or `$`, and behind `]`.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Box<str>),
    Tag,
    Piece(usize),
    Group(usize),
    Value(Accessor),
}

impl Template {
    /// Compiles a template; a `$` that begins no variable stands for itself.
    ///
    /// # Errors
    /// Says which variable is not well written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            let Some((part, behind)) = variable(after)? else {
                literal.push('$');
                rest = after;
                continue;
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The text itself when there is no variable in it.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it says different things about records of one tag.
    pub fn needs_record(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Group(_) | Part::Value(_)))
    }

    /// Appends the text for one record. What is missing leaves its place empty. `group` answers the groups of the match.
    pub fn render<'g>(&self, body: Cells<'_>, tag: &str, group: impl Fn(usize) -> Option<&'g [u8]>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Tag => out.extend_from_slice(tag.as_bytes()),
                Part::Piece(n) => out.extend_from_slice(tag.split('.').nth(*n).unwrap_or_default().as_bytes()),
                Part::Group(n) => out.extend_from_slice(group(*n).unwrap_or_default()),
                Part::Value(path) => {
                    if let Some(value) = path.get(body) {
                        write_plain(&value, out);
                    }
                }
            }
        }
    }
}

/// Appends a value as templates show it: text as it is, integers in decimal, floats as `%f`, maps and arrays as JSON.
pub fn write_plain(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Str(text) => text.decode(out),
        Value::Bin(bytes) => out.extend_from_slice(bytes),
        Value::Float(v) => num::write_f64_fixed6(*v, out),
        other => json_write::write_value(other, JsonOpts::default(), out),
    }
}

/// The variable that begins behind a `$`, and what follows it.
fn variable(text: &str) -> Result<Option<(Part, &str)>, String> {
    if let Some(digit) = text.bytes().next().filter(u8::is_ascii_digit) {
        return Ok(text.get(1..).map(|rest| (Part::Group(usize::from(digit - b'0')), rest)));
    }
    let Some(rest) = text.strip_prefix("TAG") else {
        return Ok(access::leading(text).map(|(path, rest)| (Part::Value(path), rest)));
    };
    let Some(inner) = rest.strip_prefix('[') else {
        return Ok(Some((Part::Tag, rest)));
    };
    match inner.split_once(']').and_then(|(n, rest)| Some((n.trim().parse().ok()?, rest))) {
        Some((n, rest)) => Ok(Some((Part::Piece(n), rest))),
        None => Err(format!("'${text}': a part of the tag is written $TAG[n] with n from 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;
    use proptest::prelude::*;

    fn render(template: &str, json: &str) -> String {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(json.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        let groups: [&[u8]; 2] = [b"err", b"er"];
        let mut out = Vec::new();
        let t = Template::parse(template).unwrap();
        t.render(b.since(mark), "a.b.c", |n| groups.get(n).copied(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn variables() {
        let json = r#"{"code":500,"f":1.5,"t":true,"n":null,"s":"x\"y","m":{"k":["v"]},"u":18446744073709551615}"#;
        let table = [
            ("new.$TAG.$TAG[1].$1.$code.x", "new.a.b.c.b.er.500.x"),
            ("$TAG[0]-$TAG[2]$TAG[7].", "a-c."),
            ("$0$1$2", "errer"),
            ("$12", "er2"),
            ("$TAGS", "a.b.cS"),
            ("$f,$t $n", "1.500000,true null"),
            ("$s|$u", "18446744073709551615"),
            ("$s,$u", "x\"y,18446744073709551615"),
            ("$m['k'][0]-$m['k']", "v-[\"v\"]"),
            ("<$missing.>", "<.>"),
            ("plain", "plain"),
            ("", ""),
            ("a $ b $.c 5$", "a $ b $.c 5$"),
            ("$code$code", "500500"),
        ];
        for (template, expected) in table {
            assert_eq!(render(template, json), expected, "{template}");
        }
    }

    #[test]
    fn literals_and_errors() {
        assert_eq!(Template::parse("a.$b").unwrap().literal(), None);
        assert_eq!(Template::parse("a.b").unwrap().literal(), Some("a.b"));
        for bad in ["$TAG[x]", "$TAG[1", "$TAG[-1]"] {
            assert!(Template::parse(bad).unwrap_err().contains("$TAG[n]"), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_is_a_template_or_an_error(text in r#"[$\[\]'.TAG0-2 ,"aké]{0,24}"#) {
            let record = r#"{"a":{"k":[1,"x"]},"k":"v","A":null}"#;
            if let Ok(template) = Template::parse(&text) {
                let shown = render(&text, record);
                prop_assert!(template.literal().is_none_or(|literal| literal == shown));
                prop_assert!(text.contains('$') || shown == text);
            }
            if let Ok(path) = Accessor::parse(&text) {
                prop_assert_eq!(path.text(), text.trim());
            }
        }
    }
}
