//! How far a file is delivered: the commits of a file in order, acknowledged in any order.

use super::file::FileId;
use crate::input::Ack;
use crate::rt::Notify;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::rc::{Rc, Weak};

/// The delivery record of one file. It outlives the file's descriptor until everything read from it is delivered.
pub struct Ledger {
    id: FileId,
    book: Rc<Book>,
    name: RefCell<Rc<Path>>,
    /// The database row, once there is one.
    row: Cell<Option<i64>>,
    /// Everything before this offset is delivered.
    safe: Cell<u64>,
    /// Ends of the commits that are not, oldest first, and whether they were acknowledged.
    waiting: RefCell<VecDeque<(u64, bool)>>,
    /// Number of the oldest commit in `waiting`.
    first: Cell<u64>,
    /// Those that wait for commits before the numbers given.
    heirs: RefCell<VecDeque<(u64, Rc<Ledger>)>>,
    rotated: Cell<bool>,
    gone: Cell<bool>,
    dirty: Cell<bool>,
}

/// What all ledgers of an input share: which of them have changed, and how much is outstanding.
#[derive(Debug, Default)]
pub struct Book {
    dirty: RefCell<Vec<Rc<Ledger>>>,
    outstanding: Cell<usize>,
    all: RefCell<Vec<Weak<Ledger>>>,
    /// Notified when a ledger becomes dirty or the last outstanding commit is acknowledged.
    pub changed: Notify,
}

impl Book {
    /// Takes the ledgers that changed since the last call.
    pub fn take_dirty(&self) -> Vec<Rc<Ledger>> {
        let taken = std::mem::take(&mut *self.dirty.borrow_mut());
        for ledger in &taken {
            ledger.dirty.set(false);
        }
        taken
    }

    /// The database is another one: every file gets a new row in it.
    pub fn forget_rows(&self) {
        let all: Vec<Rc<Ledger>> = self.all.borrow().iter().filter_map(Weak::upgrade).collect();
        for ledger in all {
            ledger.row.set(None);
            if !ledger.is_over() {
                ledger.mark();
            }
        }
    }

    fn add(&self, ledger: &Rc<Ledger>) {
        let mut all = self.all.borrow_mut();
        if all.len() == all.capacity() {
            all.retain(|l| l.strong_count() > 0);
        }
        all.push(Rc::downgrade(ledger));
    }

    /// Whether a ledger changed.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.borrow().is_empty()
    }

    /// Commits not acknowledged yet, of all files.
    pub fn outstanding(&self) -> usize {
        self.outstanding.get()
    }
}

impl Ledger {
    /// A ledger of a file that is delivered up to `safe`.
    pub fn new(book: &Rc<Book>, id: FileId, name: &Rc<Path>, row: Option<i64>, safe: u64) -> Rc<Self> {
        let new = Rc::new(Self {
            id,
            book: book.clone(),
            name: RefCell::new(name.clone()),
            row: Cell::new(row),
            safe: Cell::new(safe),
            waiting: RefCell::default(),
            first: Cell::new(0),
            heirs: RefCell::default(),
            rotated: Cell::new(false),
            gone: Cell::new(false),
            dirty: Cell::new(false),
        });
        book.add(&new);
        new
    }

    /// Enters a commit that ends at offset `end`; the answer goes to the engine with the records.
    pub fn enter(self: &Rc<Self>, end: u64) -> Ack {
        self.enter_with(end, Vec::new())
    }

    /// [`Self::enter`] for a commit that also holds what `others` stand for: entries of other ledgers.
    pub fn enter_with(self: &Rc<Self>, end: u64, mut others: Vec<(Rc<Self>, u64)>) -> Ack {
        others.push((self.clone(), self.reserve(end)));
        Ack::repeated(move || others.iter().for_each(|(ledger, number)| ledger.acknowledge(*number)))
    }

    /// Enters something that ends at offset `end` and is delivered with another commit; answers its number.
    pub fn reserve(&self, end: u64) -> u64 {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back((end, false));
        self.book.outstanding.set(self.book.outstanding.get() + 1);
        self.first.get() + waiting.len() as u64 - 1
    }

    /// Bytes up to `end` need no delivery (they made no record).
    pub fn pass(self: &Rc<Self>, end: u64) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.is_empty() {
            waiting.push_back((end, true));
            return;
        }
        drop(waiting);
        if self.safe.replace(end) != end {
            self.mark();
        }
    }

    /// The file begins anew: what was committed before does not count any more.
    pub fn restart(self: &Rc<Self>, at: u64) {
        let dropped = self.forget();
        self.first.set(self.first.get() + dropped);
        self.safe.set(at);
        self.mark();
    }

    /// The file begins anew, and what was read of it goes on in a copy: what waits for its delivery does so there.
    pub fn bequeath(self: &Rc<Self>, heir: &Rc<Self>) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let (first, n) = (self.first.get(), waiting.len() as u64);
        heir.safe.set(self.safe.get());
        heir.first.set(first);
        self.first.set(first + n);
        if n > 0 {
            self.heirs.borrow_mut().push_back((first + n, heir.clone()));
        }
        heir.waiting.replace(waiting);
        heir.mark();
    }

    /// Whether everything that was read is delivered.
    pub fn is_settled(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// The file has another name now; `rotated` when the patterns do not lead to it any more.
    pub fn rename(self: &Rc<Self>, name: &Rc<Path>, rotated: bool) {
        self.name.replace(name.clone());
        self.rotated.set(rotated);
        self.mark();
    }

    /// The file is read to its end and closed for good: its row goes once everything is delivered.
    pub fn finish(self: &Rc<Self>) {
        self.gone.set(true);
        self.mark();
    }

    /// Has the next flush write this ledger.
    pub fn mark(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.book.dirty.borrow_mut().push(self.clone());
        }
        self.book.changed.notify();
    }

    /// Whether the row is to be deleted: nothing is outstanding and the file is gone.
    pub fn is_over(&self) -> bool {
        self.gone.get() && self.waiting.borrow().is_empty()
    }

    /// Everything before this offset is delivered.
    pub fn safe(&self) -> u64 {
        self.safe.get()
    }

    /// Device and inode.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// The name under which it is remembered.
    pub fn name(&self) -> Rc<Path> {
        self.name.borrow().clone()
    }

    /// Whether the patterns lead to it no more.
    pub fn is_rotated(&self) -> bool {
        self.rotated.get()
    }

    /// The database row.
    pub fn row(&self) -> Option<i64> {
        self.row.get()
    }

    /// Sets the database row.
    pub fn set_row(&self, row: Option<i64>) {
        self.row.set(row);
    }

    fn acknowledge(self: &Rc<Self>, number: u64) {
        let Some(at) = number.checked_sub(self.first.get()) else { return self.pass_on(number) };
        let mut reached = None;
        {
            let mut waiting = self.waiting.borrow_mut();
            match waiting.get_mut(at as usize) {
                Some(entry) if !entry.1 => entry.1 = true,
                _ => return,
            }
            self.book.outstanding.set(self.book.outstanding.get().saturating_sub(1));
            while let Some(&(end, true)) = waiting.front() {
                waiting.pop_front();
                self.first.set(self.first.get() + 1);
                reached = Some(end);
            }
        }
        if let Some(end) = reached {
            self.safe.set(end);
            self.mark();
        } else if self.book.outstanding() == 0 {
            self.book.changed.notify();
        }
    }

    /// An acknowledgement of what went on in a copy.
    fn pass_on(&self, number: u64) {
        let mut heirs = self.heirs.borrow_mut();
        let Some((_, heir)) = heirs.iter().find(|(end, _)| number < *end) else { return };
        heir.acknowledge(number);
        heirs.retain(|(end, heir)| heir.first.get() < *end);
    }

    /// Empties the waiting list; answers how many it held.
    fn forget(&self) -> u64 {
        let old = std::mem::take(&mut *self.waiting.borrow_mut());
        let open = old.iter().filter(|(_, done)| !done).count();
        self.book.outstanding.set(self.book.outstanding.get().saturating_sub(open));
        old.len() as u64
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("id", &self.id).field("safe", &self.safe.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (Rc<Book>, Rc<Ledger>) {
        let book = Rc::new(Book::default());
        let ledger = Ledger::new(&book, FileId { dev: 1, ino: 2 }, &Path::new("/a").into(), None, 10);
        (book, ledger)
    }

    #[test]
    fn only_an_unbroken_run_counts() {
        let (book, l) = ledger();
        let (a, b, c) = (l.enter(20), l.enter(30), l.enter(40));
        drop(b);
        assert_eq!((l.safe(), book.outstanding(), book.is_dirty()), (10, 2, false));
        drop(a);
        assert_eq!((l.safe(), book.is_dirty()), (30, true));
        drop(c);
        assert_eq!((l.safe(), book.outstanding()), (40, 0));
        assert_eq!(book.take_dirty().len(), 1);
        assert!(!book.is_dirty());
    }

    #[test]
    fn bytes_without_records_wait_for_those_before_them() {
        let (_, l) = ledger();
        l.pass(12);
        assert_eq!(l.safe(), 12);
        let a = l.enter(20);
        l.pass(25);
        assert_eq!(l.safe(), 12);
        drop(a);
        assert_eq!(l.safe(), 25);
    }

    #[test]
    fn a_lost_commit_holds_the_offset() {
        let (book, l) = ledger();
        let (a, b) = (l.enter(20), l.enter(30));
        a.lose();
        drop((a, b));
        assert_eq!((l.safe(), book.outstanding()), (10, 1));
    }

    #[test]
    fn acknowledgements_from_before_a_restart_mean_nothing() {
        let (book, l) = ledger();
        let (a, b) = (l.enter(20), l.enter(30));
        drop(a);
        l.restart(0);
        assert_eq!(book.outstanding(), 0);
        let c = l.enter(7);
        drop(b);
        assert_eq!((l.safe(), book.outstanding()), (0, 1));
        drop(c);
        assert_eq!((l.safe(), book.outstanding()), (7, 0));
    }

    #[test]
    fn a_copy_takes_over_what_waits() {
        let (book, l) = ledger();
        let (a, b, c) = (l.enter(20), l.enter(30), l.enter(40));
        drop(a);
        let copy = Ledger::new(&book, FileId { dev: 1, ino: 3 }, &l.name(), None, 40);
        l.bequeath(&copy);
        l.restart(0);
        let (d, e) = (l.enter(5), copy.enter(50));
        assert_eq!((l.safe(), copy.safe(), book.outstanding()), (0, 20, 4));
        drop((b, d));
        assert_eq!((l.safe(), copy.safe()), (5, 30));
        // The same again, before all is delivered.
        let f = l.enter(9);
        let second = Ledger::new(&book, FileId { dev: 1, ino: 4 }, &l.name(), None, 9);
        l.bequeath(&second);
        l.restart(0);
        drop((f, e));
        assert_eq!((l.safe(), copy.safe(), second.safe()), (0, 30, 9));
        drop(c);
        assert_eq!((copy.safe(), copy.is_settled(), book.outstanding()), (50, true, 0));
        assert!(l.heirs.borrow().is_empty());
    }

    #[test]
    fn what_nobody_inherits_is_not_taken_for_what_somebody_does() {
        let (book, l) = ledger();
        let a = l.enter(20);
        l.restart(0);
        let b = l.enter(7);
        let copy = Ledger::new(&book, FileId { dev: 1, ino: 3 }, &l.name(), None, 7);
        l.bequeath(&copy);
        l.restart(0);
        drop(a);
        assert_eq!((copy.safe(), book.outstanding()), (0, 1));
        drop(b);
        assert_eq!((copy.safe(), book.outstanding()), (7, 0));
    }

    #[test]
    fn a_finished_file_is_over_when_all_is_delivered() {
        let (book, l) = ledger();
        let a = l.enter(20);
        l.finish();
        assert!(!l.is_over());
        book.take_dirty();
        drop(a);
        assert!(l.is_over() && book.is_dirty());
    }
}
