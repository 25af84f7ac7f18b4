//! `json_date_format`: the ways in which a record's time is written into JSON.

use super::num::{write_f64_json, write_i64};
use crate::time::Time;
use crate::time::civil::Civil;
use crate::util::decimal::{pair, push_fixed, push_padded, ten};

/// A way to write a time. Text forms are in UTC with microseconds, and bring their own quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateFormat {
    /// Seconds as a double: `1700000001.041066`.
    #[default]
    Double,
    /// `"2023-11-14T22:13:21.114916Z"`
    Iso8601,
    /// Whole seconds: `1700000001`.
    Epoch,
    /// Whole milliseconds: `1700000001114`.
    EpochMs,
    /// `"2023-11-14 22:13:21.115331"`
    JavaSql,
}

impl DateFormat {
    /// The names a configuration may use, for messages.
    pub const NAMES: &str = "double, iso8601, epoch, epoch_ms, java_sql_timestamp";

    /// The format of this name, in any case; `epoch_millis` and `epoch_milliseconds` are other names of `epoch_ms`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "double" => Self::Double,
            "iso8601" => Self::Iso8601,
            "epoch" => Self::Epoch,
            "epoch_ms" | "epoch_millis" | "epoch_milliseconds" => Self::EpochMs,
            "java_sql_timestamp" => Self::JavaSql,
            _ => return None,
        })
    }

    /// [`Self::write`] by the short way, filled up with anything, and its length: for what most records have.
    #[inline]
    pub(super) fn short(self, time: Time) -> Option<([u8; 16], usize)> {
        let [a, b, c, d, e, f, g, h, i, j] = ten(time.secs())?;
        let text = [a, b, c, d, e, f, g, h, i, j, b'.', b'0', b',', 0, 0, 0];
        match self {
            Self::Double if time.subsec_nanos() == 0 => Some((text, 12)),
            Self::Epoch => Some((text, 10)),
            _ => None,
        }
    }

    /// Appends `time` as a JSON value.
    pub fn write(self, time: Time, out: &mut Vec<u8>) {
        match self {
            Self::Double => write_f64_json(time.as_secs_f64(), out),
            Self::Iso8601 => write_quoted(time, b'T', b"Z\"", out),
            Self::Epoch => write_i64(time.secs(), out),
            Self::EpochMs => write_i64(time.0.div_euclid(1_000_000), out),
            Self::JavaSql => write_quoted(time, b' ', b"\"", out),
        }
    }
}

fn write_quoted(time: Time, between: u8, end: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_date(time, between, out);
    out.extend_from_slice(end);
}

/// Appends date and time of day in UTC with microseconds: `2023-11-14T22:13:21.114916`, where `between` is the `T`.
pub(super) fn write_date(time: Time, between: u8, out: &mut Vec<u8>) {
    let Civil { year, month, day, hour, minute, second } = Civil::from_secs(time.secs());
    push_padded(out, u64::from(year.unsigned_abs()), 4, b'0');
    let [m1, m2] = pair(month.into());
    let [d1, d2] = pair(day.into());
    let [h1, h2] = pair(hour.into());
    let [n1, n2] = pair(minute.into());
    let [s1, s2] = pair(second.into());
    out.extend_from_slice(&[b'-', m1, m2, b'-', d1, d2, between, h1, h2, b':', n1, n2, b':', s1, s2, b'.']);
    push_fixed::<6>(out, u64::from(time.subsec_nanos() / 1000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let table = [
            ("double", 1_700_000_001_041_066_000, "1700000001.041066"),
            ("Double", 1_000_000_000, "1.0"),
            ("double", 1_700_000_000_971_739_438, "1700000000.97174"),
            ("double", 0, "0.0"),
            ("iso8601", 1_700_000_001_114_916_999, "\"2023-11-14T22:13:21.114916Z\""),
            ("ISO8601", -1, "\"1969-12-31T23:59:59.999999Z\""),
            ("epoch", 1_700_000_001_999_999_999, "1700000001"),
            ("epoch", -1, "-1"),
            ("epoch_ms", 1_700_000_001_114_999_999, "1700000001114"),
            ("epoch_millis", 5_000_000, "5"),
            ("epoch_milliseconds", 0, "0"),
            ("java_sql_timestamp", 1_700_000_001_115_331_000, "\"2023-11-14 22:13:21.115331\""),
            ("iso8601", i64::MAX, "\"2262-04-11T23:47:16.854775Z\""),
            ("iso8601", i64::MIN, "\"1677-09-21T00:12:43.145224Z\""),
        ];
        for (name, nanos, expected) in table {
            let mut out = Vec::new();
            DateFormat::parse(name).unwrap().write(Time(nanos), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name} {nanos}");
        }
        assert_eq!(DateFormat::parse("rfc3339"), None);
        for name in DateFormat::NAMES.split(", ") {
            assert!(DateFormat::parse(name).is_some(), "{name}");
        }
    }
}
