//! The conditions of `modify`.

use super::rule::{count, pattern};
use crate::event::{Accessor, Batch, Cells, Value};
use crate::filter::keys::KeyTest;
use crate::parse::regex::Regex;
use crate::util::suggest::nearest;

/// A compiled condition: a test, and what it has to say.
#[derive(Debug)]
pub(super) struct Condition {
    test: Test,
    expected: bool,
}

#[derive(Debug)]
enum Test {
    Exists(Accessor),
    AnyKey(KeyTest),
    /// Fails for a field that does not exist, whatever is expected of its value.
    Equals(Accessor, String),
    /// As `Equals`.
    Matches(Accessor, Box<Regex>),
    /// Whether all values of the keys that pass match; true when no key passes.
    AllMatch(KeyTest, Box<Regex>),
}

const NAMES: [&str; 10] = [
    "Key_exists",
    "Key_does_not_exist",
    "A_key_matches",
    "No_key_matches",
    "Key_value_equals",
    "Key_value_does_not_equal",
    "Key_value_matches",
    "Key_value_does_not_match",
    "Matching_keys_have_matching_values",
    "Matching_keys_do_not_have_matching_values",
];

impl Condition {
    /// Compiles `TEST KEY [VALUE]`.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let (name, operands) = words.split_first().ok_or("a condition is expected")?;
        let Some(which) = NAMES.iter().position(|n| n.eq_ignore_ascii_case(name)) else {
            let help = match nearest(name, NAMES) {
                Some(near) => format!("Did you mean '{near}'?"),
                None => format!("There are: {}", NAMES.join(", ")),
            };
            return Err(format!("'{name}' is no condition. {help}"));
        };
        let one = || match operands {
            [key] => Ok(key.as_str()),
            _ => Err(count("a key is", operands)),
        };
        let two = || match operands {
            [key, value] => Ok((key.as_str(), value.as_str())),
            _ => Err(count("a key and a value are", operands)),
        };
        // The names come in pairs: a test and its opposite.
        let test = match which / 2 {
            0 => Test::Exists(Accessor::parse(one()?)?),
            1 => Test::AnyKey(KeyTest::regex(pattern(one()?)?)),
            2 => two().and_then(|(key, value)| Ok(Test::Equals(Accessor::parse(key)?, value.to_owned())))?,
            3 => two().and_then(|(key, value)| Ok(Test::Matches(Accessor::parse(key)?, pattern(value)?.into())))?,
            _ => two()
                .and_then(|(keys, value)| Ok(Test::AllMatch(KeyTest::regex(pattern(keys)?), pattern(value)?.into())))?,
        };
        Ok(Self { test, expected: which % 2 == 0 })
    }

    /// Whether the condition holds for a record of this batch.
    pub(super) fn holds(&mut self, batch: &Batch, body: Cells<'_>, scratch: &mut Vec<u8>) -> bool {
        let found = match &mut self.test {
            Test::Exists(path) => path.get(body).is_some(),
            Test::AnyKey(keys) => body.into_iter().any(|(key, _)| keys.is(batch, key)),
            Test::Equals(path, text) => match path.get(body) {
                None => return false,
                Some(Value::Str(value)) => value.meant(scratch) == text.as_bytes(),
                Some(Value::Bin(value)) => value == text.as_bytes(),
                Some(_) => false,
            },
            Test::Matches(path, pattern) => match path.get(body) {
                None => return false,
                Some(value) => matches(&value, pattern, scratch),
            },
            Test::AllMatch(keys, pattern) => {
                body.into_iter().all(|(key, value)| !keys.is(batch, key) || matches(&value, pattern, scratch))
            }
        };
        found == self.expected
    }
}

/// Text and truth values can match, nothing else.
fn matches(value: &Value<'_>, pattern: &Regex, scratch: &mut Vec<u8>) -> bool {
    match value {
        Value::Str(text) => pattern.is_match(text.meant(scratch)),
        Value::Bool(true) => pattern.is_match(b"true"),
        Value::Bool(false) => pattern.is_match(b"false"),
        _ => false,
    }
}
