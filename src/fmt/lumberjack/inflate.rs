//! A packed frame that is unpacked as it comes.

use super::Wrong;
use crate::util::unused::Unused;
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes unpacked at a time.
const STEP: usize = 32 << 10;

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
