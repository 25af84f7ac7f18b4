//! Tests of reading times by a format.

use proptest::prelude::*;

use super::*;
use crate::time::strftime::Formatter;

/// 2023-11-14 22:13:20 UTC
const NOW: Time = Time(1_700_000_000_000_000_000);

fn format(text: &str) -> TimeFormat {
    TimeFormat::compile(text, Zone::UTC).unwrap()
}

/// Reads `text` and shows the result in UTC, with the fraction where there is one; or the error.
fn shown(format: &TimeFormat, text: &str, now: Time) -> String {
    match format.parse(text.as_bytes(), now) {
        Ok(time) => {
            let layout = if time.subsec_nanos() == 0 { "%F %T" } else { "%F %T.%N" };
            let mut out = Vec::new();
            Formatter::compile(layout).unwrap().write(time, &mut out);
            String::from_utf8(out).unwrap()
        }
        Err(error) => format!("{error:?}"),
    }
}

fn check(table: &[(&str, &str, &str)]) {
    for (layout, text, expected) in table {
        assert_eq!(shown(&format(layout), text, NOW), *expected, "{layout} on {text}");
    }
}

#[test]
fn formats_of_the_stock_parsers() {
    check(&[
        ("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700", "2000-10-10 20:55:36"),
        ("%a %b %d %H:%M:%S.%L %Y", "Wed Oct 11 14:32:52.123456 2000", "2000-10-11 14:32:52.123456000"),
        ("%Y-%m-%dT%H:%M:%S.%L", "2017-06-26T17:53:09.789124912Z", "2017-06-26 17:53:09.789124912"),
        ("%Y-%m-%dT%H:%M:%S.%L%z", "2023-11-14T22:13:20.123456789+01:00", "2023-11-14 21:13:20.123456789"),
        ("%Y-%m-%dT%H:%M:%S.%LZ", "2023-11-14T22:13:20.5Z", "2023-11-14 22:13:20.500000000"),
        ("%Y-%m-%dT%H:%M:%S.%L%z", "2023-11-14T22:13:20.123Z", "2023-11-14 22:13:20.123000000"),
        ("%b %d %H:%M:%S", "Oct  5 01:02:03", "2023-10-05 01:02:03"),
        ("%Y-%m-%d %H:%M:%S,%L", "2023-11-14 22:13:20,007", "2023-11-14 22:13:20.007000000"),
        ("%s", "1700000000", "2023-11-14 22:13:20"),
        ("%s.%L", "1700000000.25", "2023-11-14 22:13:20.250000000"),
        ("%s", "0", "1970-01-01 00:00:00"),
    ]);
}

#[test]
fn single_specifiers() {
    check(&[
        ("%Y", "1999", "1999-01-01 00:00:00"),
        ("%y %m", "68 2", "2068-02-01 00:00:00"),
        ("%y", "69", "1969-01-01 00:00:00"),
        ("%C%y", "1868", "1868-01-01 00:00:00"),
        ("%Ey-%Om", "23-11", "2023-11-01 00:00:00"),
        ("%Y %j", "2024 060", "2024-02-29 00:00:00"),
        ("%Y %j", "2023 366", "NoSuchTime"),
        ("%D %R", "02/28/24 7:5", "2024-02-28 07:05:00"),
        ("%x %X", "02/28/24 07:05:09", "2024-02-28 07:05:09"),
        ("%F %r", "2024-02-28 12:05:09 am", "2024-02-28 00:05:09"),
        ("%F %r", "2024-02-28 12:05:09 PM", "2024-02-28 12:05:09"),
        ("%F %I:%M %p", "2024-02-28 01:05 PM", "2024-02-28 13:05:00"),
        ("%F %p %I", "2024-02-28 pm 11", "2024-02-28 23:00:00"),
        ("%F %H %p", "2024-02-28 13 PM", "NoSuchTime"),
        ("%F %p", "2024-02-28 xm", "Mismatch"),
        ("%F %k:%M %e", "2024-02-28  7:05  9", "2024-02-09 07:05:00"),
        ("%F %l:%M%p", "2024-02-28  7:05pm", "2024-02-28 19:05:00"),
        ("%c", "Wed Feb 28 07:05:09 2024", "2024-02-28 07:05:09"),
        ("%A, %d %B %Y", "wednesday, 28 FEBRUARY 2024", "2024-02-28 00:00:00"),
        ("%a %h %d %Y", "XYZ Feb 28 2024", "Mismatch"),
        ("%G-W%V-%u %g %U %W %w %F", "2024-W09-3 24 08 09 3 2024-02-28", "2024-02-28 00:00:00"),
        ("%V %F", "54 2024-02-28", "Mismatch"),
        ("%F%n%T%t|%%", "2024-02-28\n \t07:05:09|%", "2024-02-28 07:05:09"),
        ("%s", "12x", "1970-01-01 00:00:12"),
        ("%s", "-5", "Mismatch"),
        ("%s", "99999999999999999999", "Mismatch"),
        ("%s", "9223372037", "OutOfRange"),
    ]);
}

#[test]
fn zones_in_the_text() {
    check(&[
        ("%F %T %z", "2024-02-28 07:05:09 +0200", "2024-02-28 05:05:09"),
        ("%F %T %z", "2024-02-28 07:05:09 -02:30", "2024-02-28 09:35:09"),
        ("%F %T%z", "2024-02-28 07:05:09 +02", "2024-02-28 05:05:09"),
        ("%F %T %z", "2024-02-28 07:05:09 Z", "2024-02-28 07:05:09"),
        ("%F %T %z", "2024-02-28 07:05:09 UTC", "2024-02-28 07:05:09"),
        ("%F %T %z", "2024-02-28 07:05:09 PST", "2024-02-28 15:05:09"),
        ("%F %T %z", "2024-02-28 07:05:09 nowhere", "Mismatch"),
        ("%F %T %Z", "2024-02-28 07:05:09 CEST", "2024-02-28 05:05:09"),
        ("%F %T %Z]", "2024-02-28 07:05:09 ist]", "2024-02-28 01:35:09"),
        ("%F %T %Z", "2024-02-28 07:05:09 XYZT", "Mismatch"),
        ("%z %F %T", "+0200 2024-02-28 07:05:09", "2024-02-28 05:05:09"),
        ("%F %T%z", "2024-02-28 07:05:09", "Mismatch"),
    ]);
}

#[test]
fn zones_outside_the_text() {
    let berlin = || Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let table = [
        ("%F %T", Zone::Fixed(19_800), "2024-02-28 07:05:09", "2024-02-28 01:35:09"),
        ("%F %T", berlin(), "2025-01-15 12:00:00", "2025-01-15 11:00:00"),
        ("%F %T", berlin(), "2025-07-15 12:00:00", "2025-07-15 10:00:00"),
        ("%F %T", berlin(), "2025-03-30 02:30:00", "2025-03-30 01:30:00"),
        ("%F %T", berlin(), "2025-10-26 02:30:00", "2025-10-26 00:30:00"),
        ("%F %T", berlin(), "2025-10-26 03:00:00", "2025-10-26 02:00:00"),
        // The text's own zone wins.
        ("%F %T %z", berlin(), "2025-07-15 12:00:00 +0000", "2025-07-15 12:00:00"),
        ("%F %TZ", berlin(), "2025-07-15 12:00:00Z", "2025-07-15 12:00:00"),
        ("%F %T.%LZ", berlin(), "2025-07-15 12:00:00.0Z", "2025-07-15 12:00:00"),
        // A Z anywhere else is a letter.
        ("Z %F %T", berlin(), "Z 2025-07-15 12:00:00", "2025-07-15 10:00:00"),
        // Seconds since the epoch have no zone.
        ("%s", berlin(), "1700000000", "2023-11-14 22:13:20"),
    ];
    for (layout, zone, text, expected) in table {
        let format = TimeFormat::compile(layout, zone).unwrap();
        assert_eq!(shown(&format, text, NOW), expected, "{layout} on {text}");
    }
}

#[test]
fn lenient_shapes() {
    check(&[
        ("%F %T", "2024-2-8 7:5:9", "2024-02-08 07:05:09"),
        ("%F %T", "2024-02-28   07:05:09", "2024-02-28 07:05:09"),
        ("%F %T", "2024-02-2807:05:09", "2024-02-28 07:05:09"),
        ("%F %T", "2024-02-28 07:05:09 and so on", "2024-02-28 07:05:09"),
        ("%Y%m%d%H%M%S", "20240228070509", "2024-02-28 07:05:09"),
        ("%d/%b/%Y", "9/feb/2024", "2024-02-09 00:00:00"),
        ("%d/%b/%Y", "09/February/2024", "2024-02-09 00:00:00"),
        ("%T %F", "23:59:60 2016-12-31", "2017-01-01 00:00:00"),
        ("%F %T", "2024-02-28T07:05:09", "Mismatch"),
        ("%F %T", " 2024-02-28 07:05:09", "Mismatch"),
        ("%F %T", "2024-02-28 07:05", "Mismatch"),
        ("%F %T", "2024-02-28 24:05:09", "Mismatch"),
        ("%F %T", "2024-02-28 07:60:09", "Mismatch"),
        ("%F %T", "2024-13-28 07:05:09", "Mismatch"),
        ("%F %T", "2024-00-28 07:05:09", "Mismatch"),
        ("%F", "2024-02-30", "NoSuchTime"),
        ("%F", "2023-02-29", "NoSuchTime"),
        ("%F", "2024-02-29", "2024-02-29 00:00:00"),
        ("%S.%L %F", "5. 2024-02-29", "Mismatch"),
        ("%F", "", "Mismatch"),
        ("%F", "1677-09-20", "OutOfRange"),
        ("%F", "2262-04-12", "OutOfRange"),
        ("%F", "9999-12-31", "OutOfRange"),
    ]);
}

#[test]
fn a_missing_year_is_the_latest_that_is_not_ahead() {
    let at = |text| format("%F %T").parse(str::as_bytes(text), NOW).unwrap();
    let table = [
        ("2026-11-21 12:00:00", "Oct 11 22:14:15", "2026-10-11 22:14:15"),
        ("2026-11-21 12:00:00", "Nov 22 11:59:59", "2026-11-22 11:59:59"),
        ("2026-11-21 12:00:00", "Nov 22 12:00:01", "2025-11-22 12:00:01"),
        ("2027-01-01 00:00:05", "Dec 31 23:59:59", "2026-12-31 23:59:59"),
        ("2026-12-31 23:59:58", "Jan  1 00:00:00", "2027-01-01 00:00:00"),
        ("2026-03-01 00:00:00", "Feb 29 01:00:00", "2024-02-29 01:00:00"),
        ("2103-03-01 00:00:00", "Feb 29 01:00:00", "2096-02-29 01:00:00"),
        ("2026-03-01 00:00:00", "Feb 30 01:00:00", "NoSuchTime"),
    ];
    for (now, text, expected) in table {
        assert_eq!(shown(&format("%b %d %H:%M:%S"), text, at(now)), expected, "{text} read at {now}");
    }
    // New Year comes earlier in Tokyo than in the clock of `now`.
    let tokyo = TimeFormat::compile("%b %d %H:%M:%S", Zone::Fixed(9 * 3600)).unwrap();
    assert_eq!(shown(&tokyo, "Jan  1 00:30:00", at("2026-12-31 15:30:01")), "2026-12-31 15:30:00");
    assert_eq!(shown(&format("%j %H"), "001 05", at("2026-12-31 23:00:00")), "2027-01-01 05:00:00");
}

#[test]
fn a_missing_date_is_the_nearest() {
    let at = |text| format("%F %T").parse(str::as_bytes(text), NOW).unwrap();
    let table = [
        ("%T", "2026-11-21 12:00:00", "11:59:59", "2026-11-21 11:59:59"),
        ("%T", "2026-11-21 00:00:05", "23:59:59", "2026-11-20 23:59:59"),
        ("%T", "2026-11-21 23:59:59", "00:00:01", "2026-11-22 00:00:01"),
        ("%d %T", "2026-11-21 12:00:00", "20 10:00:00", "2026-11-20 10:00:00"),
        ("%d %T", "2026-11-21 12:00:00", "28 10:00:00", "2026-10-28 10:00:00"),
        ("%d %T", "2026-12-31 23:59:59", "01 00:00:00", "2027-01-01 00:00:00"),
        ("%d %T", "2026-03-01 00:00:00", "31 10:00:00", "2026-01-31 10:00:00"),
    ];
    for (layout, now, text, expected) in table {
        assert_eq!(shown(&format(layout), text, at(now)), expected, "{layout}: {text} read at {now}");
    }
}

#[test]
fn partial_reading_needs_a_date() {
    let table = [
        ("%F %T %z", "2024-02-28 07:05:09", Some("2024-02-28 07:05:09")),
        ("%F %T %z", "2024-02-28 07:05:xx", Some("2024-02-28 07:05:00")),
        ("%F %T", "2024-02-28", Some("2024-02-28 00:00:00")),
        ("%F %T", "2024-02-xx", None),
        ("%b %d %T", "Oct 11 x", Some("2023-10-11 00:00:00")),
        ("%T %F", "07:05:09 x", None),
        ("%s.%L", "1700000000", Some("2023-11-14 22:13:20")),
        ("%F", "2024-02-31", None),
        ("%F", "", None),
    ];
    for (layout, text, expected) in table {
        let expected = expected.map(|time| format("%F %T").parse(time.as_bytes(), NOW).unwrap());
        assert_eq!(format(layout).parse_partial(text.as_bytes(), NOW), expected, "{layout} on {text}");
    }
}

#[test]
fn the_read_length_is_told() {
    let table = [
        ("%F", "2024-02-28 07:05:09", 10),
        ("%F %T.%L%z", "2024-02-28 07:05:09.5+01:00 rest", 27),
        ("%F ", "2024-02-28  \t x", 14),
    ];
    for (layout, text, expected) in table {
        assert_eq!(format(layout).parse_prefix(text.as_bytes(), NOW).unwrap().1, expected, "{layout} on {text}");
    }
}

/// Formats that lose nothing, for writing and reading back; and how many nanoseconds they are exact to.
const ROUND_TRIPS: &[(&str, &str, i64)] = &[
    ("%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z", 1_000_000_000),
    ("%Y-%m-%dT%H:%M:%S.%N%z", "%Y-%m-%dT%H:%M:%S.%L%z", 1),
    ("%Y-%m-%dT%H:%M:%S.%6NZ", "%Y-%m-%dT%H:%M:%S.%LZ", 1_000),
    ("%Y-%m-%d %H:%M:%S,%L", "%Y-%m-%d %H:%M:%S,%L", 1_000_000),
    ("%a %b %e %H:%M:%S.%N %Y", "%a %b %d %H:%M:%S.%L %Y", 1),
    ("%A, %d %B %Y %I:%M:%S %p", "%A, %d %B %Y %I:%M:%S %p", 1_000_000_000),
    ("%Y %j %T %Z", "%Y %j %T %Z", 1_000_000_000),
    ("%C%y%m%d%H%M%S", "%C%y%m%d%H%M%S", 1_000_000_000),
    ("%c", "%c", 1_000_000_000),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read_back(nanos: i64, n in 0..ROUND_TRIPS.len()) {
        let (written, read, unit) = ROUND_TRIPS[n];
        // The first second of the range has no beginning that could be read back.
        let nanos = nanos.max(i64::MIN + 1_000_000_000).div_euclid(unit) * unit;
        let mut text = Vec::new();
        Formatter::compile(written).unwrap().write(Time(nanos), &mut text);
        prop_assert_eq!(format(read).parse(&text, NOW), Ok(Time(nanos)), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn epoch_is_read_back(secs in 0i64..9_000_000_000, nanos in 0u32..1_000_000_000) {
        let time = Time::from_secs_nanos(secs, nanos).unwrap();
        let mut text = Vec::new();
        Formatter::compile("%s.%N").unwrap().write(time, &mut text);
        prop_assert_eq!(format("%s.%L").parse(&text, NOW), Ok(time));
    }

    #[test]
    fn zones_are_read_back(secs in 0i64..4_000_000_000, quarters in -56i32..56) {
        let mut text = Vec::new();
        let time = Time(secs * 1_000_000_000);
        Formatter::compile("%FT%T%z").unwrap().write_in(time, &Zone::Fixed(quarters * 900), &mut text);
        prop_assert_eq!(format("%FT%T%z").parse(&text, NOW), Ok(time));
    }

    #[test]
    fn a_year_left_out_is_found_again(days_ago in -1i64..364, second in 0i64..86_399, now in 0i64..4_000_000_000) {
        let time = Time((now - days_ago * 86_400 - second).max(0) * 1_000_000_000);
        let mut text = Vec::new();
        Formatter::compile("%b %e %T").unwrap().write(time, &mut text);
        prop_assert_eq!(format("%b %d %H:%M:%S").parse(&text, Time(now * 1_000_000_000)), Ok(time));
    }

    #[test]
    fn any_bytes_and_any_format(layout in "(%[EO]?[a-zA-Z%]|[ :.TZ/-]|\\PC){0,12}", text: Vec<u8>, digits in "[0-9:. /+-]{0,40}", now: i64) {
        if let Ok(format) = TimeFormat::compile(&layout, Zone::Fixed(7200)) {
            for text in [&text[..], digits.as_bytes()] {
                let _ = format.parse(text, Time(now));
                let _ = format.parse_partial(text, Time(now));
            }
        }
    }
}
