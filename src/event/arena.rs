//! The bytes of a batch: one growing buffer that `read(2)` fills directly.

/// A range of bytes in an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub at: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The span from `start` to `end` (exclusive).
    #[inline]
    pub fn between(start: usize, end: usize) -> Self {
        Self { at: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// The part of this span between two offsets counted from its start.
    #[inline]
    pub fn sub(self, from: usize, to: usize) -> Self {
        Self { at: self.at + from as u32, len: (to - from) as u32 }
    }
}

/// A byte buffer that stays initialised, so that its spare room can be handed to `read(2)` without `unsafe` and without
/// zeroing it each time.
#[derive(Debug, Default)]
pub struct Arena {
    buf: Vec<u8>,
    len: usize,
}

impl Arena {
    /// The largest arena, in bytes: spans hold 32-bit offsets.
    pub const MAX: usize = 1 << 30;

    /// Bytes in use.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held from the allocator.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// At least `n` bytes of room behind the used ones; [`Self::advance`] then takes what was filled.
    #[inline]
    pub fn spare(&mut self, n: usize) -> &mut [u8] {
        let want = self.len + n;
        if self.buf.len() < want {
            self.grow(want);
        }
        &mut self.buf[self.len..want]
    }

    /// Grows in steps that double, but never by more than 1 MiB beyond the need: many quiet tags stay small.
    #[cold]
    fn grow(&mut self, want: usize) {
        let step = self.buf.len().clamp(1024, 1 << 20);
        let target = want.max(self.buf.len() + step);
        self.buf.reserve_exact(target - self.buf.len());
        self.buf.resize(target, 0);
    }

    /// Takes `n` bytes that were written into [`Self::spare`].
    pub fn advance(&mut self, n: usize) {
        self.len = (self.len + n).min(self.buf.len());
    }

    /// Copies `text` to the end and returns where it went.
    #[inline]
    pub fn push(&mut self, text: &[u8]) -> Span {
        let at = self.len;
        self.spare(text.len()).copy_from_slice(text);
        self.len += text.len();
        Span::between(at, self.len)
    }

    /// Forgets the bytes from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The bytes of a span; an impossible span gives an empty slice.
    #[inline]
    pub fn get(&self, s: Span) -> &[u8] {
        let from = s.at as usize;
        self.buf.get(from..from + s.len as usize).unwrap_or_default()
    }

    /// All bytes in use.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// Splits into the used bytes before `at` (readable) and the room behind the used bytes (writable), which is at
    /// least `n` bytes: a decoder reads from the first and writes to the second.
    pub fn split_spare(&mut self, n: usize) -> (&[u8], &mut [u8]) {
        self.spare(n);
        let (used, spare) = self.buf.split_at_mut(self.len);
        (used, spare)
    }

    /// Gives memory back when it holds more than `keep` bytes.
    pub fn shrink(&mut self, keep: usize) {
        if self.buf.len() > keep {
            self.buf.truncate(keep.max(self.len));
            self.buf.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_and_push_keep_what_was_there() {
        let mut a = Arena::default();
        let first = a.push(b"one");
        a.spare(5)[..3].copy_from_slice(b"two");
        a.advance(3);
        let third = a.push(b"three");
        assert_eq!(a.get(first), b"one");
        assert_eq!(a.get(third), b"three");
        assert_eq!(a.as_slice(), b"onetwothree");
        a.truncate(6);
        assert_eq!(a.as_slice(), b"onetwo");
        assert_eq!(a.get(Span { at: 1 << 29, len: 4 }), b"");
    }

    #[test]
    fn split_reads_and_writes() {
        let mut a = Arena::default();
        a.push(b"abc");
        let (used, spare) = a.split_spare(2);
        spare[0] = used[2];
        a.advance(1);
        assert_eq!(a.as_slice(), b"abcc");
    }
}
