//! All journal files of an input, and which entry comes next.
//!
//! Of several files that are written at the same time one cannot see the newest entries at one instant. So all are looked at
//! twice: what the first look saw was written before the second look began, and so was everything that comes before it.

use super::files::{Found, Inode, Look, Opened};
use super::pages::{Direct, Pages};
use crate::fmt::journal::{Cursor, Damage, Entry, Id};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Where reading goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Resume {
    /// The cursor that was kept, when there is one.
    pub(super) cursor: Option<Cursor>,
    /// The sequence number up to which a file is delivered.
    pub(super) positions: HashMap<Id, u64>,
    /// Without either of them: begin with new entries.
    pub(super) from_tail: bool,
}

/// What happened, for the log.
#[derive(Debug)]
pub(super) enum Event {
    Opened(PathBuf, u64),
    Refused(PathBuf, Damage),
    Lost(PathBuf, u64, Damage),
}

/// The files.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) files: Vec<Opened>,
    pub(super) pages: Pages,
    pub(super) events: Vec<Event>,
    resume: Resume,
    /// How far each file was read.
    read: HashMap<Id, u64>,
    /// Files that are read to their end, or are none, under the names they had.
    finished: HashSet<(Inode, PathBuf)>,
    next_key: u64,
    is_first: bool,
    /// A file has no header yet: its writer is about to write it.
    pub(super) has_empty: bool,
}

impl Merge {
    pub(super) fn new(resume: Resume) -> Self {
        Self {
            files: Vec::new(),
            pages: Pages::default(),
            events: Vec::new(),
            read: resume.positions.clone(),
            resume,
            finished: HashSet::new(),
            next_key: 0,
            is_first: true,
            has_empty: false,
        }
    }

    /// Opens files that are new, and learns of names that changed or are gone. Answers the positions of what was opened.
    pub(super) fn scan(&mut self, found: &Found) -> Vec<(Id, u64)> {
        self.has_empty = false;
        let mut listed = HashMap::new();
        let mut positions = Vec::new();
        for path in &found.files {
            if let Some(inode) = Inode::at(path) {
                listed.insert(inode, path);
            }
        }
        self.finished.retain(|(inode, path)| listed.get(inode).is_some_and(|p| *p == path));
        for opened in &mut self.files {
            match listed.get(&opened.inode) {
                Some(path) => {
                    opened.unlisted = false;
                    opened.path = path.to_path_buf();
                }
                None => opened.unlisted = true,
            }
        }
        for path in &found.files {
            let Some(inode) = Inode::at(path) else { continue };
            let is_known = self.files.iter().any(|o| o.inode == inode);
            if is_known || self.finished.contains(&(inode, path.clone())) {
                continue;
            }
            match Opened::open(path, self.next_key) {
                Ok(mut opened) => {
                    self.next_key += 1;
                    let position = self.begin(&mut opened);
                    positions.push((opened.id(), position));
                    self.read.insert(opened.id(), position);
                    self.events.push(Event::Opened(path.clone(), opened.visible - opened.next.min(opened.visible)));
                    self.files.push(opened);
                }
                // A writer begins with an empty file: it is looked at again when it has grown.
                Err(Damage::Header) if path.metadata().is_ok_and(|m| m.len() < 208) => self.has_empty = true,
                Err(damage) => {
                    self.events.push(Event::Refused(path.clone(), damage));
                    self.finished.insert((inode, path.clone()));
                }
            }
        }
        if std::mem::take(&mut self.is_first) {
            // Of files that are gone nothing needs to be known any more.
            let open: HashSet<Id> = self.files.iter().map(Opened::id).collect();
            self.read.retain(|id, _| open.contains(id));
        }
        positions
    }

    /// Finds where to begin in a file; answers the sequence number before that. Where the way is damaged it is the head: twice
    /// is better than never.
    fn begin(&self, opened: &mut Opened) -> u64 {
        let Opened { journal, file, next, .. } = opened;
        let (header, source) = (*journal.header(), &mut Direct(file));
        let cursor = self.resume.cursor;
        let found = if let Some(&seqnum) = self.read.get(&header.file_id) {
            journal.partition(source, |e| e.seqnum <= seqnum)
        } else if let Some(cursor) = cursor.filter(|c| c.seqnum_id == header.seqnum_id && c.seqnum > 0) {
            journal.partition(source, |e| e.seqnum <= cursor.seqnum)
        } else if let Some(cursor) = cursor.filter(|_| self.resume.positions.is_empty()) {
            journal.partition(source, |e| e.realtime <= cursor.realtime)
        } else if self.is_first && self.resume.from_tail && cursor.is_none() {
            journal.partition(source, |_| true)
        } else {
            Ok(0)
        };
        *next = found.unwrap_or(0);
        let mut last = Entry::default();
        match next.checked_sub(1).map(|n| journal.entry(source, n, &mut last)) {
            Some(Ok(true)) => last.seqnum,
            _ => 0,
        }
    }

    /// Looks twice at all files, and lets go of those that are over.
    pub(super) fn refresh(&mut self) {
        self.drop_over();
        for opened in &mut self.files {
            opened.settled = opened.refresh();
        }
        let several = self.files.len() > 1;
        for opened in &mut self.files {
            let entries = if several { opened.refresh() } else { opened.settled };
            if entries != opened.visible || opened.is_live() {
                self.pages.forget(opened.key);
                opened.visible = entries;
            }
        }
    }

    fn drop_over(&mut self) {
        let finished = &mut self.finished;
        let pages = &mut self.pages;
        self.files.retain(|opened| {
            let is_over = opened.is_over();
            if is_over {
                pages.forget(opened.key);
                finished.insert((opened.inode, opened.path.clone()));
            }
            !is_over
        });
    }

    /// The file whose entry comes next, with that entry in its head.
    pub(super) fn next(&mut self) -> Option<usize> {
        let mut best: Option<(usize, Cursor)> = None;
        for n in 0..self.files.len() {
            let Some(opened) = self.files.get_mut(n) else { break };
            if let Look::Lost(entries, damage) = opened.look(&mut self.pages) {
                self.events.push(Event::Lost(opened.path.clone(), entries, damage));
            }
            let Some(cursor) = opened.cursor else { continue };
            match &best {
                // The same entry twice, as in a file that was copied.
                Some((_, other)) if cursor == *other => opened.pass(),
                Some((_, other)) if cursor.order(other).is_ge() => {}
                _ => best = Some((n, cursor)),
            }
        }
        best.map(|(n, _)| n).filter(|n| self.files.get(*n).is_some_and(|o| o.next < o.settled))
    }

    /// Whether there are entries that were seen by the second look alone.
    pub(super) fn is_unsettled(&self) -> bool {
        self.files.iter().any(|o| o.cursor.is_some() && o.next >= o.settled)
    }

    /// The entry of a file is taken; answers where that was.
    pub(super) fn pass(&mut self, n: usize) -> Option<(Cursor, Id)> {
        let opened = self.files.get_mut(n)?;
        let (cursor, id) = (opened.cursor?, opened.id());
        opened.pass();
        self.read.insert(id, cursor.seqnum);
        Some((cursor, id))
    }
}
