//! Records that an output will never take: they go to a file with the reason, or, when that cannot be, are dropped and
//! counted.

use super::chunk::Chunk;
use super::delivery::Delivery;
use crate::conf::StorageConf;
use crate::conf::storage::StorageSync;
use crate::output::Why;
use crate::rt::{self, Workers};
use crate::store::dir;
use crate::store::rejected::{Note, RejectedFile, write_line};
use crate::time::Time;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Lines given to the worker at a time, in bytes.
const PIECE: usize = 256 << 10;
/// How long the disk may take for them: a dead one must not hold an output up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which records of a delivery are refused, and why.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refused<'a> {
    /// Every one that was still to be sent, for one reason.
    All(&'a Why),
    /// Those of these indices in the batch.
    Some(&'a [(u32, Why)]),
}

impl<'a> Refused<'a> {
    /// How many.
    pub(super) fn len(&self, task: &Delivery) -> usize {
        match self {
            Self::All(_) => task.records(),
            Self::Some(list) => list.len(),
        }
    }

    /// The index in the batch and the reason of number `n`.
    pub(super) fn nth(&self, n: usize, task: &Delivery) -> Option<(usize, &'a Why)> {
        match self {
            Self::All(_) if n >= task.records() => None,
            Self::All(why) => {
                let index = task.only.as_ref().map_or(Some(n), |only| only.get(n).map(|&i| i as usize));
                index.map(|i| (i, *why))
            }
            Self::Some(list) => list.get(n).map(|(i, why)| (*i as usize, why)),
        }
    }
}

/// The file of rejected records, written by a thread of its own.
pub(super) struct Rejects {
    /// `None`: they are not to be kept.
    file: Option<RejectedFile>,
    workers: Workers,
}

/// What became of refused records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All are in the file.
    Kept,
    /// None is to be kept.
    Off,
    /// So many are in the file, the others are not.
    Failed(usize, String),
}

impl Fate {
    /// How many of them are in the file.
    pub(super) fn kept(&self, records: usize) -> usize {
        match self {
            Self::Kept => records,
            Self::Off => 0,
            Self::Failed(kept, _) => *kept,
        }
    }
}

impl Rejects {
    /// As configured.
    pub(super) fn new(conf: &StorageConf) -> Self {
        let sync = conf.sync == StorageSync::Full;
        // In full, for messages.
        let full = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let file = conf.rejected_file().map(|path| RejectedFile::new(&full(path), conf.rejected_limit.0, sync));
        Self { file, workers: Workers::new("rejected", 1) }
    }

    /// Where they go.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(RejectedFile::path)
    }

    /// Puts refused records where they can be looked at and sent again; returns when they are there.
    pub(super) async fn keep(&self, output: &str, task: &Delivery, refused: Refused<'_>, attempts: u32) -> Fate {
        let Some(file) = &self.file else { return Fate::Off };
        let rejected_at = Time::from_system(SystemTime::now());
        let input = &origin(&task.chunk);
        let (mut kept, total) = (0, refused.len(task));
        while kept < total {
            let (mut lines, mut next) = (Vec::new(), kept);
            task.chunk.with(|batch| {
                while lines.len() < PIECE
                    && let Some((index, reason)) = refused.nth(next, task)
                {
                    let note = Note { rejected_at, output, input, reason, attempts };
                    write_line(&batch.record(index), &note, &mut lines);
                    next += 1;
                }
            });
            if next == kept {
                return Fate::Failed(kept, "their chunk file cannot be read".into());
            }
            let file = file.clone();
            match rt::timeout(PATIENCE, self.workers.run(move || file.append(&lines))).await {
                Some(Some(Ok(()))) => kept = next,
                Some(Some(Err(e))) => return Fate::Failed(kept, e.to_string()),
                Some(None) => return Fate::Failed(kept, "no worker thread could be started".into()),
                None => return Fate::Failed(kept, "the disk does not answer".into()),
            }
        }
        Fate::Kept
    }

    /// What became of refused records, in words; and the part of it that says which case it is.
    pub(super) fn told(&self, fate: &Fate, records: usize, why: &str) -> (String, String) {
        let path = self.path().unwrap_or(Path::new("")).display();
        match fate {
            Fate::Kept => (why.to_owned(), format!("{records} record(s) rejected: {why}; kept in '{path}'")),
            Fate::Off => (why.to_owned(), format!("{records} record(s) dropped: {why}")),
            Fate::Failed(kept, e) => {
                let dropped = records.saturating_sub(*kept);
                let failure = format!("cannot be kept in '{path}' (storage.rejected.path): {e}");
                let kept = if *kept > 0 { format!("; {kept} others are kept") } else { String::new() };
                (failure.clone(), format!("{dropped} record(s) dropped: {why}; they {failure}{kept}"))
            }
        }
    }
}

/// The input that read the records, in an earlier run perhaps.
fn origin(chunk: &Chunk) -> String {
    let stored = chunk.file().filter(|_| chunk.input.is_backlog());
    stored.map_or_else(|| chunk.input.name.clone(), |file| dir::input_of(&file.path()))
}
