//! Journal files of systemd, read while they are written.
//!
//! Only what leads from the header to the entries and their data is read: the hash tables are for writers and for searches.
//! Every offset, type and size is checked, for the file may be damaged, or change under our eyes: what leads nowhere is a
//! [`Damage`], never a panic. Source: the systemd project's "Journal File Format".

mod cursor;
mod damage;
mod header;
mod object;
mod read;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use damage::Damage;
pub use header::{Header, Id, State};
pub use object::{Entry, MAX_DATA};
pub use read::Journal;

use std::io;

/// Bytes at offsets.
pub trait ReadAt {
    /// Reads at an offset; fewer bytes than there is room for only at the end.
    ///
    /// # Errors
    /// What the system answers.
    fn read_at(&mut self, at: u64, room: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn read_at(&mut self, at: u64, room: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(room.len());
        room.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(n)
    }
}

/// Fills `room` from an offset.
fn fill(source: &mut dyn ReadAt, at: u64, room: &mut [u8]) -> Result<(), Damage> {
    match source.read_at(at, room) {
        Ok(n) if n == room.len() => Ok(()),
        Ok(_) => Err(Damage::Outside(at)),
        Err(e) => Err(Damage::Io(e.kind())),
    }
}

/// The little-endian number at an offset of a structure.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// [`u64_at`] for four bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}
