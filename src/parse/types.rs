//! The `Types` key: which fields become numbers or booleans, and how their text is read.
//!
//! Casts follow C's `atoll`, `atof` and `strtoull`: what can be read at the start counts, the rest is ignored.

use crate::conf::FromConf;
use crate::event::{Cell, Key, Span};

/// What the text of a field becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text, as it is.
    Text,
    /// A decimal integer; `12x` is 12, `x` is 0, too large ones saturate.
    Int,
    /// A double; text that is none is 0.
    Float,
    /// Text that begins with `true` or `false`.
    Bool,
    /// A hexadecimal integer with or without `0x`; too large ones saturate.
    Hex,
}

impl Type {
    /// The cell of a field of this type whose text is `text` and stands at `span`; `None` when it cannot be one
    /// (only [`Type::Bool`] can fail).
    pub fn cell(self, key: Key, text: &[u8], span: Span) -> Option<Cell> {
        Some(match self {
            Self::Text => Cell::str(key, span, 0),
            Self::Int => Cell::int(key, int(text)),
            Self::Float => Cell::float(key, float(text)),
            Self::Hex => Cell::uint(key, hex(text)),
            Self::Bool => Cell::bool(key, boolean(text)?),
        })
    }
}

/// The types of named fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types(Vec<(Key, Type)>);

impl Types {
    /// The type of a field: the first entry for it counts.
    pub fn of(&self, key: Key) -> Type {
        self.0.iter().find(|(k, _)| *k == key).map_or(Type::Text, |(_, t)| *t)
    }
}

impl FromConf for Types {
    const KIND: &'static str = "list of field:type";
    const EXAMPLE: &'static str = "code:integer size:integer time_taken:float";

    fn from_conf(text: &str) -> Result<Self, String> {
        text.split_ascii_whitespace().map(one).collect::<Result<_, _>>().map(Self)
    }
}

fn one(word: &str) -> Result<(Key, Type), String> {
    const NAMES: [(&str, Type); 5] = [
        ("integer", Type::Int),
        ("float", Type::Float),
        ("bool", Type::Bool),
        ("hex", Type::Hex),
        ("string", Type::Text),
    ];
    let Some((field, name)) = word.split_once(':').filter(|(field, _)| !field.is_empty()) else {
        return Err(format!("'{word}' has not the form field:type"));
    };
    match NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some(&(_, t)) => Ok((Key::of(field), t)),
        None => Err(format!("'{name}' of '{word}' is no type; the types are string, integer, float, bool and hex")),
    }
}

/// The text behind blanks and a sign, and whether that sign is a minus.
fn signed(text: &[u8]) -> (bool, &[u8]) {
    let text = text.trim_ascii_start();
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn int(text: &[u8]) -> i64 {
    let (minus, digits) = signed(text);
    let mut value: i64 = 0;
    for d in digits.iter().take_while(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0')) {
        // Built downwards, because i64::MIN has no positive twin.
        value = value.saturating_mul(10).saturating_sub(d);
    }
    if minus { value } else { value.checked_neg().unwrap_or(i64::MAX) }
}

fn hex(text: &[u8]) -> u64 {
    let (minus, rest) = signed(text);
    let digits = match rest {
        [b'0', b'x' | b'X', after @ ..] => after,
        _ => rest,
    };
    let mut value: u64 = 0;
    for d in digits.iter().map_while(|&b| char::from(b).to_digit(16)) {
        match value.checked_mul(16) {
            Some(v) => value = v | u64::from(d),
            None => return u64::MAX,
        }
    }
    if minus { value.wrapping_neg() } else { value }
}

fn float(text: &[u8]) -> f64 {
    let (minus, rest) = signed(text);
    let sign = if minus { -1.0 } else { 1.0 };
    if let [b'0', b'x' | b'X', first, ..] = rest
        && first.is_ascii_hexdigit()
    {
        return sign * hex(rest) as f64;
    }
    let word = |w: &[u8]| rest.get(..w.len()).is_some_and(|r| r.eq_ignore_ascii_case(w));
    if word(b"inf") {
        return sign * f64::INFINITY;
    }
    if word(b"nan") {
        return f64::NAN;
    }
    let number = rest.get(..float_len(rest)).unwrap_or_default();
    let value: f64 = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).unwrap_or_default();
    sign * value
}

/// The length of the decimal number at the start: digits, fraction, exponent.
fn float_len(text: &[u8]) -> usize {
    let digits = |from: usize| text.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = digits(len + 1);
        if whole + fraction == 0 {
            return 0;
        }
        len += 1 + fraction;
    }
    if len > 0 && matches!(text.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

fn boolean(text: &[u8]) -> Option<bool> {
    let begins = |w: &[u8]| text.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w));
    if begins(b"true") {
        Some(true)
    } else if begins(b"false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        let table: [(&str, i64); 9] = [
            ("12x", 12),
            (" +7", 7),
            ("-0012", -12),
            ("x", 0),
            ("", 0),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ];
        for (text, expected) in table {
            assert_eq!(int(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn floats() {
        let table = [
            ("0.005", 0.005),
            ("-1.5e3ms", -1500.0),
            ("7.", 7.0),
            (".5", 0.5),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("bad", 0.0),
            (".", 0.0),
            ("", 0.0),
            ("0x1F", 31.0),
            ("0xg", 0.0),
            ("-inf", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ];
        for (text, expected) in table {
            assert_eq!(float(text.as_bytes()), expected, "{text:?}");
        }
        assert!(float(b"NaN").is_nan());
    }

    #[test]
    fn hexadecimals() {
        let table = [
            ("ff", 255),
            ("0xFFg", 255),
            ("0x", 0),
            ("-1", u64::MAX),
            ("ffffffffffffffff", u64::MAX),
            ("10000000000000000", u64::MAX),
            ("zz", 0),
        ];
        for (text, expected) in table {
            assert_eq!(hex(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn booleans_go_by_their_beginning() {
        assert_eq!(boolean(b"TRUEish"), Some(true));
        assert_eq!(boolean(b"false"), Some(false));
        assert_eq!(boolean(b"fals"), None);
        assert_eq!(boolean(b"1"), None);
    }

    #[test]
    fn the_list_is_checked() {
        let t = Types::from_conf("code:Integer  a.b:float c:bool code:hex").unwrap();
        assert_eq!(t.of(Key::of("code")), Type::Int);
        assert_eq!(t.of(Key::of("a.b")), Type::Float);
        assert_eq!(t.of(Key::of("other")), Type::Text);
        for (text, says) in [("code", "'code' has not the form"), (":int", "form"), ("code:int", "'int' of 'code:int'")]
        {
            assert!(Types::from_conf(text).unwrap_err().contains(says), "{text}");
        }
    }
}
