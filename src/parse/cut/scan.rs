//! Finding the byte at which a run of others stops.
//!
//! Fields are short, so eight bytes at a time in an ordinary register beat a call into vector code; long ones go on
//! with `memchr`.

use super::set::ByteSet;

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

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES * 128;
/// After this many bytes a long run is left to `memchr`.
const NEAR: usize = 48;

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
    #[inline(never)]
    pub(super) fn forward(&self, scan: Scan, text: &[u8], from: usize) -> usize {
        match scan {
            Scan::One(a) => until(a, text, from),
            Scan::Two(a, b) => {
                let (a8, b8) = (splat(a), splat(b));
                let stop = |w| zero_bytes(w ^ a8) | zero_bytes(w ^ b8);
                near(text, from, stop, |far| memchr::memchr2(a, b, far))
            }
            Scan::Three(a, b, c) => {
                let (a8, b8, c8) = (splat(a), splat(b), splat(c));
                let stop = |w| zero_bytes(w ^ a8) | zero_bytes(w ^ b8) | zero_bytes(w ^ c8);
                near(text, from, stop, |far| memchr::memchr3(a, b, c, far))
            }
            Scan::While(byte) => while_next(byte, text, from),
            Scan::Outside(low, high) => every(text, from, |w| !inside(w, low, high) & HIGHS),
            Scan::Outside2(at) => {
                let [a, b, c, d] = self.pairs.get(usize::from(at)).copied().unwrap_or_default();
                every(text, from, |w| !(inside(w, a, b) | inside(w, c, d)) & HIGHS)
            }
            Scan::Low(at) => self.low(usize::from(at), text, from),
            Scan::Table(at) => self.table(usize::from(at), text, from),
            Scan::End => text.len(),
        }
    }

    fn low(&self, at: usize, text: &[u8], mut from: usize) -> usize {
        let Some(table) = self.tables.get(at) else { return from };
        loop {
            // Exact for the first byte found, and only for that one.
            let found = every(text, from, |w| w.wrapping_sub(ONES * 0x21) & !w & HIGHS);
            match text.get(found) {
                Some(&b) if table[usize::from(b)] == 0 => from = found + 1,
                _ => return found,
            }
        }
    }

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

/// The first `byte` at or behind `from`, or the length of the text.
#[inline(always)]
pub(super) fn until(byte: u8, text: &[u8], from: usize) -> usize {
    match lane_at(text, from) {
        Some(lane) => lane_find(byte, lane).map_or_else(|| until_far(byte, text, from + 16), |at| from + at),
        None => until_near(byte, text, from),
    }
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

/// The rest of a run of which a lane has been looked at already.
#[inline(never)]
fn until_far(byte: u8, text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(lane) = lane_at(text, at) {
        if let Some(found) = lane_find(byte, lane) {
            return at + found;
        }
        at += 16;
        if at - from >= NEAR {
            let rest = text.get(at..).unwrap_or_default();
            return at + memchr::memchr(byte, rest).unwrap_or(rest.len());
        }
    }
    // The text's last lane begins in what has been looked at: there it holds no such byte.
    let last = text.last_chunk::<16>().and_then(|lane| lane_find(byte, lane));
    last.map_or(text.len(), |found| text.len() - 16 + found)
}

/// A run within the last bytes of the text.
#[inline(never)]
fn until_near(byte: u8, text: &[u8], from: usize) -> usize {
    let bytes = splat(byte);
    last_lane(text, from, |w| zero_bytes(w ^ bytes))
}

/// The first `byte` of a lane, by vector code where the processor surely has it.
#[inline(always)]
fn lane_find(byte: u8, lane: &[u8; 16]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Some(finder) = memchr::arch::x86_64::sse2::memchr::One::new(byte) {
        return finder.find(lane);
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(finder) = memchr::arch::aarch64::neon::memchr::One::new(byte) {
        return finder.find(lane);
    }
    let bytes = splat(byte);
    first_stop(lane, &|w| zero_bytes(w ^ bytes))
}

fn splat(b: u8) -> u64 {
    ONES * u64::from(b)
}

/// Sets the high bit of the lowest zero byte; bits above it mean nothing.
fn zero_bytes(w: u64) -> u64 {
    w.wrapping_sub(ONES) & !w & HIGHS
}

/// Sets the high bit of each byte from `low` to `high`, which are ASCII.
fn inside(w: u64, low: u8, high: u8) -> u64 {
    let plain = w & !HIGHS;
    let at_least = plain + ONES * u64::from(0x80 - low);
    let above = plain + ONES * u64::from(0x7f - high);
    at_least & !above & !w & HIGHS
}

/// Looks at a few words, then hands the rest of a long run to `far`.
#[inline(always)]
fn near(text: &[u8], from: usize, stop: impl Fn(u64) -> u64, far: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let mut at = from;
    while let Some(lane) = lane_at(text, at) {
        if let Some(found) = first_stop(lane, &stop) {
            return at + found;
        }
        at += 16;
        if at - from >= NEAR {
            let rest = text.get(at..).unwrap_or_default();
            return at + far(rest).unwrap_or(rest.len());
        }
    }
    last_lane(text, at, stop)
}

/// Looks at words to the end of the text.
#[inline(always)]
fn every(text: &[u8], from: usize, stop: impl Fn(u64) -> u64) -> usize {
    let mut at = from;
    while let Some(lane) = lane_at(text, at) {
        if let Some(found) = first_stop(lane, &stop) {
            return at + found;
        }
        at += 16;
    }
    last_lane(text, at, stop)
}

#[inline(always)]
fn first_stop(lane: &[u8; 16], stop: &impl Fn(u64) -> u64) -> Option<usize> {
    let (low, high) = halves(lane);
    let (low, high) = (stop(low), stop(high));
    if low | high == 0 {
        return None;
    }
    let bits = if low != 0 { low.trailing_zeros() } else { 64 + high.trailing_zeros() };
    Some((bits / 8) as usize)
}

/// The last bytes of the text, fewer than a lane: read as part of the text's last lane when there is one.
#[inline(always)]
fn last_lane(text: &[u8], at: usize, stop: impl Fn(u64) -> u64) -> usize {
    if let Some(lane) = text.last_chunk::<16>() {
        let base = text.len() - 16;
        let (low, high) = halves(lane);
        // The bytes before `at` are shifted out first: what they set could reach over the place looked for.
        let skip = 8 * at.saturating_sub(base).min(16) as u32;
        let word = (u128::from(high) << 64 | u128::from(low)).checked_shr(skip).unwrap_or(0);
        let (low, high) = (stop(word as u64), stop((word >> 64) as u64));
        let mask = u128::from(high) << 64 | u128::from(low);
        let found = at + (mask.trailing_zeros() / 8) as usize;
        return found.min(text.len());
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| stop(u64::from(b)) & 0x80 != 0).unwrap_or(rest.len())
}

fn halves(lane: &[u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *lane;
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]))
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
