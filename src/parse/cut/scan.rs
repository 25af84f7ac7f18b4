//! Finding the byte at which a run of others stops.
//!
//! Fields are short, so looking at a lane in place beats a call; long ones go on with `memchr`.

use super::set::ByteSet;
use crate::util::lane::{LANE, equal, outside};

/// How the bytes that stop a run are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// No byte stops it.
    End,
    /// One to three bytes stop it.
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    /// Anything but this byte stops it; such runs are short.
    While(u8),
    /// Any byte outside these bounds (both ASCII) stops it.
    Outside(u8, u8),
    /// Any byte outside both of two ranges, whose bounds are in a list.
    Outside2(u16),
    /// Only bytes up to the space stop it, which of them a table says.
    Low(u16),
    /// A table says.
    Table(u16),
}

/// For each byte whether it stops the run (1) or not (0).
pub(super) type Table = [u8; 256];

/// What scans look up.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: Vec<Table>,
    pairs: Vec<[u8; 4]>,
}

/// After this many lanes a long run is left to `memchr`.
const NEAR: usize = 3;

impl Tables {
    /// The best way to stop at the bytes of `stop`.
    pub(super) fn scan(&mut self, stop: ByteSet) -> Scan {
        let through = stop.not();
        match (stop.bytes().as_slice(), through.ranges().as_slice()) {
            ([], _) => Scan::End,
            (&[a], _) => Scan::One(a),
            (&[a, b], _) => Scan::Two(a, b),
            (&[a, b, c], _) => Scan::Three(a, b, c),
            (_, &[(only, high)]) if only == high => Scan::While(only),
            (_, &[(low, high)]) if high.is_ascii() => Scan::Outside(low, high),
            (_, &[(a, b), (c, d)]) if d.is_ascii() => {
                let pair = [a, b, c, d];
                let at = self.pairs.iter().position(|known| *known == pair).unwrap_or_else(|| {
                    self.pairs.push(pair);
                    self.pairs.len() - 1
                });
                Scan::Outside2(at as u16)
            }
            ([.., last], _) => {
                let table = std::array::from_fn(|b| u8::from(stop.contains(b as u8)));
                let at = self.tables.iter().position(|known| *known == table).unwrap_or_else(|| {
                    self.tables.push(table);
                    self.tables.len() - 1
                });
                if *last <= b' ' { Scan::Low(at as u16) } else { Scan::Table(at as u16) }
            }
        }
    }

    /// The first byte at or behind `from` that stops the run, or the length of the text.
    ///
    /// Each kind is a function of its own: one for all would save and restore registers that only the longest needs.
    #[inline]
    pub(super) fn forward(&self, scan: Scan, text: &[u8], from: usize) -> usize {
        match scan {
            Scan::One(a) => until(a, text, from).0,
            Scan::Two(a, b) => until_two(a, b, text, from),
            Scan::Three(a, b, c) => until_three(a, b, c, text, from),
            Scan::While(byte) => while_next(byte, text, from),
            Scan::Outside(low, high) => while_inside(low, high, text, from),
            Scan::Outside2(at) => self.inside_two(usize::from(at), text, from),
            Scan::Low(at) => self.low(usize::from(at), text, from),
            Scan::Table(at) => self.table(usize::from(at), text, from),
            Scan::End => text.len(),
        }
    }

    #[inline(never)]
    fn inside_two(&self, at: usize, text: &[u8], from: usize) -> usize {
        let [a, b, c, d] = self.pairs.get(at).copied().unwrap_or_default();
        every(text, from, |lane| outside(lane, a, b) & outside(lane, c, d))
    }

    #[inline(never)]
    fn low(&self, at: usize, text: &[u8], mut from: usize) -> usize {
        let Some(table) = self.tables.get(at) else { return from };
        loop {
            let found = every(text, from, |lane| outside(lane, 0x21, 0xff));
            match text.get(found) {
                Some(&b) if table[usize::from(b)] == 0 => from = found + 1,
                _ => return found,
            }
        }
    }

    #[inline(never)]
    fn table(&self, at: usize, text: &[u8], from: usize) -> usize {
        let Some(table) = self.tables.get(at) else { return from };
        let mut at = from;
        // Eight look-ups, one branch: the end of a short run is then rarely a surprise to the processor.
        while let Some(lane) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let mut mask = 0u32;
            for (i, &b) in lane.iter().enumerate() {
                mask |= u32::from(table[usize::from(b)]) << i;
            }
            if mask != 0 {
                return at + mask.trailing_zeros() as usize;
            }
            at += 8;
        }
        let rest = text.get(at..).unwrap_or_default();
        at + rest.iter().position(|&b| table[usize::from(b)] != 0).unwrap_or(rest.len())
    }
}

/// Where to look, going back, for a place at which a run may be cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    /// Any byte of a set; its number.
    Set(u16),
}

/// The last of the bytes `from..to` that `back` accepts.
#[inline]
pub(super) fn backward(back: Back, sets: &[ByteSet], text: &[u8], from: usize, to: usize) -> Option<usize> {
    let run = text.get(from..to)?;
    let found = match back {
        Back::One(a) => memchr::memrchr(a, run),
        Back::Two(a, b) => memchr::memrchr2(a, b, run),
        Back::Three(a, b, c) => memchr::memrchr3(a, b, c, run),
        Back::Set(set) => {
            let set = sets.get(usize::from(set))?;
            run.iter().rposition(|&b| set.contains(b))
        }
    };
    found.map(|at| from + at)
}

/// `N` bytes of the text, when it has so many there. Texts are shorter than 4 GiB; saying so spares a check.
#[inline(always)]
pub(super) fn lane_at<const N: usize>(text: &[u8], from: usize) -> Option<&[u8; N]> {
    let from = from as u32 as usize;
    text.get(from..from + N)?.first_chunk()
}

/// The first `byte` at or behind `from`, or the length of the text; and whether there is such a byte.
#[inline(always)]
pub(super) fn until(byte: u8, text: &[u8], from: usize) -> (usize, bool) {
    for at in [from, from + LANE] {
        let Some(lane) = lane_at(text, at) else { return until_near(byte, text, at) };
        let marks = equal(lane, byte);
        if marks != 0 {
            return (at + lowest(marks), true);
        }
    }
    until_far(byte, text, from + 2 * LANE)
}

/// The first byte at or behind `from` that is not `byte`.
#[inline(always)]
pub(super) fn while_next(byte: u8, text: &[u8], from: usize) -> usize {
    let mut at = from;
    while text.get(at) == Some(&byte) {
        at += 1;
    }
    at
}

#[inline(never)]
pub(super) fn until_two(a: u8, b: u8, text: &[u8], from: usize) -> usize {
    near(text, from, |lane| equal(lane, a) | equal(lane, b), |at| two_far(a, b, text, at))
}

#[inline(never)]
fn until_three(a: u8, b: u8, c: u8, text: &[u8], from: usize) -> usize {
    let stop = |lane: &_| equal(lane, a) | equal(lane, b) | equal(lane, c);
    near(text, from, stop, |at| three_far(a, b, c, text, at))
}

#[inline(never)]
fn while_inside(low: u8, high: u8, text: &[u8], from: usize) -> usize {
    every(text, from, |lane| outside(lane, low, high))
}

/// The rest of a run of which a lane has been looked at already.
#[inline(never)]
fn until_far(byte: u8, text: &[u8], from: usize) -> (usize, bool) {
    let stop = near(text, from, |lane| equal(lane, byte), |at| one_far(byte, text, at));
    (stop, stop < text.len())
}

/// A run within the last bytes of the text.
#[inline(never)]
fn until_near(byte: u8, text: &[u8], from: usize) -> (usize, bool) {
    let stop = last_lane(text, from, |lane| equal(lane, byte));
    (stop, stop < text.len())
}

/// The number of the lowest bit.
#[inline(always)]
fn lowest(marks: u32) -> usize {
    marks.trailing_zeros() as usize
}

// What goes on far away is called as the last thing, so that the functions above need no registers of their own.

#[inline(never)]
fn one_far(byte: u8, text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr(byte, rest).unwrap_or(rest.len())
}

#[inline(never)]
fn two_far(a: u8, b: u8, text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr2(a, b, rest).unwrap_or(rest.len())
}

#[inline(never)]
fn three_far(a: u8, b: u8, c: u8, text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr3(a, b, c, rest).unwrap_or(rest.len())
}

/// Looks at a few lanes, then hands the rest of a long run to `far`.
#[inline(always)]
fn near(text: &[u8], from: usize, stop: impl Fn(&[u8; LANE]) -> u32, far: impl Fn(usize) -> usize) -> usize {
    for n in 0..NEAR {
        let at = from + n * LANE;
        let Some(lane) = lane_at(text, at) else { return last_lane(text, at, stop) };
        let marks = stop(lane);
        if marks != 0 {
            return at + lowest(marks);
        }
    }
    far(from + NEAR * LANE)
}

/// Looks at lanes to the end of the text.
#[inline(always)]
fn every(text: &[u8], from: usize, stop: impl Fn(&[u8; LANE]) -> u32) -> usize {
    let mut at = from;
    while let Some(lane) = lane_at(text, at) {
        let marks = stop(lane);
        if marks != 0 {
            return at + lowest(marks);
        }
        at += LANE;
    }
    last_lane(text, at, stop)
}

/// The last bytes of the text, fewer than a lane: read as part of the text's last lane when there is one.
#[inline(always)]
fn last_lane(text: &[u8], at: usize, stop: impl Fn(&[u8; LANE]) -> u32) -> usize {
    if let Some(lane) = text.last_chunk() {
        let before = at.saturating_sub(text.len() - LANE).min(LANE);
        // Without a mark this is the end of the text.
        return at.min(text.len()) + lowest(stop(lane) >> before | 1 << (LANE - before));
    }
    let mut lane = [0; LANE];
    lane.iter_mut().zip(text).for_each(|(to, b)| *to = *b);
    let at = at.min(text.len());
    at + lowest(stop(&lane) >> at | 1 << (text.len() - at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each way of scanning against a plain loop, at all offsets of texts of all lengths up to 80.
    fn check(stop: ByteSet, expected: fn(Scan) -> bool) {
        let mut tables = Tables::default();
        let scan = tables.scan(stop);
        assert!(expected(scan), "{scan:?}");
        let mut seed = 1u32;
        for len in 0..80 {
            let text: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let b = (seed >> 24) as u8;
                    // Mostly bytes that go on, some that stop, some next to those.
                    if seed >> 16 & 15 == 0 { b } else { stop.not().bytes()[usize::from(b) % stop.not().bytes().len()] }
                })
                .collect();
            for from in 0..=len {
                let plain = from + text[from..].iter().position(|&b| stop.contains(b)).unwrap_or(len - from);
                assert_eq!(tables.forward(scan, &text, from), plain, "{scan:?} from {from} in {text:?}");
            }
        }
    }

    #[test]
    fn scans_stop_where_they_should() {
        check(ByteSet::of(b" "), |s| matches!(s, Scan::One(_)));
        check(ByteSet::of(b"\x00\xff"), |s| matches!(s, Scan::Two(..)));
        check(ByteSet::of(b"ab\x80"), |s| matches!(s, Scan::Three(..)));
        check(ByteSet::of(b" ").not(), |s| matches!(s, Scan::While(_)));
        check(ByteSet::EMPTY.with(b'0', b'9').not(), |s| matches!(s, Scan::Outside(..)));
        check(ByteSet::EMPTY.with(0, 0x7f).not(), |s| matches!(s, Scan::Outside(..)));
        check(ByteSet::EMPTY.with(b'0', b'9').with(b'a', b'z').not(), |s| matches!(s, Scan::Outside2(_)));
        check(ByteSet::of(b"\t\n\x0b\x0c\r "), |s| matches!(s, Scan::Low(_)));
        check(ByteSet::of(b" \"\\]="), |s| matches!(s, Scan::Table(_)));
        check(ByteSet::BEYOND.with(b'a', b'b').with(b'x', b'y'), |s| matches!(s, Scan::Table(_)));
    }
}
