//! A group of processes with limits: a control group of the kernel.

use super::{skip, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limited group; it goes when the test lets go of it.
pub struct Group(PathBuf);

impl Group {
    /// Limited memory, pages of files included. `None`, said in a line, where no group can be made.
    pub fn memory(limit: u64) -> Option<Self> {
        let limit = limit.to_string();
        let group = Self::new([("memory", "memory.limit_in_bytes", &limit), ("", "memory.max", &limit)]);
        if group.is_none() {
            skip("no group of processes with a memory limit: cgroups cannot be made here");
        }
        group
    }

    /// Writes to a block device (`7:0`) at so many bytes a second.
    pub fn slow_writes(device: &str, rate: u64) -> Option<Self> {
        let (v1, v2) = (format!("{device} {rate}"), format!("{device} wbps={rate}"));
        let group = Self::new([("blkio", "blkio.throttle.write_bps_device", &v1), ("", "io.max", &v2)]);
        if group.is_none() {
            skip("no group of processes whose writes are slow: cgroups cannot be made here");
        }
        group
    }

    /// The first of these folders, files and limits that there is: version 1 of cgroups, or 2.
    fn new(choices: [(&str, &str, &str); 2]) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        for (folder, file, limit) in choices {
            let parent = Path::new("/sys/fs/cgroup").join(folder);
            let path =
                parent.join(format!("collector-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            if parent.join("cgroup.procs").exists() && fs::create_dir(&path).is_ok() {
                let group = Self(path);
                if fs::write(group.0.join(file), limit).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Words to put before a command that runs in it.
    pub fn enter(&self) -> [String; 4] {
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$@\"", self.0.display());
        ["sh".into(), "-c".into(), script, "sh".into()]
    }

    /// A number of one of its files: the file, or the line of it that begins with this word.
    pub fn number(&self, file: &str, word: &str) -> Option<u64> {
        let text = fs::read_to_string(self.0.join(file)).ok()?;
        text.lines().find_map(|l| l.strip_prefix(word)?.trim().parse().ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes are still being counted off for a moment.
        until(|| fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}
