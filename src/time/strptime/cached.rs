//! Reading times that repeat: neighbouring lines mostly have the same second.

use super::read::{self, Fields};
use super::{TimeError, TimeFormat};
use crate::time::Time;
use crate::time::zone::Zone;
use crate::util::lane::LANE;

/// Longer texts are read anew each time.
const MAX_TEXT: usize = 64;

/// How far `now` may move, in nanoseconds, before a time without a year is worked out anew.
const FRESH: u64 = 60_000_000_000;

/// A [`TimeFormat`] that remembers the last text it has read: of one in which no more than the second and its fraction
/// differ only those are read. The answers are those of [`TimeFormat::parse`].
#[derive(Clone, Debug)]
pub struct TimeParser {
    format: TimeFormat,
    text: [u8; MAX_TEXT],
    len: usize,
    /// Where the second's two digits are in `text`, and what they say; only where the time follows them.
    second: Option<(usize, u8)>,
    /// Where the digits of the fraction are in `text`; equal where the format has none.
    fraction: (usize, usize),
    /// What a text without a fraction is compared with, when it is neither short nor long.
    lanes: Option<Lanes>,
    time: Time,
    /// The value of `now` that `time` was worked out with.
    asked: Time,
}

/// A text of 16 to 32 bytes in two lanes, which may overlap; zeros stand for the second's digits.
#[derive(Clone, Copy, Debug)]
struct Lanes {
    text: [u128; 2],
    /// Ones where the text counts.
    care: [u128; 2],
}

impl Lanes {
    fn new(text: &[u8], second: usize) -> Option<Self> {
        let mut care = [0xff; 2 * LANE];
        let care = care.get_mut(..text.len())?;
        care.get_mut(second..second + 2)?.fill(0);
        let (text, care) = (Self::of(text)?, Self::of(care)?);
        Some(Self { text: [text[0] & care[0], text[1] & care[1]], care })
    }

    #[inline]
    fn of(text: &[u8]) -> Option<[u128; 2]> {
        Some([u128::from_le_bytes(*text.first_chunk()?), u128::from_le_bytes(*text.last_chunk()?)])
    }

    /// Whether a text of the same length differs in the second's digits at most.
    #[inline]
    fn are_in(&self, text: &[u8]) -> bool {
        Self::of(text).is_some_and(|[a, b]| (a & self.care[0], b & self.care[1]) == (self.text[0], self.text[1]))
    }
}

impl TimeParser {
    /// A parser that has seen nothing.
    pub fn new(format: TimeFormat) -> Self {
        let (text, time) = ([0; MAX_TEXT], Time(0));
        Self { format, text, len: 0, second: None, fraction: (0, 0), lanes: None, time, asked: time }
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
        if let (Some(lanes), Some((place, second))) = (&self.lanes, self.second)
            && text.len() == self.len
        {
            let secs = if lanes.are_in(text) { digits(text, place)? - i64::from(second) } else { return None };
            return self.time.0.checked_add(secs * 1_000_000_000).map(Time);
        }
        let known = self.text.get(..self.len)?;
        if known.is_empty() || (!self.format.has_year() && now.0.abs_diff(self.asked.0) > FRESH) {
            return None;
        }
        let (mut at, mut secs) = (0, 0);
        if let Some((place, second)) = self.second {
            at = place + 2;
            secs = digits(text, place)? - i64::from(second);
            if text.get(..place)? != known.get(..place)? {
                return None;
            }
        }
        let (start, end) = self.fraction;
        let mut nanos = 0;
        let (mut text, mut known) = (text.get(at..)?, known.get(at..)?);
        if start < end {
            let (start, end) = (start.checked_sub(at)?, end.checked_sub(at)?);
            if text.get(..start)? != known.get(..start)? {
                return None;
            }
            let (fraction, after) = read::fraction(text.get(start..)?)?;
            nanos = i64::from(fraction) - i64::from(self.time.subsec_nanos());
            (text, known) = (after, known.get(end..)?);
        }
        // What follows (the zone, as a rule) must be the same to the end.
        if text != known {
            return None;
        }
        self.time.0.checked_add(secs * 1_000_000_000 + nanos).map(Time)
    }

    fn parse_anew(&mut self, text: &[u8], now: Time) -> Result<Time, TimeError> {
        self.len = 0;
        let mut fields = Fields::default();
        let (time, _) = self.format.parse_into(text, now, &mut fields)?;
        if let Some(place) = self.text.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.len = text.len();
            // A zone with rules may change between two seconds.
            let follows =
                self.format.has.plain && (self.format.has.offset || matches!(self.format.zone, Zone::Fixed(_)));
            self.second = fields.second_at.filter(|_| follows).map(|place| (place, fields.second));
            self.fraction = fields.fraction;
            let whole = self.second.filter(|_| fields.fraction.0 == fields.fraction.1);
            self.lanes = whole.and_then(|(place, _)| Lanes::new(text, place));
            self.time = time;
            self.asked = now;
        }
        Ok(time)
    }
}

/// The second, below 60, whose digits are at `place`.
#[inline]
fn digits(text: &[u8], place: usize) -> Option<i64> {
    let &[a, b] = text.get(place..)?.first_chunk()?;
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a <= 5 && b <= 9).then(|| i64::from(a * 10 + b))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        check(
            "%d/%b/%Y:%H:%M:%S %z",
            Time(0),
            &[
                "10/Oct/2000:13:55:36 -0700",
                "10/Oct/2000:13:55:37 -0700",
                "10/Oct/2000:13:55:07 -0700",
                "10/Oct/2000:13:55:60 -0700",
                "10/Oct/2000:13:55:59 -0700",
                "10/Oct/2000:13:55:61 -0700",
                "10/Oct/2000:13:55:5 -0700",
                "10/Oct/2000:13:55:7a -0700",
                "10/Oct/2000:13:55:37 -0800",
                "10/Oct/2000:13:56:38 -0800",
                "10/Oct/2000:13:56:38 -0800 x",
                "10/Oct/2000:13:56:39 -0800 y",
                "10/Oct/2000:13:5",
            ],
        );
        check(
            "%T %T %d %m %Y",
            Time(0),
            &["10:00:01 10:00:02 1 2 2003", "10:00:01 10:00:03 1 2 2003", "10:00:09 10:00:03 1 2 2003"],
        );
        check("%F %T %S", Time(0), &["2003-02-01 10:00:01 04", "2003-02-01 10:00:02 04", "2003-02-01 10:00:02 05"]);
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
        fn any_row_of_texts(texts in prop::collection::vec("2023-11-14T22:13:[26][0126](\\.[0-9]{0,10})?(Z|\\+0[12]|x)?[ Z]?", 1..8)) {
            let mut parser = parser("%FT%T.%L%z");
            for text in texts {
                let plain = parser.format().parse(text.as_bytes(), Time(0));
                prop_assert_eq!(parser.parse(text.as_bytes(), Time(0)), plain, "{}", text);
            }
        }
    }
}
