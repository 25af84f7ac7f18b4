//! The bytes of a stream that were read and are not used yet.

/// Memory that an empty buffer keeps, in bytes.
const KEEP: usize = 128 << 10;

/// Bytes that came and are not used yet.
#[derive(Debug, Default)]
pub struct Unused {
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

impl Unused {
    /// All of them.
    pub fn get(&self) -> &[u8] {
        self.buf.get(self.from..self.to).unwrap_or_default()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held, in bytes.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// Room for `n` bytes behind them; [`Self::filled`] says how many came.
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        if self.from > 0 {
            self.buf.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        let end = self.to + n;
        if self.buf.len() < end {
            self.buf.resize(end, 0);
        }
        self.buf.get_mut(self.to..end).unwrap_or_default()
    }

    /// So many bytes came into [`Self::room`].
    pub fn filled(&mut self, n: usize) {
        self.to = (self.to + n).min(self.buf.len());
    }

    /// So many of them are used.
    pub fn used(&mut self, n: usize) {
        self.from = (self.from + n).min(self.to);
    }

    /// Uses `used` bytes; those of them from `head` on.
    pub fn take(&mut self, head: usize, used: usize) -> &[u8] {
        let start = self.from;
        self.used(used);
        self.buf.get(start + head..self.from).unwrap_or_default()
    }

    /// Gives memory back: all of it when nothing is held, else what a long event took.
    pub fn shrink(&mut self, idle: bool) {
        if self.is_empty() && (idle || self.buf.capacity() > KEEP) {
            *self = Self::default();
        }
    }
}
