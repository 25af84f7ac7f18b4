//! What the kernel counts, as differences: its counters run since the capture began and wrap at 2³².

use super::libpcap::Counts;

/// The last counters seen of one capture.
#[derive(Debug, Default)]
pub struct Drops(Counts);

impl Drops {
    /// What was counted since the last call.
    pub fn since(&mut self, now: Counts) -> Counts {
        let before = std::mem::replace(&mut self.0, now);
        Counts {
            received: now.received.wrapping_sub(before.received),
            dropped: now.dropped.wrapping_sub(before.dropped),
            if_dropped: now.if_dropped.wrapping_sub(before.if_dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_survive_the_wrap() {
        let counts = |received, dropped, if_dropped| Counts { received, dropped, if_dropped };
        let mut drops = Drops::default();
        assert_eq!(drops.since(counts(10, 2, 0)), counts(10, 2, 0));
        assert_eq!(drops.since(counts(10, 2, 0)), counts(0, 0, 0));
        assert_eq!(drops.since(counts(u32::MAX, 5, 0)), counts(u32::MAX - 10, 3, 0));
        assert_eq!(drops.since(counts(4, 5, 1)), counts(5, 0, 1));
    }
}
