//! The civil calendar: days counted from the Unix epoch, and the dates people write (proleptic Gregorian).

const SECS_PER_DAY: i64 = 86_400;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_CYCLE: i64 = 146_097;
/// Days from 1 March of year 0, where counting is easiest, to 1 January 1970.
const EPOCH_FROM_MARCH: i64 = 719_468;

/// A date and a time of day, without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical year: 0 is 1 BC.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Civil {
    /// The date and time `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        let (year, month, day) = from_days(secs.div_euclid(SECS_PER_DAY));
        let of_day = secs.rem_euclid(SECS_PER_DAY) as u32;
        Self {
            year,
            month,
            day,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }

    /// Seconds since the epoch, the reverse of [`Self::from_secs`]. Fields beyond their range count on: second 60 is
    /// the next minute.
    pub const fn secs(&self) -> i64 {
        let of_day = self.hour as i64 * 3600 + self.minute as i64 * 60 + self.second as i64;
        to_days(self.year, self.month, self.day) * SECS_PER_DAY + of_day
    }

    /// Day of the week, 0 = Sunday.
    pub const fn weekday(&self) -> u8 {
        // The epoch was a Thursday.
        (to_days(self.year, self.month, self.day) + 4).rem_euclid(7) as u8
    }

    /// Day of the year, 0 = 1 January.
    pub const fn year_day(&self) -> u16 {
        (to_days(self.year, self.month, self.day) - to_days(self.year, 1, 1)) as u16
    }

    /// ISO 8601 year and week (1 to 53): a week belongs to the year that its Thursday is in.
    pub const fn iso_week(&self) -> (i32, u8) {
        let days = to_days(self.year, self.month, self.day);
        let since_monday = (days + 3).rem_euclid(7);
        let thursday = days - since_monday + 3;
        let (year, _, _) = from_days(thursday);
        (year, ((thursday - to_days(year, 1, 1)) / 7 + 1) as u8)
    }

    /// Week of the year (0 to 53) when weeks begin on `first` (0 = Sunday, 1 = Monday); days before the first such day
    /// are in week 0.
    pub const fn week_from(&self, first: u8) -> u8 {
        let into_week = (self.weekday() + 7 - first) % 7;
        ((self.year_day() + 7 - into_week as u16) / 7) as u8
    }
}

/// Days from the epoch to a date, for years from -65,536 on. The month must be 1 to 12; a day beyond the month counts on
/// into the next.
#[inline]
pub const fn to_days(year: i32, month: u8, day: u8) -> i64 {
    // A year that begins in March has its leap day at the end, and month lengths that follow one formula. Whole cycles
    // are added so that the divisions need no sign.
    let (years, months) = if month > 2 { (0, month - 3) } else { (-1, month + 9) };
    let year = (year + years + CYCLES * 400) as u32;
    let century = year / 100;
    let leap_days = year / 4 - century + century / 4;
    let before_month = (months as u32 * 153 + 2) / 5;
    (year * 365 + leap_days + before_month + day as u32) as i64
        - (CYCLES as i64 * DAYS_PER_CYCLE + EPOCH_FROM_MARCH + 1)
}

/// 400-year cycles that make every year of interest positive.
const CYCLES: i32 = 164;

/// The date (year, month, day) a number of days after the epoch, for years from -65,536 to 65,535.
#[inline]
pub const fn from_days(days: i64) -> (i32, u8, u8) {
    let days = (days + EPOCH_FROM_MARCH + CYCLES as i64 * DAYS_PER_CYCLE) as u32;
    let (cycle, of_cycle) = (days / DAYS_PER_CYCLE as u32, days % DAYS_PER_CYCLE as u32);
    // Taking out the leap days (every 4 years less every 100 years) leaves years of 365 days.
    let year_of_cycle = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (of_year * 5 + 2) / 153;
    let day = of_year - (month * 153 + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = (cycle * 400 + year_of_cycle) as i32 - CYCLES * 400 + carry;
    (year, month as u8, day as u8)
}

/// Whether a year has a 29 February.
pub const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days in a month (1 to 12) of a year.
pub const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries() {
        let mut expected = (1600, 1, 1);
        let start = to_days(1600, 1, 1);
        for days in start..to_days(2401, 1, 1) {
            assert_eq!(from_days(days), expected);
            assert_eq!(to_days(expected.0, expected.1, expected.2), days);
            let (year, month, day) = expected;
            expected = if day < days_in_month(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
        assert_eq!(expected, (2401, 1, 1));
    }

    #[test]
    fn known_moments() {
        let table = [
            (0, (1970, 1, 1, 0, 0, 0)),
            (-1, (1969, 12, 31, 23, 59, 59)),
            (951_782_400, (2000, 2, 29, 0, 0, 0)),
            (1_700_000_000, (2023, 11, 14, 22, 13, 20)),
            (-9_223_372_037, (1677, 9, 21, 0, 12, 43)),
            (-62_135_596_800, (1, 1, 1, 0, 0, 0)),
            (-62_167_219_201, (-1, 12, 31, 23, 59, 59)),
        ];
        for (secs, (year, month, day, hour, minute, second)) in table {
            let civil = Civil { year, month, day, hour, minute, second };
            assert_eq!(Civil::from_secs(secs), civil);
            assert_eq!(civil.secs(), secs);
        }
    }

    #[test]
    fn weeks() {
        // year, month, day, weekday, day of year, ISO year and week, week from Sunday, week from Monday
        let table = [
            (2023, 11, 14, 2, 317, (2023, 46), 46, 46),
            (2021, 1, 1, 5, 0, (2020, 53), 0, 0),
            (2021, 1, 3, 0, 2, (2020, 53), 1, 0),
            (2024, 12, 30, 1, 364, (2025, 1), 52, 53),
            (2017, 1, 1, 0, 0, (2016, 52), 1, 0),
            (2018, 1, 1, 1, 0, (2018, 1), 0, 1),
        ];
        for (year, month, day, weekday, year_day, iso, sunday, monday) in table {
            let civil = Civil { year, month, day, hour: 0, minute: 0, second: 0 };
            assert_eq!(civil.weekday(), weekday, "{civil:?}");
            assert_eq!(civil.year_day(), year_day, "{civil:?}");
            assert_eq!(civil.iso_week(), iso, "{civil:?}");
            assert_eq!((civil.week_from(0), civil.week_from(1)), (sunday, monday), "{civil:?}");
        }
    }
}
