//! Reading times by a format in the manner of strptime, with `%L` for fractions of a second.
//!
//! The rules are those of Fluent Bit's parsers, so that their formats keep their meaning:
//! - White space in the format stands for any run of it, none included. Names are English, in any case.
//! - Numbers may be short (`3:5:7`). They end where another digit would be too much.
//! - Text behind the end of the format is not looked at.
//! - `%L` takes one to nine digits; more are read over.
//! - `%z` takes `Z`, `UTC`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`; `%Z` an abbreviation; a literal `Z` right behind `%S` or `%L`
//!   means UTC. A format with none of these is in the zone given at compile time.
//!
//! Different on purpose: a format without a year takes the latest year that does not put the time more than a day ahead
//! of now, so December's lines read in January stay in December; a format without a date takes the day that puts the
//! time nearest to now; `%s` is never shifted by a zone; a day that the month does not have is an error, not a day of the
//! next month; `%p` may stand before the hour.

mod cached;
mod compile;
pub(crate) mod names;
mod read;
mod usual;

use std::fmt;

pub use cached::TimeParser;

use self::compile::Op;
use self::read::Fields;
use super::Time;
use super::civil::{self, Civil};
use super::zone::Zone;

/// A compiled time format.
#[derive(Clone, Debug)]
pub struct TimeFormat {
    ops: Box<[Op]>,
    has: Has,
    zone: Zone,
}

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// It does not follow the format.
    Mismatch,
    /// It names a date or hour that does not exist.
    NoSuchTime,
    /// It lies outside the years 1678 to 2261.
    OutOfRange,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mismatch => "it does not follow the format",
            Self::NoSuchTime => "there is no such date or hour",
            Self::OutOfRange => "it is too far from now",
        })
    }
}

impl std::error::Error for TimeError {}

impl TimeFormat {
    /// Compiles `format`. Times that do not name their zone are in `zone`.
    pub fn compile(format: &str, zone: Zone) -> Result<Self, String> {
        let ops = compile::compile(format)?.into_boxed_slice();
        let has = Has::of(&ops);
        Ok(Self { ops, has, zone })
    }

    /// The time that `text` begins with. `now` supplies what the format leaves out: the year, or the whole date.
    pub fn parse(&self, text: &[u8], now: Time) -> Result<Time, TimeError> {
        self.parse_into(text, now, &mut Fields::default()).map(|(time, _)| time)
    }

    /// As [`Self::parse`], with the number of bytes that were read.
    pub fn parse_prefix(&self, text: &[u8], now: Time) -> Result<(Time, usize), TimeError> {
        self.parse_into(text, now, &mut Fields::default())
    }

    /// For parsers that are not strict: what was read before `text` departs from the format, when that is at least a
    /// month and a day.
    pub fn parse_partial(&self, text: &[u8], now: Time) -> Option<Time> {
        let mut fields = Fields::default();
        let end = read::read(&self.ops, text, &mut fields);
        let has = Has::of(self.ops.get(..end.steps)?);
        let dated = has.epoch || has.year_day || (has.month && has.day);
        if dated { Clock { fields: &fields, has: &has, zone: &self.zone }.resolve(now).ok() } else { None }
    }

    /// Whether the format names the year, so that the result does not depend on `now`.
    pub fn has_year(&self) -> bool {
        self.has.year || self.has.epoch
    }

    #[inline]
    fn parse_into(&self, text: &[u8], now: Time, fields: &mut Fields) -> Result<(Time, usize), TimeError> {
        let end = read::read(&self.ops, text, fields);
        if end.steps < self.ops.len() {
            return Err(TimeError::Mismatch);
        }
        let clock = Clock { fields, has: &self.has, zone: &self.zone };
        // The usual case by the short way.
        let time = if self.has.plain { clock.plain() } else { clock.resolve(now) }?;
        Ok((time, end.bytes))
    }
}

/// Which fields a row of steps sets.
#[derive(Clone, Copy, Debug, Default)]
struct Has {
    year: bool,
    short_year: bool,
    century: bool,
    month: bool,
    day: bool,
    year_day: bool,
    offset: bool,
    epoch: bool,
    am_pm: bool,
    /// A year, a month and a day, and nothing out of the ordinary.
    plain: bool,
}

impl Has {
    fn of(ops: &[Op]) -> Self {
        let mut has = Self::default();
        for op in ops {
            match op {
                // The later of the two ways to write a year counts.
                Op::Year | Op::ShortYear => (has.year, has.short_year) = (true, *op == Op::ShortYear),
                Op::Century => has.century = true,
                Op::Month | Op::MonthName => has.month = true,
                Op::Day | Op::BlankDay => has.day = true,
                Op::YearDay => has.year_day = true,
                Op::Offset | Op::ZoneName | Op::Zulu => has.offset = true,
                Op::Epoch => has.epoch = true,
                Op::AmPm => has.am_pm = true,
                // What is tried in one go stands before the steps that it is made of.
                _ => {}
            }
        }
        let dated = has.year && has.month && has.day;
        has.plain = dated && !(has.short_year || has.epoch || has.am_pm);
        has
    }
}

/// What was read, on its way to a moment.
struct Clock<'a> {
    fields: &'a Fields,
    /// Which of the fields count.
    has: &'a Has,
    zone: &'a Zone,
}

const DAY: i64 = 86_400;

impl Clock<'_> {
    /// The moment, for formats with a whole date and no more than that.
    #[inline]
    fn plain(&self) -> Result<Time, TimeError> {
        let days = self.days_of(self.fields.year, self.fields.month, self.fields.day).ok_or(TimeError::NoSuchTime)?;
        self.moment(self.utc(days, self.of_day(self.fields.hour)))
    }

    /// The moment, whatever the format.
    fn resolve(&self, now: Time) -> Result<Time, TimeError> {
        if self.has.epoch {
            return self.moment(self.fields.epoch);
        }
        let of_day = self.of_day(self.hour().ok_or(TimeError::NoSuchTime)?);
        let secs = if self.has.year {
            self.days(self.year()).map(|days| self.utc(days, of_day))
        } else {
            self.nearest(of_day, now.secs())
        };
        secs.ok_or(TimeError::NoSuchTime).and_then(|secs| self.moment(secs))
    }

    #[inline]
    fn moment(&self, secs: i64) -> Result<Time, TimeError> {
        Time::from_secs_nanos(secs, self.fields.nanos).ok_or(TimeError::OutOfRange)
    }

    #[inline]
    fn utc(&self, days: i64, of_day: i64) -> i64 {
        let local = days * DAY + of_day;
        if self.has.offset { local - i64::from(self.fields.offset) } else { self.zone.utc_from_local(local) }
    }

    /// Seconds since midnight.
    #[inline]
    fn of_day(&self, hour: u8) -> i64 {
        i64::from(u32::from(hour) * 3600 + u32::from(self.fields.minute) * 60 + u32::from(self.fields.second))
    }

    /// The hour on the clock of 24.
    fn hour(&self) -> Option<u8> {
        match (self.fields.afternoon, self.fields.hour) {
            (None, hour) => Some(hour),
            (Some(_), 13..) => None,
            (Some(false), 12) => Some(0),
            (Some(true), hour @ ..=11) => Some(hour + 12),
            (Some(_), hour) => Some(hour),
        }
    }

    fn year(&self) -> i32 {
        if !self.has.short_year {
            return self.fields.year;
        }
        let century = match self.fields.short_year {
            _ if self.has.century => self.fields.century,
            69.. => 19,
            _ => 20,
        };
        century * 100 + self.fields.short_year
    }

    /// Days since the epoch of a date, if the month has it.
    #[inline]
    fn days_of(&self, year: i32, month: u8, day: u8) -> Option<i64> {
        // Only the last days of a month need the look at the calendar.
        (day <= 28 || day <= civil::days_in_month(year, month)).then(|| civil::to_days(year, month, day))
    }

    /// The date in `year`, as days since the epoch, if that year has it. A missing month or day is the first.
    fn days(&self, year: i32) -> Option<i64> {
        let Fields { month, day, year_day, .. } = *self.fields;
        if self.has.year_day && !(self.has.month && self.has.day) {
            let days = i64::from(year_day) - 1;
            return (days < 365 || civil::is_leap(year)).then(|| civil::to_days(year, 1, 1) + days);
        }
        self.days_of(year, if self.has.month { month } else { 1 }, if self.has.day { day } else { 1 })
    }

    /// The best guess where the format has no year.
    fn nearest(&self, of_day: i64, now: i64) -> Option<i64> {
        let offset = if self.has.offset { self.fields.offset } else { self.zone.offset_at(now) };
        let today = Civil::from_secs(now + i64::from(offset));
        if self.has.month || self.has.year_day {
            // 29 February can be up to eight years away.
            let years = (today.year - 8..=today.year + 1).rev();
            return years
                .filter_map(|year| self.days(year))
                .map(|days| self.utc(days, of_day))
                .find(|&t| t <= now + DAY);
        }
        if self.has.day {
            let this = today.year * 12 + i32::from(today.month) - 1;
            let months = (this - 2..=this + 1).rev();
            return months
                .map(|n| (n.div_euclid(12), n.rem_euclid(12) as u8 + 1))
                .filter_map(|(year, month)| self.days_of(year, month, self.fields.day))
                .map(|days| self.utc(days, of_day))
                .find(|&t| t <= now + DAY);
        }
        let this = civil::to_days(today.year, today.month, today.day);
        (this - 1..=this + 1).rev().map(|days| self.utc(days, of_day)).find(|&t| t <= now + DAY / 2)
    }
}

#[cfg(test)]
mod tests;
