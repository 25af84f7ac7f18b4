//! Runs a lowered pattern at one place of a text.
//!
//! A way not taken is a frame on a stack; failing takes the last one up again. Groups need no undoing one by one:
//! outside of repetitions each is set once, so those that begin behind the place gone back to are simply unset.

use super::chars;
use super::effort::Effort;
use super::fuse::Code;
use super::inst::{Count, Inst, Rest};
use super::op::Look;
use super::scan::backward;
use super::set::Beyond;

/// Ways not taken that are remembered at a time without allocating.
const MAX_FRAMES: usize = 256;
/// What going back costs of the budget, on top of the bytes scanned.
const STEP: i64 = 4;

/// Start and end of a group.
pub(in super::super) type Span = (u32, u32);

/// A group that took no part.
pub(in super::super) const UNSET: u32 = u32::MAX;

/// A way not taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The instruction that left it, which knows how to take it up.
    pc: u16,
    a: u32,
    b: u32,
}

type Stack = heapless::Vec<Frame, MAX_FRAMES>;

/// What became of a try at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// It matches, up to here.
    Hit(usize),
    Miss,
    /// Budget or stack ran out.
    GaveUp,
}

/// Tries to match from `start` on. Groups from 1 on must be unset; `effort` is what may still be spent.
#[inline(never)]
pub(super) fn run(code: &Code, text: &[u8], start: usize, slots: &mut [Span], effort: &mut Effort) -> Tried {
    let mut stack = Stack::new();
    Machine { code, text, slots, stack: &mut stack, effort }.run(start)
}

struct Machine<'a> {
    code: &'a Code,
    text: &'a [u8],
    slots: &'a mut [Span],
    stack: &'a mut Stack,
    effort: &'a mut Effort,
}

impl Machine<'_> {
    #[inline(always)]
    fn run(&mut self, start: usize) -> Tried {
        let (text, code) = (self.text, self.code);
        let (insts, tables) = (code.insts.as_slice(), &code.tables);
        let (mut pc, mut at) = (code.entry, start);
        // Where the way being tried began: what it has read is charged when it fails.
        let mut begun = start;
        loop {
            let Some(inst) = insts.get(pc) else { return Tried::Miss };
            // An arm that succeeds says where to go on; one that does not falls through to going back.
            match *inst {
                Inst::FieldOne { byte, group, min } => {
                    let stop = tables.until(byte, text, at);
                    if stop < text.len() && stop >= at + usize::from(min) {
                        self.group(group, at, stop);
                        (pc, at) = (pc + 1, stop + 1);
                        continue;
                    }
                    at = stop;
                }
                Inst::FieldLit { byte, group, min, len, word } => {
                    let stop = tables.until(byte, text, at);
                    if stop >= at + usize::from(min) && is_bytes(text, stop, word, len) {
                        self.group(group, at, stop);
                        (pc, at) = (pc + 1, stop + usize::from(len));
                        continue;
                    }
                    at = stop;
                }
                Inst::Field { scan, group, min, len, word } => {
                    let stop = tables.forward(scan, text, at);
                    if stop >= at + usize::from(min) && is_bytes(text, stop, word, len) {
                        self.group(group, at, stop);
                        (pc, at) = (pc + 1, stop + usize::from(len));
                        continue;
                    }
                    at = stop;
                }
                Inst::Lit { word, mask, len } => {
                    if is_literal(text, at, word, mask, len) {
                        (pc, at) = (pc + 1, at + usize::from(len));
                        continue;
                    }
                }
                Inst::Take { scan, group, min } => {
                    let stop = tables.forward(scan, text, at);
                    if stop >= at + usize::from(min) {
                        self.group(group, at, stop);
                        (pc, at) = (pc + 1, stop);
                        continue;
                    }
                }
                Inst::Peek { byte, hit, miss } => {
                    pc = usize::from(if text.get(at) == Some(&byte) { hit } else { miss });
                    continue;
                }
                Inst::Save { slot } => {
                    if let Some(span) = self.slots.get_mut(usize::from(slot / 2)) {
                        *(if slot % 2 == 0 { &mut span.0 } else { &mut span.1 }) = at as u32;
                    }
                    pc += 1;
                    continue;
                }
                Inst::SaveUndo { slot } => {
                    if let Some(span) = self.slots.get_mut(usize::from(slot / 2)) {
                        let (start, end) = *span;
                        *(if slot % 2 == 0 { &mut span.0 } else { &mut span.1 }) = at as u32;
                        if !self.push(pc, start as usize, end as usize) {
                            return Tried::GaveUp;
                        }
                    }
                    pc += 1;
                    continue;
                }
                Inst::Greedy { .. }
                | Inst::Lazy { .. }
                | Inst::Split { .. }
                | Inst::Count { .. }
                | Inst::Chars { .. }
                    if self.is_known(pc, at) => {}
                Inst::Greedy { scan, group, min, rest } => {
                    let stop = tables.forward(scan, text, at);
                    let least = at + usize::from(min);
                    if stop >= least
                        && let Some((end, more)) = self.longest(least, stop, rest)
                    {
                        self.settle(pc, group, at, end, more);
                        (pc, at) = (pc + 1, end);
                        continue;
                    }
                    at = stop;
                }
                Inst::Lazy { group, min, set, .. } => {
                    let enough = min == 0 || self.next_is(at, set);
                    if enough && let Some((end, more)) = self.shortest(inst, at + usize::from(min)) {
                        self.settle(pc, group, at, end, more);
                        (pc, at) = (pc + 1, end);
                        continue;
                    }
                }
                Inst::Split { a, b, first, .. } => {
                    if let Some(ways) = code.ways.get(usize::from(first)) {
                        let (can_a, can_b) = match text.get(at) {
                            Some(&byte) => (ways.a.contains(byte), ways.b.contains(byte)),
                            None => (ways.a_end, ways.b_end),
                        };
                        if can_a {
                            if can_b {
                                self.push(pc, at, 0);
                            }
                            pc = usize::from(a);
                            continue;
                        }
                        if can_b {
                            pc = usize::from(b);
                            continue;
                        }
                    }
                }
                Inst::One { set } => {
                    if self.next_is(at, set) {
                        (pc, at) = (pc + 1, at + 1);
                        continue;
                    }
                }
                Inst::Char { set } => match self.text.get(at) {
                    Some(&b) if !b.is_ascii() => {
                        (pc, at) = (pc + 1, at + chars::width(self.text, at));
                        continue;
                    }
                    Some(_) if self.next_is(at, set) => {
                        (pc, at) = (pc + 1, at + 1);
                        continue;
                    }
                    _ => {}
                },
                Inst::Wide { class } => {
                    if let Some(width) = self.wide(class, at) {
                        (pc, at) = (pc + 1, at + width);
                        continue;
                    }
                }
                Inst::Count { scan, group, count, rest } => {
                    let Count { min, max } = self.count(count);
                    let stop = tables.forward(scan, text, at).min(at.saturating_add(max));
                    let least = at + min;
                    let end = match rest {
                        _ if stop < least => None,
                        Some(rest) => self.longest(least, stop, rest),
                        None => Some((stop, false)),
                    };
                    if let Some((end, more)) = end {
                        self.settle(pc, group, at, end, more);
                        (pc, at) = (pc + 1, end);
                        continue;
                    }
                }
                Inst::Chars { class, group, count, rest } => {
                    if let Some((end, more)) = self.characters(class, count, rest, at) {
                        self.settle(pc, group, at, end, more);
                        (pc, at) = (pc + 1, end);
                        continue;
                    }
                }
                Inst::Jump { to } => {
                    self.effort.budget -= 1;
                    pc = usize::from(to);
                    continue;
                }
                Inst::Look(look) => {
                    if self.look(look, at) {
                        pc += 1;
                        continue;
                    }
                }
                Inst::Mark | Inst::Unless { .. } => {
                    if !self.push(pc, at, 0) {
                        return Tried::GaveUp;
                    }
                    pc += 1;
                    continue;
                }
                Inst::Commit => {
                    self.keep_undo(|inst| *inst == Inst::Mark);
                    pc += 1;
                    continue;
                }
                Inst::Return => {
                    if let Some(opened) = self.keep_undo(|inst| *inst == Inst::Mark) {
                        self.effort.budget -= at.saturating_sub(opened) as i64 / 8;
                        (pc, at) = (pc + 1, opened);
                        continue;
                    }
                }
                Inst::Refuse => _ = self.unwind(|inst| matches!(inst, Inst::Unless { .. })),
                Inst::Back { chars } => {
                    if let Some(back) = (0..chars).try_fold(at, |at, _| chars::before(self.text, at)) {
                        (pc, at) = (pc + 1, back);
                        continue;
                    }
                }
                Inst::Match => return Tried::Hit(at),
                Inst::Fail => {}
            }
            self.effort.budget -= at.saturating_sub(begun) as i64 / 8;
            match self.resume() {
                Ok(next) => (pc, at) = next,
                Err(tried) => return tried,
            }
            begun = at;
        }
    }

    /// Takes up the last way not taken: instruction and place.
    fn resume(&mut self) -> Result<(usize, usize), Tried> {
        loop {
            self.effort.budget -= STEP;
            if self.effort.budget < 0 {
                return Err(Tried::GaveUp);
            }
            let Some(Frame { pc, a, b }) = self.pop() else { return Err(Tried::Miss) };
            let (pc, a, b) = (usize::from(pc), a as usize, b as usize);
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
    fn longest(&mut self, least: usize, stop: usize, rest: Rest) -> Option<(usize, bool)> {
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
    fn shorter(&mut self, least: usize, end: usize, rest: Rest) -> Option<(usize, bool)> {
        if rest.last {
            return (end > least && self.next_is(end - 1, rest.first)).then(|| (end - 1, false));
        }
        let found = backward(rest.back, &self.code.sets, self.text, least, end);
        self.effort.budget -= (end - found.unwrap_or(least)) as i64 / 4;
        found.map(|found| (found, found > least))
    }

    /// The next end of a lazy run, from `from` on, and whether there may be a longer one.
    #[inline]
    fn shortest(&mut self, inst: &Inst, from: usize) -> Option<(usize, bool)> {
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

    /// A run of characters counted one by one: its longest end at which the rest can begin, and whether there may
    /// be a shorter one.
    fn characters(&mut self, class: u16, count: u16, rest: Option<Rest>, from: usize) -> Option<(usize, bool)> {
        let Count { min, max } = self.count(count);
        let (mut end, mut taken) = (from, 0);
        while taken < max
            && let Some(width) = self.wide(class, end)
        {
            end += width;
            taken += 1;
        }
        self.effort.budget -= (end - from) as i64;
        if taken < min {
            return None;
        }
        let Some(rest) = rest else { return Some((end, false)) };
        let fits = match self.text.get(end) {
            Some(&b) => self.is_in(rest.first, b) || chars::is_inside(b),
            None => rest.end,
        };
        if fits { Some((end, taken > min)) } else { self.fewer(from, end, min, rest) }
    }

    /// The next shorter end of a run of characters, and whether there may be one shorter still.
    fn fewer(&mut self, from: usize, mut end: usize, min: usize, rest: Rest) -> Option<(usize, bool)> {
        let least = (0..min).fold(from, |at, _| at + chars::width(self.text, at));
        while end > least {
            self.effort.budget -= 1;
            end = chars::before(self.text, end)?;
            if self.text.get(end).is_some_and(|&b| self.is_in(rest.first, b) || chars::is_inside(b)) {
                return Some((end, end > least));
            }
        }
        None
    }

    /// The width of the character of a class at `at`.
    fn wide(&self, class: u16, at: usize) -> Option<usize> {
        let class = self.code.classes.get(usize::from(class))?;
        let &b = self.text.get(at)?;
        if b.is_ascii() {
            return class.ascii.contains(b).then_some(1);
        }
        match class.beyond {
            Beyond::None => None,
            Beyond::All => Some(chars::width(self.text, at)),
            Beyond::Some(_) => chars::decode(self.text, at).filter(|(c, _)| class.contains(*c)).map(|(_, width)| width),
        }
    }

    fn look(&self, look: Look, at: usize) -> bool {
        let newline = |at: usize| self.text.get(at) == Some(&b'\n');
        match look {
            Look::Start => at == 0,
            Look::End => at == self.text.len(),
            Look::SemiEnd => at == self.text.len() || at + 1 == self.text.len() && newline(at),
            Look::StartLine => at.checked_sub(1).is_none_or(newline),
            Look::EndLine => at == self.text.len() || newline(at),
            Look::Word { ascii, negated } => chars::is_word_boundary(self.text, at, ascii) != negated,
        }
    }

    #[inline(always)]
    fn is_in(&self, set: u16, b: u8) -> bool {
        match self.code.bits.get(usize::from(set) / 64) {
            Some(bits) => bits[usize::from(b)] >> (set & 63) & 1 != 0,
            None => false,
        }
    }

    #[inline(always)]
    fn next_is(&self, at: usize, set: u16) -> bool {
        self.text.get(at).is_some_and(|&b| self.is_in(set, b))
    }

    fn count(&self, count: u16) -> Count {
        self.code.counts.get(usize::from(count)).copied().unwrap_or(Count { min: 0, max: 0 })
    }

    /// Notes the end chosen for a run: its group, and that there are others.
    #[inline(always)]
    fn settle(&mut self, pc: usize, group: u16, from: usize, end: usize, more: bool) {
        if more {
            self.push(pc, from, end);
        }
        self.group(group, from, end);
    }

    #[inline(always)]
    fn group(&mut self, group: u16, from: usize, end: usize) {
        if group != 0
            && let Some(span) = self.slots.get_mut(usize::from(group))
        {
            *span = (from as u32, end as u32);
        }
    }

    fn clear(&mut self, from: u16) {
        if let Some(spans) = self.slots.get_mut(usize::from(from)..) {
            spans.fill((UNSET, UNSET));
        }
    }

    /// Remembers a way not taken. Without room for it the search goes on: should the way taken match, nothing is lost;
    /// should it fail, the whole is tried again with more room.
    #[inline(always)]
    fn push(&mut self, pc: usize, a: usize, b: usize) -> bool {
        let frame = Frame { pc: pc as u16, a: a as u32, b: b as u32 };
        self.stack.push(frame).is_ok() || self.effort.spill(frame)
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<Frame> {
        if self.effort.spilled.is_empty() { self.stack.pop() } else { self.effort.spilled.pop() }
    }

    /// Whether a choice was met at this place before, so that all that follows is known to fail.
    #[inline(always)]
    fn is_known(&mut self, pc: usize, at: usize) -> bool {
        self.effort.is_careful() && self.effort.note(self.code, pc, at)
    }

    /// Forgets the ways not taken since the last frame of a kind, and that frame, as if all had failed; where it was
    /// opened.
    fn unwind(&mut self, is_open: impl Fn(&Inst) -> bool) -> Option<usize> {
        while let Some(frame) = self.pop() {
            match self.code.insts.get(usize::from(frame.pc)) {
                Some(&Inst::SaveUndo { slot }) => self.restore(slot, frame.a as usize, frame.b as usize),
                Some(inst) if is_open(inst) => return Some(frame.a as usize),
                _ => {}
            }
        }
        None
    }

    /// As [`Machine::unwind`], but what was set in between stays set, to come back when what follows fails.
    fn keep_undo(&mut self, is_open: impl Fn(&Inst) -> bool) -> Option<usize> {
        let mut kept = Vec::new();
        let mut opened = None;
        while let Some(frame) = self.pop() {
            match self.code.insts.get(usize::from(frame.pc)) {
                Some(Inst::SaveUndo { .. }) => kept.push(frame),
                Some(inst) if is_open(inst) => {
                    opened = Some(frame.a as usize);
                    break;
                }
                _ => {}
            }
        }
        for frame in kept.into_iter().rev() {
            self.push(usize::from(frame.pc), frame.a as usize, frame.b as usize);
        }
        opened
    }

    fn restore(&mut self, slot: u16, start: usize, end: usize) {
        if let Some(span) = self.slots.get_mut(usize::from(slot / 2)) {
            *span = (start as u32, end as u32);
        }
    }
}

/// Whether the `len` (1 to 8) bytes at `at` are those of `word`.
#[inline(always)]
fn is_bytes(text: &[u8], at: usize, word: u64, len: u8) -> bool {
    if let Some(lane) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // Shifted left, the bytes behind the `len` first ones fall out.
        let out = (64 - 8 * u32::from(len)) & 63;
        return (u64::from_le_bytes(*lane) ^ word) << out == 0;
    }
    is_literal(text, at, word, u64::MAX, len)
}

/// Whether the `len` bytes at `at`, under a mask, are those of `word`.
#[inline]
fn is_literal(text: &[u8], at: usize, word: u64, mask: u64, len: u8) -> bool {
    if let Some(lane) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        return u64::from_le_bytes(*lane) & mask == word;
    }
    let Some(rest) = text.get(at..at + usize::from(len)) else { return false };
    let found = rest.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b));
    found & mask == word
}
