//! `Realtime`: the pace at which a capture was made.

use crate::time::Time;
use std::time::{Duration, Instant};

/// A longer pause between two packets, or a step back in time, is not waited for: captures of different days may stand
/// in one row, and a damaged time must not stop the rest.
const LONGEST: Duration = Duration::from_secs(3600);

/// Which moment of the capture is now.
#[derive(Debug, Default)]
pub struct Pace {
    /// A time of the capture, and when it was.
    anchor: Option<(Time, Instant)>,
    last: Time,
}

impl Pace {
    /// How long to wait before a packet of this time; the pace begins with the first one.
    pub fn wait(&mut self, time: Time, now: Instant) -> Duration {
        let pause = since(self.last, time);
        self.last = time;
        let anchor = match self.anchor {
            Some((begin, at)) if pause.is_some_and(|pause| pause <= LONGEST) => (begin, at),
            _ => (time, now),
        };
        self.anchor = Some(anchor);
        let due = since(anchor.0, time).and_then(|after| anchor.1.checked_add(after));
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

/// From one time to a later one.
fn since(from: Time, to: Time) -> Option<Duration> {
    to.0.checked_sub(from.0).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_kept_unless_they_are_absurd() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let secs = |n: i64| Time(1_700_000_000_000_000_000 + n * 1_000_000_000);
        let after = |n| start + Duration::from_secs(n);
        assert_eq!(pace.wait(secs(0), start), Duration::ZERO);
        assert_eq!(pace.wait(secs(5), start), Duration::from_secs(5));
        assert_eq!(pace.wait(secs(6), after(5)), Duration::from_secs(1));
        assert_eq!(pace.wait(secs(7), after(9)), Duration::ZERO, "late");
        assert_eq!(pace.wait(secs(10), after(9)), Duration::from_secs(1), "and caught up");
        assert_eq!(pace.wait(secs(90_000), after(10)), Duration::ZERO, "a day");
        assert_eq!(pace.wait(secs(90_002), after(10)), Duration::from_secs(2));
        assert_eq!(pace.wait(secs(20), after(12)), Duration::ZERO, "back");
        assert_eq!(pace.wait(secs(21), after(12)), Duration::from_secs(1));
        assert_eq!(pace.wait(Time(i64::MIN), after(13)), Duration::ZERO);
        assert_eq!(pace.wait(Time(i64::MAX), after(13)), Duration::ZERO);
    }
}
