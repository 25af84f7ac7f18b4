//! The writer of the logs: lines without pause, rotated in every way that is in use.

use super::check::{LINE, Line};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Lines that one write call carries: what a program with a buffer of 32 KiB does.
const BLOCK: usize = 32 * 1024 / LINE;

/// Writes `Line`s into a file, and rotates it.
pub struct Writer {
    path: PathBuf,
    file: File,
    generation: u32,
    /// The number of the next line.
    next: u32,
    /// For each generation the number of its first line.
    begins: Vec<u32>,
    /// For each generation its inode.
    inodes: Vec<u64>,
}

impl Writer {
    /// Begins the file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let file = open(&path);
        let inodes = vec![file.metadata().unwrap().ino()];
        Self { path, file, generation: 0, next: 0, begins: vec![0], inodes }
    }

    /// Lines written so far, the first number included.
    pub fn written(&self) -> u32 {
        self.next
    }

    /// For each generation the inode of its file and the number of its first line.
    pub fn files(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.inodes.iter().copied().zip(self.begins.iter().copied())
    }

    /// Writes so many lines.
    pub fn lines(&mut self, count: usize) {
        let mut left = count;
        let mut block = Vec::with_capacity(BLOCK * LINE);
        while left > 0 {
            let n = left.min(BLOCK);
            block.clear();
            for _ in 0..n {
                Line { generation: self.generation, number: self.next }.write(&mut block);
                self.next += 1;
            }
            self.file.write_all(&block).unwrap();
            left -= n;
        }
    }

    /// Writes one line in two parts, cut at this byte.
    pub fn torn_line(&mut self, cut: usize) {
        let mut line = Vec::new();
        Line { generation: self.generation, number: self.next }.write(&mut line);
        self.next += 1;
        self.file.write_all(&line[..cut % LINE]).unwrap();
        self.file.write_all(&line[cut % LINE..]).unwrap();
    }

    /// `a.log` becomes `a.log.3`, and a new file begins.
    pub fn rename(&mut self) {
        let old = self.path.with_added_extension_of(self.generation);
        fs::rename(&self.path, old).unwrap();
        self.begin(open(&self.path));
    }

    /// `a.log` is copied to `a.log.3` and cut to nothing. Nobody writes meanwhile.
    pub fn copy_truncate(&mut self) {
        fs::copy(&self.path, self.path.with_added_extension_of(self.generation)).unwrap();
        self.truncate();
    }

    /// `a.log` is cut to nothing.
    pub fn truncate(&mut self) {
        self.file.set_len(0).unwrap();
        let same = self.file.try_clone().unwrap();
        self.begin(same);
    }

    /// `a.log` is deleted and begun anew.
    pub fn replace(&mut self) {
        fs::remove_file(&self.path).unwrap();
        // Closed first: a file system then gives the inode to the next file.
        self.file = File::open("/dev/null").unwrap();
        self.begin(open(&self.path));
    }

    /// A new file of another name begins.
    pub fn move_to(&mut self, path: impl Into<PathBuf>) {
        self.path = path.into();
        self.begin(open(&self.path));
    }

    /// Whether the inode of the present file was another file's before.
    pub fn inode_came_back(&self) -> bool {
        let (last, before) = self.inodes.split_last().unwrap();
        before.contains(last)
    }

    fn begin(&mut self, file: File) {
        self.file = file;
        self.generation += 1;
        self.begins.push(self.next);
        self.inodes.push(self.file.metadata().unwrap().ino());
    }
}

/// Every write goes to the end, as loggers have it: after a truncation that is the head.
fn open(path: &Path) -> File {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::options().append(true).create(true).open(path).unwrap()
}

trait Rotated {
    fn with_added_extension_of(&self, number: u32) -> PathBuf;
}

impl Rotated for Path {
    /// `a.log` and 3 make `a.log.3`.
    fn with_added_extension_of(&self, number: u32) -> PathBuf {
        let mut name = self.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}
