//! Decisions about the names of keys, made once for each name.

use crate::event::{Batch, Key};
use crate::parse::regex::Regex;
use rustc_hash::FxHashMap;

/// A test of a key's name. What it said about an interned key is remembered; their number is bounded.
#[derive(Debug)]
pub(super) struct KeyTest {
    test: Test,
    known: FxHashMap<Key, bool>,
}

#[derive(Debug)]
enum Test {
    Names(Vec<Name>),
    Regex(Box<Regex>),
}

/// A name, or the beginning of names.
#[derive(Debug)]
struct Name {
    text: Box<str>,
    prefix: bool,
    any_case: bool,
}

impl KeyTest {
    fn new(test: Test) -> Self {
        Self { test, known: FxHashMap::default() }
    }

    /// Names that begin with `text`.
    pub(super) fn prefix(text: &str) -> Self {
        Self::new(Test::Names(vec![Name { text: text.into(), prefix: true, any_case: false }]))
    }

    /// Names that the pattern is found in.
    pub(super) fn regex(pattern: Regex) -> Self {
        Self::new(Test::Regex(Box::new(pattern)))
    }

    /// These names; a `*` at the end of one stands for any ending.
    pub(super) fn any_of<'a>(names: impl IntoIterator<Item = &'a str>, any_case: bool) -> Self {
        let name = |text: &str| {
            let stem = text.strip_suffix('*');
            Name { text: stem.unwrap_or(text).into(), prefix: stem.is_some(), any_case }
        };
        Self::new(Test::Names(names.into_iter().map(name).collect()))
    }

    /// Whether the name of a key of this batch passes.
    #[inline]
    pub(super) fn is(&mut self, batch: &Batch, key: Key) -> bool {
        match self.known.get(&key) {
            Some(&known) => known,
            None => self.decide(batch, key),
        }
    }

    #[cold]
    fn decide(&mut self, batch: &Batch, key: Key) -> bool {
        let name = batch.key_name(key);
        let passes = match &self.test {
            Test::Names(all) => all.iter().any(|n| n.is(name)),
            Test::Regex(pattern) => pattern.is_match(name),
        };
        if !key.is_local() {
            self.known.insert(key, passes);
        }
        passes
    }
}

impl Name {
    fn is(&self, name: &[u8]) -> bool {
        let text = self.text.as_bytes();
        let part = if self.prefix { name.get(..text.len()) } else { Some(name) };
        part.is_some_and(|part| if self.any_case { part.eq_ignore_ascii_case(text) } else { part == text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;

    fn check(mut test: KeyTest, passing: &str, failing: &str) {
        let mut b = Batch::new(Tag::new("t"));
        let long = format!("ab{}", "x".repeat(300));
        for round in 0..2 {
            for (names, expected) in [(passing, true), (failing, false)] {
                for name in names.split(' ') {
                    let name = if name == "LONG" { &long } else { name };
                    let key = b.key(name.as_bytes());
                    assert_eq!(test.is(&b, key), expected, "{name} in round {round}");
                }
            }
        }
        assert!(test.known.keys().all(|k| !k.is_local()));
    }

    #[test]
    fn names_and_patterns() {
        check(KeyTest::prefix("ab"), "ab abc LONG", "a b Ab bab");
        check(KeyTest::prefix("ab*"), "ab*c", "ab abc LONG");
        check(KeyTest::any_of(["ab", "x*"], false), "ab x xyz", "abc AB X LONG");
        check(KeyTest::any_of(["ab*", "X"], true), "AB abc x LONG", "xy a");
        check(KeyTest::regex(Regex::new("^a.$").unwrap()), "ab ac", "a abc LONG");
    }
}
