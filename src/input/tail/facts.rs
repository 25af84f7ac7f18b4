//! What the system knows of a file beside its content, and the clock by which it does.

use super::file::FileId;
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// Nanoseconds since 1970.
pub type Stamp = i64;

/// How long a file may be empty that a program makes in order to write to it, in nanoseconds.
const AT_ONCE: Stamp = 10_000_000_000;

/// Of one file at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Device and inode.
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// When it was made; when it was written last on file systems that do not keep this.
    pub born: Stamp,
    /// The file system keeps when files were made.
    pub dated: bool,
    /// When it was written last. No rename changes this.
    pub written: Stamp,
    /// It is neither a directory nor a device.
    pub regular: bool,
}

impl Facts {
    /// Of what a path leads to.
    ///
    /// # Errors
    /// What the system answers.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
    }

    /// Of an open file.
    ///
    /// # Errors
    /// What the system answers.
    pub fn of_open(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
    }

    /// When it was made, if that is known.
    pub fn birth(&self) -> Option<Stamp> {
        self.dated.then_some(self.born)
    }

    /// Whether it was made or written so short a time ago that more may follow at once.
    pub fn is_new(&self) -> bool {
        now().saturating_sub(self.written) < AT_ONCE
    }

    fn of(s: &Statx) -> Self {
        let written = stamp(s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec);
        let has_birth = StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::BTIME);
        Self {
            id: FileId { dev: rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor), ino: s.stx_ino },
            size: s.stx_size,
            dated: has_birth,
            born: if has_birth { stamp(s.stx_btime.tv_sec, s.stx_btime.tv_nsec) } else { written },
            written,
            regular: FileType::from_raw_mode(s.stx_mode.into()) == FileType::RegularFile,
        }
    }
}

/// File systems that count whole seconds mean any moment of that second: its end is taken.
fn stamp(seconds: i64, nanoseconds: u32) -> Stamp {
    let nanoseconds = if nanoseconds == 0 { 999_999_999 } else { nanoseconds };
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.into())
}

/// Now, by the clock that files are stamped with: what is written after this call is stamped with this or more.
pub fn now() -> Stamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// Notices when the clock is set back: stamps from before are then too high.
#[derive(Debug)]
pub struct Clock {
    began: (SystemTime, Instant),
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: (SystemTime::now(), Instant::now()) }
    }
}

impl Clock {
    /// How far it was set back since the start, in nanoseconds.
    pub fn set_back(&self) -> Stamp {
        let (wall, steady) = self.began;
        let should_be = wall + steady.elapsed();
        should_be.duration_since(SystemTime::now()).map_or(0, |back| Stamp::try_from(back.as_nanos()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TempDir;
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn stamps_do_not_go_behind_the_clock() {
        let dir = TempDir::new();
        for n in 0..200 {
            let before = now();
            dir.write(&n.to_string(), "text");
            let path = dir.path(&n.to_string());
            let facts = Facts::at(&path).unwrap();
            assert!(facts.born >= before && facts.written >= before && facts.regular, "{before} {facts:?}");
            let own = std::fs::metadata(&path).unwrap();
            assert_eq!((facts.id, facts.size), (FileId { dev: own.dev(), ino: own.ino() }, 4));
            assert_eq!(Facts::of_open(std::fs::File::open(&path).unwrap()).unwrap().id, facts.id);
        }
        assert!(!Facts::at(dir.root()).unwrap().regular);
        assert!(Facts::at(&dir.path("none")).is_err());
        assert!(Clock::default().set_back() < 1_000_000_000);
    }
}
