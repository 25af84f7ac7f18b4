//! Writing down what was delivered: dirty ledgers become changes of the database, soon after.

use super::db::{Change, Db, Failure};
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
            if written && !book.is_dirty() && self.over(self.news(db, &book)).await {
                break;
            }
            // Those that follow at once go together.
            let pause = if written { PACE.saturating_sub(last.elapsed()) } else { AGAIN };
            if !pause.is_zero() && self.over(sleep(pause)).await {
                break;
            }
        }
        if !db.is_there() {
            book.forget_rows();
        }
        self.write_down(db, &book, &mut changes).await;
        if let Err(why) = db.close().await {
            self.say(Grave::Warn, format_args!("closing the database: {why}"));
        }
    }

    /// Waits until something is to be written. After each scan it is looked whether the file is still there.
    async fn news(&self, db: &Db, book: &Book) {
        while !book.is_dirty() {
            or(book.changed.wait(), self.scanned.wait()).await;
            if !db.is_there() {
                return book.forget_rows();
            }
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
        loop {
            let (all, ledgers) = self.gather(book, changes);
            if all.is_empty() {
                return true;
            }
            let before = changes.len();
            let (path, failure) = match db.write(all).await {
                Ok(rows) => {
                    for (ledger, row) in ledgers.into_iter().zip(rows.into_iter().skip(before)) {
                        ledger.set_row(Some(row));
                    }
                    return true;
                }
                Err(failure) => (self.conf.db.as_deref().unwrap_or_default(), failure),
            };
            match failure {
                Failure::Anew(why) => {
                    // The rows that were to be deleted are gone as well.
                    changes.clear();
                    book.forget_rows();
                    self.say(
                        Grave::Error,
                        format_args!("the database '{path}' is made anew, with the positions of all files: {why}"),
                    );
                }
                Failure::Again(why) => {
                    self.say(
                        Grave::Warn,
                        format_args!(
                            "cannot write the database '{path}': {why}. Positions are kept in memory and written when \
                             that works again"
                        ),
                    );
                    ledgers.iter().for_each(Ledger::mark);
                    return false;
                }
            }
        }
    }

    /// `changes` and those of the ledgers that are dirty; these come with them.
    fn gather(&self, book: &Book, changes: &[Change]) -> (Vec<Change>, Vec<Rc<Ledger>>) {
        let (mut all, mut ledgers) = (changes.to_vec(), Vec::new());
        for ledger in book.take_dirty() {
            let change = match (ledger.is_over(), ledger.row()) {
                (true, Some(row)) => Some(Change::Delete(row)),
                (true, None) => None,
                (false, _) => self.put(&ledger),
            };
            if let Some(change) = change {
                all.push(change);
                ledgers.push(ledger);
            }
        }
        (all, ledgers)
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
