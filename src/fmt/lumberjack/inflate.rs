//! A packed frame that is unpacked as it comes, and the bytes of a stream that are not used yet.

use super::Wrong;
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes unpacked at a time.
const STEP: usize = 32 << 10;
/// Memory that an empty buffer keeps, in bytes.
const KEEP: usize = 128 << 10;

/// Bytes that came and are not used yet.
#[derive(Debug, Default)]
pub(super) struct Unused {
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

impl Unused {
    pub(super) fn get(&self) -> &[u8] {
        self.buf.get(self.from..self.to).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    /// Memory held, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// Room for `n` bytes behind them; [`Self::filled`] says how many came.
    pub(super) fn room(&mut self, n: usize) -> &mut [u8] {
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

    pub(super) fn filled(&mut self, n: usize) {
        self.to = (self.to + n).min(self.buf.len());
    }

    pub(super) fn used(&mut self, n: usize) {
        self.from = (self.from + n).min(self.to);
    }

    /// Uses `used` bytes; those of them from `head` on.
    pub(super) fn take(&mut self, head: usize, used: usize) -> &[u8] {
        let start = self.from;
        self.used(used);
        self.buf.get(start + head..self.from).unwrap_or_default()
    }

    /// Gives memory back: all of it when nothing is held, else what a long event took.
    pub(super) fn shrink(&mut self, idle: bool) {
        if self.len() == 0 && (idle || self.buf.capacity() > KEEP) {
            *self = Self::default();
        }
    }
}

/// A packed frame of which not everything was read yet. It holds no more than one event, however much it unpacks to.
#[derive(Debug)]
pub(super) struct Packed {
    inflate: Decompress,
    /// Bytes of the frame that were not unpacked yet.
    left: u32,
    /// Bytes that it may still unpack to.
    allowed: u64,
    ended: bool,
    pub(super) unused: Unused,
}

/// What a packed frame gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum More {
    /// Further bytes.
    Some,
    /// It needs more of the stream.
    Waits,
    /// All of it was used.
    End,
}

impl Packed {
    pub(super) fn new(len: u32, allowed: u64) -> Self {
        Self { inflate: Decompress::new(true), left: len, allowed, ended: false, unused: Unused::default() }
    }

    /// Memory held, in bytes: the state of zlib with its window, and what was unpacked.
    pub(super) fn memory(&self) -> usize {
        (44 << 10) + self.unused.capacity()
    }

    /// Unpacks a step further.
    pub(super) fn more(&mut self, from: &mut Unused) -> Result<More, Wrong> {
        let input = from.get();
        let input = input.get(..input.len().min(self.left as usize)).unwrap_or_default();
        if self.ended {
            // Whatever stands behind the zlib stream belongs to the frame.
            let n = input.len();
            self.take(n, from);
            return match (self.left, self.unused.len()) {
                (_, 1..) => Err(Wrong::PackedEnds),
                (0, 0) => Ok(More::End),
                _ => Ok(More::Waits),
            };
        }
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let room = self.unused.room(STEP);
        let status = self.inflate.decompress(input, room, FlushDecompress::None).map_err(|_| Wrong::Damaged)?;
        let read = (self.inflate.total_in() - in_before) as usize;
        let made = self.inflate.total_out() - out_before;
        let starved = input.is_empty();
        self.unused.filled(made as usize);
        self.take(read, from);
        self.allowed = self.allowed.checked_sub(made).ok_or(Wrong::Bomb)?;
        self.ended = matches!(status, Status::StreamEnd);
        match (read, made) {
            _ if self.ended => Ok(More::Some),
            (0, 0) if starved && self.left > 0 => Ok(More::Waits),
            (0, 0) => Err(Wrong::Damaged),
            _ => Ok(More::Some),
        }
    }

    fn take(&mut self, n: usize, from: &mut Unused) {
        from.used(n);
        self.left = self.left.saturating_sub(n as u32);
    }
}
