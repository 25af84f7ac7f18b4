//! The header of a journal file.

use super::{Damage, ReadAt, fill, u32_at, u64_at};
use std::fmt;

/// All fields that every version of the format has, in bytes.
const LEN: usize = 208;

/// Incompatible flags: data packed with XZ, LZ4 or ZSTD, siphash in the tables, offsets of four bytes.
const KNOWN: u32 = 0x1F;
const COMPACT: u32 = 1 << 4;

/// A random number that names a file, a machine, a boot or a run of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl Id {
    /// From 32 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut id = [0; 16];
        if digits.len() != 32 {
            return None;
        }
        for (to, pair) in id.iter_mut().zip(digits.chunks(2)) {
            let digit = |n: usize| pair.get(n).and_then(|b| char::from(*b).to_digit(16));
            *to = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        Some(Self(id))
    }

    pub(super) fn at(bytes: &[u8], at: usize) -> Self {
        Self(bytes.get(at..at + 16).and_then(|b| b.try_into().ok()).unwrap_or_default())
    }
}

/// What the writer is doing with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Closed; it may be opened again.
    Offline,
    /// Being written, or left by a writer that died.
    Online,
    /// Nothing will be added to it.
    Archived,
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the writer is doing.
    pub state: State,
    /// The file's name for ever.
    pub file_id: Id,
    /// Files with the same one share their sequence numbers.
    pub seqnum_id: Id,
    /// Where objects begin.
    pub size: u64,
    /// Entries so far.
    pub entries: u64,
    /// The first entry array.
    pub entry_array: u64,
    /// Offsets have four bytes.
    pub compact: bool,
}

impl Header {
    /// Reads the header.
    ///
    /// # Errors
    /// When this is no journal, or one of a version that is not known.
    pub fn read(source: &mut dyn ReadAt) -> Result<Self, Damage> {
        let mut bytes = [0; LEN];
        fill(source, 0, &mut bytes).map_err(|e| if matches!(e, Damage::Outside(_)) { Damage::Header } else { e })?;
        if !bytes.starts_with(b"LPKSHHRH") {
            return Err(Damage::NotJournal);
        }
        let flags = u32_at(&bytes, 12);
        if flags & !KNOWN != 0 {
            return Err(Damage::Flags(flags & !KNOWN));
        }
        let size = u64_at(&bytes, 88);
        if size < LEN as u64 || !size.is_multiple_of(8) {
            return Err(Damage::Header);
        }
        Ok(Self {
            state: match bytes.get(16) {
                Some(0) => State::Offline,
                Some(2) => State::Archived,
                _ => State::Online,
            },
            file_id: Id::at(&bytes, 24),
            seqnum_id: Id::at(&bytes, 72),
            size,
            entries: u64_at(&bytes, 152),
            entry_array: u64_at(&bytes, 176),
            compact: flags & COMPACT != 0,
        })
    }
}
