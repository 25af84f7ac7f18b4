//! Numbers as text: whole numbers, and doubles in the three forms that outputs print.
//!
//! Nothing allocates but the growth of `out`. Digits are exact: rounded half to even from the binary value, as C's
//! printf does.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::Write as _;

use crate::util::decimal::push_padded;

/// Appends a whole number.
pub fn write_i64(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends a whole number without a sign.
pub fn write_u64(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends a double as JSON output has it: a whole value with one decimal (`1.0`), any other as `%.16g`.
///
/// `nan`, `inf` and `-inf` are written as these words, which is what Fluent Bit does and no JSON; a caller that was told
/// to write null in place of not-a-number asks [`f64::is_nan`] first.
pub fn write_f64_json(value: f64, out: &mut Vec<u8>) {
    // The upper end is 2⁶³ itself, which the conversion would round down to.
    if value == (value as i64) as f64 && value < TWO_63 {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        write_i64(value as i64, out);
        out.extend_from_slice(b".0");
    } else {
        write_f64_g16(value, out);
    }
}

/// Appends a double as `%f`: six decimals, never an exponent.
pub fn write_f64_fixed6(value: f64, out: &mut Vec<u8>) {
    let Some((mantissa, shift)) = fraction_parts(value, out) else { return };
    if shift > 52 + 64 {
        // Below 10⁻⁷ by far.
        out.extend_from_slice(b"0.000000");
        return;
    }
    let (whole, decimals) = split(mantissa, shift, 6);
    write_u64(whole, out);
    out.push(b'.');
    push_padded(out, decimals, 6, b'0');
}

/// Appends a double as `%.16g`: at most 16 significant digits, zeros at the end left out, with an exponent where the
/// number would be long.
pub fn write_f64_g16(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if !(1e-4..TWO_53).contains(&size) {
        return write_g16_wide(value, out);
    }
    let Some((mantissa, shift)) = fraction_parts(value, out) else { return };
    let whole_digits = match (mantissa >> shift) as u64 {
        // The bounds are doubles just above the decimal they stand for, so comparing doubles is exact.
        0 if size >= 0.1 => 0,
        0 if size >= 0.01 => -1,
        0 if size >= 0.001 => -2,
        0 => -3,
        whole => whole.ilog10() as i32 + 1,
    };
    let places = (16 - whole_digits) as u32;
    let (whole, decimals) = split(mantissa, shift, places);
    write_u64(whole, out);
    if decimals > 0 {
        out.push(b'.');
        push_padded(out, decimals, places as usize, b'0');
        trim_zeros(out);
    }
}

const TWO_53: f64 = 9_007_199_254_740_992.0;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// Writes the sign and takes the rest apart as `mantissa / 2^shift`. Writes values without a fraction part (large, not a
/// number, infinite) itself and returns `None`.
fn fraction_parts(value: f64, out: &mut Vec<u8>) -> Option<(u128, u32)> {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let size = value.abs();
    if size.is_nan() {
        out.extend_from_slice(b"nan");
        return None;
    }
    if size >= TWO_53 {
        // Whole, or infinite ("inf"). Writing to a Vec cannot fail.
        let _ = write!(out, "{size:.6}");
        return None;
    }
    let bits = size.to_bits();
    let exponent = (bits >> 52) as u32;
    let mantissa = bits & ((1 << 52) - 1);
    // Subnormal numbers have no hidden bit and the exponent of the smallest normal ones.
    let (mantissa, exponent) = if exponent == 0 { (mantissa, 1) } else { (mantissa | 1 << 52, exponent) };
    Some((u128::from(mantissa), 1075 - exponent))
}

/// `mantissa / 2^shift` as a whole number and `places` (at most 19) decimals, rounded half to even.
///
/// The mantissa is below 2⁵³ and the shift at most 116, so 128 bits hold every product; 64 do for times of day and the
/// like, and are quicker.
fn split(mantissa: u128, shift: u32, places: u32) -> (u64, u64) {
    let scale = POWERS_OF_TEN.get(places as usize).copied().unwrap_or(1);
    let mut whole = (mantissa >> shift) as u64;
    let (mut decimals, rest) = if shift <= 32 && places <= 9 {
        let product = (mantissa as u64 & ((1 << shift) - 1)) * scale;
        let rest = product & ((1 << shift) - 1);
        (product >> shift, (rest << 1).cmp(&(1 << shift)))
    } else {
        let product = (mantissa & ((1 << shift) - 1)) * u128::from(scale);
        let rest = product & ((1 << shift) - 1);
        ((product >> shift) as u64, (rest << 1).cmp(&(1 << shift)))
    };
    let odd = if places == 0 { whole & 1 == 1 } else { decimals & 1 == 1 };
    if rest == Ordering::Greater || (rest == Ordering::Equal && odd) {
        decimals += 1;
        if decimals == scale {
            decimals = 0;
            whole += 1;
        }
    }
    (whole, decimals)
}

const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut n = 1;
    while n < 20 {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// `%.16g` of zero, of numbers far from 1 and of what is no number, by way of the standard library's exact digits.
fn write_g16_wide(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if value == 0.0 || value.is_infinite() || (TWO_53..1e16).contains(&value.abs()) {
        // These print alike here and in C. Writing to a Vec cannot fail.
        let _ = write!(out, "{value}");
        return;
    }
    let mut text = heapless::String::<32>::new();
    // At most "-d.ddddddddddddddde-324", which fits.
    let _ = write!(text, "{value:.15e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    out.extend_from_slice(digits.as_bytes());
    trim_zeros(out);
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    push_padded(out, u64::from(exponent.unsigned_abs()), 2, b'0');
}

/// Takes zeros after the decimal point away, and the point with them when nothing is left behind it.
fn trim_zeros(out: &mut Vec<u8>) {
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: fn(f64, &mut Vec<u8>), value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json() {
        let table: &[(f64, &str)] = &[
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1000.0, "-1000.0"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (0.3, "0.3"),
            (0.1 + 0.2, "0.3"),
            (8.7, "8.699999999999999"),
            (0.015625, "0.015625"),
            (123_456_789.123_456_78, "123456789.1234568"),
            (1_700_000_001.041_066, "1700000001.041066"),
            (1_700_000_000.971_739_4, "1700000000.971739"),
            (4_503_599_627_370_495.5, "4503599627370496"),
            (4_503_599_627_370_494.5, "4503599627370494"),
            (999_999_999_999_999.9, "999999999999999.9"),
            (9.999_999_999_999_999, "9.999999999999998"),
            (f64::from_bits(0.1f64.to_bits() - 1), "0.09999999999999999"),
            (0.000_123_456_789, "0.000123456789"),
            (0.000_1, "0.0001"),
            (f64::from_bits(0.000_1f64.to_bits() - 1), "9.999999999999999e-05"),
            (0.000_099_999, "9.9999e-05"),
            (1e-7, "1e-07"),
            (-1.25e-100, "-1.25e-100"),
            (5e-324, "4.940656458412465e-324"),
            (1.797_693_134_862_315_7e308, "1.797693134862316e+308"),
            (1e16, "10000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e18, "1000000000000000000.0"),
            (9_223_372_036_854_775_808.0, "9.223372036854776e+18"),
            (-9_223_372_036_854_775_808.0, "-9223372036854775808.0"),
            (1e20, "1e+20"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for &(value, expected) in table {
            assert_eq!(text(write_f64_json, value), expected);
        }
    }

    #[test]
    fn fixed() {
        let table: &[(f64, &str)] = &[
            (0.0, "0.000000"),
            (-0.0, "-0.000000"),
            (1.5, "1.500000"),
            (-2.000_000_5, "-2.000001"),
            (0.000_000_5, "0.000000"),
            (0.000_000_500_000_1, "0.000001"),
            (0.999_999_9, "1.000000"),
            (1_700_000_000.943_734, "1700000000.943734"),
            (5e-324, "0.000000"),
            (1e-40, "0.000000"),
            (1e22, "10000000000000000000000.000000"),
            (9_007_199_254_740_993.0, "9007199254740992.000000"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for &(value, expected) in table {
            assert_eq!(text(write_f64_fixed6, value), expected);
        }
    }

    #[test]
    fn general_form_of_whole_numbers() {
        let table: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (7.0, "7"),
            (1_200.0, "1200"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (1e16, "1e+16"),
            (-f64::NAN, "-nan"),
        ];
        for &(value, expected) in table {
            assert_eq!(text(write_f64_g16, value), expected);
        }
    }

    /// `%.16g` by its definition, on the standard library's digits.
    fn g16(value: f64) -> String {
        let scientific = format!("{value:.15e}");
        let (digits, exponent) = scientific.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        if (-4..16).contains(&exponent) {
            let fixed = format!("{value:.*}", (15 - exponent) as usize);
            if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.').into() } else { fixed }
        } else {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bits(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(text(write_f64_g16, value), g16(value));
            prop_assert_eq!(text(write_f64_fixed6, value), format!("{value:.6}"));
        }

        #[test]
        fn usual_sizes(mantissa: i64, scale in 0u32..70) {
            let value = mantissa as f64 / 2f64.powi(scale as i32);
            prop_assert_eq!(text(write_f64_g16, value), g16(value));
            prop_assert_eq!(text(write_f64_fixed6, value), format!("{value:.6}"));
        }

        #[test]
        fn few_decimals(n in -10_000_000i64..10_000_000, scale in 0i32..12) {
            let value = n as f64 / 10f64.powi(scale);
            prop_assert_eq!(text(write_f64_g16, value), g16(value));
        }
    }
}
