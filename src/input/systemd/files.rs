//! Where journal files are, and one of them opened.

use super::pages::{Direct, Paged, Pages};
use crate::fmt::journal::{Cursor, Damage, Entry, Id, Journal, State};
use crate::util::sort;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Journal files of one input.
const MAX_FILES: usize = 4096;

/// The folders and the journal files in them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

/// Looks into `path`, or where this machine's journal is.
pub(super) fn find(path: Option<&str>) -> Found {
    let mut found = Found::default();
    match path {
        Some(path) => look(Path::new(path), None, &mut found),
        None => {
            let machine = std::fs::read_to_string("/etc/machine-id").ok();
            let machine = machine.as_deref().map(str::trim).filter(|id| Id::parse(id).is_some());
            for root in ["/var/log/journal", "/run/log/journal"] {
                look(Path::new(root), machine, &mut found);
            }
        }
    }
    sort::ascending(&mut found.files);
    found
}

/// The files of a folder, and of those below it that are named as a machine is.
fn look(root: &Path, machine: Option<&str>, found: &mut Found) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    found.folders.push(root.to_owned());
    for path in entries.flatten().map(|e| e.path()) {
        if take(&path, found) || !path.is_dir() {
            continue;
        }
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if Id::parse(name).is_none() || machine.is_some_and(|id| id != name) {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        found.folders.push(path);
        for path in entries.flatten().map(|e| e.path()) {
            take(&path, found);
        }
    }
}

fn take(path: &Path, found: &mut Found) -> bool {
    let name = path.file_name().map_or(&b""[..], OsStrExt::as_bytes);
    let is_journal = name.ends_with(b".journal") || name.ends_with(b".journal~");
    if is_journal && found.files.len() < MAX_FILES {
        found.files.push(path.to_owned());
    }
    is_journal
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode(pub(super) u64, pub(super) u64);

impl Inode {
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|m| Self(m.dev(), m.ino()))
    }
}

/// An open journal file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    pub(super) file: File,
    pub(super) key: u64,
    pub(super) journal: Journal,
    pub(super) watch: Option<i32>,
    /// The index of the entry that comes next.
    pub(super) next: u64,
    /// Entries that were there when all files were looked at for the first time, and for the second time.
    pub(super) settled: u64,
    pub(super) visible: u64,
    /// The entry that comes next, when it is read.
    pub(super) head: Entry,
    pub(super) cursor: Option<Cursor>,
    /// The name is gone: so will be the file.
    pub(super) unlisted: bool,
    /// Nothing more of it can be found.
    pub(super) broken: bool,
}

/// What a look at the next entry cost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is there, or will be, or there is none.
    Fine,
    /// So many entries are damaged.
    Lost(u64, Damage),
}

impl Opened {
    pub(super) fn open(path: &Path, key: u64) -> Result<Self, Damage> {
        let file = File::open(path).map_err(|e| Damage::Io(e.kind()))?;
        let inode = file.metadata().map(|m| Inode(m.dev(), m.ino())).map_err(|e| Damage::Io(e.kind()))?;
        let journal = Journal::open(&mut Direct(&file))?;
        let entries = journal.header().entries;
        Ok(Self {
            path: path.to_owned(),
            inode,
            file,
            key,
            journal,
            watch: None,
            next: 0,
            settled: entries,
            visible: entries,
            head: Entry::default(),
            cursor: None,
            unlisted: false,
            broken: false,
        })
    }

    /// The name of the file for ever.
    pub(super) fn id(&self) -> Id {
        self.journal.header().file_id
    }

    /// Whether a writer may add to it.
    pub(super) fn is_live(&self) -> bool {
        let left = self.path.as_os_str().as_bytes().ends_with(b"~");
        self.journal.header().state != State::Archived && !left && !self.unlisted
    }

    /// Whether it is read to its end, and will not grow.
    pub(super) fn is_over(&self) -> bool {
        self.broken || (self.next >= self.visible && !self.is_live())
    }

    /// Reads how many entries there are now.
    pub(super) fn refresh(&mut self) -> u64 {
        match self.journal.refresh(&mut Direct(&self.file)) {
            Ok(entries) => entries,
            // Cut to nothing, or something else by now: what is there is all there will be.
            Err(_) => self.visible,
        }
    }

    /// Reads the next entry, unless that is done.
    pub(super) fn look(&mut self, pages: &mut Pages) -> Look {
        let mut lost = None;
        while self.cursor.is_none() && !self.broken && self.next < self.visible {
            let mut source = Paged { pages, file: &self.file, key: self.key };
            match self.journal.entry(&mut source, self.next, &mut self.head) {
                Ok(true) => self.cursor = Some(Cursor::of(self.journal.header().seqnum_id, &self.head)),
                // The header counts it, and nothing leads to it yet.
                Ok(false) if self.is_live() => self.visible = self.next,
                Ok(false) => {
                    lost = Some((self.visible - self.next, Damage::Header));
                    self.broken = true;
                }
                // The last one may still be written.
                Err(_) if self.next + 1 == self.visible && self.is_live() => self.visible = self.next,
                Err(damage) if self.journal.can_go_on(&mut source, self.next) => {
                    lost = Some((lost.map_or(0, |(n, _)| n) + 1, damage));
                    self.next += 1;
                }
                Err(damage) => {
                    let rest = self.visible - self.next;
                    lost = Some((lost.map_or(0, |(n, _)| n) + rest, damage));
                    self.broken = true;
                }
            }
        }
        lost.map_or(Look::Fine, |(n, damage)| Look::Lost(n, damage))
    }

    /// Goes on behind the entry that was read.
    pub(super) fn pass(&mut self) {
        self.next += 1;
        self.cursor = None;
    }
}
