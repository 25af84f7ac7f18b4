//! Times as RFC 3339 has them: `2026-11-21T09:30:00.000000001Z`, to the nanosecond, both ways.

use super::Time;
use super::civil::Civil;
use crate::util::decimal::{pair, push_fixed, quad};

/// Appends `time` in UTC with nine decimals: thirty characters.
pub fn write(time: Time, out: &mut Vec<u8>) {
    let Civil { year, month, day, hour, minute, second } = Civil::from_secs(time.secs());
    // The years of `Time` have four digits.
    out.extend_from_slice(&quad(year.unsigned_abs()));
    for (before, part) in [(b'-', month), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        let [tens, ones] = pair(part.into());
        out.extend_from_slice(&[before, tens, ones]);
    }
    out.push(b'.');
    push_fixed::<9>(out, time.subsec_nanos().into());
    out.push(b'Z');
}

/// Reads a time: up to nine decimals or none, `Z` or an offset such as `+02:00`. `None` when it is none, or out of range.
pub fn parse(text: &[u8]) -> Option<Time> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    };
    let (head, rest) = text.split_at_checked(19)?;
    let marks = [(4, b"--"), (7, b"--"), (10, b"Tt"), (13, b"::"), (16, b"::")];
    if !marks.iter().all(|(at, any)| head.get(*at).is_some_and(|b| any.contains(b))) {
        return None;
    }
    let part = |from: usize, range: std::ops::RangeInclusive<u32>| {
        number(from, from + 2).filter(|n| range.contains(n)).map(|n| n as u8)
    };
    let civil = Civil {
        year: number(0, 4)? as i32,
        month: part(5, 1..=12)?,
        day: part(8, 1..=31)?,
        hour: part(11, 0..=23)?,
        minute: part(14, 0..=59)?,
        second: part(17, 0..=60)?,
    };
    let decimals = rest.strip_prefix(b".").map(|r| r.iter().take_while(|b| b.is_ascii_digit()).count());
    let nanos = match decimals {
        Some(n @ 1..=9) => number(20, 20 + n)? * 10u32.pow(9 - n as u32),
        Some(_) => return None,
        None => 0,
    };
    let zone = rest.get(decimals.map_or(0, |n| n + 1)..)?;
    let at = text.len() - zone.len();
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let secs = i64::from(part(at + 1, 0..=23)?) * 3600 + i64::from(part(at + 4, 0..=59)?) * 60;
            if *sign == b'+' { secs } else { -secs }
        }
        _ => return None,
    };
    Time::from_secs_nanos(civil.secs() - offset, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(time: Time) -> String {
        let mut out = Vec::new();
        write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms() {
        assert_eq!(text(Time(1_700_000_001_000_000_009)), "2023-11-14T22:13:21.000000009Z");
        assert_eq!(text(Time(i64::MIN)), "1677-09-21T00:12:43.145224192Z");
        let table: &[(&str, Option<i64>)] = &[
            ("2023-11-14T22:13:21.000000009Z", Some(1_700_000_001_000_000_009)),
            ("2023-11-14t22:13:21z", Some(1_700_000_001_000_000_000)),
            ("2023-11-15T00:13:21.5+02:00", Some(1_700_000_001_500_000_000)),
            ("2023-11-14T21:43:21-00:30", Some(1_700_000_001_000_000_000)),
            ("2023-11-14T22:13:21.Z", None),
            ("2023-11-14T22:13:21.0000000009Z", None),
            ("2023-11-14T22:13:21", None),
            ("2023-11-14 22:13:21Z", None),
            ("2023-13-14T22:13:21Z", None),
            ("2023-11-14T24:13:21Z", None),
            ("2023-11-14T22:13:21+2:00", None),
            ("2023-11-1xT22:13:21Z", None),
            ("2623-11-14T22:13:21Z", None),
            ("", None),
            ("é", None),
        ];
        for (text, nanos) in table {
            assert_eq!(parse(text.as_bytes()), nanos.map(Time), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_reads_back(nanos: i64) {
            prop_assert_eq!(parse(text(Time(nanos)).as_bytes()), Some(Time(nanos)));
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }
    }
}
