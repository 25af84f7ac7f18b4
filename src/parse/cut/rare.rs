//! What lines of logs seldom need: counted runs, characters beyond ASCII, assertions, look-around, atomic groups.

use super::chars;
use super::inst::{Count, Inst, Rest};
use super::machine::Machine;
use super::op::Look;
use super::set::Beyond;

impl Machine<'_> {
    /// Where to go on behind one of the rarer instructions, unless it fails.
    #[inline(never)]
    pub(super) fn rare(&mut self, inst: &Inst, pc: usize, at: usize) -> Option<(usize, usize)> {
        let next = match *inst {
            Inst::Char { set } => match *self.text.get(at)? {
                b if b.is_ascii() => self.is_in(set, b).then_some(at + 1)?,
                _ => at + chars::width(self.text, at),
            },
            Inst::Wide { class } => at + self.wide(class, at)?,
            Inst::Count { scan, group, count, rest } => {
                let Count { min, max } = self.count(count);
                let stop = self.code.tables.forward(scan, self.text, at).min(at.saturating_add(max));
                let least = at + min;
                if stop < least {
                    return None;
                }
                let (end, more) = match rest {
                    Some(rest) => self.longest(least, stop, rest)?,
                    None => (stop, false),
                };
                self.settle(pc, group, at, end, more);
                end
            }
            Inst::Chars { class, group, count, rest } => {
                let (end, more) = self.characters(class, count, rest, at)?;
                self.settle(pc, group, at, end, more);
                end
            }
            Inst::SaveUndo { slot } => {
                if let Some(&(start, end)) = self.slots.get(usize::from(slot / 2)) {
                    self.save(slot, at);
                    self.push(pc, start as usize, end as usize).then_some(())?;
                }
                at
            }
            Inst::Look(look) => self.look(look, at).then_some(at)?,
            Inst::Mark | Inst::Unless { .. } => self.push(pc, at, 0).then_some(at)?,
            Inst::Commit => {
                self.keep_undo(|inst| *inst == Inst::Mark);
                at
            }
            Inst::Return => {
                let opened = self.keep_undo(|inst| *inst == Inst::Mark)?;
                self.effort.budget -= at.saturating_sub(opened) as i64 / 8;
                opened
            }
            Inst::Refuse => {
                self.unwind(|inst| matches!(inst, Inst::Unless { .. }));
                return None;
            }
            Inst::Back { chars } => (0..chars).try_fold(at, |at, _| chars::before(self.text, at))?,
            Inst::Note { choice } => (!self.effort.note(choice, at)).then_some(at)?,
            _ => return None,
        };
        Some((pc + 1, next))
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
    pub(super) fn fewer(&mut self, from: usize, mut end: usize, min: usize, rest: Rest) -> Option<(usize, bool)> {
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

    pub(super) fn count(&self, count: u16) -> Count {
        self.code.counts.get(usize::from(count)).copied().unwrap_or(Count { min: 0, max: 0 })
    }

    /// Forgets the ways not taken since the last frame of a kind, and that frame, as if all had failed; where it was
    /// opened.
    fn unwind(&mut self, is_open: impl Fn(&Inst) -> bool) -> Option<usize> {
        while let Some(frame) = self.pop() {
            match self.code.insts.get(frame.pc as usize) {
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
            match self.code.insts.get(frame.pc as usize) {
                Some(Inst::SaveUndo { .. }) => kept.push(frame),
                Some(inst) if is_open(inst) => {
                    opened = Some(frame.a as usize);
                    break;
                }
                _ => {}
            }
        }
        for frame in kept.into_iter().rev() {
            self.push(frame.pc as usize, frame.a as usize, frame.b as usize);
        }
        opened
    }

    pub(super) fn restore(&mut self, slot: u16, start: usize, end: usize) {
        if let Some(span) = self.slots.get_mut(usize::from(slot / 2)) {
            *span = (start as u32, end as u32);
        }
    }
}
