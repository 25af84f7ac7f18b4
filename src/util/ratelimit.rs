//! Saying the same thing at most once in a while, with a count of the times it was not said.

use std::hash::Hasher;
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;

/// Messages remembered at one time; with more than these in one period the oldest is said anew.
const SLOTS: usize = 64;

/// Decides which repeats of a message are worth a line.
#[derive(Debug)]
pub struct RateLimit {
    period: Duration,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    said: Instant,
    held: u64,
}

impl Default for RateLimit {
    /// Once in ten seconds.
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl RateLimit {
    /// Each message at most once in `period`; a period of zero lets everything through.
    pub const fn new(period: Duration) -> Self {
        Self { period, slots: Vec::new() }
    }

    /// Whether to say `message` now: `Some(n)` with the number of times it was held back since it was last said, or
    /// `None` to hold it back.
    pub fn allow(&mut self, message: &[u8], now: Instant) -> Option<u64> {
        let mut hasher = FxHasher::default();
        hasher.write(message);
        let key = hasher.finish();
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == key) {
            if now.saturating_duration_since(slot.said) < self.period {
                slot.held += 1;
                return None;
            }
            let held = std::mem::take(&mut slot.held);
            slot.said = now;
            return Some(held);
        }
        let fresh = Slot { key, said: now, held: 0 };
        if self.slots.len() < SLOTS {
            self.slots.push(fresh);
        } else if let Some(oldest) = self.slots.iter_mut().min_by_key(|slot| slot.said) {
            *oldest = fresh;
        }
        Some(0)
    }
}

/// The end of a line that was held back so often before: nothing, or ` (3 more of these were held back)`.
pub fn held_back(times: u64) -> String {
    if times > 0 { format!(" ({times} more of these were held back)") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_per_period_with_a_count() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut limit = RateLimit::default();
        assert_eq!(limit.allow(b"refused", at(0)), Some(0));
        assert_eq!(limit.allow(b"refused", at(1)), None);
        assert_eq!(limit.allow(b"other", at(2)), Some(0));
        assert_eq!(limit.allow(b"refused", at(9)), None);
        assert_eq!(limit.allow(b"refused", at(10)), Some(2));
        assert_eq!(limit.allow(b"refused", at(11)), None);
        assert_eq!(limit.allow(b"refused", at(30)), Some(1));
        assert_eq!(limit.allow(b"refused", at(50)), Some(0));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut limit = RateLimit::default();
        for n in 0..10_000u32 {
            assert_eq!(limit.allow(&n.to_le_bytes(), now + Duration::from_micros(n.into())), Some(0));
        }
        assert_eq!(limit.slots.len(), SLOTS);
        assert_eq!(limit.allow(&9_999u32.to_le_bytes(), now + Duration::from_secs(1)), None);
    }

    #[test]
    fn zero_period_lets_all_through() {
        let mut limit = RateLimit::new(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(limit.allow(b"x", now), Some(0));
        assert_eq!(limit.allow(b"x", now), Some(0));
    }
}
