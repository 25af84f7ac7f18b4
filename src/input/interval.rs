//! Ticks of a steady interval on the monotonic clock: no drift, no burst after a pause.

use super::InputCx;
use std::time::{Duration, Instant};

/// The period of `Interval_Sec` and `Interval_NSec`; at least a millisecond.
pub fn period(sec: u64, nsec: u64) -> Duration {
    Duration::from_secs(sec).saturating_add(Duration::from_nanos(nsec)).max(Duration::from_millis(1))
}

/// A steady series of instants.
#[derive(Debug)]
pub struct Ticker {
    next: Instant,
    period: Duration,
}

impl Ticker {
    /// The first tick comes after one period.
    pub fn new(period: Duration) -> Self {
        Self { next: Instant::now() + period, period }
    }

    /// Waits for the next tick; `false` when the shutdown has begun.
    pub async fn tick(&mut self, cx: &InputCx) -> bool {
        let now = Instant::now();
        let alive = cx.sleep(self.next.saturating_duration_since(now)).await;
        // Ticks missed while the input was held back are not made up for.
        self.next = (self.next + self.period).max(Instant::now());
        alive
    }
}
