//! Writing times by a format in the manner of strftime.
//!
//! Beyond C: `%L` is the milliseconds, `%N` the nanoseconds, `%3N`, `%6N` and `%9N` that many digits of them, `%:z` the
//! offset with a colon. `%-d`, `%_d`, `%0e` choose no padding, blanks or zeros. Names are English.

use std::ops::Range;

use super::Time;
use super::civil::Civil;
use super::strptime::names::{DAYS, MONTHS};
use super::zone::Zone;
use crate::util::decimal::{pair, push_fixed, push_padded};

/// A compiled format for writing times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatter {
    parts: Box<[Part]>,
    /// How many parts from the start do not show fractions of the second.
    steady: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Field(u8, Pad),
    /// Digits of the fraction: 3, 6 or 9.
    Fraction(u8),
    OffsetColon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pad {
    Usual,
    Nothing,
    With(u8),
}

impl Formatter {
    /// Compiles `format`; the error names a specifier that is not known.
    pub fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        append(format, &mut parts)?;
        let steady = parts.iter().position(|part| matches!(part, Part::Fraction(_))).unwrap_or(parts.len());
        Ok(Self { parts: parts.into(), steady })
    }

    /// Appends `time` in UTC.
    pub fn write(&self, time: Time, out: &mut Vec<u8>) {
        self.write_in(time, &Zone::UTC, out);
    }

    /// Appends `time` as the clocks of `zone` show it.
    pub fn write_in(&self, time: Time, zone: &Zone, out: &mut Vec<u8>) {
        let moment = Moment::new(time, zone);
        for part in &self.parts {
            moment.write(part, time, out);
        }
    }
}

/// A [`Formatter`] that keeps its last text for as long as it holds: a day for formats that show only the date, else a
/// second. Fractions are written anew each time.
#[derive(Clone, Debug)]
pub struct CachedFormatter {
    formatter: Formatter,
    zone: Zone,
    /// The seconds in which `text` holds.
    holds: Range<i64>,
    text: Vec<u8>,
}

impl CachedFormatter {
    /// Writes by `formatter` as the clocks of `zone` show it.
    pub fn new(formatter: Formatter, zone: Zone) -> Self {
        Self { formatter, zone, holds: 0..0, text: Vec::new() }
    }

    /// Appends `time`.
    pub fn write(&mut self, time: Time, out: &mut Vec<u8>) {
        let parts = &self.formatter.parts;
        let (steady, moving) = parts.split_at_checked(self.formatter.steady).unwrap_or((parts, &[]));
        if !self.holds.contains(&time.secs()) {
            let moment = Moment::new(time, &self.zone);
            self.holds = moment.holds(steady);
            self.text.clear();
            for part in steady {
                moment.write(part, time, &mut self.text);
            }
        }
        out.extend_from_slice(&self.text);
        match moving {
            [] => {}
            [Part::Fraction(digits)] => write_fraction(*digits, time, out),
            _ => {
                let moment = Moment::new(time, &self.zone);
                for part in moving {
                    moment.write(part, time, out);
                }
            }
        }
    }
}

fn append(format: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (text, spec) = rest.split_at(at);
        push_text(text, parts);
        let mut after = spec.get(1..).unwrap_or_default().chars();
        let mut pad = Pad::Usual;
        let mut spec = after.next().unwrap_or_default();
        if matches!(spec, 'E' | 'O') {
            // Other forms of a locale, which the C locale does not have.
            spec = after.next().unwrap_or_default();
        } else if let '-' | '_' | '0' = spec {
            pad = match spec {
                '-' => Pad::Nothing,
                '_' => Pad::With(b' '),
                _ => Pad::With(b'0'),
            };
            spec = after.next().unwrap_or_default();
        }
        let digits = match spec {
            'L' => Some(3),
            'N' => Some(9),
            '3' | '6' | '9' if after.as_str().starts_with('N') => {
                after.next();
                spec.to_digit(10)
            }
            _ => None,
        };
        match spec {
            _ if digits.is_some() => parts.push(Part::Fraction(digits.unwrap_or_default() as u8)),
            ':' if after.as_str().starts_with('z') => {
                after.next();
                parts.push(Part::OffsetColon);
            }
            '%' => push_text("%", parts),
            'n' => push_text("\n", parts),
            't' => push_text("\t", parts),
            'c' => append("%a %b %e %H:%M:%S %Y", parts)?,
            'D' | 'x' => append("%m/%d/%y", parts)?,
            'F' => append("%Y-%m-%d", parts)?,
            'R' => append("%H:%M", parts)?,
            'r' => append("%I:%M:%S %p", parts)?,
            'T' | 'X' => append("%H:%M:%S", parts)?,
            spec if "aAbBhCdeGgHIjklMmPpSsUuVWwYyZz".contains(spec) => parts.push(Part::Field(spec as u8, pad)),
            '\0' => return Err(format!("time format '{format}' ends in the middle of a specifier")),
            spec => return Err(format!("time format '{format}': unknown specifier '%{spec}'")),
        }
        rest = after.as_str();
    }
    push_text(rest, parts);
    Ok(())
}

fn push_text(text: &str, parts: &mut Vec<Part>) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(last)) => *last = format!("{last}{text}").into(),
        _ => parts.push(Part::Text(text.into())),
    }
}

/// A time taken apart, as some zone's clocks show it.
struct Moment<'a> {
    civil: Civil,
    secs: i64,
    offset: i32,
    zone: &'a Zone,
}

impl<'a> Moment<'a> {
    fn new(time: Time, zone: &'a Zone) -> Self {
        let secs = time.secs();
        let offset = zone.offset_at(secs);
        Self { civil: Civil::from_secs(secs + i64::from(offset)), secs, offset, zone }
    }

    /// The seconds in which `parts` look as they do now.
    fn holds(&self, parts: &[Part]) -> Range<i64> {
        let is_date = |part: &Part| match part {
            Part::Text(_) => true,
            Part::Field(spec, _) => b"aAbBCdeGghjmUuVWwYy".contains(spec),
            Part::Fraction(_) | Part::OffsetColon => false,
        };
        // Where the offset changes, a day has no fixed length.
        if matches!(self.zone, Zone::Fixed(_)) && parts.iter().all(is_date) {
            let Civil { hour, minute, second, .. } = self.civil;
            let midnight = self.secs - (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second));
            return midnight..midnight + 86_400;
        }
        self.secs..self.secs + 1
    }

    fn write(&self, part: &Part, time: Time, out: &mut Vec<u8>) {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Fraction(digits) => write_fraction(*digits, time, out),
            Part::Field(spec, pad) => self.write_field(*spec, *pad, out),
            Part::OffsetColon => self.write_offset(true, out),
        }
    }

    fn write_field(&self, spec: u8, pad: Pad, out: &mut Vec<u8>) {
        let c = &self.civil;
        let hour12 = (c.hour + 11) % 12 + 1;
        // Times reach from 1677 to 2262: years are positive and have four digits.
        let year = c.year.unsigned_abs();
        let iso_year = || c.iso_week().0.unsigned_abs();
        let (value, width, fill) = match spec {
            b'd' => (c.day.into(), 2, b'0'),
            b'm' => (c.month.into(), 2, b'0'),
            b'H' => (c.hour.into(), 2, b'0'),
            b'M' => (c.minute.into(), 2, b'0'),
            b'S' => (c.second.into(), 2, b'0'),
            b'Y' => (year, 4, b'0'),
            b'y' => (year % 100, 2, b'0'),
            b'C' => (year / 100, 2, b'0'),
            b'e' => (c.day.into(), 2, b' '),
            b'I' => (hour12.into(), 2, b'0'),
            b'k' => (c.hour.into(), 2, b' '),
            b'l' => (hour12.into(), 2, b' '),
            b'j' => (u32::from(c.year_day()) + 1, 3, b'0'),
            b'U' => (c.week_from(0).into(), 2, b'0'),
            b'W' => (c.week_from(1).into(), 2, b'0'),
            b'V' => (c.iso_week().1.into(), 2, b'0'),
            b'G' => (iso_year(), 4, b'0'),
            b'g' => (iso_year() % 100, 2, b'0'),
            b'u' => (u32::from((c.weekday() + 6) % 7) + 1, 1, b'0'),
            b'w' => (c.weekday().into(), 1, b'0'),
            b's' => return out.extend_from_slice(itoa::Buffer::new().format(self.secs).as_bytes()),
            b'z' => return self.write_offset(false, out),
            _ => return out.extend_from_slice(self.word(spec).as_bytes()),
        };
        match pad {
            Pad::Usual if width == 2 && fill == b'0' => out.extend_from_slice(&pair(value)),
            Pad::Usual => push_padded(out, value.into(), width, fill),
            Pad::Nothing => push_padded(out, value.into(), 1, b'0'),
            Pad::With(fill) => push_padded(out, value.into(), width, fill),
        }
    }

    fn word(&self, spec: u8) -> &str {
        let c = &self.civil;
        let month = MONTHS.get(usize::from(c.month).wrapping_sub(1)).copied().unwrap_or_default();
        let day = || DAYS.get(usize::from(c.weekday())).copied().unwrap_or_default();
        match spec {
            b'a' => day().get(..3).unwrap_or_default(),
            b'A' => day(),
            b'b' | b'h' => month.get(..3).unwrap_or_default(),
            b'B' => month,
            b'p' if c.hour < 12 => "AM",
            b'p' => "PM",
            b'P' if c.hour < 12 => "am",
            b'P' => "pm",
            b'Z' => self.zone.name_at(self.secs),
            _ => "",
        }
    }

    fn write_offset(&self, colon: bool, out: &mut Vec<u8>) {
        out.push(if self.offset < 0 { b'-' } else { b'+' });
        let minutes = self.offset.unsigned_abs() / 60;
        out.extend_from_slice(&pair(minutes / 60));
        if colon {
            out.push(b':');
        }
        out.extend_from_slice(&pair(minutes % 60));
    }
}

fn write_fraction(digits: u8, time: Time, out: &mut Vec<u8>) {
    let nanos = u64::from(time.subsec_nanos());
    match digits {
        3 => push_fixed::<3>(out, nanos / 1_000_000),
        6 => push_fixed::<6>(out, nanos / 1_000),
        _ => push_fixed::<9>(out, nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(format: &str, time: Time, zone: &Zone) -> String {
        let mut out = Vec::new();
        Formatter::compile(format).unwrap().write_in(time, zone, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn specifiers() {
        // A Tuesday.
        let time = Time(1_700_000_005_014_916_007);
        let table = [
            ("%Y.%m.%d", "2023.11.14"),
            ("%Y-%m-%dT%H:%M:%S", "2023-11-14T22:13:25"),
            ("%F %T.%L|%3N|%6N|%9N|%N", "2023-11-14 22:13:25.014|014|014916|014916007|014916007"),
            ("%a %A %b %B %h", "Tue Tuesday Nov November Nov"),
            ("%I %l %k %p %P", "10 10 22 PM pm"),
            ("%j %U %W %V %G %g %u %w", "318 46 46 46 2023 23 2 2"),
            ("%C %y %D %x %X %R %r", "20 23 11/14/23 11/14/23 22:13:25 22:13 10:13:25 PM"),
            ("%c", "Tue Nov 14 22:13:25 2023"),
            ("%s %z %:z %Z", "1700000005 +0000 +00:00 UTC"),
            ("100%%%n%t|", "100%\n\t|"),
            ("%Ey %OH", "23 22"),
            ("logs-é", "logs-é"),
            ("", ""),
        ];
        for (format, expected) in table {
            assert_eq!(text(format, time, &Zone::UTC), expected, "{format}");
        }
        let early = Time(1_704_186_367_000_000_000);
        assert_eq!(text("%d|%e|%-d|%_m|%0e|%k|%l|%I|%-I|%j|%-j", early, &Zone::UTC), "02| 2|2| 1|02| 9| 9|09|9|002|2");
    }

    #[test]
    fn zones() {
        let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let summer = Time(1_720_000_000_000_000_000);
        assert_eq!(text("%F %T %z %Z", summer, &berlin), "2024-07-03 11:46:40 +0200 CEST");
        assert_eq!(text("%F %T %z%Z", summer, &Zone::Fixed(-12_600)), "2024-07-03 06:16:40 -0330");
        assert_eq!(text("%:z", summer, &Zone::Fixed(-12_600)), "-03:30");
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(text("%F %T.%N", Time(i64::MIN), &Zone::UTC), "1677-09-21 00:12:43.145224192");
        assert_eq!(text("%F %T.%N", Time(i64::MAX), &Zone::UTC), "2262-04-11 23:47:16.854775807");
    }

    #[test]
    fn errors() {
        for format in ["%Q", "%", "a%-", "%é", "%E", "%:x", "%4N", "%f"] {
            assert!(Formatter::compile(format).is_err(), "{format}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_cache_changes_nothing(
            start in 0i64..4_000_000_000,
            steps in prop::collection::vec(prop_oneof![0i64..1_500_000_000, 0i64..50_000_000_000_000], 1..6),
            format in prop::sample::select(vec!["%Y/%m/%d %H:%M:%S.%L", "%F", "%Y.%m.%d", "[%T]", "%T.%6N%z", "%L", "", "%s.%N %Z"]),
        ) {
            let formatter = Formatter::compile(format).unwrap();
            let mut cached = CachedFormatter::new(formatter.clone(), Zone::Fixed(3600));
            let mut time = Time(start * 1_000_000_000);
            for step in steps {
                time.0 += step;
                let (mut plain, mut from_cache) = (Vec::new(), Vec::new());
                formatter.write_in(time, &Zone::Fixed(3600), &mut plain);
                cached.write(time, &mut from_cache);
                prop_assert_eq!(plain, from_cache);
            }
        }
    }
}
