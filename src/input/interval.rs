//! Ticks of a steady interval on the monotonic clock: no drift, no burst after a pause.

use super::InputCx;
use std::cell::OnceCell;
use std::time::{Duration, Instant};

/// The period of `Interval_Sec` and `Interval_NSec`.
pub fn period(sec: u64, nsec: u64) -> Duration {
    Duration::from_secs(sec).saturating_add(Duration::from_nanos(nsec))
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
/// No period is shorter.
const SHORTEST: Duration = Duration::from_millis(1);
/// No period is longer: a hundred years, which the clock can still tell.
const LONGEST: Duration = Duration::from_secs(3_155_760_000);

impl Ticker {
    /// The first tick comes after one period, which is a millisecond at least. Inputs that begin together tick together: the
    /// program wakes up once for all of them.
    pub fn new(period: Duration) -> Self {
        let period = period.clamp(SHORTEST, LONGEST);
        let now = Instant::now();
        let since = now.saturating_duration_since(FIRST.with(|first| *first.get_or_init(|| now)));
        Self { next: now + period.saturating_sub(late(since, period)), period }
    }

    /// Waits for the next tick; `false` when the shutdown has begun.
    pub async fn tick(&mut self, cx: &InputCx) -> bool {
        let now = Instant::now();
        self.next = last_due(self.next, self.period, now);
        let alive = cx.sleep(self.next.saturating_duration_since(now)).await;
        self.next += self.period;
        alive
    }
}

/// The tick that is due. Of those that were missed while the input was held back the last one comes at once, and the series
/// goes on as if nothing had been: inputs still tick together.
fn last_due(next: Instant, period: Duration, now: Instant) -> Instant {
    match now.checked_duration_since(next) {
        Some(late) => now - beyond(late, period),
        None => next,
    }
}

/// How much later than a tick of the first series, where that is only a little.
fn late(since: Duration, period: Duration) -> Duration {
    let late = beyond(since, period);
    if late <= TOGETHER.min(period / 8) { late } else { Duration::ZERO }
}

/// What is left of a time after whole periods.
fn beyond(time: Duration, period: Duration) -> Duration {
    let rest = time.as_nanos().checked_rem(period.as_nanos()).unwrap_or(0);
    Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
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

    #[test]
    fn a_series_keeps_its_phase() {
        let (ms, next) = (Duration::from_millis, Instant::now() + Duration::from_secs(100));
        let due = |now| last_due(next, ms(1000), now);
        assert_eq!(due(next - ms(400)), next);
        assert_eq!(due(next + ms(400)), next, "late, at once");
        assert_eq!(due(next + ms(3400)), next + ms(3000), "of four one");
    }

    #[test]
    fn periods_that_no_clock_can_tell() {
        for period in [period(u64::MAX, u64::MAX), Duration::ZERO] {
            let ticker = Ticker::new(period);
            let _ = ticker.next + ticker.period;
        }
    }
}
