//! Rotation by size: `NAME` becomes `NAME.20261121_140405` (UTC), then `NAME.20261121_140405.gz`; the oldest go.
//!
//! Compressing and clearing up happen on a worker thread. It takes up what an earlier run left undone.

use crate::rt::{Task, Workers, spawn};
use crate::time::Time;
use crate::time::civil::Civil;
use crate::util::sort;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// `rotate_*`
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A file is rotated before it grows beyond this many bytes.
    pub max_size: u64,
    /// Rotated files that are kept.
    pub max_files: usize,
    /// Whether they are compressed.
    pub gzip: bool,
}

/// Rotates the files of one output.
pub(super) struct Rotate {
    limits: Limits,
    label: String,
    workers: Workers,
    jobs: RefCell<Vec<Task<()>>>,
}

impl Rotate {
    pub(super) fn new(limits: Limits, label: String) -> Self {
        Self { limits, label, workers: Workers::new("rotate", 1), jobs: RefCell::default() }
    }

    /// Whether a file of `size` bytes has to go before `more` are written.
    pub(super) fn is_due(&self, size: u64, more: usize) -> bool {
        size > 0 && size.saturating_add(more as u64) > self.limits.max_size
    }

    /// Moves the file away and has the rest done in the background.
    ///
    /// # Errors
    /// When it cannot be renamed: it stays where it is.
    pub(super) fn rotate(&self, path: &Path, now: Time) -> io::Result<()> {
        fs::rename(path, free_name(path, now))?;
        let (limits, path, label) = (self.limits, path.to_owned(), self.label.clone());
        let workers = self.workers.clone();
        let job = spawn(async move {
            let said = path.clone();
            if let Some(Err(e)) = workers.run(move || tidy(&path, limits)).await {
                log::warn!("[{label}] rotated files of '{}' were left as they are: {e}", said.display());
            }
        });
        let mut jobs = self.jobs.borrow_mut();
        jobs.retain(|j| !j.is_finished());
        jobs.push(job);
        Ok(())
    }

    /// Waits for the background work.
    pub(super) async fn finish(&self) {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        for job in jobs {
            job.await;
        }
    }
}

/// The name for a file rotated now; a number follows when one was rotated in this very second.
fn free_name(path: &Path, now: Time) -> PathBuf {
    let Civil { year, month, day, hour, minute, second } = Civil::from_secs(now.secs());
    let stamp = format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}");
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{stamp}"));
        if n > 0 {
            name.push(format!(".{n}"));
        }
        PathBuf::from(name)
    };
    let mut gzipped = |n: &u32| {
        let mut gz = name(*n).into_os_string();
        gz.push(".gz");
        !name(*n).exists() && !PathBuf::from(gz).exists()
    };
    name((0..1000).find(&mut gzipped).unwrap_or(1000))
}

/// Compresses what is not, then removes the oldest: blocking.
fn tidy(path: &Path, limits: Limits) -> io::Result<()> {
    if limits.gzip {
        for old in rotated(path)?.into_iter().filter(|r| !r.gzipped) {
            compress(&old.path)?;
        }
    }
    let all = rotated(path)?;
    let surplus = all.len().saturating_sub(limits.max_files);
    all.into_iter().take(surplus).try_for_each(|old| fs::remove_file(old.path))
}

/// A rotated file.
#[derive(Debug, PartialEq, Eq)]
struct Rotated {
    path: PathBuf,
    stamp: String,
    number: u32,
    gzipped: bool,
}

/// The rotated files of `path`, oldest first; what an interrupted compression left is removed.
fn rotated(path: &Path) -> io::Result<Vec<Rotated>> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(base) = path.file_name().and_then(|n| n.to_str()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix(base)?.strip_prefix('.')) else { continue };
        if let Some(unfinished) = rest.strip_suffix(".gz.tmp") {
            if parse(unfinished).is_some() {
                fs::remove_file(entry.path())?;
            }
            continue;
        }
        let (plain, gzipped) = rest.strip_suffix(".gz").map_or((rest, false), |r| (r, true));
        if let Some((stamp, number)) = parse(plain) {
            all.push(Rotated { path: entry.path(), stamp: stamp.to_owned(), number, gzipped });
        }
    }
    sort::by(&mut all, |a, b| (&a.stamp, a.number).cmp(&(&b.stamp, b.number)));
    Ok(all)
}

/// `20261121_140405` or `20261121_140405.3`: time and number.
fn parse(text: &str) -> Option<(&str, u32)> {
    let (stamp, number) = match text.split_once('.') {
        Some((stamp, number)) => (stamp, number.parse().ok()?),
        None => (text, 0),
    };
    let right = |(i, b): (usize, u8)| if i == 8 { b == b'_' } else { b.is_ascii_digit() };
    (stamp.len() == 15 && stamp.bytes().enumerate().all(right)).then_some((stamp, number))
}

fn compress(path: &Path) -> io::Result<()> {
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let unfinished = named(".gz.tmp");
    let done = (|| {
        let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
        io::copy(&mut File::open(path)?, &mut encoder)?;
        encoder.finish()?.sync_all()?;
        fs::rename(&unfinished, named(".gz"))
    })();
    match done {
        Ok(()) => fs::remove_file(path),
        Err(e) => {
            let _ = fs::remove_file(&unfinished);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Dir;
    use super::*;
    use crate::rt::run;
    use flate2::read::GzDecoder;
    use std::io::Read;

    /// 2023-11-14 22:13:20
    const NOW: Time = Time(1_700_000_000_000_000_000);

    fn names(dir: &Dir) -> Vec<String> {
        let mut all: Vec<_> =
            fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn the_oldest_go_and_others_stay() {
        let dir = Dir::new();
        let path = PathBuf::from(dir.path("a.log"));
        let others = ["a.log.1", "a.log.20231114_221320.gz.bak", "a.log2.20231114_221320", "b.log.20231114_221320"];
        for other in others {
            fs::write(dir.path(other), "keep").unwrap();
        }
        fs::write(dir.path("a.log.20231114_000000.gz.tmp"), "unfinished").unwrap();
        let rotate = Rotate::new(Limits { max_size: 10, max_files: 3, gzip: false }, "l".into());
        run(async {
            for n in 0..5 {
                fs::write(&path, format!("file {n}")).unwrap();
                rotate.rotate(&path, NOW).unwrap();
            }
            rotate.finish().await;
        })
        .unwrap();
        let mut want: Vec<String> = others.map(str::to_owned).into();
        want.extend([2, 3, 4].map(|n| format!("a.log.20231114_221320.{n}")));
        want.sort();
        assert_eq!(names(&dir), want);
        assert_eq!(dir.read("a.log.20231114_221320.4"), "file 4");
    }

    #[test]
    fn rotated_files_are_compressed_those_of_a_former_run_too() {
        let dir = Dir::new();
        let path = PathBuf::from(dir.path("a"));
        fs::write(dir.path("a.20231114_221319"), "former").unwrap();
        fs::write(&path, "now").unwrap();
        let rotate = Rotate::new(Limits { max_size: 1, max_files: 7, gzip: true }, "l".into());
        run(async {
            rotate.rotate(&path, NOW).unwrap();
            rotate.finish().await;
        })
        .unwrap();
        assert_eq!(names(&dir), ["a.20231114_221319.gz", "a.20231114_221320.gz"]);
        let mut text = String::new();
        GzDecoder::new(File::open(dir.path("a.20231114_221320.gz")).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "now");
        assert!(free_name(&path, NOW).ends_with("a.20231114_221320.1"), "the name is taken although compressed");
    }

    #[test]
    fn when() {
        let rotate = Rotate::new(Limits { max_size: 100, max_files: 1, gzip: false }, String::new());
        let table = [(0, 1000, false), (50, 50, false), (50, 51, true), (100, 0, false), (101, 0, true)];
        for (size, more, due) in table {
            assert_eq!(rotate.is_due(size, more), due, "{size} {more}");
        }
    }
}
