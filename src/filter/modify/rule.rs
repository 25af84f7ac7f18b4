//! The rules of `modify`.

use crate::event::{Batch, Draft, Key, Literal};
use crate::filter::keys::KeyTest;
use crate::parse::regex::Regex;

/// What a rule's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Set,
    Add,
    Remove,
    RemoveWildcard,
    RemoveRegex,
    MoveToStart,
    MoveToEnd,
    Rename,
    HardRename,
    Copy,
    HardCopy,
}

impl Action {
    /// Whether its word is the beginning of keys.
    pub(super) fn takes_prefix(self) -> bool {
        matches!(self, Self::RemoveWildcard | Self::MoveToStart | Self::MoveToEnd)
    }
}

/// A compiled rule.
#[derive(Debug)]
pub(super) enum Rule {
    /// Sets a field; with `false` only where there is none.
    Put(Key, Literal, bool),
    Remove(Key),
    RemoveAll(KeyTest),
    /// Moves fields to the front, or with `false` to the end.
    Move(KeyTest, bool),
    Rename(Names),
    Copy(Names),
}

/// The old and the new name of a field.
#[derive(Debug)]
pub(super) struct Names {
    from: Key,
    to: Key,
    /// Whether a field that has the new name gives way.
    hard: bool,
}

impl Rule {
    /// Compiles a rule.
    pub(super) fn parse(action: Action, words: &[String]) -> Result<Self, String> {
        let one = || match words {
            [key] => Ok(key.as_str()),
            _ => Err(count("one key is", words)),
        };
        let two = |what| match words {
            [key, value] => Ok((key.as_str(), value.as_str())),
            _ => Err(count(what, words)),
        };
        let put = |over| {
            let (key, value) = two("a key and a value are")?;
            Ok(Self::Put(Key::of(key), Literal::new(value), over))
        };
        let names = |hard| {
            let (from, to) = two("a key and its new name are")?;
            Ok::<_, String>(Names { from: Key::of(from), to: Key::of(to), hard })
        };
        match action {
            Action::Set => put(true),
            Action::Add => put(false),
            Action::Remove => Ok(Self::Remove(Key::of(one()?))),
            Action::RemoveWildcard => Ok(Self::RemoveAll(KeyTest::prefix(one()?))),
            Action::RemoveRegex => Ok(Self::RemoveAll(KeyTest::regex(pattern(one()?)?))),
            Action::MoveToStart => Ok(Self::Move(KeyTest::prefix(one()?), true)),
            Action::MoveToEnd => Ok(Self::Move(KeyTest::prefix(one()?), false)),
            Action::Rename => names(false).map(Self::Rename),
            Action::HardRename => names(true).map(Self::Rename),
            Action::Copy => names(false).map(Self::Copy),
            Action::HardCopy => names(true).map(Self::Copy),
        }
    }

    /// Forgets where in a batch its text stands.
    pub(super) fn restart(&mut self) {
        if let Self::Put(_, value, _) = self {
            value.restart();
        }
    }

    /// Changes the draft of a record of this batch; says whether anything changed.
    #[inline]
    pub(super) fn apply(&mut self, draft: &mut Draft, batch: &mut Batch) -> bool {
        match self {
            Self::Put(key, value, over) => {
                if *over {
                    draft.remove(|k| k == *key);
                } else if draft.position(*key).is_some() {
                    return false;
                }
                draft.push(value.cell(batch, *key));
                true
            }
            Self::Remove(key) => draft.remove(|k| k == *key),
            Self::RemoveAll(test) => draft.remove(|k| test.is(batch, k)),
            Self::Move(test, front) => draft.gather(*front, |k| test.is(batch, k)),
            Self::Rename(names) => names.rename(draft),
            Self::Copy(names) => names.copy(draft),
        }
    }
}

impl Names {
    fn rename(&self, draft: &mut Draft) -> bool {
        if self.from == self.to || draft.position(self.from).is_none() {
            return false;
        }
        if draft.position(self.to).is_some() {
            if !self.hard {
                return false;
            }
            draft.remove(|k| k == self.to);
        }
        draft.rename(self.from, self.to);
        true
    }

    /// A field that occurs several times is not copied, nor does one that occurs several times give way.
    fn copy(&self, draft: &mut Draft) -> bool {
        let in_the_way = draft.count(self.to);
        if self.from == self.to || draft.count(self.from) != 1 || in_the_way > usize::from(self.hard) {
            return false;
        }
        if in_the_way > 0 {
            draft.remove(|k| k == self.to);
        }
        if let Some(at) = draft.position(self.from) {
            draft.duplicate(at, self.to);
        }
        true
    }
}

/// Compiles a pattern.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|why| format!("the pattern '{text}' cannot be used: {why}"))
}

/// A complaint about the number of words.
pub(super) fn count(what: &str, words: &[String]) -> String {
    format!("{what} expected, but there are {} words", words.len())
}
