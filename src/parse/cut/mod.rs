//! Patterns lowered to small programs that capture at the speed of hand-written parsers.
//!
//! The parsed pattern (`regex-syntax`) becomes a list of steps ([`op`]), each of which knows what can stand behind it
//! ([`first`]). That decides most choices without trying: a run whose bytes cannot begin what follows is never cut
//! short, of two ways only the one is taken that the next byte allows, a lazy run jumps to where the rest can begin.
//! What is left to chance is tried in order on a stack of bounded size, with a budget of bytes looked at. Matches and
//! captures are those of `regex`: leftmost, then by preference.

mod chars;
mod effort;
mod first;
mod fuse;
mod inst;
mod lower;
mod machine;
mod op;
mod rare;
mod run;
mod scan;
mod search;
mod set;

use regex_syntax::hir::Hir;

pub(super) use run::{Span, UNSET};
pub(super) use search::Found;

/// What a parsed pattern has no words for: it names a group `s0`, `s1`… for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// `(?>…)` and possessive quantifiers.
    Atomic,
    /// `(?=…)`, or `(?!…)`.
    Ahead { negative: bool },
    /// `(?<=…)`, or `(?<!…)`.
    Behind { negative: bool },
    /// `\Z`: the end, or before a newline at the end; a group without content.
    SemiEnd,
}

/// A lowered pattern.
pub(super) struct Program {
    code: fuse::Code,
    starts: search::Starts,
    /// Whether no other engine takes the pattern as well: a search in trouble then goes on with care. `regex` on the
    /// other hand never is in trouble, and quick to see that there is no match.
    alone: bool,
}

impl Program {
    /// Lowers a pattern whose groups are called `g1`… and whose specials `s0`…; `None` when it is not of the kind
    /// that can be. `groups` counts group 0.
    pub(super) fn new(hir: &Hir, specials: &[Special], groups: usize) -> Option<Self> {
        Self::build(hir, specials, groups, !specials.is_empty())
    }

    fn build(hir: &Hir, specials: &[Special], groups: usize, alone: bool) -> Option<Self> {
        let steps = lower::lower(hir, specials).ok()?;
        let code = fuse::fuse(&steps, groups, alone).ok()?;
        let starts = search::Starts::new(&steps.ops, &code);
        Some(Self { code, starts, alone })
    }
}

impl std::fmt::Debug for Program {
    /// The instructions: the tables behind them fill pages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.code.insts).finish()
    }
}

#[cfg(test)]
mod tests;
