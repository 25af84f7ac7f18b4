//! What stands before a file's offset: by it the file is known again when it was written anew, or copied and cut.

use crate::util::murmur3::murmur3_x64_128;

/// How many bytes are kept.
const KEPT: usize = 61;
/// How many are known at most: so many that lines of one length with equal ends are told apart. Those before the kept
/// ones are only hashed.
pub const REACH: usize = 1024;

/// Up to [`REACH`] bytes that stand before an offset.
#[derive(Debug, Clone, Copy)]
pub struct Last {
    bytes: [u8; KEPT],
    kept: u8,
    hashed: u16,
    hash: u64,
}

/// How what stands there now is to what stood there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The very same.
    Same,
    /// Only its end is another: programs that close a list at the end of their file write over that end.
    Edited,
    /// Something else.
    Other,
}

impl Default for Last {
    fn default() -> Self {
        Self { bytes: [0; KEPT], kept: 0, hashed: 0, hash: 0 }
    }
}

impl Last {
    /// The end of `text`, which ends at the offset.
    pub fn of(text: &[u8]) -> Self {
        let text = text.get(text.len().saturating_sub(REACH)..).unwrap_or_default();
        let (before, kept) = text.split_at(text.len().saturating_sub(KEPT));
        let mut new = Self { kept: kept.len() as u8, hashed: before.len() as u16, ..Self::default() };
        if let Some(room) = new.bytes.get_mut(..kept.len()) {
            room.copy_from_slice(kept);
        }
        if !before.is_empty() {
            new.hash = murmur3_x64_128(before, 0).0;
        }
        new
    }

    /// The end of `before` and `text` together.
    pub fn of_both(before: &[u8], text: &[u8]) -> Self {
        if before.is_empty() || text.len() >= REACH {
            return Self::of(text);
        }
        let before = before.get(before.len().saturating_sub(REACH - text.len())..).unwrap_or_default();
        let mut both = [0; REACH];
        let mut len = 0;
        for (room, &byte) in both.iter_mut().zip(before.iter().chain(text)) {
            *room = byte;
            len += 1;
        }
        Self::of(both.get(..len).unwrap_or_default())
    }

    /// How many bytes are known.
    pub fn reach(&self) -> usize {
        self.hashed as usize + self.kept as usize
    }

    /// Compares with what stands before the offset now.
    pub fn compare(&self, now: &[u8]) -> Likeness {
        let kept = self.bytes.get(..self.kept as usize).unwrap_or_default();
        if now.len() != self.reach() {
            return Likeness::Other;
        }
        let (before, end) = now.split_at(self.hashed as usize);
        let same = end.iter().zip(kept).take_while(|(a, b)| a == b).count();
        if !before.is_empty() && murmur3_x64_128(before, 0).0 != self.hash {
            Likeness::Other
        } else if same == kept.len() {
            Likeness::Same
        } else if same >= KEPT / 2 {
            Likeness::Edited
        } else {
            Likeness::Other
        }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(text: &[u8]) -> &[u8] {
        &text[text.len().saturating_sub(REACH)..]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn two_parts_are_as_one(a in prop::collection::vec(any::<u8>(), 0..1500), b in prop::collection::vec(any::<u8>(), 0..1500)) {
            let both = [a.clone(), b.clone()].concat();
            let last = Last::of_both(end(&a), &b);
            prop_assert_eq!(last.reach(), both.len().min(REACH));
            prop_assert_eq!(last.compare(end(&both)), Likeness::Same);
            prop_assert_eq!(Last::of(&both).compare(end(&both)), Likeness::Same);
        }

        #[test]
        fn any_change_shows(text in prop::collection::vec(any::<u8>(), 1..1500), at in any::<prop::sample::Index>()) {
            let mut other = text.clone();
            let from_end = at.index(text.len().min(REACH));
            let at = text.len() - 1 - from_end;
            other[at] ^= 1;
            let want = if text.len() >= KEPT && from_end < KEPT - KEPT / 2 { Likeness::Edited } else { Likeness::Other };
            let got = Last::of(&text).compare(end(&other));
            // A short text may have less than half of what is kept before the change, or just enough.
            prop_assert!(got == want || text.len() < KEPT && got != Likeness::Same, "{:?} {}", got, from_end);
        }
    }

    #[test]
    fn lines_of_one_length_with_equal_ends_differ() {
        let lines = |from: usize| (from..from + 20).map(|n| format!("{n:06} {:x<80}\n", "")).collect::<String>();
        let (a, b) = (lines(0), lines(20));
        assert_eq!(Last::of(a.as_bytes()).compare(end(b.as_bytes())), Likeness::Other);
    }
}
