//! Memory that the bodies of all connections of a server hold together.

use std::cell::Cell;
use std::rc::Rc;

/// How much there is for all, and how much of it is taken.
#[derive(Debug)]
pub struct Held {
    used: Cell<usize>,
    most: usize,
    each: usize,
}

impl Held {
    /// At most `most` bytes together; beyond it each may still hold `each`, so that large bodies do not keep small ones out.
    pub fn new(most: usize, each: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), most, each })
    }

    /// Bytes that are taken.
    pub fn used(&self) -> usize {
        self.used.get()
    }
}

/// What one connection holds; given back when it goes.
#[derive(Debug)]
pub struct Share {
    held: Rc<Held>,
    mine: usize,
}

impl Share {
    /// Nothing yet.
    pub fn new(held: &Rc<Held>) -> Self {
        Self { held: held.clone(), mine: 0 }
    }

    /// Takes or gives back, so that it holds `bytes`; `false`, and all stays as it is, when there are not as many.
    pub fn set(&mut self, bytes: usize) -> bool {
        let others = self.held.used.get().saturating_sub(self.mine);
        if bytes > self.mine && bytes > self.held.each && others.saturating_add(bytes) > self.held.most {
            return false;
        }
        self.held.used.set(others + bytes);
        self.mine = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_back() {
        let held = Held::new(100, 10);
        let (mut a, mut b) = (Share::new(&held), Share::new(&held));
        assert!(a.set(80) && !b.set(30) && b.set(20) && !b.set(21) && a.set(5));
        assert_eq!(held.used(), 25);
        assert!(b.set(95) && a.set(10) && !a.set(11));
        drop(b);
        assert_eq!(held.used(), 10);
        drop(a);
        assert_eq!(held.used(), 0);
    }
}
