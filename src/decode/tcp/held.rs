//! Segments that came too early, sorted, without overlaps.

use crate::time::Time;
use std::collections::VecDeque;

/// `a` lies before `b` (RFC 1982: the sign of the difference).
pub fn before(a: u32, b: u32) -> bool {
    ahead(a, b) < 0
}

/// How far `a` lies behind `b` in the stream; negative if before.
pub(super) fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// A run of stream bytes: the first of its `wire` bytes were captured.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub seq: u32,
    pub data: &'a [u8],
    pub wire: u32,
    /// What its sender had of the other side.
    pub ack: u32,
}

impl<'a> Part<'a> {
    /// Takes the first `n` bytes off, at most all.
    pub fn split(&mut self, n: u32) -> Self {
        let n = n.min(self.wire);
        let (data, rest) = self.data.split_at(self.data.len().min(n as usize));
        let first = Part { data, wire: n, ..*self };
        *self = Part { seq: self.seq.wrapping_add(n), data: rest, wire: self.wire - n, ..*self };
        first
    }
}

/// A held run; `data` may be shorter than `wire`, even empty: the rest was not captured.
pub(super) struct Piece {
    pub seq: u32,
    pub wire: u32,
    pub at: Time,
    pub ack: u32,
    pub data: Box<[u8]>,
}

impl Piece {
    fn data_len(&self) -> u32 {
        self.data.len() as u32
    }
}

/// What [`Held::insert`] did.
pub(super) struct Inserted {
    /// Some of it was new.
    pub new: bool,
    /// Some of it was known.
    pub known: bool,
}

#[derive(Default)]
pub(super) struct Held {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

impl Held {
    pub fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    pub fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.bytes = self.bytes.saturating_sub(piece.data.len());
        Some(piece)
    }

    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Heap bytes: the data, the table of pieces, and this structure, which is boxed.
    pub fn memory(&self) -> usize {
        self.bytes + self.pieces.capacity() * size_of::<Piece>() + size_of::<Self>()
    }

    /// Puts in what is not known yet. All that is held lies within less than 2³¹ of each other.
    pub fn insert(&mut self, mut part: Part<'_>, at: Time) -> Inserted {
        let mut done = Inserted { new: false, known: false };
        let mut i = self.pieces.partition_point(|p| before(p.seq, part.seq));
        if let Some(left) = i.checked_sub(1).and_then(|i| self.pieces.get_mut(i)) {
            let over = ahead(left.seq.wrapping_add(left.data_len()), part.seq);
            if over > 0 {
                done.known = true;
                part.split(over.cast_unsigned());
            }
            // What was cut from the left one comes now after all.
            if part.wire > 0 {
                left.wire = left.wire.min(part.seq.wrapping_sub(left.seq));
            }
        }
        while part.wire > 0 {
            let room = match self.pieces.get_mut(i) {
                Some(right) if right.seq == part.seq => {
                    if right.data.is_empty() {
                        self.pieces.remove(i);
                        continue;
                    }
                    done.known = true;
                    part.split(right.data_len());
                    if part.wire > 0 {
                        right.wire = right.data_len();
                    }
                    i += 1;
                    continue;
                }
                Some(right) => right.seq.wrapping_sub(part.seq),
                None => u32::MAX,
            };
            let new = part.split(room);
            if self.pieces.len() == self.pieces.capacity() {
                // In small steps: the limits count what is reserved.
                self.pieces.reserve_exact((self.pieces.len() / 2).max(4));
            }
            self.bytes += new.data.len();
            self.pieces.insert(i, Piece { seq: new.seq, wire: new.wire, at, ack: new.ack, data: new.data.into() });
            done.new = true;
            i += 1;
        }
        done
    }
}
