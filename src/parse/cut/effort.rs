//! How hard a search tries: first quickly, then carefully.
//!
//! A quick search remembers nothing of what failed, which is right for nearly every text. Where that leads round in
//! circles the budget runs out soon, and a careful search notes each choice it has met and where: met again, all
//! that can follow is known to fail. That bounds the work by the length of the text times the choices of the pattern.

use super::fuse::Code;
use super::run::Frame;

/// Frames kept on the heap at most, beside those on the stack.
const MAX_SPILLED: usize = 1 << 16;
/// Bits of notes at most; a pattern and a text that need more are left to another engine.
const MAX_NOTES: usize = 8 << 20;

/// What a search may still spend, and what it has noted.
#[derive(Debug)]
pub(super) struct Effort {
    /// About a nanosecond each.
    pub(super) budget: i64,
    pub(super) spilled: Vec<Frame>,
    /// One bit for each choice of the pattern and place in the text; none in a quick search.
    notes: Vec<u64>,
    places: usize,
}

impl Effort {
    /// For a first search in a text of so many bytes.
    #[inline]
    pub(super) fn quick(len: usize) -> Self {
        let budget = 1_000 + 14 * len.min(4_096) as i64 + 2 * len as i64;
        Self { budget, spilled: Vec::new(), notes: Vec::new(), places: 0 }
    }

    /// For the search that follows when a quick one gave up.
    pub(super) fn careful(code: &Code, len: usize) -> Option<Self> {
        let bits = code.choices.checked_mul(len + 1).filter(|&bits| bits <= MAX_NOTES)?;
        let budget = (50_000 + 300 * len as i64).min(2_000_000);
        Some(Self { budget, spilled: Vec::new(), notes: vec![0; bits / 64 + 1], places: len + 1 })
    }

    #[inline(always)]
    pub(super) fn is_careful(&self) -> bool {
        self.places != 0
    }

    /// Notes that a choice is met at a place; whether it was already.
    pub(super) fn note(&mut self, code: &Code, pc: usize, at: usize) -> bool {
        let Some(&Some(choice)) = code.choice.get(pc) else { return false };
        let bit = usize::from(choice) * self.places + at;
        let Some(word) = self.notes.get_mut(bit / 64) else { return false };
        let known = *word >> (bit % 64) & 1 != 0;
        *word |= 1 << (bit % 64);
        known
    }

    /// Keeps a frame for which the stack has no room. A quick search gives up instead.
    #[cold]
    pub(super) fn spill(&mut self, frame: Frame) -> bool {
        let room = self.is_careful() && self.spilled.len() < MAX_SPILLED;
        if room {
            self.spilled.push(frame);
        } else {
            self.budget = i64::MIN / 2;
        }
        room
    }
}
