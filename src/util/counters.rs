//! Counters under names that a plugin chooses.

use std::cell::RefCell;
use std::fmt;

/// Counters that a plugin names itself, in the order in which it first named them: a handful.
#[derive(Debug, Default)]
pub struct OwnCounters(RefCell<Vec<(&'static str, u64)>>);

impl OwnCounters {
    /// Shows every counter.
    pub fn each(&self, mut show: impl FnMut(&'static str, u64)) {
        self.0.borrow().iter().for_each(|(what, n)| show(what, *n));
    }

    /// Adds `n`.
    pub fn add(&self, what: &'static str, n: u64) {
        let mut all = self.0.borrow_mut();
        match all.iter_mut().find(|(name, _)| *name == what) {
            Some((_, count)) => *count = count.wrapping_add(n),
            None => all.push((what, n)),
        }
    }
}

/// `, 12 packets, 0 dropped by the kernel`; nothing when there are none.
impl fmt::Display for OwnCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().iter().try_for_each(|(what, n)| write!(f, ", {n} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_counters_are_shown_in_the_order_they_were_named() {
        let own = OwnCounters::default();
        assert_eq!(own.to_string(), "");
        for (what, n) in [("packets", 0), ("dropped", 3), ("packets", 7)] {
            own.add(what, n);
        }
        assert_eq!(own.to_string(), ", 7 packets, 3 dropped");
    }
}
