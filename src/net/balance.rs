//! Several destinations for the same data: taken in turn, and left out for a while when they fail.

use crate::util::sort;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a node is left out after its first failure, and at most. It doubles.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// Nodes that serve alike.
#[derive(Debug)]
pub struct Balance<T> {
    nodes: Vec<Node<T>>,
    next: Cell<usize>,
}

#[derive(Debug)]
struct Node<T> {
    name: String,
    what: T,
    failures: Cell<u32>,
    until: Cell<Option<Instant>>,
}

impl<T> Balance<T> {
    /// Nodes with their names.
    pub fn new(nodes: impl IntoIterator<Item = (String, T)>) -> Self {
        let node = |(name, what)| Node { name, what, failures: Cell::new(0), until: Cell::new(None) };
        Self { nodes: nodes.into_iter().map(node).collect(), next: Cell::new(0) }
    }

    /// Whether there is only one.
    pub fn is_single(&self) -> bool {
        self.nodes.len() == 1
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().map(|n| &n.what)
    }

    /// A node and its name.
    pub fn get(&self, i: usize) -> Option<(&str, &T)> {
        self.nodes.get(i).map(|n| (n.name.as_str(), &n.what))
    }

    /// The order in which to try them for one delivery: from the next one on those that work, then those that are left out,
    /// the one that has waited longest first.
    pub fn turn(&self, now: Instant) -> Vec<usize> {
        let count = self.nodes.len().max(1);
        let out = |i: usize| self.nodes.get(i).and_then(|n| n.until.get()).filter(|until| *until > now);
        let begin = self.next.get() % count;
        let mut order: Vec<usize> = (0..self.nodes.len()).map(|i| (begin + i) % count).collect();
        // A stable sort: those that work keep their order.
        sort::by_key(&mut order, |&i| out(i));
        self.next.set(order.first().map_or(0, |first| first + 1));
        order
    }

    /// A node did its work. Whether it is the first time after a failure.
    pub fn works(&self, i: usize) -> bool {
        let Some(node) = self.nodes.get(i) else { return false };
        node.until.set(None);
        node.failures.replace(0) > 0
    }

    /// A node failed; how long it is left out.
    pub fn failed(&self, i: usize, now: Instant) -> Duration {
        let Some(node) = self.nodes.get(i) else { return Duration::ZERO };
        let wait = FIRST.saturating_mul(1 << node.failures.get().min(10)).min(MOST);
        node.failures.set(node.failures.get().saturating_add(1));
        node.until.set(now.checked_add(wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_turns_and_those_that_fail_are_left_out() {
        let b = Balance::new(["a", "b", "c"].map(|n| (n.to_owned(), ())));
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        assert_eq!([b.turn(start), b.turn(start), b.turn(start), b.turn(start)].map(|t| t[0]), [0, 1, 2, 0]);
        assert_eq!(b.failed(1, start), FIRST);
        assert_eq!(b.turn(start), [2, 0, 1], "tried last, but tried");
        assert_eq!(b.turn(start), [0, 2, 1]);
        assert_eq!(b.turn(at(1)), [1, 2, 0], "its time is over");
        assert_eq!(
            [b.failed(1, at(1)).as_secs(), b.failed(1, at(3)).as_secs(), b.failed(2, at(3)).as_secs()],
            [2, 4, 1]
        );
        assert_eq!(b.turn(at(3)), [0, 2, 1], "the shorter wait first");
        assert!(b.works(1) && !b.works(1));
        assert_eq!(b.turn(at(3)), [1, 0, 2]);
        assert_eq!((0..20).map(|_| b.failed(0, at(3))).max(), Some(MOST));
        assert_eq!(Balance::<()>::new([]).turn(start), Vec::<usize>::new());
    }
}
