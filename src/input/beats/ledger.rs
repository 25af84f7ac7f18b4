//! What a peer is owed: acknowledgements in the order of its windows, however its records are delivered.

use crate::fmt::lumberjack::{Version, ack};
use crate::input::in_order::InOrder;
use std::cell::Cell;

/// The commits of one connection that are not acknowledged yet.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Their order.
    pub owed: InOrder<Owed>,
    /// The last event of an unfinished window that is safe, with all before it.
    partial: Cell<u32>,
}

/// What a commit holds.
#[derive(Debug)]
pub struct Owed {
    version: Version,
    seq: u32,
    /// The window ends with it.
    last: bool,
}

impl Ledger {
    /// Events up to `seq` were committed; the answer is for [`Self::safe`].
    pub fn add(&self, version: Version, seq: u32, last: bool) -> u64 {
        self.owed.add(Owed { version, seq, last })
    }

    /// The events of this commit are safe.
    pub fn safe(&self, id: u64) {
        self.owed.safe(id);
    }

    /// Commits that are not safe, or behind one that is not.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// Appends a frame for each window that is safe now.
    pub fn due(&self, out: &mut Vec<u8>) {
        while let Some(one) = self.owed.next_safe() {
            if one.last {
                out.extend_from_slice(&ack(one.version, one.seq));
            }
            self.partial.set(if one.last { 0 } else { one.seq });
        }
    }

    /// What tells the peer that its window is being worked on: the part of it that is safe, 0 at first. Clients of
    /// version 1 take any answer for the last one: they are told nothing.
    pub fn keepalive(&self) -> Option<[u8; 6]> {
        let version = self.owed.first(|one| one.version)?;
        (version == Version::V2).then(|| ack(version, self.partial.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(ledger: &Ledger) -> Vec<u8> {
        let mut out = Vec::new();
        ledger.due(&mut out);
        out
    }

    #[test]
    fn windows_are_acknowledged_in_order() {
        let l = Ledger::default();
        let [a, b, c] = [(5, false), (9, true), (3, true)].map(|(seq, last)| l.add(Version::V2, seq, last));
        assert_eq!(l.keepalive().unwrap(), *b"2A\0\0\0\0");
        l.safe(c);
        assert_eq!((due(&l), l.len()), (vec![], 3));
        l.safe(a);
        assert_eq!((due(&l), l.len()), (vec![], 2));
        assert_eq!(l.keepalive().unwrap(), *b"2A\0\0\0\x05", "a part of it is safe");
        l.safe(b);
        assert_eq!((due(&l), l.len()), (b"2A\0\0\0\x092A\0\0\0\x03".to_vec(), 0));
        assert_eq!(l.keepalive(), None);
        let d = l.add(Version::V1, 70, true);
        assert_eq!(l.keepalive(), None, "a client of version 1 takes it for the last one");
        l.safe(a);
        l.safe(99);
        assert_eq!(due(&l), b"");
        l.safe(d);
        assert_eq!(due(&l), b"1A\0\0\0\x46");
    }
}
