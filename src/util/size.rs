//! Sizes in configuration text: `1.5M`, `512k`, `2GB`, `false`; and their binary sisters `64Ki`, `2MiB`.

/// Bytes named by `text` with decimal units: `K`, `KB`, `M`, `MB`, `G`, `GB` of 1000, in any case.
///
/// A fraction is allowed (`1.5M`) and `false` means 0. What is left below one byte is cut off.
/// The error says what was wrong, without the place: the caller knows it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    if text.eq_ignore_ascii_case("false") {
        return Ok(0);
    }
    let (number, suffix) = split_suffix(text);
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return Err(format!("'{text}' is not a size: the unit must be K, KB, M, MB, G or GB")),
    };
    scaled(text, number, unit)
}

/// Bytes named by `text` with binary units: `K`, `Ki`, `KB` and `KiB` are all 1024, likewise for `M` and `G`.
///
/// For the few keys that count in binary units; all else is as in [`parse_size`].
pub fn parse_size_binary(text: &str) -> Result<u64, String> {
    if text.eq_ignore_ascii_case("false") {
        return Ok(0);
    }
    let (number, suffix) = split_suffix(text);
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "m" | "mb" | "mi" | "mib" => 1 << 20,
        "g" | "gb" | "gi" | "gib" => 1 << 30,
        _ => return Err(format!("'{text}' is not a size: the unit must be K, M, G or KiB, MiB, GiB")),
    };
    scaled(text, number, unit)
}

/// The number and the letters after it; blanks between the two are allowed.
fn split_suffix(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    (number, suffix.trim_start())
}

/// `number` (digits with at most one dot) times `unit`, in whole numbers only, so that 0.1G is exact.
fn scaled(text: &str, number: &str, unit: u64) -> Result<u64, String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(format!("'{text}' is not a size: expected a number such as 32k, 1.5M or 2GB"));
    }
    let too_large = || format!("'{text}' is too large for a size");
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_large())? };
    // Twelve digits after the dot are finer than one byte in any unit.
    let mut part = 0u128;
    let mut scale = 1u128;
    for b in fraction.bytes().take(12) {
        part = part * 10 + u128::from(b - b'0');
        scale *= 10;
    }
    let bytes = u128::from(whole) * u128::from(unit) + part * u128::from(unit) / scale;
    // The limit is that of a file offset.
    i64::try_from(bytes).map(|n| n as u64).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal() {
        let table: &[(&str, u64)] = &[
            ("0", 0),
            ("false", 0),
            ("FALSE", 0),
            ("32768", 32_768),
            ("1K", 1000),
            ("1kb", 1000),
            ("1.5M", 1_500_000),
            ("5Mb", 5_000_000),
            ("0.1G", 100_000_000),
            (".5K", 500),
            ("2.", 2),
            ("1.9999", 1),
            ("0.0005K", 0),
            (" 10 MB ", 10_000_000),
            ("2GB", 2_000_000_000),
            ("9223372036854775807", i64::MAX as u64),
        ];
        for &(text, expected) in table {
            assert_eq!(parse_size(text), Ok(expected), "{text:?}");
        }
        for text in
            ["", "K", "-1", "1T", "1KiB", "1..5M", "1.2.3", "0x10", "abc", "1e3", "9223372036854775808", "99999999999G"]
        {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn binary() {
        let table: &[(&str, u64)] =
            &[("2M", 2 << 20), ("1Ki", 1024), ("1.5KiB", 1536), ("3gib", 3 << 30), ("7B", 7), ("false", 0), ("10", 10)];
        for &(text, expected) in table {
            assert_eq!(parse_size_binary(text), Ok(expected), "{text:?}");
        }
        for text in ["", "KiB", "1Kib2", "1TiB", "-2M"] {
            assert!(parse_size_binary(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_message_names_the_text() {
        assert_eq!(parse_size("12x").unwrap_err(), "'12x' is not a size: the unit must be K, KB, M, MB, G or GB");
        assert_eq!(parse_size("1G.5").unwrap_err(), "'1G.5' is not a size: the unit must be K, KB, M, MB, G or GB");
    }
}
