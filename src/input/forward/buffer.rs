//! What connections have read and not used yet. Those that are idle hold nothing; unfinished messages have a limit together.

use crate::rt::Notify;
use std::cell::{Cell, RefCell};
use std::io::{Read, Result};

/// A message of which this much has come, in bytes, grows where it is; what is shorter does not keep a whole block.
pub const LONG: usize = 64 << 10;
/// Bytes that unfinished messages may hold together. Beyond it one long message at a time is read on.
const HELD: usize = 64 << 20;
/// Blocks that are kept for the next read.
const SPARE: usize = 4;

/// What the connections of an input share.
#[derive(Debug)]
pub struct Pool {
    block: usize,
    spare: RefCell<Vec<Vec<u8>>>,
    held: Cell<usize>,
    /// Somebody reads on beyond the limit.
    taken: Cell<bool>,
    /// Notified when there may be room again.
    pub freed: Notify,
}

impl Pool {
    /// Reads of `block` bytes.
    pub fn new(block: usize) -> Self {
        let (spare, held, taken) = Default::default();
        Self { block, spare, held, taken, freed: Notify::default() }
    }

    /// Whether unfinished messages hold all they may.
    pub fn is_full(&self) -> bool {
        self.held.get() > HELD
    }

    /// The one permission to read on although it is full.
    pub fn take_turn(&self) -> bool {
        !self.taken.replace(true)
    }

    /// Gives the permission back.
    pub fn end_turn(&self) {
        self.taken.set(false);
        self.freed.notify();
    }

    fn block(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; self.block])
    }

    fn give(&self, block: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if block.len() == self.block && spare.len() < SPARE {
            spare.push(block);
        }
    }

    fn account(&self, before: usize, after: usize) {
        self.held.set((self.held.get() + after).saturating_sub(before));
        if after < before {
            self.freed.notify();
        }
    }
}

/// The bytes of one connection.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
    counted: usize,
}

impl Buffer {
    /// What was read and not used.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.begin..self.end).unwrap_or_default()
    }

    /// Done with this many bytes.
    pub fn used(&mut self, n: usize) {
        self.begin = (self.begin + n).min(self.end);
    }

    /// Reads once from what does not block.
    ///
    /// # Errors
    /// Those of the reader; then nothing has changed.
    pub fn fill(&mut self, pool: &Pool, from: &mut dyn Read) -> Result<usize> {
        self.make_room(pool);
        let got = from.read(self.bytes.get_mut(self.end..).unwrap_or_default());
        self.end += *got.as_ref().unwrap_or(&0);
        if got.is_err() || self.begin == self.end {
            // It waits: no block meanwhile.
            self.settle(pool);
        }
        got
    }

    fn make_room(&mut self, pool: &Pool) {
        let held = self.end - self.begin;
        if self.bytes.len() - self.end >= LONG.min(pool.block) {
            return;
        }
        if held + LONG.min(pool.block) <= pool.block && self.bytes.len() < pool.block {
            let mut block = pool.block();
            if let Some(front) = block.get_mut(..held) {
                front.copy_from_slice(self.unread());
            }
            self.bytes = block;
        } else {
            self.bytes.copy_within(self.begin..self.end, 0);
            if self.bytes.len() - held < LONG.min(pool.block) {
                // Twice as long: a message of any length is moved a few times only.
                let len = (held + pool.block).max(2 * held);
                self.bytes.reserve_exact(len - self.bytes.len());
                self.bytes.resize(len, 0);
            }
        }
        (self.begin, self.end) = (0, held);
    }

    /// Gives back what is not needed until more comes.
    pub fn settle(&mut self, pool: &Pool) {
        let held = self.end - self.begin;
        if held < LONG && self.bytes.len() > held {
            let rest = self.unread().to_vec();
            pool.give(std::mem::replace(&mut self.bytes, rest));
            (self.begin, self.end) = (0, held);
        }
        pool.account(self.counted, self.bytes.len());
        self.counted = self.bytes.len();
    }

    /// Forgets everything.
    pub fn clear(&mut self, pool: &Pool) {
        self.begin = self.end;
        self.settle(pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn idle_connections_hold_nothing() {
        let (pool, mut b) = (Pool::new(LONG), Buffer::default());
        assert_eq!(b.fill(&pool, &mut &b"abc"[..]).unwrap(), 3);
        b.used(3);
        b.settle(&pool);
        assert_eq!((b.bytes.capacity(), pool.held.get(), pool.spare.borrow().len()), (0, 0, 1));
        b.fill(&pool, &mut &b"abc"[..]).unwrap();
        b.used(1);
        b.settle(&pool);
        assert_eq!((b.unread(), pool.held.get()), (&b"bc"[..], 2));
        b.clear(&pool);
        assert_eq!(pool.held.get(), 0);
    }

    #[test]
    fn long_messages_are_counted_and_one_may_go_on() {
        let (pool, mut b) = (Pool::new(LONG), Buffer::default());
        while !pool.is_full() {
            assert!(b.fill(&pool, &mut std::io::repeat(1)).unwrap() > 0);
            b.settle(&pool);
        }
        assert!(b.unread().len() > HELD / 4);
        assert!(pool.take_turn() && !pool.take_turn());
        pool.end_turn();
        assert!(pool.take_turn());
        b.clear(&pool);
        assert!(!pool.is_full());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn nothing_is_lost_or_moved(steps in proptest::collection::vec((1..60_000usize, 0..100u8), 1..12)) {
            let (pool, mut b) = (Pool::new(LONG), Buffer::default());
            let (mut wrote, mut read) = (0u64, 0u64);
            let mut next = |n: usize| -> Vec<u8> {
                let part = (wrote..wrote + n as u64).map(|i| (i * 7 + i / 251) as u8).collect();
                wrote += n as u64;
                part
            };
            for (n, share) in steps {
                let data = next(n);
                let mut rest = &data[..];
                while !rest.is_empty() {
                    b.fill(&pool, &mut rest).unwrap();
                }
                let take = b.unread().len() * usize::from(share) / 100;
                for (i, byte) in b.unread()[..take].iter().enumerate() {
                    let i = read + i as u64;
                    prop_assert_eq!(*byte, (i * 7 + i / 251) as u8);
                }
                read += take as u64;
                b.used(take);
                b.settle(&pool);
            }
        }
    }
}
