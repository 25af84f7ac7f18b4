//! Units of time of capture files.

use crate::time::Time;

const NANOS_PER_SEC: i128 = 1_000_000_000;

/// How a pcapng interface counts time: `if_tsresol` and `if_tsoffset` (draft-ietf-opsawg-pcapng, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// Added to each time.
    offset_secs: i64,
}

/// The length of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many make a nanosecond.
    PerNano(u64),
    /// Two to the power of so many make a second.
    Binary(u8),
    /// None that could be told apart from zero.
    Nothing,
}

impl Default for Clock {
    /// Microseconds since the epoch.
    fn default() -> Self {
        Self { unit: Unit::Nanos(1000), offset_secs: 0 }
    }
}

impl Clock {
    /// Takes the value of `if_tsresol`: ticks per second as a power of ten, or of two when the first bit is set.
    pub(super) fn set_resolution(&mut self, tsresol: u8) {
        let power = u32::from(tsresol & 0x7f);
        self.unit = match (tsresol & 0x80 != 0, power) {
            (true, _) => Unit::Binary(tsresol & 0x7f),
            (false, 0..=9) => Unit::Nanos(10u64.pow(9 - power)),
            (false, 10..=28) => Unit::PerNano(10u64.pow(power - 9)),
            (false, _) => Unit::Nothing,
        };
    }

    /// Takes the value of `if_tsoffset`.
    pub(super) fn set_offset(&mut self, secs: i64) {
        self.offset_secs = secs;
    }

    /// The time after so many ticks; the nearest end of the range when it is out of it.
    #[inline]
    pub(super) fn time(self, ticks: u64) -> Time {
        let nanos = match self.unit {
            Unit::Nanos(n) => match ticks.checked_mul(n) {
                Some(nanos) => i128::from(nanos),
                None => i128::from(ticks) * i128::from(n),
            },
            Unit::PerNano(n) => i128::from(ticks / n),
            // Below 2^94: shifted by more, nothing is left.
            Unit::Binary(shift) => (i128::from(ticks) * NANOS_PER_SEC) >> shift.min(126),
            Unit::Nothing => 0,
        };
        let nanos = nanos + i128::from(self.offset_secs) * NANOS_PER_SEC;
        Time(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks() {
        let table: &[(u8, i64, u64, i64)] = &[
            (6, 0, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
            (9, 0, 1_700_000_000_000_000_001, 1_700_000_000_000_000_001),
            (3, 0, 1_700_000_000_001, 1_700_000_000_001_000_000),
            (0, 0, 1_700_000_000, 1_700_000_000_000_000_000),
            (12, 0, 1_234_567, 1234),
            (28, 0, u64::MAX, 1),
            (29, 0, u64::MAX, 0),
            (127, 0, u64::MAX, 0),
            (0x80 | 10, 0, 1024 + 512, 1_500_000_000),
            (0x80 | 32, 0, 1 << 31, 500_000_000),
            (0x80, 0, 7, 7_000_000_000),
            (0x80 | 64, 0, u64::MAX, 999_999_999),
            (0xff, 0, u64::MAX, 0),
            (6, 10, 5, 10_000_005_000),
            (6, -10, 5, -9_999_995_000),
            (0, 0, u64::MAX, i64::MAX),
            (6, i64::MIN, u64::MAX, i64::MIN),
            (6, i64::MAX, u64::MAX, i64::MAX),
        ];
        for &(resolution, offset, ticks, want) in table {
            let mut clock = Clock::default();
            clock.set_resolution(resolution);
            clock.set_offset(offset);
            assert_eq!(clock.time(ticks), Time(want), "{resolution:#x} {offset} {ticks}");
        }
        assert_eq!(Clock::default().time(3), Time(3000));
    }
}
