//! Ticks of a steady interval on the monotonic clock: no drift, no burst after a pause.

use super::InputCx;
use std::cell::OnceCell;
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

thread_local! {
    /// When the first series began.
    static FIRST: OnceCell<Instant> = const { OnceCell::new() };
}

/// Series that begin within so much of each other tick together.
const TOGETHER: Duration = Duration::from_millis(100);

impl Ticker {
    /// The first tick comes after one period. Inputs that begin together tick together: the program wakes up once for all of
    /// them.
    pub fn new(period: Duration) -> Self {
        let now = Instant::now();
        let since = now.saturating_duration_since(FIRST.with(|first| *first.get_or_init(|| now)));
        Self { next: now + period.saturating_sub(late(since, period)), period }
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

/// How much later than a tick of the first series, where that is only a little.
fn late(since: Duration, period: Duration) -> Duration {
    let late = since.as_nanos().checked_rem(period.as_nanos()).unwrap_or(0);
    let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
    if late <= TOGETHER.min(period / 8) { late } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_together_ticks_together() {
        let ms = Duration::from_millis;
        assert_eq!(late(ms(0), ms(1000)), ms(0));
        assert_eq!(late(ms(7), ms(1000)), ms(7));
        assert_eq!(late(ms(5030), ms(1000)), ms(30));
        assert_eq!(late(ms(300), ms(1000)), ms(0), "a phase of its own");
        assert_eq!(late(ms(99), ms(200)), ms(0));
        assert_eq!(late(ms(99), Duration::ZERO), ms(0));
    }
}
