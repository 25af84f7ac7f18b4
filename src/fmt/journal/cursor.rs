//! Cursors: a place in a journal, as sd_journal_get_cursor(3) writes it, and the order of entries of several files.

use super::{Entry, Id};
use std::cmp::Ordering;
use std::fmt;

/// Where an entry stands: `s=…;i=…;b=…;m=…;t=…;x=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Whose sequence numbers.
    pub seqnum_id: Id,
    /// The sequence number.
    pub seqnum: u64,
    /// The boot.
    pub boot_id: Id,
    /// Microseconds of its clock.
    pub monotonic: u64,
    /// Microseconds since 1970.
    pub realtime: u64,
    /// The hash of its fields.
    pub xor_hash: u64,
}

impl Cursor {
    /// That of an entry.
    pub fn of(seqnum_id: Id, entry: &Entry) -> Self {
        Self {
            seqnum_id,
            seqnum: entry.seqnum,
            boot_id: entry.boot_id,
            monotonic: entry.monotonic,
            realtime: entry.realtime,
            xor_hash: entry.xor_hash,
        }
    }

    /// Reads a cursor; what is missing is zero, but there must be a sequence number or a time.
    pub fn parse(text: &str) -> Option<Self> {
        let mut cursor = Self::default();
        let (mut by_number, mut by_time) = (false, false);
        for part in text.trim().split(';') {
            let (name, value) = part.split_once('=')?;
            let number = || u64::from_str_radix(value, 16).ok();
            match name {
                "s" => cursor.seqnum_id = Id::parse(value)?,
                "b" => cursor.boot_id = Id::parse(value)?,
                "i" => (cursor.seqnum, by_number) = (number()?, true),
                "m" => cursor.monotonic = number()?,
                "t" => (cursor.realtime, by_time) = (number()?, true),
                "x" => cursor.xor_hash = number()?,
                _ => {}
            }
        }
        (by_number || by_time).then_some(cursor)
    }

    /// Which of two entries comes first: by sequence number within one run of those, by the clock of one boot, by the wall
    /// clock.
    pub fn order(&self, other: &Self) -> Ordering {
        let number = (self.seqnum_id == other.seqnum_id).then(|| self.seqnum.cmp(&other.seqnum));
        let clock = (self.boot_id == other.boot_id).then(|| self.monotonic.cmp(&other.monotonic));
        number
            .unwrap_or(Ordering::Equal)
            .then(clock.unwrap_or(Ordering::Equal))
            .then(self.realtime.cmp(&other.realtime))
            .then(self.xor_hash.cmp(&other.xor_hash))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash } = self;
        write!(f, "s={seqnum_id};i={seqnum:x};b={boot_id};m={monotonic:x};t={realtime:x};x={xor_hash:x}")
    }
}
