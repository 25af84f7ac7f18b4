//! Typed values of the configuration: what each kind accepts, and what it says when it does not.

use std::time::Duration;

use crate::util::{duration, size};

/// A value that can be written in a configuration. Plugins implement it for their own small types.
pub trait FromConf: Sized + std::fmt::Debug {
    /// The word for such values in help and documents, for example `size`.
    const KIND: &'static str;
    /// A valid value, shown after an error.
    const EXAMPLE: &'static str;
    /// Reads the value. The error says what is wrong with the text (place, property and example are added by the caller).
    fn from_conf(text: &str) -> Result<Self, String>;
    /// Something to warn about although the value was accepted.
    fn caution(&self, _text: &str) -> Option<String> {
        None
    }
}

impl FromConf for String {
    const KIND: &'static str = "text";
    const EXAMPLE: &'static str = "text";
    fn from_conf(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// Permissions of a file, octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl FromConf for Permissions {
    const KIND: &'static str = "octal permissions";
    const EXAMPLE: &'static str = "0666";

    fn from_conf(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| format!("'{text}' is not octal, or above 0777"))
    }
}

impl FromConf for bool {
    const KIND: &'static str = "boolean";
    const EXAMPLE: &'static str = "on";
    fn from_conf(text: &str) -> Result<Self, String> {
        let is = |words: [&str; 3]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
        if is(["true", "on", "yes"]) {
            Ok(true)
        } else if is(["false", "off", "no"]) {
            Ok(false)
        } else {
            Err(format!("'{text}' is not a boolean (on or off, true or false, yes or no)"))
        }
    }
}

macro_rules! integers {
    ($($ty:ty),*) => { $(
        impl FromConf for $ty {
            const KIND: &'static str = "integer";
            const EXAMPLE: &'static str = "10";
            fn from_conf(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    format!("'{text}' is not an integer between {} and {}", <$ty>::MIN, <$ty>::MAX)
                })
            }
        }
    )* };
}
integers!(i32, i64, u8, u16, u32, u64, usize);

impl FromConf for f64 {
    const KIND: &'static str = "number";
    const EXAMPLE: &'static str = "1.5";
    fn from_conf(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| format!("'{text}' is not a number"))
    }
}

/// Bytes, with decimal suffixes: `1K` is 1000, `1M` a million. `false` is 0, which most keys take as "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

impl FromConf for Size {
    const KIND: &'static str = "size";
    const EXAMPLE: &'static str = "10M";
    fn from_conf(text: &str) -> Result<Self, String> {
        size::parse_size(text).map(Self)
    }
}

/// Bytes, with binary suffixes: `1K`, `1Ki` and `1KiB` are 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BinarySize(pub u64);

impl FromConf for BinarySize {
    const KIND: &'static str = "size";
    const EXAMPLE: &'static str = "2M";
    fn from_conf(text: &str) -> Result<Self, String> {
        size::parse_size_binary(text).map(Self)
    }
}

impl FromConf for Duration {
    const KIND: &'static str = "time";
    const EXAMPLE: &'static str = "10s";
    fn from_conf(text: &str) -> Result<Self, String> {
        duration::parse_fraction(text)
    }
}

/// Words separated by commas; blanks around them are dropped, and so are empty ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CList(pub Vec<String>);

impl FromConf for CList {
    const KIND: &'static str = "comma list";
    const EXAMPLE: &'static str = "a, b";
    fn from_conf(text: &str) -> Result<Self, String> {
        Ok(Self(text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()))
    }
}

/// Port numbers separated by commas or blanks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports(pub Vec<u16>);

impl FromConf for Ports {
    const KIND: &'static str = "ports";
    const EXAMPLE: &'static str = "53, 5353";
    fn from_conf(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|w| !w.is_empty());
        let port = |w: &str| w.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("'{w}' is not a port"));
        words.map(port).collect::<Result<_, _>>().map(Self)
    }
}

/// Words separated by blanks; double quotes keep blanks in a word, `\"` is a quote inside one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SList(pub Vec<String>);

impl FromConf for SList {
    const KIND: &'static str = "word list";
    const EXAMPLE: &'static str = "a \"b c\"";
    fn from_conf(text: &str) -> Result<Self, String> {
        words(text, usize::MAX).map(Self)
    }
}

/// Splits like [`SList`], at most into `max` words: the last one is the rest of the text as it stands.
pub fn words(text: &str, max: usize) -> Result<Vec<String>, String> {
    let mut out: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if out.len() + 1 == max && !rest.starts_with('"') {
            out.push(rest.to_owned());
            break;
        }
        let (word, after) = match rest.strip_prefix('"') {
            Some(inner) => quoted(inner).ok_or_else(|| format!("a quote is not closed in '{text}'"))?,
            None => {
                let (word, after) = rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len()));
                (word.to_owned(), after)
            }
        };
        out.push(word);
        rest = after.trim_start();
    }
    Ok(out)
}

/// The text up to the closing quote, and what follows it.
fn quoted(inner: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return inner.get(at + 1..).map(|after| (word, after)),
            '\\' if inner.get(at + 1..).is_some_and(|after| after.starts_with('"')) => {
                word.push('"');
                chars.next();
            }
            _ => word.push(c),
        }
    }
    None
}

/// Declares an enum whose values are words of the configuration, compared without regard to case.
/// Several words may mean the same: `Unlimited = "no_limits" | "false"`.
#[macro_export]
macro_rules! conf_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$vmeta:meta])* $variant:ident = $word:literal $(| $alias:literal)* ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $( $(#[$vmeta])* $variant ),* }

        impl $crate::conf::FromConf for $name {
            const KIND: &'static str = concat!("one of:" $(, " ", $word)*);
            const EXAMPLE: &'static str = [$($word),*][0];
            fn from_conf(text: &str) -> Result<Self, String> {
                $( if [$word $(, $alias)*].iter().any(|w| text.eq_ignore_ascii_case(w)) {
                    return Ok(Self::$variant);
                } )*
                Err(format!("'{text}' is not {}", Self::KIND))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::conf_enum! {
        /// For the tests.
        pub enum Mode { One = "one", Two = "two" | "2" }
    }

    fn check<T: FromConf + PartialEq>(text: &str, expected: Option<T>) {
        assert_eq!(T::from_conf(text).ok(), expected, "{text:?}");
    }

    #[test]
    fn booleans() {
        for text in ["true", "On", "YES"] {
            check(text, Some(true));
        }
        for text in ["false", "OFF", "no"] {
            check(text, Some(false));
        }
        for text in ["", "1", "tru", "on "] {
            check::<bool>(text, None);
        }
    }

    #[test]
    fn units() {
        check("1.5M", Some(Size(1_500_000)));
        check("false", Some(Size(0)));
        check::<Size>("1KiB", None);
        check("1KiB", Some(BinarySize(1024)));
        check("10m", Some(Duration::from_secs(600)));
        check("0.2", Some(Duration::from_millis(200)));
        check::<Duration>("10ms", None);
    }

    #[test]
    fn numbers() {
        check("70000", None::<u16>);
        check("5140", Some(5140u16));
        check("-1", Some(-1i64));
        check("-1", None::<u32>);
        check("0.2", Some(0.2f64));
        check("nan", None::<f64>);
        assert_eq!(u16::from_conf("x").unwrap_err(), "'x' is not an integer between 0 and 65535");
    }

    #[test]
    fn lists() {
        let list = |w: &[&str]| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        check("a, b ,,c d", Some(CList(list(&["a", "b", "c d"]))));
        check("", Some(CList::default()));
        check(" a  b\tc ", Some(SList(list(&["a", "b", "c"]))));
        check(r#"k "a \"b\" c" d"#, Some(SList(list(&["k", "a \"b\" c", "d"]))));
        check(r#"k "open"#, None::<SList>);
        assert_eq!(words("k v w  x", 2).unwrap(), ["k", "v w  x"]);
        assert_eq!(words(r#"k "v w""#, 2).unwrap(), ["k", "v w"]);
    }

    #[test]
    fn enums_list_their_words() {
        check("ONE", Some(Mode::One));
        check("2", Some(Mode::Two));
        assert_eq!(Mode::from_conf("x").unwrap_err(), "'x' is not one of: one two");
        assert_eq!((Mode::KIND, Mode::EXAMPLE), ("one of: one two", "one"));
    }
}
