//! Durations in configuration text: `10m` and `2h` in whole seconds, `0.2` as seconds with a fraction.

use std::time::Duration;

/// Whole seconds named by `text`: digits and an optional `s`, `m`, `h` or `d`, in any case.
///
/// Fluent Bit reads garbage as 0, which turns a typing error into "no limit" or "at once"; here it is an error.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text)?;
    let value: u64 = number.parse().map_err(|_| invalid(text))?;
    value.checked_mul(unit).filter(|&s| s <= MAX_SECONDS).ok_or_else(|| too_long(text))
}

/// A time with a fraction, as `Flush` has it: `1`, `0.2`, `.5`, `1.5s`, `0.5m`; exact to the nanosecond.
pub fn parse_fraction(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(invalid(text));
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long(text))? };
    let seconds = whole.checked_mul(unit).filter(|&s| s <= MAX_SECONDS).ok_or_else(|| too_long(text))?;
    let mut nanos = 0u64;
    let mut place = 100_000_000u64;
    for b in fraction.bytes().take(9) {
        nanos += u64::from(b - b'0') * place;
        place /= 10;
    }
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanos * unit))
}

/// A thousand years: far beyond use, and far from overflow in any later sum.
const MAX_SECONDS: u64 = 1000 * 366 * 86_400;

/// The number and the seconds in its unit.
fn split_unit(text: &str) -> Result<(&str, u64), String> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "" | "s" | "S" => 1,
        "m" | "M" => 60,
        "h" | "H" => 3600,
        "d" | "D" => 86_400,
        _ => return Err(invalid(text)),
    };
    Ok((number, unit))
}

fn invalid(text: &str) -> String {
    format!("'{text}' is not a time: expected a number with s, m, h or d after it, such as 30s or 10m")
}

fn too_long(text: &str) -> String {
    format!("'{text}' is too long a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        let table: &[(&str, u64)] =
            &[("0", 0), ("5", 5), ("10s", 10), ("10m", 600), ("2H", 7200), ("1d", 86_400), (" 7 ", 7)];
        for &(text, expected) in table {
            assert_eq!(parse_seconds(text), Ok(expected), "{text:?}");
        }
        for text in ["", "s", "abc", "-1", "1.5", "1w", "10 m", "5sm", "99999999999d", "18446744073709551616"] {
            assert!(parse_seconds(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn fractions() {
        let table: &[(&str, u64, u32)] = &[
            ("1", 1, 0),
            ("0.2", 0, 200_000_000),
            (".5", 0, 500_000_000),
            ("1.000000001", 1, 1),
            ("0.0000000019", 0, 1),
            ("1.5m", 90, 0),
            ("2.25s", 2, 250_000_000),
            ("3.", 3, 0),
        ];
        for &(text, seconds, nanos) in table {
            assert_eq!(parse_fraction(text), Ok(Duration::new(seconds, nanos)), "{text:?}");
        }
        for text in ["", ".", "1.2.3", "-0.2", "0,2", "x", "99999999999999999999"] {
            assert!(parse_fraction(text).is_err(), "{text:?}");
        }
    }
}
