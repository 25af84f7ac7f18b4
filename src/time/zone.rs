//! Time zones: a fixed offset, or the rules of a place laid out as a table of offsets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Where times belong that do not name a zone themselves.
#[derive(Clone, Debug)]
pub enum Zone {
    /// Seconds east of UTC, all year.
    Fixed(i32),
    /// A place whose offset changes.
    Rules(Arc<Rules>),
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self::Fixed(0);

    /// The zone that the parser keys `Time_Offset`, `Time_System_Timezone` and `Time_Zone` ask for together.
    ///
    /// An offset wins over the system's zone; a named zone stands alone. Reads the zone database of the system.
    pub fn from_keys(offset: Option<&str>, system: bool, name: Option<&str>) -> Result<Self, String> {
        match (offset, name) {
            (_, Some(_)) if system || offset.is_some() => {
                Err("Time_Zone cannot be used together with Time_Offset or Time_System_Timezone".into())
            }
            (_, Some(name)) => Self::named(name),
            (Some(offset), _) => parse_offset(offset)
                .map(Self::Fixed)
                .ok_or_else(|| format!("'{offset}' is not a Time_Offset: expected Z, +hhmm, +hh:mm, -hhmm or -hh:mm")),
            _ if system => super::local::system_zone(),
            _ => Ok(Self::UTC),
        }
    }

    /// The zone of an IANA name such as `Europe/Berlin`.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::read_named(name).ok_or_else(|| {
            format!(
                "time zone '{name}' is not known: expected a name such as Europe/Berlin, and the system's zone database \
                 (package tzdata, or the directory in TZDIR)"
            )
        })
    }

    /// Reads the one file of the zone: walking the whole database would cost 100 KiB and 600 directory entries.
    fn read_named(name: &str) -> Option<Self> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.split('/').all(plain) {
            return None;
        }
        let dirs = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];
        let given = std::env::var_os("TZDIR").filter(|d| !d.is_empty()).map(PathBuf::from);
        given.into_iter().chain(dirs.map(PathBuf::from)).find_map(|dir| Self::tzif(&dir.join(name)).ok())
    }

    /// The zone of a compiled zone file (RFC 9636).
    pub(super) fn tzif(file: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
        TimeZone::tzif("", &bytes).map(|zone| Self::from_jiff(&zone)).map_err(|e| e.to_string())
    }

    /// The zone of a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3`, which needs no database.
    pub fn posix(rule: &str) -> Result<Self, String> {
        match TimeZone::posix(rule) {
            Ok(zone) => Ok(Self::from_jiff(&zone)),
            Err(_) => Err(format!("'{rule}' is not a POSIX time zone rule")),
        }
    }

    fn from_jiff(zone: &TimeZone) -> Self {
        if let Ok(offset) = zone.to_fixed_offset() {
            return Self::Fixed(offset.seconds());
        }
        let (Ok(first), Ok(last)) = (Timestamp::from_second(FIRST), Timestamp::from_second(LAST)) else {
            return Self::UTC;
        };
        let before = zone.to_offset_info(first);
        let mut periods = vec![Period::new(i64::MIN, before.offset().seconds(), before.abbreviation())];
        for change in zone.following(first).take_while(|change| change.timestamp() < last) {
            periods.push(Period::new(change.timestamp().as_second(), change.offset().seconds(), change.abbreviation()));
        }
        Self::Rules(Arc::new(Rules { periods: periods.into() }))
    }

    /// Seconds east of UTC at a moment, given in seconds since the epoch.
    pub fn offset_at(&self, secs: i64) -> i32 {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Rules(rules) => rules.at(secs).offset,
        }
    }

    /// The abbreviation in use at a moment: `CET`, `CEST`; `UTC` or empty for fixed offsets.
    pub fn name_at(&self, secs: i64) -> &str {
        match self {
            Self::Fixed(0) => "UTC",
            Self::Fixed(_) => "",
            Self::Rules(rules) => &rules.at(secs).name,
        }
    }

    /// The moment at which clocks of this zone show `local` (seconds as if it were UTC).
    ///
    /// Of two such moments, when clocks were set back, it is the earlier one. When clocks were set forward over
    /// `local`, it is read with the offset from before: 02:30 becomes what clocks then call 03:30.
    pub fn utc_from_local(&self, local: i64) -> i64 {
        let rules = match self {
            Self::Fixed(offset) => return local - i64::from(*offset),
            Self::Rules(rules) => rules,
        };
        // The last period that has begun for certain; `local` is in it or in one of the next.
        let first = rules.periods.partition_point(|p| p.start.saturating_add(MAX_OFFSET) <= local).saturating_sub(1);
        let mut fallback = local;
        for (n, period) in rules.periods.iter().enumerate().skip(first).take(3) {
            let utc = local - i64::from(period.offset);
            let end = rules.periods.get(n + 1).map_or(i64::MAX, |next| next.start);
            if period.start <= utc {
                if utc < end {
                    return utc;
                }
                fallback = utc;
            }
        }
        fallback
    }
}

/// The offsets of one place from 1970 to 2100, in order; the last one goes on.
#[derive(Debug)]
pub struct Rules {
    periods: Box<[Period]>,
}

impl Rules {
    fn at(&self, secs: i64) -> &Period {
        static NONE: Period = Period { start: 0, offset: 0, name: heapless::String::new() };
        let after = self.periods.partition_point(|period| period.start <= secs);
        after.checked_sub(1).and_then(|n| self.periods.get(n)).unwrap_or(&NONE)
    }
}

#[derive(Debug)]
struct Period {
    /// First second, UTC.
    start: i64,
    offset: i32,
    name: heapless::String<7>,
}

impl Period {
    fn new(start: i64, offset: i32, name: &str) -> Self {
        Self { start, offset, name: name.try_into().unwrap_or_default() }
    }
}

/// 1970-01-01 and 2100-01-01.
const FIRST: i64 = 0;
const LAST: i64 = 4_102_444_800;

/// No clock is further from UTC than this, in seconds.
const MAX_OFFSET: i64 = 26 * 3600;

/// Seconds east of UTC written as `Z`, `+hh`, `+hhmm` or `+hh:mm` (or with `-`).
pub fn parse_offset(text: &str) -> Option<i32> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let two = |a: u8, b: u8| {
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i32::from(a - b'0') * 10 + i32::from(b - b'0'))
    };
    let (hours, minutes) = match *digits {
        [a, b] => (two(a, b)?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (two(a, b)?, two(c, d)?),
        _ => return None,
    };
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::civil::Civil;

    fn berlin() -> Zone {
        Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn local(month: u8, day: u8, hour: u8, minute: u8) -> i64 {
        Civil { year: 2025, month, day, hour, minute, second: 0 }.secs()
    }

    /// 2025: forward on 30 March at 02:00, back on 26 October at 03:00.
    const BERLIN: [(u8, u8, u8, u8, i32); 14] = [
        (1, 15, 12, 0, 1),
        (7, 15, 12, 0, 2),
        (3, 30, 1, 59, 1),
        // The gap.
        (3, 30, 2, 0, 1),
        (3, 30, 2, 30, 1),
        (3, 30, 2, 59, 1),
        (3, 30, 3, 0, 2),
        (10, 26, 1, 59, 2),
        // The hour that comes twice.
        (10, 26, 2, 0, 2),
        (10, 26, 2, 30, 2),
        (10, 26, 2, 59, 2),
        (10, 26, 3, 0, 1),
        (12, 31, 23, 59, 1),
        (1, 1, 0, 0, 1),
    ];

    fn check_berlin(zone: &Zone) {
        for (month, day, hour, minute, offset) in BERLIN {
            let clock = local(month, day, hour, minute);
            assert_eq!(zone.utc_from_local(clock), clock - i64::from(offset) * 3600, "{month}-{day} {hour}:{minute}");
        }
        let change = local(3, 30, 1, 0);
        assert_eq!((zone.offset_at(change - 1), zone.offset_at(change)), (3600, 7200));
        assert_eq!((zone.name_at(change - 1), zone.name_at(change)), ("CET", "CEST"));
    }

    #[test]
    fn daylight_saving_by_rule() {
        check_berlin(&berlin());
    }

    #[test]
    fn daylight_saving_by_name() {
        match Zone::named("Europe/Berlin") {
            Ok(zone) => {
                check_berlin(&zone);
                // 1975 knew no summer time, 1980 did.
                assert_eq!(zone.offset_at(Civil { year: 1975, ..Civil::from_secs(local(7, 1, 0, 0)) }.secs()), 3600);
                assert_eq!(zone.offset_at(Civil { year: 1980, ..Civil::from_secs(local(7, 1, 0, 0)) }.secs()), 7200);
            }
            Err(error) => println!("skipped: {error}"),
        }
    }

    #[test]
    fn local_and_back() {
        for rule in ["CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "NZST-12NZDT,M9.5.0,M4.1.0/3"] {
            let zone = Zone::posix(rule).unwrap();
            for hours in 0..24 * 366 {
                let utc = 1_735_689_600 + hours * 3600;
                let offset = zone.offset_at(utc);
                let back = zone.utc_from_local(utc + i64::from(offset));
                // The second pass through a repeated hour is read as the first.
                let repeated = zone.offset_at(utc - 3600) > offset;
                assert_eq!(back, if repeated { utc - 3600 } else { utc }, "{rule} {utc}");
            }
        }
    }

    #[test]
    fn ends_of_time() {
        let zone = berlin();
        for local in [i64::MIN / 2, -1, i64::MAX / 2] {
            assert!((zone.utc_from_local(local) - local).abs() <= 7200);
        }
    }

    #[test]
    fn keys() {
        let secs = |zone: Result<Zone, String>| zone.map(|zone| zone.offset_at(0));
        assert_eq!(secs(Zone::from_keys(None, false, None)), Ok(0));
        assert_eq!(secs(Zone::from_keys(Some("+0530"), false, None)), Ok(19_800));
        assert_eq!(secs(Zone::from_keys(Some("-03:30"), true, None)), Ok(-12_600));
        assert_eq!(secs(Zone::from_keys(None, false, Some("UTC"))), Ok(0));
        assert!(Zone::from_keys(Some("+0100"), false, Some("UTC")).is_err());
        assert!(Zone::from_keys(None, true, Some("UTC")).is_err());
        assert!(Zone::from_keys(Some("berlin"), false, None).is_err());
        assert!(Zone::named("Europe/Nowhere").unwrap_err().starts_with("time zone 'Europe/Nowhere' is not known"));
        assert!(Zone::posix("nonsense").is_err());
    }

    #[test]
    fn offsets() {
        let table: &[(&str, Option<i32>)] = &[
            ("Z", Some(0)),
            ("+02", Some(7200)),
            ("+0000", Some(0)),
            ("-0130", Some(-5400)),
            ("+05:45", Some(20_700)),
            ("", None),
            ("+", None),
            ("0100", None),
            ("+1", None),
            ("+01:0", None),
            ("+0160", None),
            ("+2500", None),
            ("+01:00x", None),
        ];
        for &(text, expected) in table {
            assert_eq!(parse_offset(text), expected, "{text:?}");
        }
    }
}
