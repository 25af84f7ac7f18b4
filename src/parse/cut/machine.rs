//! The state of a try: groups, and ways not taken.
//!
//! A way not taken is a frame on a stack; failing takes the last one up again. Groups need no undoing one by one:
//! outside of repetitions each is set once, so those that begin behind the place gone back to are simply unset.

use super::effort::Effort;
use super::fuse::Code;
use super::inst::{Inst, Rest};
use super::run::{Span, Tried, UNSET};
use super::scan::backward;

/// Ways not taken that are remembered at a time without allocating.
const MAX_FRAMES: usize = 256;
/// What going back costs of the budget, on top of the bytes scanned.
const STEP: i64 = 4;

/// A way not taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The instruction that left it, which knows how to take it up.
    pub(super) pc: u32,
    pub(super) a: u32,
    pub(super) b: u32,
}

pub(super) type Stack = heapless::Vec<Frame, MAX_FRAMES>;

pub(super) struct Machine<'a> {
    pub(super) code: &'a Code,
    pub(super) text: &'a [u8],
    pub(super) slots: &'a mut [Span],
    pub(super) stack: &'a mut Stack,
    pub(super) effort: &'a mut Effort,
}

impl Machine<'_> {
    /// Takes up the last way not taken: instruction and place.
    #[inline(never)]
    pub(super) fn resume(&mut self) -> Result<(usize, usize), Tried> {
        loop {
            self.effort.budget -= STEP;
            if self.effort.budget < 0 {
                return Err(Tried::GaveUp);
            }
            let Some(Frame { pc, a, b }) = self.pop() else { return Err(Tried::Miss) };
            let (pc, a, b) = (pc as usize, a as usize, b as usize);
            let Some(inst) = self.code.insts.get(pc) else { return Err(Tried::Miss) };
            let (group, found, clear) = match *inst {
                Inst::Split { b: other, clear, .. } => {
                    self.clear(clear);
                    return Ok((usize::from(other), a));
                }
                Inst::Unless { after, clear } => {
                    self.clear(clear);
                    return Ok((usize::from(after), a));
                }
                Inst::Greedy { group, min, rest, .. } => {
                    (group, self.shorter(a + usize::from(min), b, rest), rest.clear)
                }
                Inst::Count { group, count, rest: Some(rest), .. } => {
                    (group, self.shorter(a + self.count(count).min, b, rest), rest.clear)
                }
                Inst::Chars { group, count, rest: Some(rest), .. } => {
                    (group, self.fewer(a, b, self.count(count).min, rest), rest.clear)
                }
                Inst::Lazy { group, rest, .. } => (group, self.shortest(inst, b + 1), rest.clear),
                Inst::SaveUndo { slot } => {
                    self.restore(slot, a, b);
                    continue;
                }
                // A mark: what it opened has failed.
                _ => continue,
            };
            if let Some((end, more)) = found {
                self.clear(clear);
                self.settle(pc, group, a, end, more);
                return Ok((pc + 1, end));
            }
        }
    }

    /// The longest end of a run at which the rest can begin, and whether there may be a shorter one.
    #[inline(always)]
    pub(super) fn longest(&mut self, least: usize, stop: usize, rest: Rest) -> Option<(usize, bool)> {
        let fits = match self.text.get(stop) {
            Some(&b) => self.is_in(rest.first, b),
            None => rest.end,
        };
        if rest.last {
            let before = stop > least && self.next_is(stop - 1, rest.first);
            return if fits { Some((stop, before)) } else { before.then(|| (stop - 1, false)) };
        }
        if fits { Some((stop, stop > least)) } else { self.shorter(least, stop, rest) }
    }

    /// The longest end of a run before `end` at which the rest can begin, and whether there may be a shorter one.
    #[inline(never)]
    pub(super) fn shorter(&mut self, least: usize, end: usize, rest: Rest) -> Option<(usize, bool)> {
        if end <= least {
            return None;
        }
        if self.next_is(end - 1, rest.first) {
            return Some((end - 1, !rest.last && end - 1 > least));
        }
        if rest.last {
            return None;
        }
        let found = backward(rest.back, &self.code.sets, self.text, least, end - 1);
        self.effort.budget -= (end - found.unwrap_or(least)) as i64 / 4;
        found.map(|found| (found, found > least))
    }

    /// The next end of a lazy run, from `from` on, and whether there may be a longer one.
    #[inline(never)]
    pub(super) fn shortest(&mut self, inst: &Inst, from: usize) -> Option<(usize, bool)> {
        let Inst::Lazy { scan, set, rest, .. } = *inst else { return None };
        let stop = self.code.tables.forward(scan, self.text, from);
        match self.text.get(stop) {
            None => rest.end.then_some((stop, false)),
            Some(&b) if self.is_in(rest.first, b) => Some((stop, self.is_in(set, b))),
            Some(_) => {
                self.effort.budget -= (stop - from) as i64 / 8;
                None
            }
        }
    }

    #[inline(always)]
    pub(super) fn is_in(&self, set: u16, b: u8) -> bool {
        match self.code.bits.get(usize::from(set) / 64) {
            Some(bits) => bits[usize::from(b)] >> (set & 63) & 1 != 0,
            None => false,
        }
    }

    #[inline(always)]
    pub(super) fn next_is(&self, at: usize, set: u16) -> bool {
        self.text.get(at).is_some_and(|&b| self.is_in(set, b))
    }

    /// Notes the end chosen for a run: its group, and that there are others.
    #[inline(always)]
    pub(super) fn settle(&mut self, pc: usize, group: u16, from: usize, end: usize, more: bool) {
        if more {
            self.push(pc, from, end);
        }
        self.group(group, from, end);
    }

    /// Notes a group. Number 0 is none: its place is filled in at the end.
    #[inline(always)]
    pub(super) fn group(&mut self, group: u16, from: usize, end: usize) {
        if let Some(span) = self.slots.get_mut(usize::from(group)) {
            *span = (from as u32, end as u32);
        }
    }

    /// Notes the start (even) or end (odd) of a group.
    #[inline(always)]
    pub(super) fn save(&mut self, slot: u16, at: usize) {
        if let Some(span) = self.slots.get_mut(usize::from(slot / 2)) {
            *(if slot & 1 == 0 { &mut span.0 } else { &mut span.1 }) = at as u32;
        }
    }

    pub(super) fn clear(&mut self, from: u16) {
        if let Some(spans) = self.slots.get_mut(usize::from(from)..) {
            spans.fill((UNSET, UNSET));
        }
    }

    /// Remembers a way not taken. Without room for it the search goes on: should the way taken match, nothing is lost;
    /// should it fail, the whole is tried again with more room.
    #[inline(always)]
    pub(super) fn push(&mut self, pc: usize, a: usize, b: usize) -> bool {
        // Spelt out so that the frame is written where it belongs at once.
        if self.stack.is_full() {
            return self.effort.spill(pc as u32, a as u32, b as u32);
        }
        self.stack.push(Frame { pc: pc as u32, a: a as u32, b: b as u32 }).is_ok()
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let spilled = self.effort.care.as_mut().and_then(|care| care.spilled.pop());
        spilled.or_else(|| self.stack.pop())
    }
}
