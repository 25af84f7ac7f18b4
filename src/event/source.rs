//! Where records come from: the position that tells two equal lines apart and is the same when a line is read again.

use std::cell::Cell as StdCell;
use std::time::SystemTime;

/// A stretch of a file, or data that cannot be read a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source {
    /// The device of the file; 0 when there is none.
    pub dev: u64,
    /// Its inode; 0 when there is no file.
    pub ino: u64,
    /// A hash of the file's first bytes and of when it was made, which tells it from a later one with its inode; without a
    /// file a number that no other batch has.
    pub print: u64,
    /// The offset in the file, in bytes, from which the places of records are counted.
    pub base: u64,
}

/// The position of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Where it came from.
    pub source: Source,
    /// The offset of its line in the file, in bytes; without a file its number in the batch.
    pub offset: u64,
}

impl Source {
    /// The source of records that cannot be read again, for a new batch.
    pub fn unique() -> Self {
        thread_local! {
            static NEXT: StdCell<u64> = const { StdCell::new(0) };
        }
        let print = NEXT.with(|next| {
            if next.get() == 0 {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                // Processes of one second, and their threads, differ in their nanoseconds and numbers.
                next.set(now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40));
            }
            next.set(next.get().wrapping_add(1));
            next.get()
        });
        Self { print, ..Self::default() }
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.ino != 0
    }

    /// Whether both are the same file, or the same batch.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.print) == (other.dev, other.ino, other.print)
    }
}
