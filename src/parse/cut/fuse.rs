//! From steps to instructions: runs get the cheapest form that is still right, neighbours are joined.

use super::first::{self, First};
use super::inst::{Count, Inst, Pc, Rest, Ways};
use super::lower::{Steps, Unfit};
use super::op::{Look, Op};
use super::scan::{Back, Scan, Tables};
use super::set::{Beyond, ByteSet, CharSet};

/// Instructions and what they refer to.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) insts: Vec<Inst>,
    pub(super) tables: Tables,
    pub(super) sets: Vec<ByteSet>,
    /// The sets again, by byte: bit `n % 64` of page `n / 64` says whether the byte is in set `n`.
    pub(super) bits: Vec<[u64; 256]>,
    pub(super) classes: Vec<CharSet>,
    pub(super) ways: Vec<Ways>,
    pub(super) counts: Vec<Count>,
    /// How many choices are noted.
    pub(super) choices: usize,
    /// Where to begin: behind an assertion that the choice of starts makes sure of.
    pub(super) entry: usize,
    /// Whether bytes that are no UTF-8 could make a difference to whether there is a match.
    pub(super) minds_utf8: bool,
    /// What a match can begin with.
    pub(super) first: ByteSet,
    /// Whether a match can begin at the end of the text.
    pub(super) first_end: bool,
}

struct Fuse<'a> {
    ops: &'a [Op],
    firsts: Vec<First>,
    /// For each step, the lowest group that begins there or later.
    later: Vec<u16>,
    /// Whether something jumps to a step, so that it cannot be joined to the one before.
    target: Vec<bool>,
    /// Whether groups are set so that they come back.
    undo: bool,
    /// Whether choices are noted by a careful search.
    notes: bool,
    /// How many look-arounds are open.
    around: usize,
    code: Code,
}

/// Fits steps to the machine. `groups`: how many groups the pattern has, 0 included; `notes`: whether a search may
/// have to be careful.
pub(super) fn fuse(steps: &Steps, groups: usize, notes: bool) -> Result<Code, Unfit> {
    let ops = steps.ops.as_slice();
    let firsts = first::first(ops);
    let groups = u16::try_from(groups).map_err(|_| Unfit)?;
    // Groups that come back one by one are not unset together.
    let undo = steps.groups_repeat;
    let later = if undo { vec![groups; ops.len() + 1] } else { later(ops, groups) };
    let mut fuse = Fuse { later, undo, notes, target: targets(ops), firsts, ops, around: 0, code: Code::default() };
    let start = fuse.first(0);
    let assured = matches!(ops.first(), Some(Op::Look(Look::Start | Look::StartLine)));
    fuse.code.entry = usize::from(assured);
    (fuse.code.first, fuse.code.first_end) = (start.set, start.end);
    // A search passes over the bytes inside characters.
    fuse.code.minds_utf8 = !assured && !start.set.and(ByteSet::BEYOND).is_empty();
    // Where each step's instruction is; places in instructions are steps until all are known.
    let mut places = vec![0; ops.len() + 1];
    let mut at = 0;
    while at < ops.len() {
        let here = fuse.code.insts.len();
        let next = fuse.step(at)?.max(at + 1);
        places.iter_mut().take(next).skip(at).for_each(|place| *place = here);
        at = next;
    }
    let place = |pc: &mut Pc| {
        *pc = places.get(usize::from(*pc)).copied().and_then(|place| Pc::try_from(place).ok()).unwrap_or(Pc::MAX);
    };
    for inst in &mut fuse.code.insts {
        match inst {
            Inst::Split { a, b, .. } => {
                place(a);
                place(b);
            }
            Inst::Peek { hit, miss, .. } => {
                place(hit);
                place(miss);
            }
            Inst::Jump { to } | Inst::Unless { after: to, .. } => place(to),
            _ => {}
        }
    }
    for page in fuse.code.sets.chunks(64) {
        let bit = |b: usize, n: usize, set: &ByteSet| u64::from(set.contains(b as u8)) << n;
        let bits = |b: usize| page.iter().enumerate().fold(0, |bits, (n, set)| bits | bit(b, n, set));
        fuse.code.bits.push(std::array::from_fn(bits));
    }
    Ok(fuse.code)
}

impl Fuse<'_> {
    fn op(&self, at: usize) -> Option<&Op> {
        self.ops.get(at)
    }

    fn is_target(&self, at: usize) -> bool {
        self.target.get(at).copied().unwrap_or(true)
    }

    fn first(&self, at: usize) -> First {
        self.firsts.get(at).copied().unwrap_or(First { set: ByteSet::ALL, end: true })
    }

    fn later(&self, at: usize) -> u16 {
        self.later.get(at).copied().unwrap_or(0)
    }

    fn push(&mut self, inst: Inst) {
        let chooses = match inst {
            Inst::Greedy { .. } | Inst::Lazy { .. } | Inst::Split { .. } => true,
            Inst::Count { rest, .. } | Inst::Chars { rest, .. } => rest.is_some(),
            _ => false,
        };
        // Inside a look-around what follows depends on where that was opened.
        if self.notes
            && chooses
            && self.around == 0
            && let Ok(choice) = u16::try_from(self.code.choices)
        {
            self.code.insts.push(Inst::Note { choice });
            self.code.choices += 1;
        }
        self.code.insts.push(inst);
    }

    /// Writes the step at `at` and those it can be joined with; the first step not covered yet.
    fn step(&mut self, at: usize) -> Result<usize, Unfit> {
        let pc = |place: usize| Pc::try_from(place).map_err(|_| Unfit);
        let Some(op) = self.ops.get(at) else { return Ok(at) };
        match op {
            Op::Bytes(_) => return Ok(self.literal(at)),
            Op::Set(set) if masked(set).is_some() => return Ok(self.literal(at)),
            Op::Set(set) => {
                self.code.minds_utf8 |= set.beyond != Beyond::None;
                let inst = match &set.beyond {
                    Beyond::None => Inst::One { set: self.set(set.ascii)? },
                    Beyond::All => Inst::Char { set: self.set(set.ascii)? },
                    Beyond::Some(_) => Inst::Wide { class: self.class(set)? },
                };
                self.push(inst);
            }
            Op::Run { .. } => return self.run(at, 0),
            Op::Save(slot) if self.undo => self.push(Inst::SaveUndo { slot: pc(*slot)? }),
            Op::Save(slot) => {
                let (open, close) = (slot % 2 == 0, Some(&Op::Save(slot + 1)));
                let run = matches!(self.op(at + 1), Some(Op::Run { .. }));
                if open && run && self.op(at + 2) == close && !self.is_target(at + 1) && !self.is_target(at + 2) {
                    return self.run(at + 1, slot / 2);
                }
                self.push(Inst::Save { slot: pc(*slot)? });
            }
            Op::Split { prefer, other } => {
                let (a, b) = (self.first(*prefer), self.first(*other));
                let only = |one: First, two: First| match one.set.bytes().as_slice() {
                    &[byte] if !one.end && !two.set.contains(byte) => Some(byte),
                    _ => None,
                };
                let (to_a, to_b) = (pc(*prefer)?, pc(*other)?);
                let inst = if let Some(byte) = only(a, b) {
                    Inst::Peek { byte, hit: to_a, miss: to_b }
                } else if let Some(byte) = only(b, a) {
                    Inst::Peek { byte, hit: to_b, miss: to_a }
                } else {
                    let ways = Ways { a: a.set, b: b.set, a_end: a.end, b_end: b.end };
                    let first = keep(&mut self.code.ways, ways)?;
                    Inst::Split { a: to_a, b: to_b, first, clear: self.later(at) }
                };
                self.push(inst);
            }
            Op::Jump(to) => self.push(Inst::Jump { to: pc(*to)? }),
            Op::Look(look) => {
                self.code.minds_utf8 |= matches!(look, Look::Word { .. });
                self.push(Inst::Look(*look));
            }
            Op::Mark { after, .. } => {
                self.around += usize::from(after.is_some());
                self.push(Inst::Mark);
            }
            Op::Commit => self.push(Inst::Commit),
            Op::Return => {
                self.around = self.around.saturating_sub(1);
                self.push(Inst::Return);
            }
            Op::Unless { after } => {
                self.around += 1;
                self.push(Inst::Unless { after: pc(*after)?, clear: self.later(at) });
            }
            Op::Refuse => {
                self.around = self.around.saturating_sub(1);
                self.push(Inst::Refuse);
            }
            Op::Back(chars) => {
                self.code.minds_utf8 = true;
                self.push(Inst::Back { chars: pc(*chars)? });
            }
            Op::Match => self.push(Inst::Match),
            Op::Fail => self.push(Inst::Fail),
        }
        Ok(at + 1)
    }

    fn set(&mut self, set: ByteSet) -> Result<u16, Unfit> {
        keep(&mut self.code.sets, set)
    }

    fn class(&mut self, class: &CharSet) -> Result<u16, Unfit> {
        keep(&mut self.code.classes, class.clone())
    }

    /// Literal bytes from `at` on, letters in either case among them; the first step behind them.
    fn literal(&mut self, at: usize) -> usize {
        let (bytes, next) = self.masked_bytes(at);
        for lane in bytes.chunks(8) {
            let (mut word, mut mask) = (0, 0);
            for (i, &(value, bits)) in lane.iter().enumerate() {
                word |= u64::from(value) << (8 * i);
                mask |= u64::from(bits) << (8 * i);
            }
            self.push(Inst::Lit { word, mask, len: lane.len() as u8 });
        }
        next
    }

    /// The bytes, each with the mask under which the text's must equal it, of the literal steps from `at` on.
    fn masked_bytes(&self, at: usize) -> (Vec<(u8, u8)>, usize) {
        let (mut bytes, mut next) = (Vec::new(), at);
        while next == at || !self.is_target(next) {
            match self.op(next) {
                Some(Op::Bytes(literal)) => bytes.extend(literal.iter().map(|&b| (b, 0xff))),
                Some(Op::Set(set)) => match masked(set) {
                    Some(byte) => bytes.push(byte),
                    None => break,
                },
                _ => break,
            }
            next += 1;
        }
        (bytes, next)
    }

    /// The run at `at`, the whole content of `group` when that is not 0; the first step behind it.
    fn run(&mut self, at: usize, group: usize) -> Result<usize, Unfit> {
        let Some(Op::Run { set, min, max, greedy }) = self.ops.get(at) else { return Ok(at) };
        let group = u16::try_from(group).map_err(|_| Unfit)?;
        let next = if group == 0 { at + 1 } else { at + 2 };
        let whole = set.bytes();
        let behind = self.first(next);
        // At a byte of the run the rest can begin only where a character does.
        let begins = if set.beyond == Beyond::None { behind.set } else { behind.set.starts() };
        self.code.minds_utf8 |= !begins.and(whole).is_empty() && !behind.set.and(ByteSet::BEYOND).is_empty();
        let inside = begins.and(whole);
        let settled = *greedy && (inside.is_empty() || first::is_settled(self.ops, next));
        let back = match inside.bytes()[..] {
            [a] => Back::One(a),
            [a, b] => Back::Two(a, b),
            [a, b, c] => Back::Three(a, b, c),
            _ => Back::Set(self.set(inside)?),
        };
        // Where the byte after the rest's first one would still be of the run, the rest cannot have begun.
        let ascii = inside.and(ByteSet::BEYOND).is_empty();
        let last = ascii && first::second(self.ops, &self.firsts, next, inside).and(whole).is_empty();
        let rest = Rest { first: self.set(begins)?, end: behind.end, back, last, clear: self.later(next) };
        let bytewise = !matches!(set.beyond, Beyond::Some(_)) && *min <= 1 && max.is_none();
        if !greedy {
            let scan = self.code.tables.scan(begins.or(whole.not()));
            let inst = Inst::Lazy { scan, group, min: *min as u8, set: self.set(whole)?, rest };
            self.push(inst);
            return Ok(next);
        }
        if !bytewise {
            let min = usize::try_from(*min).map_err(|_| Unfit)?;
            let max = max.map_or(usize::MAX, |max| max as usize);
            let count = keep(&mut self.code.counts, Count { min, max })?;
            let rest = (!settled).then_some(rest);
            self.code.minds_utf8 |= set.beyond != Beyond::None;
            let inst = if set.beyond == Beyond::None {
                Inst::Count { scan: self.code.tables.scan(whole.not()), group, count, rest }
            } else {
                Inst::Chars { class: self.class(set)?, group, count, rest }
            };
            self.push(inst);
            return Ok(next);
        }
        let (scan, min) = (self.code.tables.scan(whole.not()), *min as u8);
        if !settled {
            self.push(Inst::Greedy { scan, group, min, rest });
            return Ok(next);
        }
        if !self.is_target(next) {
            let (bytes, after) = self.masked_bytes(next);
            if (1..=8).contains(&bytes.len()) && bytes.iter().all(|&(_, bits)| bits == 0xff) {
                let word = bytes.iter().rev().fold(0, |word, &(b, _)| word << 8 | u64::from(b));
                self.push(match (scan, bytes.as_slice()) {
                    (Scan::One(byte), [(only, _)]) if byte == *only => Inst::FieldOne { byte, group, min },
                    (Scan::One(byte), _) => Inst::FieldLit { byte, group, min, len: bytes.len() as u8, word },
                    _ => Inst::Field { scan, group, min, len: bytes.len() as u8, word },
                });
                return Ok(after);
            }
        }
        self.push(Inst::Take { scan, group, min });
        Ok(next)
    }
}

/// The number of `item` in `list`, which gets it if need be.
fn keep<T: PartialEq>(list: &mut Vec<T>, item: T) -> Result<u16, Unfit> {
    let at = list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(at).map_err(|_| Unfit)
}

/// A set that a comparison under a mask decides: one byte, or a letter in either case.
fn masked(set: &CharSet) -> Option<(u8, u8)> {
    match (&set.beyond, set.ascii.bytes().as_slice()) {
        (Beyond::None, &[a]) => Some((a, 0xff)),
        (Beyond::None, &[a, b]) if (a ^ b).is_power_of_two() => Some((a & b, !(a ^ b))),
        _ => None,
    }
}

/// The steps that another one goes on at, other than the one before.
fn targets(ops: &[Op]) -> Vec<bool> {
    let mut found = vec![false; ops.len() + 1];
    let mut mark = |at: usize| {
        if let Some(slot) = found.get_mut(at) {
            *slot = true;
        }
    };
    for op in ops {
        match op {
            Op::Split { prefer, other } => {
                mark(*prefer);
                mark(*other);
            }
            Op::Jump(to) | Op::Unless { after: to } => mark(*to),
            _ => {}
        }
    }
    found
}

/// For each step, the lowest group that begins there or later; `groups` when none does. Groups are numbered in the
/// order in which a match meets them, so all from that one on are unset where the step is reached.
fn later(ops: &[Op], groups: u16) -> Vec<u16> {
    let mut found = vec![groups; ops.len() + 1];
    loop {
        let before = found.clone();
        for (at, op) in ops.iter().enumerate().rev() {
            let on = |place: usize| found.get(place).copied().unwrap_or(groups);
            let low = match op {
                Op::Save(slot) if slot % 2 == 0 => on(at + 1).min(u16::try_from(slot / 2).unwrap_or(0)),
                Op::Split { prefer, other } => on(*prefer).min(on(*other)),
                Op::Jump(to) => on(*to),
                Op::Unless { after } => on(at + 1).min(on(*after)),
                Op::Match | Op::Fail | Op::Refuse => groups,
                _ => on(at + 1),
            };
            if let Some(slot) = found.get_mut(at) {
                *slot = low;
            }
        }
        if found == before {
            return found;
        }
    }
}
