//! A file that does not hold what was read of it, and files beside it: which of them hold the same text.

use super::facts::Stamp;
use super::file::{File, Place, size_of};
use super::last::{Last, Likeness, REACH};
use super::marker;
use super::print::Print;
use super::read::{Before, at_most};
use std::os::fd::{AsFd, BorrowedFd};

/// So many known bytes make sure that two files hold the same text.
const CERTAIN: usize = 61;
/// How much of their heads is compared of two files that may hold the same text, in bytes.
const HEAD: usize = 4096;

/// A file does not hold any more what was read of it.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Where reading stood.
    pub offset: u64,
    /// What the bytes there were part of.
    pub place: Place,
    /// What stood before.
    pub known: Known,
    /// The fingerprint of what the file held.
    pub print: Option<Print>,
    /// How large the file was when it was looked at last.
    pub size: u64,
    /// When that was.
    pub seen: Stamp,
    /// Whether it had begun records of several lines that are not complete.
    pub open: bool,
}

/// What is known of the text before an offset.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// The text, or a hash of it.
    Text(Last),
    /// What the database has.
    Marker(u64, u64),
}

impl Known {
    /// Whether it stands there in another file too.
    pub fn is_in(&self, fd: BorrowedFd<'_>, offset: u64) -> bool {
        let read_at = |at, room: &mut [u8]| rustix::io::pread(fd, room, at).unwrap_or(0);
        match self {
            Self::Text(last) => {
                let mut there = Before::room(last);
                let room = there.all_mut();
                let known = room.len();
                known > 0
                    && read_at(offset.saturating_sub(known as u64), room) == known
                    && last.compare(there.all()) == Likeness::Same
            }
            Self::Marker(hash, size) => marker::is_ours(*size) && marker::holds(*hash, *size, offset, read_at),
        }
    }

    /// Whether a file that holds it is a copy for sure.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Text(last) => last.reach() >= CERTAIN,
            Self::Marker(_, size) => marker::is_certain(*size),
        }
    }
}

/// What a sibling is to the present content of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Present {
    /// A copy of it, as far as it was read.
    Read,
    /// Perhaps a copy of it: nothing was read of it yet.
    Perhaps,
    /// Something else.
    Other,
}

/// What another file is to what `live` holds now.
pub fn present(live: &File, fd: BorrowedFd<'_>, size: u64) -> Present {
    let Some(own) = live.fd.as_ref().map(AsFd::as_fd) else { return Present::Perhaps };
    if live.offset > 0 && live.last.reach() > 0 {
        let same = match size >= live.offset {
            true => Known::Text(live.last).is_in(fd, live.offset),
            false => begin_alike(own, fd, size),
        };
        return if same { Present::Read } else { Present::Other };
    }
    let now = rustix::fs::fstat(own).map_or(0, |s| size_of(&s));
    match size.min(now) {
        0 => Present::Other,
        n if begin_alike(own, fd, n) => Present::Perhaps,
        _ => Present::Other,
    }
}

/// Whether the first `len` bytes of two files are the same, as far as their heads and ends tell.
fn begin_alike(a: BorrowedFd<'_>, b: BorrowedFd<'_>, len: u64) -> bool {
    let same = |from: u64, n: usize| {
        let (mut x, mut y) = (vec![0; n], vec![0; n]);
        let read = |fd, room: &mut [u8]| rustix::io::pread(fd, room, from).unwrap_or(0) == n;
        read(a, &mut x) && read(b, &mut y) && x == y
    };
    let (head, end) = (at_most(len, HEAD), at_most(len, REACH));
    same(0, head) && same(len - end as u64, end)
}
