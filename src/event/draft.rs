//! A body being edited apart from its batch, so that entries can come, go and change places.

use super::cell::{first_under, heads, is_flat};
use super::{Batch, Cell, Key};

/// The cells of one record's body. Filters keep one and use it for every record: nothing is allocated per record.
#[derive(Debug, Default)]
pub struct Draft {
    cells: Vec<Cell>,
    /// Nothing is nested: every cell is an entry.
    flat: bool,
    spare: Vec<Cell>,
}

impl Draft {
    /// Takes the body of record `i`.
    #[inline]
    pub fn load(&mut self, batch: &Batch, i: usize) {
        self.cells.clear();
        self.cells.extend_from_slice(batch.body(i).run());
        self.flat = is_flat(&self.cells);
    }

    /// Makes this the body of record `i`.
    #[inline]
    pub fn store(&self, batch: &mut Batch, i: usize) {
        batch.set_body(i, &self.cells);
    }

    /// The cells, nested ones included.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The top-level entries, each with all that is nested in it.
    pub fn runs(&self) -> impl Iterator<Item = (Key, &[Cell])> {
        runs(&self.cells)
    }

    /// How many top-level entries have this key.
    pub fn count(&self, key: Key) -> usize {
        heads(&self.cells).filter(|h| h.1 == key).count()
    }

    /// The place of the first entry with this key.
    #[inline]
    pub fn position(&self, key: Key) -> Option<usize> {
        if self.flat { self.cells.iter().position(|c| c.key == key) } else { first_under(&self.cells, key) }
    }

    /// Appends a scalar.
    #[inline]
    pub fn push(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// Gives every entry with the key `from` the key `to`.
    #[inline]
    pub fn rename(&mut self, from: Key, to: Key) {
        let mut at = self.position(from).unwrap_or(self.cells.len());
        while let Some(cell) = self.cells.get_mut(at) {
            if cell.key == from {
                cell.key = to;
            }
            at += cell.width();
        }
    }

    /// Puts a scalar before all others.
    pub fn push_front(&mut self, cell: Cell) {
        self.cells.insert(0, cell);
    }

    /// Copies the entry at `at` to right behind it, under another key.
    pub fn duplicate(&mut self, at: usize, key: Key) {
        self.copy(at, key, false);
    }

    /// Copies the value at `at`, which may be a nested one, to the end, under another key.
    pub fn append_copy(&mut self, at: usize, key: Key) {
        self.copy(at, key, true);
    }

    fn copy(&mut self, at: usize, key: Key, to_end: bool) {
        let Some(head) = self.cells.get(at) else { return };
        let end = (at + head.width()).min(self.cells.len());
        self.spare.clear();
        self.spare.extend_from_slice(&self.cells[at..end]);
        if let Some(copy) = self.spare.first_mut() {
            copy.key = key;
        }
        let to = if to_end { self.cells.len() } else { end };
        self.cells.splice(to..to, self.spare.iter().copied());
    }

    /// Removes the entries whose key `unwanted` names; says whether there was one.
    #[inline]
    pub fn remove(&mut self, mut unwanted: impl FnMut(Key) -> bool) -> bool {
        if self.flat {
            let before = self.cells.len();
            self.cells.retain(|c| !unwanted(c.key));
            return self.cells.len() < before;
        }
        let (mut from, mut to) = (0, 0);
        while let Some(cell) = self.cells.get(from) {
            let width = cell.width().min(self.cells.len() - from);
            if !unwanted(cell.key) {
                if to != from {
                    self.cells.copy_within(from..from + width, to);
                }
                to += width;
            }
            from += width;
        }
        let removed = to < self.cells.len();
        self.cells.truncate(to);
        removed
    }

    /// Moves the entries whose key `chosen` names behind the others (or, with `front`, before them), the order kept in both;
    /// says whether there was one.
    pub fn gather(&mut self, front: bool, mut chosen: impl FnMut(Key) -> bool) -> bool {
        self.spare.clear();
        let (mut from, mut to) = (0, 0);
        while let Some(cell) = self.cells.get(from) {
            let end = (from + cell.width()).min(self.cells.len());
            if chosen(cell.key) == front {
                // These come first: they close up.
                self.cells.copy_within(from..end, to);
                to += end - from;
            } else {
                self.spare.extend_from_slice(&self.cells[from..end]);
            }
            from = end;
        }
        let moved = if front { to > 0 } else { !self.spare.is_empty() };
        self.cells.truncate(to);
        self.cells.extend_from_slice(&self.spare);
        moved
    }
}

/// The entries of a run of cells, each with all that is nested in it.
pub fn runs(cells: &[Cell]) -> impl Iterator<Item = (Key, &[Cell])> {
    let mut rest = cells;
    std::iter::from_fn(move || {
        let head = rest.first()?;
        let (run, behind) = rest.split_at_checked(head.width()).unwrap_or((rest, &[]));
        rest = behind;
        Some((head.key, run))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Tag};
    use crate::time::Time;

    /// A record whose entries are single letters: `m` is a map of two cells, the others are null.
    fn batch(bodies: &[&str]) -> Batch {
        let mut b = Batch::new(Tag::new("t"));
        for body in bodies {
            let mark = b.begin();
            for name in body.chars() {
                push(&mut b, name);
            }
            b.finish(mark, Time(0));
        }
        b
    }

    fn key(name: char) -> Key {
        Key::of(&name.to_string())
    }

    fn push(b: &mut Batch, name: char) {
        if name == 'm' {
            let map = b.open(key('m'), Kind::Map);
            b.push(Cell::null(key('x')));
            b.push(Cell::null(key('y')));
            b.close(map, 2);
        } else {
            b.push(Cell::null(key(name)));
        }
    }

    fn names(b: &Batch, i: usize) -> String {
        b.body(i).map(|(k, _)| String::from_utf8_lossy(b.key_name(k)).into_owned()).collect()
    }

    fn check(body: &str, edit: impl FnOnce(&mut Draft), expected: &str) {
        // The record stands between two others, which must not change.
        let mut b = batch(&["pq", body, "rs"]);
        let mut d = Draft::default();
        d.load(&b, 1);
        edit(&mut d);
        d.store(&mut b, 1);
        assert_eq!(names(&b, 1), expected, "{body}");
        assert_eq!((names(&b, 0).as_str(), names(&b, 2).as_str()), ("pq", "rs"));
    }

    #[test]
    fn entries_with_all_that_is_nested() {
        let any = |set: &'static str| move |k: Key| set.chars().any(|c| k == key(c));
        check("ambc", |d| assert!(d.remove(any("m"))), "abc");
        check("ambam", |d| assert!(d.remove(any("am"))), "b");
        check("ab", |d| assert!(!d.remove(any("xy"))), "ab");
        check("ambcm", |d| assert!(d.gather(false, any("ma"))), "bcamm");
        check("ambcm", |d| assert!(d.gather(true, any("mc"))), "mcmab");
        check("ab", |d| assert!(!d.gather(true, any("x"))), "ab");
        check("ab", |d| assert!(!d.gather(false, any("x"))), "ab");
        check("amb", |d| d.duplicate(1, key('n')), "amnb");
        check("amb", |d| d.append_copy(1, key('n')), "ambn");
        check("amb", |d| d.append_copy(2, key('n')), "ambn");
        check("amb", |d| d.append_copy(9, key('n')), "amb");
        check("amb", |d| d.push(Cell::null(key('z'))), "ambz");
        check("amb", |d| d.push_front(Cell::null(key('z'))), "zamb");
        check("amba", |d| d.rename(key('a'), key('z')), "zmbz");
        check("mxm", |d| d.rename(key('x'), key('w')), "mwm");
        check("", |d| assert!(!d.remove(any("a"))), "");
        check(
            "mamb",
            |d| assert_eq!((d.position(key('a')), d.count(key('m')), d.count(key('x'))), (Some(3), 2, 0)),
            "mamb",
        );
    }

    #[test]
    fn a_body_grows_at_the_end_of_the_tape() {
        let mut b = batch(&["a", "b"]);
        let mut d = Draft::default();
        for i in [0, 1, 0, 1] {
            d.load(&b, i);
            d.push(Cell::null(key('z')));
            d.store(&mut b, i);
        }
        assert_eq!((names(&b, 0).as_str(), names(&b, 1).as_str()), ("azz", "bzz"));
        b.drop_record(0);
        d.load(&b, 0);
        assert!(d.cells().is_empty());
        d.store(&mut b, 0);
        assert!(b.is_dropped(0), "a dropped record stays dropped");
    }
}
