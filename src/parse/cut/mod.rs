//! Patterns lowered to small programs that capture at the speed of hand-written parsers.
//!
//! The parsed pattern (`regex-syntax`) becomes a list of steps ([`op`]), each of which knows what can stand behind it
//! ([`first`]). That decides most choices without trying: a run whose bytes cannot begin what follows is never cut
//! short, of two ways only the one is taken that the next byte allows, a lazy run jumps to where the rest can begin.
//! What is left to chance is tried in order on a stack of bounded size, with a budget of bytes looked at. Matches and
//! captures are those of `regex`: leftmost, then by preference.

mod chars;
mod first;
mod fuse;
mod inst;
mod lower;
mod op;
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
#[derive(Debug)]
pub(super) struct Program {
    code: fuse::Code,
    starts: search::Starts,
}

impl Program {
    /// Lowers a pattern whose groups are called `g1`… and whose specials `s0`…; `None` when it is not of the kind
    /// that can be. `groups` counts group 0.
    pub(super) fn new(hir: &Hir, specials: &[Special], groups: usize) -> Option<Self> {
        let ops = lower::lower(hir, specials).ok()?;
        let code = fuse::fuse(&ops, groups).ok()?;
        let starts = search::Starts::new(&ops, &code);
        Some(Self { code, starts })
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
impl Program {
    pub(super) fn dump(&self) -> String {
        let mut s = format!("size {}\n", std::mem::size_of::<inst::Inst>());
        for (i, x) in self.code.insts.iter().enumerate() {
            s.push_str(&format!("{i} {x:?}\n"));
        }
        s
    }
}
