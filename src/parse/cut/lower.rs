//! From the parsed pattern to steps.

use regex_syntax::hir::{Class, Hir, HirKind, Look as HirLook, Repetition};

use super::Special;
use super::op::{Look, Op};
use super::set::{Beyond, CharSet};

/// Patterns of more steps are left to the other engines.
const MAX_OPS: usize = 6_000;
/// Repetitions of groups are written out up to this many times.
const MAX_COPIES: u32 = 200;

/// The pattern cannot be lowered.
#[derive(Debug)]
pub(super) struct Unfit;

type Lowered = Result<(), Unfit>;

struct Lower<'a> {
    ops: Vec<Op>,
    specials: &'a [Special],
    /// Inside a repetition.
    repeated: bool,
    groups_repeat: bool,
}

/// A pattern as steps.
pub(super) struct Steps {
    pub(super) ops: Vec<Op>,
    /// Whether a group stands in a repetition: what one turn set must then come back when the next one fails.
    pub(super) groups_repeat: bool,
}

/// The steps of a pattern whose groups are called `g1`… and whose specials `s0`….
pub(super) fn lower(hir: &Hir, specials: &[Special]) -> Result<Steps, Unfit> {
    let mut lower = Lower { ops: Vec::new(), specials, repeated: false, groups_repeat: false };
    lower.hir(hir)?;
    lower.push(Op::Match)?;
    Ok(Steps { ops: lower.ops, groups_repeat: lower.groups_repeat })
}

impl Lower<'_> {
    fn push(&mut self, op: Op) -> Result<usize, Unfit> {
        if self.ops.len() >= MAX_OPS {
            return Err(Unfit);
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    /// Sets the places of an earlier step.
    fn patch(&mut self, at: usize, op: Op) {
        if let Some(slot) = self.ops.get_mut(at) {
            *slot = op;
        }
    }

    fn hir(&mut self, hir: &Hir) -> Lowered {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => _ = self.push(Op::Bytes(literal.0.to_vec()))?,
            HirKind::Class(class) => {
                let op = match set(class)? {
                    Some(set) => Op::Set(set),
                    None => Op::Fail,
                };
                self.push(op)?;
            }
            HirKind::Look(look) => _ = self.push(Op::Look(assertion(*look)?))?,
            HirKind::Repetition(repetition) => self.repetition(repetition)?,
            HirKind::Capture(capture) => match self.kind(capture.name.as_deref())? {
                Kind::Special(special) => self.special(special, &capture.sub)?,
                Kind::Group(group) => {
                    self.groups_repeat |= self.repeated;
                    self.push(Op::Save(2 * group))?;
                    self.hir(&capture.sub)?;
                    self.push(Op::Save(2 * group + 1))?;
                }
            },
            HirKind::Concat(parts) => {
                for part in parts {
                    self.hir(part)?;
                }
            }
            HirKind::Alternation(ways) => self.ways(ways)?,
        }
        Ok(())
    }

    /// Alternatives, of which neighbours that begin with the same bytes share these.
    fn ways(&mut self, ways: &[Hir]) -> Lowered {
        let begins = |way: &Hir| literal(way).and_then(|bytes| bytes.first().copied());
        let same = |a: &Hir, b: &Hir| begins(a).is_some() && begins(a) == begins(b);
        match ways.chunk_by(same).collect::<Vec<_>>().as_slice() {
            [family] => self.family(family),
            families => self.alternation(families, |lower, family| lower.family(family)),
        }
    }

    /// Alternatives that begin with the same byte: what they share, then what they do not.
    fn family(&mut self, ways: &[Hir]) -> Lowered {
        if let [only] = ways {
            return self.hir(only);
        }
        let mut shared = ways.first().and_then(literal).unwrap_or_default();
        for bytes in ways.iter().skip(1).filter_map(literal) {
            let common = shared.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            shared = shared.get(..common).unwrap_or_default();
        }
        self.push(Op::Bytes(shared.to_vec()))?;
        let tail = |bytes: &[u8]| Hir::literal(bytes.get(shared.len()..).unwrap_or_default().to_vec());
        let rest = |way: &Hir| match way.kind() {
            HirKind::Concat(parts) => {
                Hir::concat(literal(way).map(tail).into_iter().chain(parts.iter().skip(1).cloned()).collect())
            }
            _ => literal(way).map_or_else(Hir::empty, tail),
        };
        self.ways(&ways.iter().map(rest).collect::<Vec<_>>())
    }

    fn kind(&self, name: Option<&str>) -> Result<Kind, Unfit> {
        let name = name.ok_or(Unfit)?;
        let (kind, number) = name.split_at_checked(1).ok_or(Unfit)?;
        let number: usize = number.parse().map_err(|_| Unfit)?;
        if kind == "g" {
            return Ok(Kind::Group(number));
        }
        self.specials.get(number).map(|special| Kind::Special(*special)).ok_or(Unfit)
    }

    fn alternation<T>(&mut self, ways: &[T], way: impl Fn(&mut Self, &T) -> Lowered) -> Lowered {
        let mut ends = Vec::new();
        for (i, hir) in ways.iter().enumerate() {
            if i + 1 == ways.len() {
                way(self, hir)?;
                break;
            }
            let split = self.push(Op::Fail)?;
            way(self, hir)?;
            ends.push(self.push(Op::Fail)?);
            self.patch(split, Op::Split { prefer: split + 1, other: self.ops.len() });
        }
        for end in ends {
            self.patch(end, Op::Jump(self.ops.len()));
        }
        Ok(())
    }

    fn repetition(&mut self, r: &Repetition) -> Lowered {
        if let Some(set) = single(&r.sub)? {
            return self.run(set, r);
        }
        if let Some((set, min)) = doubled(r)? {
            return self.run(set, &Repetition { min, ..r.clone() });
        }
        let many = r.max.is_none_or(|max| max > 1);
        // An empty turn of a loop needs rules of its own; such patterns are rare.
        if many && self.may_be_empty(&r.sub)? {
            return Err(Unfit);
        }
        let outer = self.repeated;
        self.repeated = outer || many;
        let done = self.group_repetition(r);
        self.repeated = outer;
        done
    }

    /// A character of a set, repeated.
    fn run(&mut self, set: CharSet, r: &Repetition) -> Lowered {
        match (r.min, r.max) {
            (_, Some(0)) => {}
            (1, Some(1)) => _ = self.push(Op::Set(set))?,
            (min, max) => {
                let greedy = r.greedy || max == Some(min);
                // Lazy runs are found by scanning for what comes next, without counting.
                if !greedy && (max.is_some() || min > 1 || matches!(set.beyond, Beyond::Some(_))) {
                    return self.group_repetition(r);
                }
                self.push(Op::Run { set, min, max, greedy })?;
            }
        }
        Ok(())
    }

    fn group_repetition(&mut self, r: &Repetition) -> Lowered {
        if r.min > MAX_COPIES || r.max.is_some_and(|max| max > MAX_COPIES) {
            return Err(Unfit);
        }
        let split = |greedy, inner, outer| {
            if greedy { Op::Split { prefer: inner, other: outer } } else { Op::Split { prefer: outer, other: inner } }
        };
        let Some(max) = r.max else {
            for _ in 1..r.min {
                self.hir(&r.sub)?;
            }
            if r.min > 0 {
                // The last turn that must be is the first turn of the loop.
                let body = self.ops.len();
                self.hir(&r.sub)?;
                let at = self.push(Op::Fail)?;
                self.patch(at, split(r.greedy, body, at + 1));
            } else {
                let head = self.push(Op::Fail)?;
                self.hir(&r.sub)?;
                self.push(Op::Jump(head))?;
                self.patch(head, split(r.greedy, head + 1, self.ops.len()));
            }
            return Ok(());
        };
        for _ in 0..r.min {
            self.hir(&r.sub)?;
        }
        let mut splits = Vec::new();
        for _ in r.min..max {
            splits.push(self.push(Op::Fail)?);
            self.hir(&r.sub)?;
        }
        for at in splits {
            self.patch(at, split(r.greedy, at + 1, self.ops.len()));
        }
        Ok(())
    }

    fn special(&mut self, special: Special, sub: &Hir) -> Lowered {
        match special {
            Special::SemiEnd => _ = self.push(Op::Look(Look::SemiEnd))?,
            Special::Atomic => {
                self.push(Op::Mark { after: None, behind: false })?;
                self.hir(sub)?;
                self.push(Op::Commit)?;
            }
            Special::Ahead { negative } => self.around(sub, negative, false)?,
            Special::Behind { negative } => self.around(sub, negative, true)?,
        }
        Ok(())
    }

    fn around(&mut self, sub: &Hir, negative: bool, behind: bool) -> Lowered {
        let open = self.push(Op::Fail)?;
        if behind {
            self.behind(sub)?;
        } else {
            self.hir(sub)?;
        }
        self.push(if negative { Op::Refuse } else { Op::Return })?;
        let after = self.ops.len();
        self.patch(open, if negative { Op::Unless { after } } else { Op::Mark { after: Some(after), behind } });
        Ok(())
    }

    /// The inside of a look-behind: back by its width, then forward. Its ways may differ in width.
    fn behind(&mut self, sub: &Hir) -> Lowered {
        if let (None, HirKind::Alternation(ways)) = (self.width(sub), sub.kind()) {
            return self.alternation(ways, Self::behind);
        }
        let width = self.width(sub).ok_or(Unfit)?;
        self.push(Op::Back(width))?;
        self.hir(sub)
    }

    /// How many characters it consumes, when that is always the same.
    fn width(&self, hir: &Hir) -> Option<usize> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(0),
            HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(|s| s.chars().count()),
            HirKind::Class(Class::Unicode(_)) => Some(1),
            HirKind::Class(Class::Bytes(_)) => None,
            HirKind::Repetition(r) if r.max == Some(r.min) => self.width(&r.sub)?.checked_mul(r.min as usize),
            HirKind::Repetition(_) => None,
            HirKind::Capture(capture) => match self.kind(capture.name.as_deref()).ok()? {
                Kind::Group(_) | Kind::Special(Special::Atomic) => self.width(&capture.sub),
                Kind::Special(_) => Some(0),
            },
            HirKind::Concat(parts) => parts.iter().try_fold(0usize, |sum, part| sum.checked_add(self.width(part)?)),
            HirKind::Alternation(ways) => {
                let mut widths = ways.iter().map(|way| self.width(way));
                let first = widths.next()??;
                widths.all(|width| width == Some(first)).then_some(first)
            }
        }
    }

    fn may_be_empty(&self, hir: &Hir) -> Result<bool, Unfit> {
        Ok(match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => true,
            HirKind::Literal(_) | HirKind::Class(_) => false,
            HirKind::Repetition(r) => r.min == 0 || self.may_be_empty(&r.sub)?,
            HirKind::Capture(capture) => match self.kind(capture.name.as_deref())? {
                Kind::Group(_) | Kind::Special(Special::Atomic) => self.may_be_empty(&capture.sub)?,
                Kind::Special(_) => true,
            },
            HirKind::Concat(parts) => {
                for part in parts {
                    if !self.may_be_empty(part)? {
                        return Ok(false);
                    }
                }
                true
            }
            HirKind::Alternation(ways) => {
                for way in ways {
                    if self.may_be_empty(way)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

/// The bytes a pattern begins with.
fn literal(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Concat(parts) => match parts.first()?.kind() {
            HirKind::Literal(literal) => Some(&literal.0),
            _ => None,
        },
        _ => None,
    }
}

/// What a capture of the parsed pattern stands for.
enum Kind {
    Group(usize),
    Special(Special),
}

/// The set of a class; `None` when nothing is in it.
fn set(class: &Class) -> Result<Option<CharSet>, Unfit> {
    match class {
        Class::Unicode(class) if class.ranges().is_empty() => Ok(None),
        Class::Unicode(class) => Ok(Some(CharSet::new(class))),
        // Bytes beyond ASCII that are no characters: only for patterns about raw bytes.
        Class::Bytes(_) => Err(Unfit),
    }
}

/// The set, when this is exactly one character.
fn single(hir: &Hir) -> Result<Option<CharSet>, Unfit> {
    Ok(match hir.kind() {
        HirKind::Class(class) => set(class)?,
        HirKind::Literal(literal) => match literal.0[..] {
            [b] if b.is_ascii() => Some(CharSet::byte(b)),
            _ => None,
        },
        _ => None,
    })
}

/// The set and the least number of characters of an endless repetition of a repetition, such as `(?:a?)*`.
fn doubled(outer: &Repetition) -> Result<Option<(CharSet, u32)>, Unfit> {
    let HirKind::Repetition(inner) = outer.sub.kind() else { return Ok(None) };
    let endless = outer.max.is_none() && outer.min <= 1;
    let gapless = inner.min <= 1 && inner.max.is_none_or(|max| max == 1);
    if !(endless && gapless && outer.greedy && inner.greedy) {
        return Ok(None);
    }
    Ok(single(&inner.sub)?.map(|set| (set, outer.min * inner.min)))
}

fn assertion(look: HirLook) -> Result<Look, Unfit> {
    Ok(match look {
        HirLook::Start => Look::Start,
        HirLook::End => Look::End,
        HirLook::StartLF => Look::StartLine,
        HirLook::EndLF => Look::EndLine,
        HirLook::WordAscii => Look::Word { ascii: true, negated: false },
        HirLook::WordAsciiNegate => Look::Word { ascii: true, negated: true },
        HirLook::WordUnicode => Look::Word { ascii: false, negated: false },
        HirLook::WordUnicodeNegate => Look::Word { ascii: false, negated: true },
        _ => return Err(Unfit),
    })
}
