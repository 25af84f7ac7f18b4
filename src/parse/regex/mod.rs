//! Regular expressions as Fluent Bit's users write them: Ruby's syntax, captures at the speed of hand-written parsers.
//!
//! A pattern is translated from Ruby's dialect, then lowered to a small program ([`super::cut`]) that answers nearly
//! every text. What cannot be lowered or runs out of budget is answered by `regex`; look-around that cannot be lowered,
//! back-references and subroutine calls by `fancy-regex` with a limit on its steps. A text that would take longer
//! than the limits allow counts as not matching.

mod class;
mod cursor;
mod delim;
mod dialect;
mod error;
mod escape;
#[cfg(feature = "patterns")]
mod fancy;
#[cfg(not(feature = "patterns"))]
#[path = "fancy_off.rs"]
mod fancy;
mod piece;
mod posix;
mod slow;

pub use error::RegexError;

use super::cut::{Found, Program, Span, UNSET};
use piece::Flavour;
use slow::{Slow, Want};

/// A compiled pattern in Ruby (Onigmo) syntax.
#[derive(Debug)]
pub struct Regex {
    names: Vec<String>,
    /// For each name, the groups that have it.
    name_groups: Vec<Vec<usize>>,
    /// For each group, 0 included, its name.
    group_names: Vec<Option<usize>>,
    cut: Option<Program>,
    slow: Slow,
}

/// Where the groups of one match are; reused from text to text.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// Start and end of each group, [`UNSET`] where it took no part.
    spans: Vec<Span>,
}

impl Slots {
    /// Start and end (bytes) of a group, 0 being the whole match; `None` when the group took no part in it.
    #[inline]
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        match self.spans.get(group) {
            Some(&(start, end)) if start != UNSET && end != UNSET => Some((start as usize, end as usize)),
            _ => None,
        }
    }

    /// Start and end of each group, [`UNSET`] for one that took no part.
    #[inline]
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Takes over what another engine found.
    fn fill(&mut self, found: impl Iterator<Item = Option<(usize, usize)>>) {
        self.spans.clear();
        self.spans.extend(found.map(|span| match span {
            Some((start, end)) => (start as u32, end as u32),
            None => (UNSET, UNSET),
        }));
    }
}

impl Regex {
    /// Compiles a pattern, `/…/imx` or bare.
    ///
    /// # Errors
    /// What Ruby would refuse, and what is too big; the error says where.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let source = delim::strip(pattern);
        let translated = dialect::translate(&source)?;
        let group_names: Vec<_> = std::iter::once(None).chain(translated.groups()).collect();
        let specials = translated.specials();
        let cut = if translated.is_fancy() {
            None
        } else {
            let written = translated.write(Flavour::Shadow)?;
            let hir = parse(&written.text).map_err(|e| located(&written, &e))?;
            Program::new(&hir, &specials, group_names.len())
        };
        let slow = Slow::new(&translated, translated.is_fancy() || !specials.is_empty());
        if cut.is_none() || (slow.is_fancy() && cfg!(not(feature = "patterns"))) {
            slow.build(&translated)?;
        }
        let name_groups = (0..translated.names.len())
            .map(|name| (0..group_names.len()).filter(|&g| group_names.get(g) == Some(&Some(name))).collect())
            .collect();
        Ok(Self { names: translated.names, name_groups, group_names, cut, slow })
    }

    /// The names of groups in order of their first appearance, each once.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many groups there are, 0 (the whole match) included. In a pattern with named groups plain parentheses
    /// are none.
    pub fn group_count(&self) -> usize {
        self.group_names.len()
    }

    /// The name of each group, by group number.
    pub fn group_names(&self) -> impl ExactSizeIterator<Item = Option<&str>> {
        self.group_names.iter().map(|name| name.and_then(|name| self.names.get(name)).map(String::as_str))
    }

    /// The groups called `names()[name]`, ascending; nearly always one.
    pub fn groups_of(&self, name: usize) -> &[usize] {
        self.name_groups.get(name).map_or(&[], Vec::as_slice)
    }

    /// What `names()[name]` stands for in a match: the last group of that name that took part.
    #[inline]
    pub fn named(&self, slots: &Slots, name: usize) -> Option<(usize, usize)> {
        self.groups_of(name).iter().rev().find_map(|&group| slots.get(group))
    }

    /// Searches `text` for the leftmost match (of several there, the one preferred by the pattern) and says where its
    /// groups are. `text` may be any bytes. Nothing is allocated unless `slots` is too small.
    #[inline]
    pub fn captures(&self, text: &[u8], slots: &mut Slots) -> bool {
        if let Some(cut) = &self.cut {
            slots.spans.resize(self.group_names.len(), (UNSET, UNSET));
            match cut.search(text, &mut slots.spans) {
                Found::Hit(..) => return true,
                Found::Miss => return false,
                Found::GaveUp if self.slow.is_fancy() => return false,
                Found::Unsure | Found::GaveUp => {}
            }
        }
        self.slow.search(text, Want::Anywhere, Some(slots))
    }

    /// Whether the pattern matches anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        // Without captures `regex` needs no backtracking: it is the faster one where it is not clear where to look.
        if let Some(cut) = self.cut.as_ref().filter(|cut| cut.is_selective() || self.slow.is_fancy()) {
            match cut.search(text, &mut []) {
                Found::Hit(..) => return true,
                Found::Miss => return false,
                Found::GaveUp if self.slow.is_fancy() => return false,
                Found::Unsure | Found::GaveUp => {}
            }
        }
        self.slow.search(text, Want::Anywhere, None)
    }

    /// The length of the match that begins with the first byte of `text`, if there is one.
    pub fn match_at_start(&self, text: &[u8]) -> Option<usize> {
        if let Some(cut) = &self.cut {
            match cut.match_at_start(text) {
                Found::Hit(_, end) => return Some(end),
                Found::Miss => return None,
                Found::GaveUp if self.slow.is_fancy() => return None,
                Found::Unsure | Found::GaveUp => {}
            }
        }
        let mut slots = Slots::default();
        self.slow.search(text, Want::AtStart, Some(&mut slots)).then(|| slots.get(0).map_or(0, |(_, end)| end))
    }

    /// Whether the lowered pattern, where there is one and it answers, finds in `text` what the slow engine finds: for
    /// fuzzing.
    pub fn engines_agree(&self, text: &[u8]) -> bool {
        let Some(cut) = self.cut.as_ref().filter(|_| !self.slow.is_fancy()) else { return true };
        let mut spans = vec![(UNSET, UNSET); self.group_names.len()];
        let found = match cut.search(text, &mut spans) {
            Found::Hit(..) => true,
            Found::Miss => false,
            Found::Unsure | Found::GaveUp => return true,
        };
        let mut slots = Slots::default();
        if self.slow.search(text, Want::Anywhere, Some(&mut slots)) != found {
            return false;
        }
        let fast = Slots { spans };
        !found || (0..self.group_count()).all(|group| fast.get(group) == slots.get(group))
    }

    /// The engine that answers first: `cut`, `regex` or `fancy`.
    pub fn engine(&self) -> &'static str {
        match &self.cut {
            Some(_) => "cut",
            None if self.slow.is_fancy() => "fancy",
            None => "regex",
        }
    }
}

/// Parses `regex` syntax.
fn parse(pattern: &str) -> Result<regex_syntax::hir::Hir, Box<regex_syntax::Error>> {
    regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).map_err(Box::new)
}

/// A complaint of the parser, at its place in the user's pattern.
fn located(written: &piece::Written, error: &regex_syntax::Error) -> RegexError {
    let (at, message) = match error {
        regex_syntax::Error::Parse(e) => (e.span().start.offset, e.kind().to_string()),
        regex_syntax::Error::Translate(e) => (e.span().start.offset, e.kind().to_string()),
        other => (0, other.to_string()),
    };
    RegexError::new(written.place(at), message)
}

#[cfg(all(test, feature = "patterns"))]
mod grok;
#[cfg(test)]
mod stock;
#[cfg(all(test, feature = "patterns"))]
mod tests;
