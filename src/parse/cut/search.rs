//! Where in a text a lowered pattern is tried.

use memchr::memmem::Finder;

use super::Program;
use super::chars::is_inside;
use super::effort::Effort;
use super::fuse::Code;
use super::op::{Look, Op};
use super::run::{Span, Tried, UNSET, run};
use super::scan::{Scan, Tables};

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Found {
    /// The match is there, from here to here.
    Hit(usize, usize),
    Miss,
    /// Bytes that are no UTF-8 matter: an engine that works on bytes has to say.
    Unsure,
    /// The budget ran out.
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
        let (mut effort, mut from) = (Effort::quick(text.len()), 0);
        // Most patterns for lines begin where the text does.
        if matches!(self.starts, Starts::Text | Starts::Lines) && !text.first().is_some_and(|&b| is_inside(b)) {
            match self.attempt(text, 0, slots, &mut effort) {
                Tried::Hit(end) => return Found::Hit(0, end),
                Tried::Miss => from = 1,
                Tried::GaveUp => {}
            }
        }
        self.search_from(from, effort, text, slots)
    }

    #[inline(never)]
    fn search_from(&self, mut from: usize, mut effort: Effort, text: &[u8], slots: &mut [Span]) -> Found {
        while let Some(at) = self.starts.next(text, from) {
            from = at + 1;
            // No match begins inside a character.
            if text.get(at).is_some_and(|&b| is_inside(b)) {
                continue;
            }
            let tried = match self.attempt(text, at, slots, &mut effort) {
                Tried::GaveUp if self.alone && effort.care.is_none() => match Effort::careful(&self.code, text.len()) {
                    Some(careful) => {
                        effort = careful;
                        self.attempt(text, at, slots, &mut effort)
                    }
                    None => Tried::GaveUp,
                },
                tried => tried,
            };
            match tried {
                Tried::Hit(end) => return Found::Hit(at, end),
                Tried::GaveUp => return Found::GaveUp,
                Tried::Miss => {}
            }
        }
        self.miss(text)
    }

    #[inline]
    fn attempt(&self, text: &[u8], at: usize, slots: &mut [Span], effort: &mut Effort) -> Tried {
        slots.fill((UNSET, UNSET));
        let tried = run(&self.code, text, at, slots, effort);
        if let (Tried::Hit(end), Some(whole)) = (tried, slots.first_mut()) {
            *whole = (at as u32, end as u32);
        }
        tried
    }

    /// As [`Program::search`], carefully from the start.
    #[cfg(test)]
    pub(in super::super) fn search_carefully(&self, text: &[u8], slots: &mut [Span]) -> Found {
        match Effort::careful(&self.code, text.len()) {
            Some(careful) => self.search_from(0, careful, text, slots),
            None => Found::GaveUp,
        }
    }

    /// A pattern takes bytes that are no characters in its stride, but not in every place where it could want them.
    fn miss(&self, text: &[u8]) -> Found {
        if self.code.minds_utf8 && std::str::from_utf8(text).is_err() { Found::Unsure } else { Found::Miss }
    }

    /// The length of a match that begins with the text.
    pub(in super::super) fn match_at_start(&self, text: &[u8]) -> Found {
        if text.len() >= UNSET as usize {
            return Found::GaveUp;
        }
        let mut tried = run(&self.code, text, 0, &mut [], &mut Effort::quick(text.len()));
        if tried == Tried::GaveUp
            && self.alone
            && let Some(mut careful) = Effort::careful(&self.code, text.len())
        {
            tried = run(&self.code, text, 0, &mut [], &mut careful);
        }
        match tried {
            Tried::Hit(end) => Found::Hit(0, end),
            Tried::Miss => self.miss(text),
            Tried::GaveUp => Found::GaveUp,
        }
    }

    /// Whether [`Program::search`] finds its way without trying most places of the text.
    pub(in super::super) fn is_selective(&self) -> bool {
        self.starts.is_selective()
    }
}
