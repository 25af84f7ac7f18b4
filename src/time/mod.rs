//! Points in time, and the text they are read from and written to.
//!
//! Nothing here asks for the current time: it comes in as an argument. [`local`] and the named zones of [`zone`] read the
//! zone files of the system, when a configuration is loaded; all else is pure.

pub mod civil;
pub mod local;
pub mod rfc3339;
pub mod strftime;
pub mod strptime;
pub mod zone;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, UTC. The range is that of the years 1678 to 2261.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl Time {
    /// The time `nanos` (below 10⁹) after `secs`; `None` when it is out of range.
    pub const fn from_secs_nanos(secs: i64, nanos: u32) -> Option<Self> {
        // The first second of the range begins before the range does: count back from its end.
        let (secs, nanos) = if secs < 0 { (secs + 1, nanos as i64 - NANOS_PER_SEC) } else { (secs, nanos as i64) };
        let Some(whole) = secs.checked_mul(NANOS_PER_SEC) else { return None };
        match whole.checked_add(nanos) {
            Some(total) => Some(Self(total)),
            None => None,
        }
    }

    /// The time `wait` later, or the end of the range.
    #[inline]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// The time `wait` earlier, or the beginning of the range.
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(wait)))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SEC)
    }

    /// Nanoseconds after [`Self::secs`], always from 0 to 999,999,999.
    pub const fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS_PER_SEC) as u32
    }

    /// Seconds as a double, with the fraction as well as the format allows (about a quarter of a microsecond today).
    pub fn as_secs_f64(self) -> f64 {
        self.secs() as f64 + f64::from(self.subsec_nanos()) / 1e9
    }

    /// A time given as a double; `None` when it is out of range or no number. The fraction is taken apart first: times
    /// 10⁹, today's seconds would lose their last digits.
    pub fn from_secs_f64(secs: f64) -> Option<Self> {
        let whole = secs.floor();
        let fits = whole.abs() < 9_223_372_036.0;
        fits.then(|| Self(whole as i64 * NANOS_PER_SEC + ((secs - whole) * 1e9) as i64))
    }

    /// The system clock's reading; what is out of range becomes the nearest end of it.
    pub fn from_system(clock: SystemTime) -> Self {
        match clock.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)),
        }
    }
}

#[inline]
fn nanos(wait: Duration) -> i64 {
    i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_together() {
        let table: &[(i64, u32, i64)] = &[
            (0, 0, 0),
            (1, 5, 1_000_000_005),
            (-1, 999_999_999, -1),
            (-2, 0, -2_000_000_000),
            (9_223_372_036, 854_775_807, i64::MAX),
            (-9_223_372_037, 145_224_192, i64::MIN),
        ];
        for &(secs, nanos, total) in table {
            assert_eq!(Time::from_secs_nanos(secs, nanos), Some(Time(total)));
            assert_eq!((Time(total).secs(), Time(total).subsec_nanos()), (secs, nanos));
        }
        for (secs, nanos) in [(9_223_372_036, 854_775_808), (-9_223_372_037, 145_224_191), (i64::MAX, 0), (i64::MIN, 0)]
        {
            assert_eq!(Time::from_secs_nanos(secs, nanos), None, "{secs} {nanos}");
        }
    }

    #[test]
    fn later_and_earlier() {
        let (second, ever) = (Duration::from_secs(1), Duration::MAX);
        assert_eq!((Time(5).after(second), Time(5).before(second)), (Time(1_000_000_005), Time(-999_999_995)));
        assert_eq!((Time(5).after(ever), Time(i64::MIN).before(ever)), (Time(i64::MAX), Time(i64::MIN)));
    }

    #[test]
    fn doubles() {
        let table = [
            (1_700_000_000.25, Some(1_700_000_000_250_000_000)),
            (0.0, Some(0)),
            (-0.5, Some(-500_000_000)),
            (1e10, None),
            (f64::NAN, None),
            (f64::NEG_INFINITY, None),
        ];
        for (secs, want) in table {
            assert_eq!(Time::from_secs_f64(secs), want.map(Time), "{secs}");
        }
    }

    #[test]
    fn system_clock() {
        assert_eq!(Time::from_system(UNIX_EPOCH + Duration::new(3, 4)), Time(3_000_000_004));
        assert_eq!(Time::from_system(UNIX_EPOCH - Duration::new(3, 4)), Time(-3_000_000_004));
        assert_eq!(Time::from_system(UNIX_EPOCH + Duration::from_secs(1 << 40)), Time(i64::MAX));
        assert_eq!(Time(1_700_000_001_041_066_000).as_secs_f64(), 1_700_000_001.041_066);
    }
}
