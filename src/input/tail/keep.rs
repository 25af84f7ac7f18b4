//! Writing down what was delivered: dirty ledgers become changes of the database, soon after.

use super::db::{Change, Db};
use super::file::{FileId, open};
use super::ledger::{Book, Ledger};
use super::read::is_as_read;
use super::rows::Row;
use super::state::{Grave, State};
use crate::rt::{or, sleep};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The least time between two writes. What was delivered since the last one comes again after a kill: with this pace it is
/// no more than a batch or two, and a write costs a hundredth of what sending a batch does.
const PACE: Duration = Duration::from_millis(20);
/// The time until a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl State {
    /// Writes dirty ledgers until the shutdown is over. `stale` rows are deleted first.
    pub async fn keep_book(&self, db: &Db, stale: Vec<i64>) {
        let Some(book) = self.book.clone() else { return };
        let mut changes: Vec<Change> = stale.into_iter().map(Change::Delete).collect();
        loop {
            let written = self.write_down(db, &book, &mut changes).await;
            let last = Instant::now();
            if written && !book.is_dirty() && self.over(book.changed.wait()).await {
                break;
            }
            // Those that follow at once go together.
            let pause = if written { PACE.saturating_sub(last.elapsed()) } else { AGAIN };
            if !pause.is_zero() && self.over(sleep(pause)).await {
                break;
            }
        }
        self.write_down(db, &book, &mut changes).await;
        if let Err(why) = db.close().await {
            self.say(Grave::Warn, format_args!("closing the database: {why}"));
        }
    }

    /// Waits for something, but not beyond the end of the shutdown; `true` when that is reached.
    async fn over(&self, wait: impl Future<Output = ()>) -> bool {
        or(
            async {
                self.cx.drained().await;
                true
            },
            async {
                wait.await;
                false
            },
        )
        .await
    }

    /// Writes what is dirty; `false` when that failed and is to be tried again.
    async fn write_down(&self, db: &Db, book: &Rc<Book>, changes: &mut Vec<Change>) -> bool {
        let ledgers = book.take_dirty();
        let mut all = changes.clone();
        let before = all.len();
        let mut written: Vec<Rc<Ledger>> = Vec::new();
        for ledger in ledgers {
            match (ledger.is_over(), ledger.row()) {
                (true, Some(row)) => all.push(Change::Delete(row)),
                (true, None) => continue,
                (false, _) => match self.put(&ledger) {
                    Some(change) => all.push(change),
                    None => continue,
                },
            }
            written.push(ledger);
        }
        if all.is_empty() {
            return true;
        }
        match db.write(all).await {
            Ok(rows) => {
                changes.clear();
                for (ledger, row) in written.into_iter().zip(rows.into_iter().skip(before)) {
                    ledger.set_row(Some(row));
                }
                true
            }
            Err(why) => {
                self.say(
                    Grave::Warn,
                    format_args!(
                        "cannot write the database '{}': {why}. Positions are kept in memory and written when that works again",
                        self.conf.db.as_deref().unwrap_or_default()
                    ),
                );
                written.iter().for_each(Ledger::mark);
                false
            }
        }
    }

    /// The row of a ledger; `None` when the file was written anew, which its next turn will notice: there is no marker of
    /// what it held.
    fn put(&self, ledger: &Ledger) -> Option<Change> {
        let (id, offset) = (ledger.id(), ledger.safe());
        let row = Row {
            id: ledger.row().unwrap_or(0),
            name: ledger.name().as_os_str().as_bytes().to_vec(),
            offset,
            inode: id.ino,
            marker: 0,
            marker_size: 0,
        };
        let marked = |fd: &OwnedFd| {
            let read_at = |at, buffer: &mut [u8]| rustix::io::pread(fd, buffer, at).unwrap_or(0);
            let (marker, marker_size) = super::marker::of(offset, read_at);
            Change::Put(Row { marker, marker_size, ..row.clone() }, ledger.is_rotated())
        };
        let files = self.files.borrow();
        if let Some((slot, file)) = files.with_id(id).and_then(|slot| Some((slot, files.get(slot)?)))
            && let Some(fd) = &file.fd
        {
            let change = marked(fd);
            if offset == 0 || is_as_read(file) {
                return Some(change);
            }
            drop(files);
            self.queue(slot);
            return None;
        }
        // Closed for the while, or for good.
        let opened = open(&ledger.name()).ok().filter(|fd| rustix::fs::fstat(fd).is_ok_and(|s| FileId::of(&s) == id));
        Some(opened.map_or_else(|| Change::Put(row.clone(), ledger.is_rotated()), |fd| marked(&fd)))
    }
}
