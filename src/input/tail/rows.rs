//! What a database remembers of files: the positions that a restart goes on from.

use super::file::FileId;
use crate::util::sort;
use rustc_hash::FxHashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What SQLite puts behind the name of a database for the files it keeps beside it.
pub const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What is put behind the name of a damaged one, before the time.
pub const ASIDE: &str = ".corrupt-";

/// Whether `rest`, which follows the path of a database, makes the name of something that belongs to it.
pub fn belongs(rest: &[u8]) -> bool {
    rest.is_empty() || BESIDE.iter().any(|end| rest == end.as_bytes()) || rest.starts_with(ASIDE.as_bytes())
}

/// One remembered file, as Fluent Bit's table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Primary key.
    pub id: i64,
    /// The file's name.
    pub name: Vec<u8>,
    /// Offset of the first byte that was not delivered.
    pub offset: u64,
    /// The inode; the device is not in the table.
    pub inode: u64,
    /// A hash of the bytes before `offset`.
    pub marker: u64,
    /// How many bytes the hash is of.
    pub marker_size: u64,
}

impl Row {
    /// The name as a path.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.name))
    }
}

/// The rows that no file was found for yet.
#[derive(Debug, Default)]
pub struct Rows {
    /// Sorted by inode; of one inode the newest first.
    list: Vec<Row>,
    /// All names that there were.
    names: FxHashSet<Vec<u8>>,
}

impl Rows {
    /// All rows of a database.
    pub fn new(mut list: Vec<Row>) -> Self {
        sort::by_key(&mut list, |row| (row.inode, std::cmp::Reverse(row.id)));
        let names = list.iter().map(|row| row.name.clone()).collect();
        Self { list, names }
    }

    /// Whether a file was remembered under this name.
    pub fn knows(&self, path: &Path) -> bool {
        self.names.contains(path.as_os_str().as_bytes())
    }

    /// Takes the row of the file that is now at `path`. With `same_name` only a row of this name will do; else one
    /// whose own name leads elsewhere by now: inodes are unique in one file system only.
    pub fn claim(&mut self, id: FileId, path: &Path, same_name: bool) -> Option<Row> {
        let from = self.list.partition_point(|row| row.inode < id.ino);
        let to = self.list.partition_point(|row| row.inode <= id.ino);
        let among = self.list.get(from..to)?;
        let named = among.iter().position(|row| row.path() == path);
        let at = named.or_else(|| {
            let moved = |row: &Row| !same_name && id_at(row.path()).is_none_or(|now| now == id || now.ino != row.inode);
            among.iter().position(moved)
        })?;
        Some(self.list.remove(from + at))
    }

    /// The row of this inode that was remembered under the name `path`.
    pub fn named(&self, path: &Path, inode: u64) -> Option<&Row> {
        self.list.iter().find(|row| row.inode == inode && row.path() == path)
    }

    /// The names of the rows that no file was found for.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.list.iter().map(Row::path)
    }

    /// Takes the rows whose name the patterns lead to but whose file is not there under it any more.
    pub fn take_astray(&mut self, ours: impl Fn(&Path) -> bool) -> Vec<Row> {
        let gone = |row: &mut Row| ours(row.path()) && id_at(row.path()).is_none_or(|now| now.ino != row.inode);
        self.list.extract_if(.., gone).collect()
    }
}

/// Where a rotated file went: a name that begins like `live`, or like the file that the link `live` leads to, beside it, and
/// leads to `inode`.
pub fn sibling(live: &Path, inode: u64) -> Option<PathBuf> {
    beside(live, inode).or_else(|| beside(&target(live)?, inode))
}

fn beside(live: &Path, inode: u64) -> Option<PathBuf> {
    let dir = live.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = live.file_stem()?;
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let name = entry.file_name();
        if std::os::unix::fs::DirEntryExt::ino(&entry) == inode
            && name.as_bytes().starts_with(stem.as_bytes())
            && !super::begin::is_compressed(Path::new(&name))
        {
            return Some(dir.join(name));
        }
    }
    None
}

/// Where a link leads, over other links, although nothing may be there just now.
pub fn target(link: &Path) -> Option<PathBuf> {
    /// As many as the system follows.
    const LINKS: usize = 40;
    let mut at = link.to_path_buf();
    for n in 0..LINKS {
        let Ok(next) = std::fs::read_link(&at) else { return (n > 0).then_some(at) };
        at = at.parent().unwrap_or(Path::new(".")).join(next);
    }
    None
}

fn id_at(path: &Path) -> Option<FileId> {
    rustix::fs::stat(path).ok().map(|s| FileId::of(&s))
}
