//! The monotonic clock, as timers and retries see it: tests may have it leap.

#[cfg(test)]
use super::leap;
use std::time::{Duration, Instant};

/// The time.
pub fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = leap::now() {
        return now;
    }
    Instant::now()
}

/// How long to wait for a timer that is set to `at`, when nothing else is to be done.
pub(super) fn until(at: Instant) -> Duration {
    #[cfg(test)]
    if leap::to(at) {
        return Duration::ZERO;
    }
    at.saturating_duration_since(now())
}
