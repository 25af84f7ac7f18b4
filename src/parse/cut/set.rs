//! Sets of bytes and of characters.

use regex_syntax::hir::ClassUnicode;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const EMPTY: Self = Self([0; 4]);
    pub(super) const ALL: Self = Self([u64::MAX; 4]);
    /// 0x80 to 0xff.
    pub(super) const BEYOND: Self = Self([0, 0, u64::MAX, u64::MAX]);
    /// 0x80 to 0xbf: the bytes inside a character of UTF-8.
    const CONTINUATION: Self = Self([0, 0, u64::MAX, 0]);

    pub(super) fn of(bytes: &[u8]) -> Self {
        bytes.iter().fold(Self::EMPTY, |set, &b| set.with(b, b))
    }

    /// This set and the bytes from `low` to `high`.
    pub(super) fn with(mut self, low: u8, high: u8) -> Self {
        for b in low..=high {
            self.0[usize::from(b >> 6)] |= 1 << (b & 63);
        }
        self
    }

    #[inline(always)]
    pub(super) fn contains(&self, b: u8) -> bool {
        self.0[usize::from(b >> 6)] >> (b & 63) & 1 != 0
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    pub(super) fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// This set less the bytes at which no character begins.
    pub(super) fn starts(self) -> Self {
        self.and(Self::CONTINUATION.not())
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        (0..=255).filter(|&b| self.contains(b)).collect()
    }

    /// The set as ranges, ascending.
    pub(super) fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for b in self.bytes() {
            match ranges.last_mut() {
                Some((_, high)) if *high + 1 == b => *high = b,
                _ => ranges.push((b, b)),
            }
        }
        ranges
    }
}

/// Which characters beyond ASCII are in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beyond {
    None,
    All,
    Some(Box<[(char, char)]>),
}

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CharSet {
    pub(super) ascii: ByteSet,
    pub(super) beyond: Beyond,
}

impl CharSet {
    pub(super) fn byte(b: u8) -> Self {
        Self { ascii: ByteSet::of(&[b]), beyond: Beyond::None }
    }

    pub(super) fn new(class: &ClassUnicode) -> Self {
        let mut ascii = ByteSet::EMPTY;
        let mut beyond: Vec<(char, char)> = Vec::new();
        for range in class.iter() {
            let (low, high) = (range.start(), range.end());
            if low.is_ascii() {
                ascii = ascii.with(low as u8, if high.is_ascii() { high as u8 } else { 0x7f });
            }
            if !high.is_ascii() {
                beyond.push((low.max('\u{80}'), high));
            }
        }
        let all: &[&[(char, char)]] =
            &[&[('\u{80}', '\u{10ffff}')], &[('\u{80}', '\u{d7ff}'), ('\u{e000}', '\u{10ffff}')]];
        let beyond = if beyond.is_empty() {
            Beyond::None
        } else if all.contains(&beyond.as_slice()) {
            Beyond::All
        } else {
            Beyond::Some(beyond.into())
        };
        Self { ascii, beyond }
    }

    /// The bytes a character of this set may begin with, and any byte inside one.
    pub(super) fn bytes(&self) -> ByteSet {
        match self.beyond {
            Beyond::None => self.ascii,
            _ => self.ascii.or(ByteSet::BEYOND),
        }
    }

    pub(super) fn contains(&self, c: char) -> bool {
        match &self.beyond {
            _ if c.is_ascii() => self.ascii.contains(c as u8),
            Beyond::None => false,
            Beyond::All => true,
            Beyond::Some(ranges) => {
                let next = ranges.partition_point(|&(low, _)| low <= c);
                next.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|&(_, high)| c <= high)
            }
        }
    }
}
