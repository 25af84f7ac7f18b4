//! Reading times that repeat: neighbouring lines mostly have the same second.

use super::read::{self, Fields};
use super::{TimeError, TimeFormat};
use crate::time::Time;

/// Longer texts are read anew each time.
const MAX_TEXT: usize = 64;

/// How far `now` may move, in nanoseconds, before a time without a year is worked out anew.
const FRESH: u64 = 60_000_000_000;

/// A [`TimeFormat`] that remembers the last text: the same text costs one comparison, and where only the fraction of
/// the second differs only that is read. The answers are those of [`TimeFormat::parse`].
#[derive(Clone, Debug)]
pub struct TimeParser {
    format: TimeFormat,
    text: [u8; MAX_TEXT],
    len: usize,
    /// Where the digits of the fraction are in `text`; both the end of it when the format has none.
    fraction: (usize, usize),
    time: Time,
    /// The value of `now` that `time` was worked out with.
    asked: Time,
}

impl TimeParser {
    /// A parser that has seen nothing.
    pub fn new(format: TimeFormat) -> Self {
        Self { format, text: [0; MAX_TEXT], len: 0, fraction: (0, 0), time: Time(0), asked: Time(0) }
    }

    /// The format without the memory.
    pub fn format(&self) -> &TimeFormat {
        &self.format
    }

    /// The time that `text` begins with; see [`TimeFormat::parse`].
    pub fn parse(&mut self, text: &[u8], now: Time) -> Result<Time, TimeError> {
        match self.recall(text, now) {
            Some(time) => Ok(time),
            None => self.parse_anew(text, now),
        }
    }

    #[inline]
    fn recall(&self, text: &[u8], now: Time) -> Option<Time> {
        let known = self.text.get(..self.len)?;
        if known.is_empty() || (!self.format.has_year() && now.0.abs_diff(self.asked.0) > FRESH) {
            return None;
        }
        if text == known {
            return Some(self.time);
        }
        let (start, end) = self.fraction;
        if start == end || text.get(..start)? != known.get(..start)? {
            return None;
        }
        let (nanos, after) = read::fraction(text.get(start..)?)?;
        // What follows the fraction (the zone, as a rule) must be the same to the end.
        if after != known.get(end..)? {
            return None;
        }
        let delta = i64::from(nanos) - i64::from(self.time.subsec_nanos());
        self.time.0.checked_add(delta).map(Time)
    }

    fn parse_anew(&mut self, text: &[u8], now: Time) -> Result<Time, TimeError> {
        self.len = 0;
        let mut fields = Fields::default();
        let (time, _) = self.format.parse_into(text, now, &mut fields)?;
        if let Some(place) = self.text.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.len = text.len();
            self.fraction = fields.fraction;
            self.time = time;
            self.asked = now;
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::zone::Zone;
    use proptest::prelude::*;

    fn parser(format: &str) -> TimeParser {
        TimeParser::new(TimeFormat::compile(format, Zone::UTC).unwrap())
    }

    /// Both ways of reading must agree on each text, one after the other.
    fn check(format: &str, now: Time, texts: &[&str]) {
        let mut parser = parser(format);
        for text in texts {
            let plain = parser.format().parse(text.as_bytes(), now);
            assert_eq!(parser.parse(text.as_bytes(), now), plain, "{format}: {text}");
        }
    }

    #[test]
    fn answers_are_the_same() {
        check(
            "%Y-%m-%dT%H:%M:%S.%L%z",
            Time(0),
            &[
                "2023-11-14T22:13:20.123456789Z",
                "2023-11-14T22:13:20.123456789Z",
                "2023-11-14T22:13:20.5Z",
                "2023-11-14T22:13:20.5+01:00",
                "2023-11-14T22:13:20.75+01:00",
                "2023-11-14T22:13:20.+01:00",
                "2023-11-14T22:13:20.000000001+01:00 and more",
                "2023-11-14T22:13:20.000000002+01:00 and mor",
                "2023-11-14T22:13:21.5Z",
                "nonsense",
                "2023-11-14T22:13:21.5Z",
                "",
            ],
        );
        check("%s.%L", Time(0), &["1700000000.25", "1700000000.26", "1700000001.26", "17.26"]);
        check(
            "%b %d %H:%M:%S",
            Time(1_700_000_000_000_000_000),
            &["Nov  4 01:02:03", "Nov  4 01:02:03", "Nov 14 01:02:04"],
        );
        let long = format!("2023-11-14T22:13:20.5Z{}", "x".repeat(100));
        check("%Y-%m-%dT%H:%M:%S.%LZ", Time(0), &[&long, &long, "2023-11-14T22:13:20.5Z"]);
    }

    #[test]
    fn a_guessed_year_is_not_remembered_for_long() {
        let mut parser = parser("%b %d %H:%M:%S");
        let november = Time(1_700_000_000_000_000_000);
        let later = Time(november.0 + 400 * 86_400 * 1_000_000_000);
        let first = parser.parse(b"Nov 14 01:02:03", november).unwrap();
        let second = parser.parse(b"Nov 14 01:02:03", later).unwrap();
        assert_eq!((second.0 - first.0) / 1_000_000_000, 366 * 86_400);
    }

    #[test]
    fn times_before_the_epoch_and_at_the_ends() {
        check(
            "%Y-%m-%dT%H:%M:%S.%LZ",
            Time(0),
            &[
                "1969-12-31T23:59:59.25Z",
                "1969-12-31T23:59:59.75Z",
                "2262-04-11T23:47:16.854775807Z",
                "2262-04-11T23:47:16.854775808Z",
                "2262-04-11T23:47:16.1Z",
            ],
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_row_of_texts(texts in prop::collection::vec("2023-11-14T22:13:2[01](\\.[0-9]{0,10})?(Z|\\+0[12]|x)?[ Z]?", 1..8)) {
            let mut parser = parser("%FT%T.%L%z");
            for text in texts {
                let plain = parser.format().parse(text.as_bytes(), Time(0));
                prop_assert_eq!(parser.parse(text.as_bytes(), Time(0)), plain, "{}", text);
            }
        }
    }
}
