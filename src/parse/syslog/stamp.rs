//! The times that syslog messages begin with: RFC 3164's, RFC 3339's and what vendors made of them.

use super::cursor::{Cursor, Part};
use crate::time::Time;
use crate::time::civil::{Civil, days_in_month};
use crate::time::zone::Zone;

/// A time that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its text, with the zone and without a colon behind it.
    pub text: Part,
    /// The point in time; a day that does not exist gives none.
    pub time: Option<Time>,
}

/// How far a time without a year may lie ahead of the clock before it is last year's.
const AHEAD: i64 = 86_400;
/// How many years back 29 February is looked for.
const LEAP: i32 = 8;

/// Reads a time that stands at the cursor and moves behind it, and behind a colon that ends it. Times that do not name
/// a zone are in `place`.
///
/// Forms: `Oct 11 22:14:15`, the same with a weekday before, a fraction, a year before or behind the day or at the end;
/// `2003-10-11T22:14:15.003Z`, with a space or `/` too; seconds since the epoch with a fraction. Offsets as `+02:00`,
/// `+0200` or `+02`, zones by their usual abbreviation.
pub fn read(cursor: &mut Cursor<'_>, now: Time, place: &Zone) -> Option<Stamp> {
    let mut c = *cursor;
    let from = c.at;
    let mut date = Date::default();
    match c.peek() {
        b'0'..=b'9' => {
            if let Some((time, to)) = epoch(c) {
                cursor.at = to;
                return Some(Stamp { text: Part { from, to }, time });
            }
            date.year = c.number(4, 4)? as i32;
            let mark = c.peek();
            c.at += 1;
            match mark {
                b'-' | b'/' => {
                    date.month = c.number(2, 2)?;
                    if !c.eat(mark) {
                        return None;
                    }
                    date.day = c.number(2, 2)?;
                    if !matches!(c.peek(), b'T' | b't' | b' ') {
                        return None;
                    }
                    c.at += 1;
                }
                b' ' => day(&mut c, &mut date)?,
                _ => return None,
            }
        }
        b'A'..=b'Z' | b'a'..=b'z' => day(&mut c, &mut date)?,
        _ => return None,
    }
    clock(&mut c, &mut date)?;
    let offset = zone(&mut c, &mut date);
    let text = Part { from, to: c.at };
    if c.eat(b':') || c.is_at_break() {
        cursor.at = c.at;
        return Some(Stamp { text, time: date.resolve(offset, now, place) });
    }
    None
}

/// As [`read`], for a whole word that is to be a time of RFC 3339.
pub fn rfc3339(word: &[u8], place: &Zone) -> Option<Time> {
    let mut c = Cursor::new(word, 0);
    let stamp = read(&mut c, Time(0), place)?;
    stamp.time.filter(|_| c.is_at_end())
}

#[derive(Debug, Default)]
struct Date {
    /// 0: not given.
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
}

impl Date {
    fn resolve(&self, offset: Option<i64>, now: Time, place: &Zone) -> Option<Time> {
        let in_range = (1..=12).contains(&self.month) && self.day >= 1;
        if !in_range || self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let at = |year: i32| {
            if self.day > u32::from(days_in_month(year, self.month as u8)) {
                return None;
            }
            let civil = Civil {
                year,
                month: self.month as u8,
                day: self.day as u8,
                hour: self.hour as u8,
                minute: self.minute as u8,
                second: self.second as u8,
            };
            let local = civil.secs();
            Some(offset.map_or_else(|| place.utc_from_local(local), |east| local - east))
        };
        let secs = if self.year > 0 {
            at(self.year)?
        } else {
            let latest = now.secs().saturating_add(AHEAD);
            let year = Civil::from_secs(latest + i64::from(place.offset_at(latest))).year;
            (0..=LEAP).filter_map(|back| at(year - back)).find(|secs| *secs <= latest)?
        };
        Time::from_secs_nanos(secs, self.nanos)
    }
}

/// `Oct 11 ` or `Sat Oct 11 2003 `, up to the clock.
fn day(c: &mut Cursor<'_>, date: &mut Date) -> Option<()> {
    date.month = match month(c) {
        Some(month) => month,
        None => {
            weekday(c)?;
            c.eat(b',');
            c.spaces();
            month(c)?
        }
    };
    if c.spaces() == 0 {
        return None;
    }
    date.day = c.number(1, 2)?;
    c.eat(b',');
    if c.spaces() == 0 {
        return None;
    }
    if date.year == 0 {
        let mut ahead = *c;
        if let Some(year) = ahead.number(4, 4)
            && ahead.spaces() > 0
        {
            (date.year, *c) = (year as i32, ahead);
        }
    }
    Some(())
}

fn month(c: &mut Cursor<'_>) -> Option<u32> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    three_letters(c, MONTHS).map(|n| n + 1)
}

fn weekday(c: &mut Cursor<'_>) -> Option<u32> {
    three_letters(c, b"sunmontuewedthufrisat")
}

fn three_letters(c: &mut Cursor<'_>, names: &[u8]) -> Option<u32> {
    let word = c.rest().get(..3)?;
    let at = names.chunks_exact(3).position(|name| word.eq_ignore_ascii_case(name))?;
    c.at += 3;
    Some(at as u32)
}

/// `22:14:15`, with a fraction behind a point or a comma; digits beyond the ninth are read over.
fn clock(c: &mut Cursor<'_>, date: &mut Date) -> Option<()> {
    date.hour = c.number(1, 2)?;
    date.minute = colon(c)?;
    date.second = colon(c)?;
    let mut ahead = *c;
    if (ahead.eat(b'.') || ahead.eat(b',')) && ahead.peek().is_ascii_digit() {
        date.nanos = fraction(&mut ahead);
        *c = ahead;
    }
    Some(())
}

fn colon(c: &mut Cursor<'_>) -> Option<u32> {
    if c.eat(b':') { c.number(2, 2) } else { None }
}

/// Digits of a second, as nanoseconds.
fn fraction(c: &mut Cursor<'_>) -> u32 {
    let from = c.at;
    let n = c.number(1, 9).unwrap_or(0);
    let digits = c.at - from;
    c.at += c.rest().iter().take_while(|b| b.is_ascii_digit()).count();
    n * 10u32.pow(9 - digits.min(9) as u32)
}

/// The zone's seconds east of UTC, where it is named and known, and a year that stands behind the clock. The cursor stays where
/// there is neither.
fn zone(c: &mut Cursor<'_>, date: &mut Date) -> Option<i64> {
    if let Some(offset) = offset(c) {
        return Some(offset);
    }
    let mut ahead = *c;
    if ahead.spaces() != 1 {
        return None;
    }
    if let Some(offset) = offset(&mut ahead) {
        *c = ahead;
        return Some(offset);
    }
    let mut east = None;
    let letters = ahead.rest().iter().take_while(|b| b.is_ascii_uppercase()).count();
    let name = ahead.rest().get(..letters).unwrap_or_default();
    let ends = ahead.rest().get(letters).copied();
    let known = named(name);
    // Before a colon any short name is a zone (Cisco), else it may be a host.
    if (1..=5).contains(&letters) && (ends == Some(b':') || known.is_some() && matches!(ends, Some(b' '))) {
        ahead.at += letters;
        east = known;
        *c = ahead;
        ahead.spaces();
    }
    if date.year == 0
        && let Some(year @ 1970..=2099) = ahead.number(4, 4)
        && (ahead.is_at_break() || ahead.peek() == b':')
    {
        date.year = year as i32;
        *c = ahead;
    }
    east
}

/// `Z`, `+02:00`, `+0200` or `+02`.
fn offset(c: &mut Cursor<'_>) -> Option<i64> {
    let mut ahead = *c;
    let sign = match ahead.peek() {
        b'Z' | b'z' if !ahead.rest().get(1).is_some_and(u8::is_ascii_alphanumeric) => {
            c.at += 1;
            return Some(0);
        }
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    ahead.at += 1;
    let hours = ahead.number(2, 2).filter(|h| *h <= 23)?;
    ahead.eat(b':');
    let minutes = ahead.number(2, 2).unwrap_or(0);
    if minutes > 59 {
        return None;
    }
    *c = ahead;
    Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// Seconds east of UTC of the abbreviations that mean one thing on nearly every device: those of RFC 822, Europe's, a few.
fn named(name: &[u8]) -> Option<i64> {
    let hours = match name {
        b"UTC" | b"GMT" | b"Z" | b"WET" => 0,
        b"WEST" | b"CET" | b"BST" | b"MEZ" => 1,
        b"CEST" | b"EET" | b"MESZ" => 2,
        b"EEST" | b"MSK" => 3,
        b"JST" | b"KST" => 9,
        b"AEST" => 10,
        b"AEDT" => 11,
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" | b"AKDT" => -8,
        b"AKST" => -9,
        b"HST" => -10,
        _ => return None,
    };
    Some(hours * 3600)
}

/// Seconds since the epoch, of ten digits, with a fraction: `1563249630.774247467`. Where it ends, too.
fn epoch(mut c: Cursor<'_>) -> Option<(Option<Time>, usize)> {
    let (high, low) = (c.number(5, 5)?, c.number(5, 5)?);
    if !c.eat(b'.') || !c.peek().is_ascii_digit() {
        return None;
    }
    let nanos = fraction(&mut c);
    let secs = i64::from(high) * 100_000 + i64::from(low);
    c.is_at_break().then(|| (Time::from_secs_nanos(secs, nanos), c.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000_000_000);

    fn check(text: &str, want: Option<(&str, &str)>) {
        let mut c = Cursor::new(text.as_bytes(), 0);
        let got = read(&mut c, NOW, &Zone::UTC).map(|s| {
            let mut out = Vec::new();
            s.time.inspect(|t| crate::time::rfc3339::write(*t, &mut out));
            (String::from_utf8(out).unwrap(), String::from_utf8_lossy(c.get(s.text)).into_owned())
        });
        assert_eq!(got.as_ref().map(|(t, s)| (t.as_str(), s.as_str())), want, "{text}");
        if want.is_none() {
            assert_eq!(c.at, 0, "{text}");
        }
    }

    #[test]
    fn forms() {
        let table = [
            ("Oct 11 22:14:15 x", "2023-10-11T22:14:15.000000000Z", "Oct 11 22:14:15"),
            ("Oct  1 22:14:15", "2023-10-01T22:14:15.000000000Z", "Oct  1 22:14:15"),
            ("Dec  1 22:14:15", "2022-12-01T22:14:15.000000000Z", "Dec  1 22:14:15"),
            ("Feb 29 00:00:00", "2020-02-29T00:00:00.000000000Z", "Feb 29 00:00:00"),
            ("Oct 11 22:14:15.123: %X", "2023-10-11T22:14:15.123000000Z", "Oct 11 22:14:15.123"),
            ("Oct 11 22:14:15 CDT: %X", "2023-10-12T03:14:15.000000000Z", "Oct 11 22:14:15 CDT"),
            ("Oct 11 22:14:15 XYZ: %X", "2023-10-11T22:14:15.000000000Z", "Oct 11 22:14:15 XYZ"),
            ("Oct 11 22:14:15 CORP x", "2023-10-11T22:14:15.000000000Z", "Oct 11 22:14:15"),
            ("Oct 11 2018 22:14:15: x", "2018-10-11T22:14:15.000000000Z", "Oct 11 2018 22:14:15"),
            ("2018 Oct 11 22:14:15 PDT: x", "2018-10-12T05:14:15.000000000Z", "2018 Oct 11 22:14:15 PDT"),
            ("Thu Oct 11 22:14:15 2018 x", "2018-10-11T22:14:15.000000000Z", "Thu Oct 11 22:14:15 2018"),
            ("Thu Oct 11 22:14:15 UTC 2018", "2018-10-11T22:14:15.000000000Z", "Thu Oct 11 22:14:15 UTC 2018"),
            ("2003-10-11T22:14:15.003Z x", "2003-10-11T22:14:15.003000000Z", "2003-10-11T22:14:15.003Z"),
            ("2003-10-11 22:14:15,5 +0200 x", "2003-10-11T20:14:15.500000000Z", "2003-10-11 22:14:15,5 +0200"),
            ("2003/10/11 22:14:15 x", "2003-10-11T22:14:15.000000000Z", "2003/10/11 22:14:15"),
            ("2003-10-11T22:14:15-07:00", "2003-10-12T05:14:15.000000000Z", "2003-10-11T22:14:15-07:00"),
            (
                "2003-10-11T22:14:15.0000000000001Z",
                "2003-10-11T22:14:15.000000000Z",
                "2003-10-11T22:14:15.0000000000001Z",
            ),
            ("1563249630.774247467 x", "2019-07-16T04:00:30.774247467Z", "1563249630.774247467"),
            ("2003-09-31T22:14:15Z", "", "2003-09-31T22:14:15Z"),
            ("Oct 11 25:14:15 x", "", "Oct 11 25:14:15"),
        ];
        for (text, time, stamp) in table {
            check(text, Some((time, stamp)));
        }
        for text in ["", "O", "Oct", "Oct 11", "Oct 11 22:14", "Oct 11 22:14:15x", "11 22:14:15", "2003-10", "22191: x"]
        {
            check(text, None);
        }
    }

    #[test]
    fn words() {
        assert_eq!(rfc3339(b"2023-11-14T22:13:20Z", &Zone::UTC), Some(NOW));
        assert_eq!(rfc3339(b"2023-11-14T22:13:20Zx", &Zone::UTC), None);
        assert_eq!(rfc3339(b"-", &Zone::UTC), None);
    }

    /// A time without a year, read at `now` in `place`.
    fn yearless(text: &str, now: &str, place: &Zone) -> String {
        let now = crate::time::rfc3339::parse(now.as_bytes()).unwrap();
        let mut out = Vec::new();
        let stamp = read(&mut Cursor::new(text.as_bytes(), 0), now, place).unwrap();
        crate::time::rfc3339::write(stamp.time.unwrap(), &mut out);
        String::from_utf8(out).unwrap().replace(".000000000", "")
    }

    #[test]
    fn years_around_new_year() {
        let table = [
            // A clock that is ahead, one that is behind, and messages that were long on their way.
            ("Jan  1 00:00:05", "2023-12-31T23:59:50Z", "2024-01-01T00:00:05Z"),
            ("Jan  1 23:59:50", "2023-12-31T23:59:50Z", "2024-01-01T23:59:50Z"),
            ("Jan  1 23:59:51", "2023-12-31T23:59:50Z", "2023-01-01T23:59:51Z"),
            ("Dec 31 23:59:59", "2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z"),
            ("Dec 31 00:00:00", "2024-12-30T12:00:00Z", "2024-12-31T00:00:00Z"),
            ("Jan  2 00:00:00", "2024-01-01T00:00:01Z", "2024-01-02T00:00:00Z"),
            ("Feb 29 12:00:00", "2024-02-28T12:00:00Z", "2024-02-29T12:00:00Z"),
            ("Feb 29 12:00:00", "2025-03-01T12:00:00Z", "2024-02-29T12:00:00Z"),
        ];
        for (text, now, want) in table {
            assert_eq!(yearless(text, now, &Zone::UTC), want, "{text} at {now}");
        }
        // East of UTC the new year has begun already, west of it not yet.
        let east = Zone::Fixed(13 * 3600);
        assert_eq!(yearless("Jan  1 00:30:00", "2023-12-31T11:30:00Z", &east), "2023-12-31T11:30:00Z");
        let west = Zone::Fixed(-11 * 3600);
        assert_eq!(yearless("Dec 31 23:00:00", "2024-01-01T10:00:00Z", &west), "2024-01-01T10:00:00Z");
        assert_eq!(yearless("Jan  1 00:00:10", "2024-01-01T10:59:59Z", &west), "2024-01-01T11:00:10Z");
    }

    #[test]
    fn zones_of_times_that_name_none() {
        let place = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let table = [
            ("Jul  1 12:00:00", "2023-07-01T10:00:00Z"),
            ("Jan  1 12:00:00", "2023-01-01T11:00:00Z"),
            ("2023-07-01T12:00:00", "2023-07-01T10:00:00Z"),
            // What they name counts.
            ("2023-07-01T12:00:00Z", "2023-07-01T12:00:00Z"),
            ("Jul  1 12:00:00 EST:", "2023-07-01T17:00:00Z"),
        ];
        for (text, want) in table {
            assert_eq!(yearless(text, "2023-11-14T22:13:20Z", &place), want, "{text}");
        }
        assert_eq!(rfc3339(b"2023-07-01T12:00:00", &place), rfc3339(b"2023-07-01T10:00:00Z", &Zone::UTC));
    }
}
