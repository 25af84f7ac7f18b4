//! Fragments of IP datagrams until the last one arrives (RFC 791, RFC 815, RFC 8200 §4.5).
//!
//! In IPv4, bytes that arrive twice are those that arrived first. In IPv6, overlapping fragments end their datagram, and
//! what still arrives of it is refused (RFC 5722); exact copies are not overlaps. In both, fragments that disagree about the
//! datagram's end do the same. Past the memory limit the oldest datagram goes; past the timeout, by the packets' times, each.

use super::Addr;
use super::ip::Fragment;
use super::view::{Earlier, Vlans};
use crate::time::Time;
use std::collections::HashMap;
use std::time::Duration;

/// No datagram is larger (RFC 791 §3.1; RFC 8200 §4.5 refuses more).
const MAX_DATAGRAM: u32 = 65_535;
/// No slot.
const NIL: u32 = u32::MAX;
/// What a datagram costs beside its bytes: its slot and its entry in the table, which may both be half empty.
const COST: usize = 2 * (size_of::<Slot>() + size_of::<(Key, u32)>() + 1);

/// What became of fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FragmentCounters {
    /// Datagrams that were put together.
    pub reassembled: u64,
    /// Datagrams that were given up when their time was over.
    pub timed_out: u64,
    /// Datagrams that were given up for want of memory.
    pub evicted: u64,
    /// Datagrams that were given up because their fragments contradict each other.
    pub contradictory: u64,
}

/// Which datagram a fragment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub src: Addr,
    pub dst: Addr,
    pub ident: u32,
    /// Of IPv4; 0 for IPv6.
    pub protocol: u8,
    pub v6: bool,
    pub vlans: Vlans,
    pub tunnels: u8,
}

/// A datagram in parts, in a list by age.
#[derive(Debug)]
struct Slot {
    key: Key,
    since: Time,
    /// The parts, one behind the other as they arrived.
    bytes: Vec<u8>,
    /// The parts by their place in the datagram; they do not overlap.
    pieces: Vec<Piece>,
    /// Bytes of the whole, once the last fragment is here.
    total: Option<u32>,
    /// What the first fragment says follows.
    protocol: u8,
    earlier: Earlier,
    /// Given up; fragments that still come are refused.
    dead: bool,
    older: u32,
    newer: u32,
}

/// A part: `len` bytes at `at` of the datagram, at `start` of what arrived.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: u32,
    start: u32,
    len: u32,
}

impl Piece {
    fn end(&self) -> u32 {
        self.at + self.len
    }
}

/// What a fragment led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// Others are missing.
    Stored,
    /// It is of no use.
    Refused,
    /// The datagram is whole.
    Whole { protocol: u8, earlier: Earlier },
}

/// Datagrams that miss parts.
#[derive(Debug)]
pub(super) struct Fragments {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32>,
    oldest: u32,
    newest: u32,
    /// Bytes held by datagrams.
    held: usize,
    limit: usize,
    timeout: i64,
    pub counters: FragmentCounters,
}

impl Fragments {
    /// Holds at most `limit` bytes, each datagram for at most `timeout`.
    pub fn new(limit: usize, timeout: Duration) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            oldest: NIL,
            newest: NIL,
            held: 0,
            limit,
            timeout: i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX),
            counters: FragmentCounters::default(),
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.held
    }

    /// Adds a fragment of a frame that came with `frames`; a datagram that becomes whole is written to `whole`.
    pub fn add(
        &mut self,
        key: Key,
        (fragment, protocol, data): (Fragment, u8, &[u8]),
        frames: Earlier,
        now: Time,
        whole: &mut Vec<u8>,
    ) -> Added {
        self.expire(now);
        let index = match self.by_key.get(&key) {
            Some(index) => *index,
            None => self.begin(key, now),
        };
        let Some(slot) = self.slots.get_mut(index as usize) else { return Added::Refused };
        let before = slot.cost();
        let added = slot.add(fragment, protocol, data);
        if added == Added::Stored {
            slot.earlier.frames = slot.earlier.frames.saturating_add(frames.frames);
            slot.earlier.bytes = slot.earlier.bytes.saturating_add(frames.bytes);
        }
        if slot.dead && slot.cost() != before {
            self.counters.contradictory += 1;
        }
        if let Added::Whole { .. } = added {
            slot.assemble(whole);
            self.counters.reassembled += 1;
            self.held = self.held.saturating_sub(before);
            self.remove(index);
            return added;
        }
        self.held = self.held.saturating_sub(before) + slot.cost();
        while self.held > self.limit && self.oldest != NIL {
            self.counters.evicted += 1;
            self.forget(self.oldest);
        }
        added
    }

    /// Gives up what waited too long. A time that runs backwards ends nothing.
    fn expire(&mut self, now: Time) {
        while let Some(slot) = self.slots.get(self.oldest as usize) {
            if now.0.saturating_sub(slot.since.0) <= self.timeout {
                return;
            }
            if !slot.dead {
                self.counters.timed_out += 1;
            }
            self.forget(self.oldest);
        }
    }

    fn begin(&mut self, key: Key, now: Time) -> u32 {
        let slot = Slot {
            key,
            since: now,
            bytes: Vec::new(),
            pieces: Vec::new(),
            total: None,
            protocol: 0,
            earlier: Earlier::default(),
            dead: false,
            older: self.newest,
            newer: NIL,
        };
        self.held += slot.cost();
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(place) = self.slots.get_mut(index as usize) {
                    *place = slot;
                }
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(NIL)
            }
        };
        match self.slots.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
        self.by_key.insert(key, index);
        index
    }

    /// Removes a datagram that is not whole.
    fn forget(&mut self, index: u32) {
        let cost = self.slots.get(index as usize).map_or(0, Slot::cost);
        self.held = self.held.saturating_sub(cost);
        self.remove(index);
    }

    fn remove(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let (older, newer) = (slot.older, slot.newer);
        (slot.bytes, slot.pieces) = (Vec::new(), Vec::new());
        self.by_key.remove(&slot.key);
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        self.free.push(index);
    }
}

impl Slot {
    fn cost(&self) -> usize {
        COST + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    fn add(&mut self, fragment: Fragment, protocol: u8, data: &[u8]) -> Added {
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // All but the last end at a multiple of eight: IPv6 refuses others, IPv4 does without the rest (as Linux).
        let len = if fragment.more && !self.key.v6 { len & !7 } else { len };
        let (from, Some(to)) = (fragment.offset, fragment.offset.checked_add(len)) else { return Added::Refused };
        if self.dead || len == 0 || to > MAX_DATAGRAM || (fragment.more && len % 8 != 0) {
            return Added::Refused;
        }
        let furthest = self.pieces.last().map_or(0, Piece::end);
        let wrong = match self.total {
            Some(total) => to > total || (!fragment.more && to != total),
            None => !fragment.more && to < furthest,
        };
        if wrong {
            return self.give_up();
        }
        let first = self.pieces.partition_point(|p| p.end() <= from);
        let overlaps = self.pieces.get(first).is_some_and(|p| p.at < to);
        if overlaps && self.key.v6 {
            let copy = self.pieces.get(first).is_some_and(|p| p.at == from && p.end() == to);
            return if copy { Added::Refused } else { self.give_up() };
        }
        let tells_end = !fragment.more && self.total.is_none();
        if tells_end {
            self.total = Some(to);
        }
        if from == 0 {
            self.protocol = protocol;
        }
        let before = self.bytes.len();
        self.fill(first, from, to, data);
        if self.is_whole() {
            return Added::Whole { protocol: self.protocol, earlier: self.earlier };
        }
        // A copy adds nothing, but for the end that it may tell.
        if self.bytes.len() == before && !tells_end { Added::Refused } else { Added::Stored }
    }

    /// Puts the bytes of `data` where none are yet; `next` is the first piece that may end behind `from`.
    fn fill(&mut self, mut next: usize, from: u32, to: u32, data: &[u8]) {
        let mut at = from;
        while at < to {
            let (hole, behind) = match self.pieces.get(next) {
                Some(piece) => (piece.at.clamp(at, to), piece.end()),
                None => (to, to),
            };
            if hole > at {
                let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
                let part = data.get((at - from) as usize..(hole - from) as usize).unwrap_or_default();
                self.bytes.extend_from_slice(part);
                self.pieces.insert(next, Piece { at, start, len: hole - at });
                next += 1;
            }
            at = behind.max(hole);
            next += 1;
        }
    }

    /// Pieces do not overlap, so that as many bytes as the whole has are the whole.
    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.bytes.len() == total as usize)
    }

    fn give_up(&mut self) -> Added {
        self.dead = true;
        (self.bytes, self.pieces) = (Vec::new(), Vec::new());
        Added::Refused
    }

    fn assemble(&mut self, whole: &mut Vec<u8>) {
        if self.pieces.iter().all(|p| p.at == p.start) {
            std::mem::swap(whole, &mut self.bytes);
            return;
        }
        // Another datagram's buffer is not kept for a small one.
        *whole = Vec::with_capacity(self.bytes.len());
        for piece in &self.pieces {
            let range = piece.start as usize..(piece.start + piece.len) as usize;
            whole.extend_from_slice(self.bytes.get(range).unwrap_or_default());
        }
    }
}
