//! What can stand at a place if the pattern is to go on from there.

use super::op::{Look, Op};
use super::set::ByteSet;

/// The bytes with which the rest of a pattern can begin, and whether it can match where the text ends. Both may be
/// more than the truth, never less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) set: ByteSet,
    pub(super) end: bool,
}

impl First {
    const ANY: Self = Self { set: ByteSet::ALL, end: true };
    const NONE: Self = Self { set: ByteSet::EMPTY, end: false };

    fn or(self, other: Self) -> Self {
        Self { set: self.set.or(other.set), end: self.end || other.end }
    }

    fn and(self, set: ByteSet, end: bool) -> Self {
        Self { set: self.set.and(set), end: self.end && end }
    }
}

/// For each step, what can stand where it is reached; one more entry for behind the last step.
pub(super) fn first(ops: &[Op]) -> Vec<First> {
    // Nearly everything flows forward, so one pass from the end settles it; loops need a second one.
    let mut firsts = vec![First::NONE; ops.len() + 1];
    loop {
        let before = firsts.clone();
        for at in (0..ops.len()).rev() {
            let found = of(ops, at, &firsts);
            if let Some(slot) = firsts.get_mut(at) {
                *slot = found;
            }
        }
        if firsts == before {
            return firsts;
        }
    }
}

fn of(ops: &[Op], at: usize, firsts: &[First]) -> First {
    let on = |place: usize| firsts.get(place).copied().unwrap_or(First::NONE);
    let next = on(at + 1);
    let newline = ByteSet::of(b"\n");
    match ops.get(at) {
        None | Some(Op::Fail) => First::NONE,
        Some(Op::Bytes(bytes)) => First { set: ByteSet::of(bytes.get(..1).unwrap_or_default()), end: false },
        Some(Op::Set(set)) => First { set: set.bytes(), end: false },
        Some(Op::Run { set, min, .. }) => {
            let own = First { set: set.bytes(), end: false };
            if *min == 0 { own.or(next) } else { own }
        }
        Some(Op::Save(_)) => next,
        Some(Op::Split { prefer, other }) => on(*prefer).or(on(*other)),
        Some(Op::Jump(to)) => on(*to),
        Some(Op::Look(Look::End)) => next.and(ByteSet::EMPTY, true),
        Some(Op::Look(Look::SemiEnd | Look::EndLine)) => next.and(newline, true),
        Some(Op::Look(_)) => next,
        Some(Op::Mark { after: None, .. }) => next,
        Some(Op::Mark { after: Some(after), behind: true }) | Some(Op::Unless { after }) => on(*after),
        Some(Op::Mark { after: Some(after), behind: false }) => on(*after).and(next.set, next.end),
        // What stands behind an atomic group has no say in how the group matches.
        Some(Op::Commit | Op::Return | Op::Refuse | Op::Back(_) | Op::Match) => First::ANY,
    }
}

/// The bytes that can stand second when the first one is of `set`, all ASCII.
pub(super) fn second(ops: &[Op], firsts: &[First], at: usize, set: ByteSet) -> ByteSet {
    let on = |place: usize| firsts.get(place).map_or(ByteSet::ALL, |first| first.set);
    let (mut found, mut seen, mut open) = (ByteSet::EMPTY, vec![false; ops.len()], vec![at]);
    while let Some(at) = open.pop() {
        match seen.get_mut(at) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        let can_begin = |bytes: ByteSet| !bytes.and(set).is_empty();
        match ops.get(at) {
            None | Some(Op::Fail) => {}
            Some(Op::Bytes(bytes)) => match bytes.as_slice() {
                [first, ..] if !set.contains(*first) => {}
                [_, second, ..] => found = found.or(ByteSet::of(&[*second])),
                _ => found = found.or(on(at + 1)),
            },
            Some(Op::Set(chars)) if can_begin(chars.ascii) => found = found.or(on(at + 1)),
            Some(Op::Set(_)) => {}
            Some(Op::Run { set: chars, min, .. }) => {
                if can_begin(chars.ascii) {
                    found = found.or(chars.bytes()).or(on(at + 1));
                }
                if *min == 0 {
                    open.push(at + 1);
                }
            }
            Some(Op::Split { prefer, other }) => open.extend([*prefer, *other]),
            Some(Op::Jump(to) | Op::Unless { after: to } | Op::Mark { after: Some(to), .. }) => open.push(*to),
            Some(Op::Save(_) | Op::Look(_) | Op::Mark { after: None, .. }) => open.push(at + 1),
            Some(Op::Commit | Op::Return | Op::Refuse | Op::Back(_) | Op::Match) => return ByteSet::ALL,
        }
    }
    found
}

/// Whether the rest from `at` on cannot fail, or what fails there no longer concerns what came before.
pub(super) fn is_settled(ops: &[Op], at: usize) -> bool {
    // Choices one behind the other can be met in very many ways.
    settles(ops, at, &mut 64)
}

fn settles(ops: &[Op], mut at: usize, steps: &mut u32) -> bool {
    loop {
        *steps = steps.saturating_sub(1);
        match ops.get(at) {
            _ if *steps == 0 => return false,
            Some(Op::Save(_) | Op::Run { min: 0, .. }) => at += 1,
            Some(Op::Jump(to)) if *to > at => at = *to,
            // When one way fails the other one is tried.
            Some(Op::Split { prefer, other }) if *prefer > at && *other > at => {
                return settles(ops, *prefer, steps) || settles(ops, *other, steps);
            }
            Some(Op::Match | Op::Commit | Op::Return | Op::Refuse) => return true,
            _ => return false,
        }
    }
}
