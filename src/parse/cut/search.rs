//! Where in a text a lowered pattern is tried.

use memchr::memmem::Finder;

use super::Program;
use super::chars::is_inside;
use super::fuse::Code;
use super::op::{Look, Op};
use super::run::{Span, Tried, UNSET, run};
use super::scan::{Scan, Tables};

/// The budget of a search in a text of so many bytes, about a nanosecond each: lines are tried hard, long texts go to
/// another engine as soon as they take more than a few looks at each byte.
#[inline]
fn budget(len: usize) -> i64 {
    2_000 + 30 * len.min(4_096) as i64 + 2 * len as i64
}

/// The result of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Found {
    /// The match is there, from here to here.
    Hit(usize, usize),
    Miss,
    /// The budget ran out: another engine has to say.
    GaveUp,
}

/// The places at which a match can begin.
#[derive(Debug)]
pub(super) enum Starts {
    /// The start of the text.
    Text,
    /// The starts of lines.
    Lines,
    /// Where these bytes stand.
    Literal(Box<Finder<'static>>),
    /// Where one of these bytes stands.
    Bytes(Box<(Tables, Scan)>),
    Anywhere,
}

impl Starts {
    pub(super) fn new(ops: &[Op], code: &Code) -> Self {
        let mut head = ops.iter().filter(|op| !matches!(op, Op::Save(_)));
        match head.next() {
            Some(Op::Look(Look::Start)) => return Self::Text,
            Some(Op::Look(Look::StartLine)) => return Self::Lines,
            Some(Op::Bytes(bytes)) if bytes.len() > 1 => {
                return Self::Literal(Box::new(Finder::new(bytes).into_owned()));
            }
            _ => {}
        }
        if code.first_end || code.first.not().is_empty() {
            return Self::Anywhere;
        }
        let mut tables = Tables::default();
        let scan = tables.scan(code.first);
        Self::Bytes(Box::new((tables, scan)))
    }

    /// Whether a search can tell quickly where not to look.
    pub(super) fn is_selective(&self) -> bool {
        match self {
            Self::Text | Self::Lines | Self::Literal(_) => true,
            Self::Bytes(found) => matches!(found.1, Scan::One(_)),
            Self::Anywhere => false,
        }
    }

    /// The first place from `from` on at which to try.
    #[inline]
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Text => (from == 0).then_some(0),
            Self::Lines if from == 0 => Some(0),
            Self::Lines => memchr::memchr(b'\n', text.get(from - 1..)?).map(|at| from + at),
            Self::Literal(finder) => finder.find(text.get(from..)?).map(|at| from + at),
            Self::Bytes(found) => Some(found.0.forward(found.1, text, from)).filter(|&at| at < text.len()),
            Self::Anywhere => (from <= text.len()).then_some(from),
        }
    }
}

impl Program {
    /// Searches for the leftmost match. `slots` gets the groups, as many as it has room for; it may be empty.
    #[inline]
    pub(in super::super) fn search(&self, text: &[u8], slots: &mut [Span]) -> Found {
        if text.len() >= UNSET as usize {
            return Found::GaveUp;
        }
        let mut budget = budget(text.len());
        let mut from = 0;
        while let Some(at) = self.starts.next(text, from) {
            from = at + 1;
            // No match begins inside a character.
            if text.get(at).is_some_and(|&b| is_inside(b)) {
                continue;
            }
            slots.fill((UNSET, UNSET));
            match run(&self.code, text, at, slots, &mut budget) {
                Tried::Hit(end) => {
                    if let Some(whole) = slots.first_mut() {
                        *whole = (at as u32, end as u32);
                    }
                    return Found::Hit(at, end);
                }
                Tried::GaveUp => return Found::GaveUp,
                Tried::Miss => {}
            }
        }
        Found::Miss
    }

    /// The length of a match that begins with the text.
    pub(in super::super) fn match_at_start(&self, text: &[u8]) -> Found {
        if text.len() >= UNSET as usize {
            return Found::GaveUp;
        }
        match run(&self.code, text, 0, &mut [], &mut budget(text.len())) {
            Tried::Hit(end) => Found::Hit(0, end),
            Tried::Miss => Found::Miss,
            Tried::GaveUp => Found::GaveUp,
        }
    }

    /// Whether [`Program::search`] finds its way without trying most places of the text.
    pub(in super::super) fn is_selective(&self) -> bool {
        self.starts.is_selective()
    }
}
