//! How hard a search tries: first quickly, then carefully.
//!
//! A quick search remembers nothing of what failed, which is right for nearly every text. Where that leads round in
//! circles the budget runs out soon, and a careful search notes each choice it has met and where: met again, all
//! that can follow is known to fail. That bounds the work by the length of the text times the choices of the pattern.

use super::fuse::Code;
use super::machine::Frame;

/// Frames kept on the heap at most, beside those on the stack.
const MAX_SPILLED: usize = 1 << 16;
/// Bits of notes at most; a pattern and a text that need more are left to another engine.
const MAX_NOTES: usize = 8 << 20;

/// What a search may still spend, and what it has noted.
#[derive(Debug)]
pub(super) struct Effort {
    /// About a nanosecond each.
    pub(super) budget: i64,
    /// What makes a search careful.
    pub(super) care: Option<Box<Care>>,
}

/// What a careful search keeps.
#[derive(Debug)]
pub(super) struct Care {
    /// Frames for which the stack had no room.
    pub(super) spilled: Vec<Frame>,
    /// One bit for each choice of the pattern and place in the text.
    notes: Vec<u64>,
    places: usize,
}

impl Effort {
    /// For a first search in a text of so many bytes.
    #[inline]
    pub(super) fn quick(len: usize) -> Self {
        Self { budget: 1_000 + 14 * len.min(4_096) as i64 + 2 * len as i64, care: None }
    }

    /// For the search that follows when a quick one gave up.
    pub(super) fn careful(code: &Code, len: usize) -> Option<Self> {
        let bits = code.choices.checked_mul(len + 1).filter(|&bits| bits <= MAX_NOTES)?;
        let care = Care { spilled: Vec::new(), notes: vec![0; bits / 64 + 1], places: len + 1 };
        Some(Self { budget: (50_000 + 300 * len as i64).min(2_000_000), care: Some(Box::new(care)) })
    }

    /// Notes that a choice is met at a place; whether it was already.
    pub(super) fn note(&mut self, choice: u16, at: usize) -> bool {
        let Some(care) = &mut self.care else { return false };
        let bit = usize::from(choice) * care.places + at;
        let Some(word) = care.notes.get_mut(bit / 64) else { return false };
        let known = *word >> (bit % 64) & 1 != 0;
        *word |= 1 << (bit % 64);
        known
    }

    /// Keeps a frame for which the stack has no room. A quick search gives up instead.
    #[cold]
    pub(super) fn spill(&mut self, pc: u32, a: u32, b: u32) -> bool {
        match &mut self.care {
            Some(care) if care.spilled.len() < MAX_SPILLED => {
                care.spilled.push(Frame { pc, a, b });
                true
            }
            _ => {
                self.budget = i64::MIN / 2;
                false
            }
        }
    }
}
