//! The steps a pattern is lowered to, before they are fitted to the machine.

use super::set::CharSet;

/// One step. Places are indexes into the list of steps; a step without a place of its own goes on to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One character of a set.
    Set(CharSet),
    /// Characters of a set, at least `min`, at most `max`; greedy ones first try as many as there are.
    Run { set: CharSet, min: u32, max: Option<u32>, greedy: bool },
    /// The start (even) or end (odd) of group `slot / 2` is here.
    Save(usize),
    /// First `prefer`, then, when that fails, `other`.
    Split { prefer: usize, other: usize },
    /// On at another place.
    Jump(usize),
    /// An assertion about this place.
    Look(Look),
    /// Opens an atomic group (`after` absent) or a look-around that must hold and goes on at `after`.
    Mark { after: Option<usize>, behind: bool },
    /// Closes an atomic group: its other ways to match are given up.
    Commit,
    /// Closes a look-around that must hold: back to where it was opened.
    Return,
    /// Opens a look-around that must not hold: when all of it fails the match goes on at `after`.
    Unless { after: usize },
    /// Closes a look-around that must not hold: it did, so this way fails.
    Refuse,
    /// This many characters back.
    Back(usize),
    /// The pattern has matched.
    Match,
    /// Nothing matches here.
    Fail,
}

/// Assertions about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The start of the text.
    Start,
    /// The end of the text.
    End,
    /// The end of the text or before a newline that ends it.
    SemiEnd,
    /// The start of the text or behind a newline.
    StartLine,
    /// The end of the text or before a newline.
    EndLine,
    /// Between a word character and another one, or the opposite when `negated`.
    Word { ascii: bool, negated: bool },
}
