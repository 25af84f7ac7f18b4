//! Runs a lowered pattern at one place of a text.

use super::effort::Effort;
use super::fuse::Code;
use super::inst::Inst;
use super::machine::{Machine, Stack};
use super::op::Look;
use super::scan::{Scan, lane_at, until, until_two, while_next};

/// Start and end of a group.
pub(in super::super) type Span = (u32, u32);

/// A group that took no part.
pub(in super::super) const UNSET: u32 = u32::MAX;

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
///
/// What lines are made of is done here; the rest is called, so that the processor's registers are free for it.
#[inline(never)]
pub(super) fn run(code: &Code, text: &[u8], start: usize, slots: &mut [Span], effort: &mut Effort) -> Tried {
    let mut stack = Stack::new();
    let mut m = Machine { code, text, slots, stack: &mut stack, effort };
    let (mut pc, mut at) = (code.entry, start);
    // Where the way being tried began: what it has read is charged when it fails.
    let mut begun = start;
    loop {
        let Some(inst) = code.insts.get(pc) else { return Tried::Miss };
        // An arm that succeeds says where to go on; one that does not falls through to going back.
        match *inst {
            Inst::FieldOne { byte, group, min } => {
                let (stop, found) = until(byte, text, at);
                if found && stop >= at + usize::from(min) {
                    m.group(group, at, stop);
                    (pc, at) = (pc + 1, stop + 1);
                    continue;
                }
                at = stop;
            }
            Inst::FieldLit { byte, group, min, len, word } => {
                let (stop, _) = until(byte, text, at);
                if stop >= at + usize::from(min) && is_bytes(text, stop, word, len) {
                    m.group(group, at, stop);
                    (pc, at) = (pc + 1, stop + usize::from(len));
                    continue;
                }
                at = stop;
            }
            Inst::Field { scan, group, min, len, word } => {
                let stop = any_forward(code, scan, text, at);
                if stop >= at + usize::from(min) && is_bytes(text, stop, word, len) {
                    m.group(group, at, stop);
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
                let stop = forward(code, scan, text, at);
                if stop >= at + usize::from(min) {
                    m.group(group, at, stop);
                    (pc, at) = (pc + 1, stop);
                    continue;
                }
            }
            Inst::Peek { byte, hit, miss } => {
                pc = usize::from(if text.get(at) == Some(&byte) { hit } else { miss });
                continue;
            }
            Inst::Save { slot } => {
                m.save(slot, at);
                pc += 1;
                continue;
            }
            Inst::Greedy { scan, group, min, rest } => {
                let stop = forward(code, scan, text, at);
                let least = at + usize::from(min);
                if stop >= least
                    && let Some((end, more)) = m.longest(least, stop, rest)
                {
                    m.settle(pc, group, at, end, more);
                    (pc, at) = (pc + 1, end);
                    continue;
                }
                at = stop;
            }
            Inst::Lazy { group, min, set, .. } => {
                let enough = min == 0 || m.next_is(at, set);
                if enough && let Some((end, more)) = m.shortest(inst, at + usize::from(min)) {
                    m.settle(pc, group, at, end, more);
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
                            m.push(pc, at, 0);
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
                if m.next_is(at, set) {
                    (pc, at) = (pc + 1, at + 1);
                    continue;
                }
            }
            Inst::Jump { to } => {
                m.effort.budget -= 1;
                pc = usize::from(to);
                continue;
            }
            Inst::Look(Look::EndLine) => {
                if text.get(at).is_none_or(|&b| b == b'\n') {
                    pc += 1;
                    continue;
                }
            }
            Inst::Match => return Tried::Hit(at),
            Inst::Char { .. }
            | Inst::Wide { .. }
            | Inst::Count { .. }
            | Inst::Chars { .. }
            | Inst::SaveUndo { .. }
            | Inst::Look(_)
            | Inst::Mark
            | Inst::Commit
            | Inst::Return
            | Inst::Unless { .. }
            | Inst::Refuse
            | Inst::Back { .. }
            | Inst::Note { .. }
            | Inst::Fail => {
                if let Some(next) = m.rare(inst, pc, at) {
                    (pc, at) = next;
                    continue;
                }
            }
        }
        m.effort.budget -= at.saturating_sub(begun) as i64 / 8;
        match m.resume() {
            Ok(next) => (pc, at) = next,
            Err(tried) => return tried,
        }
        begun = at;
    }
}

/// Where a run stops; the common kinds of run without a detour.
#[inline(always)]
fn forward(code: &Code, scan: Scan, text: &[u8], at: usize) -> usize {
    match scan {
        Scan::One(byte) => until(byte, text, at).0,
        Scan::Two(a, b) => until_two(a, b, text, at),
        Scan::While(byte) => while_next(byte, text, at),
        _ => any_forward(code, scan, text, at),
    }
}

#[inline(never)]
fn any_forward(code: &Code, scan: Scan, text: &[u8], at: usize) -> usize {
    code.tables.forward(scan, text, at)
}

/// Whether the `len` (1 to 8) bytes at `at` are those of `word`.
#[inline(always)]
fn is_bytes(text: &[u8], at: usize, word: u64, len: u8) -> bool {
    if let Some(lane) = lane_at::<8>(text, at) {
        // Shifted left, the bytes behind the `len` first ones fall out.
        let out = (64 - 8 * u32::from(len)) & 63;
        return (u64::from_le_bytes(*lane) ^ word) << out == 0;
    }
    is_last_literal(text, at, word, u64::MAX, len)
}

/// Whether the `len` bytes at `at`, under a mask, are those of `word`.
#[inline(always)]
fn is_literal(text: &[u8], at: usize, word: u64, mask: u64, len: u8) -> bool {
    if let Some(lane) = lane_at::<8>(text, at) {
        return u64::from_le_bytes(*lane) & mask == word;
    }
    is_last_literal(text, at, word, mask, len)
}

/// As [`is_literal`], fewer than eight bytes before the end of the text.
#[inline(never)]
fn is_last_literal(text: &[u8], at: usize, word: u64, mask: u64, len: u8) -> bool {
    let Some(rest) = text.get(at..at + usize::from(len)) else { return false };
    let found = rest.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b));
    found & mask == word
}
