//! The tree every configuration format is read into: sections of key-value entries, each with its place.

use crate::error::Place;

/// One `KEY VALUE` of a section.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key as written; compared without regard to case.
    pub key: String,
    /// The value, trimmed; variables are expanded in place before any plugin sees it.
    pub value: String,
    /// Where the key stands.
    pub place: Place,
    /// Where the value stands.
    pub value_place: Place,
}

/// One `[NAME]` with its entries in written order.
#[derive(Debug, Clone)]
pub struct Section {
    /// The name as written; compared without regard to case.
    pub name: String,
    /// Where the header stands.
    pub place: Place,
    /// Who the section belongs to in messages, for example `input:tail:tail.0`; empty until instances are numbered.
    pub label: String,
    /// The entries in written order.
    pub entries: Vec<Entry>,
}

impl Section {
    /// An empty section.
    pub fn new(name: &str, place: Place) -> Self {
        Self { name: name.to_owned(), place, label: String::new(), entries: Vec::new() }
    }

    /// A section made of pairs, as the command line does (and tests of plugins).
    pub fn of(name: &str, pairs: &[(&str, &str)]) -> Self {
        let mut s = Self::new(name, Place::command_line());
        for (key, value) in pairs {
            s.push(key, value);
        }
        s
    }

    /// Appends an entry given on the command line.
    pub fn push(&mut self, key: &str, value: &str) {
        let place = Place::command_line();
        self.entries.push(Entry { key: key.into(), value: value.into(), value_place: place.clone(), place });
    }

    /// Whether this section is called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The entry of `key`; the last one wins. An entry that became empty when variables were expanded counts as absent.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.all(key).map(|(_, e)| e).last()
    }

    /// The value of `key`; the last one wins.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(|e| e.value.as_str())
    }

    /// All entries of `key` with their ordinals in the section. `parser_*` finds every key that begins with `parser_`.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = (usize, &'a Entry)> {
        self.entries.iter().enumerate().filter(move |(_, e)| !e.value.is_empty() && key_is(key, &e.key))
    }

    /// The instance's name, the last part of the label: the alias, else `tail.0`.
    pub fn instance(&self) -> &str {
        self.label.splitn(3, ':').nth(2).unwrap_or(&self.name)
    }

    /// `[label]` for messages, or the section's name while it has no label.
    pub fn who(&self) -> String {
        if self.label.is_empty() {
            format!("[{}]", self.name.to_ascii_lowercase())
        } else {
            format!("[{}]", self.label)
        }
    }
}

/// Whether a written key is the declared `key`: without regard to case; a declared `*` at the end stands for any ending.
pub fn key_is(key: &str, written: &str) -> bool {
    match key.strip_suffix('*') {
        Some(stem) => written.get(..stem.len()).is_some_and(|w| w.eq_ignore_ascii_case(stem)),
        None => written.eq_ignore_ascii_case(key),
    }
}

/// A configuration as it was read: the sections of all files in order.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// Sections in the order they were read, those of included files where the include stands.
    pub sections: Vec<Section>,
    /// `@SET NAME=VALUE` lines in order: name, value, place.
    pub sets: Vec<(String, String, Place)>,
}

impl Document {
    /// All sections called `name`.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Section> {
        self.sections.iter().filter(move |s| s.is(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_the_last_wins() {
        let s = Section::of("INPUT", &[("Name", "tail"), ("Tag", "a"), ("TAG", "b"), ("path", "")]);
        assert!(s.is("input"));
        assert_eq!(s.value("name"), Some("tail"));
        assert_eq!(s.value("tag"), Some("b"));
        assert_eq!(s.value("path"), None);
        assert_eq!(s.all("tag").map(|(i, e)| (i, e.value.as_str())).collect::<Vec<_>>(), [(1, "a"), (2, "b")]);
    }

    #[test]
    fn a_star_stands_for_any_ending() {
        let s = Section::of("INPUT", &[("Parser_1", "a"), ("parser", "b"), ("PARSER_firstline", "c")]);
        let found: Vec<_> = s.all("Parser_*").map(|(_, e)| e.value.as_str()).collect();
        assert_eq!(found, ["a", "c"]);
        assert!(!key_is("é*", "e"));
    }
}
