//! How long a failed delivery waits before it is tried again.

use std::time::Duration;

use super::rng::Rng;

/// `scheduler.base` and `scheduler.cap`, both in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest wait.
    pub base_secs: u64,
    /// The longest wait, however many attempts have failed.
    pub cap_secs: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_secs: 5, cap_secs: 2000 }
    }
}

impl Backoff {
    /// The wait after `attempts` failed attempts (the first retry has 1).
    ///
    /// One second more than a whole number drawn evenly from `base` to `min(cap, base * 2^attempts)`: the spread
    /// keeps many chunks that failed together from coming back together.
    pub fn wait(&self, attempts: u32, rng: &mut Rng) -> Duration {
        let grown = if attempts < 64 { self.base_secs.saturating_mul(1 << attempts) } else { u64::MAX };
        let high = grown.min(self.cap_secs);
        let low = self.base_secs.min(high);
        Duration::from_secs(rng.between(low, high).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(backoff: Backoff, attempts: u32) -> (u64, u64) {
        let mut rng = Rng::new(42);
        let waits: Vec<u64> = (0..4000).map(|_| backoff.wait(attempts, &mut rng).as_secs()).collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    #[test]
    fn grows_to_the_cap() {
        let default = Backoff::default();
        assert_eq!(bounds(default, 0), (6, 6));
        assert_eq!(bounds(default, 1), (6, 11));
        assert_eq!(bounds(default, 2), (6, 21));
        assert_eq!(bounds(default, 3), (6, 41));
        for attempts in [9, 63, 64, u32::MAX] {
            let (low, high) = bounds(default, attempts);
            assert!(low < 20 && (1950..=2001).contains(&high), "{attempts}: {low}..{high}");
        }
    }

    #[test]
    fn odd_settings_do_not_overflow() {
        assert_eq!(bounds(Backoff { base_secs: 10, cap_secs: 3 }, 4), (4, 4));
        assert_eq!(bounds(Backoff { base_secs: 0, cap_secs: 2000 }, 9), (1, 1));
        let huge = Backoff { base_secs: u64::MAX, cap_secs: u64::MAX };
        assert_eq!(huge.wait(3, &mut Rng::new(1)), Duration::from_secs(u64::MAX));
    }
}
