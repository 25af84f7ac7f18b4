//! A header of requests in a configuration: `Header X-Key some value`.

use super::value::{FromConf, words};

/// Name and value of a header (RFC 9110 §5.1, §5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// A token.
    pub name: String,
    /// Without control characters.
    pub value: String,
}

impl FromConf for Header {
    const KIND: &'static str = "name and value";
    const EXAMPLE: &'static str = "X-Key some value";
    fn from_conf(text: &str) -> Result<Self, String> {
        let mut parts = words(text, 2)?.into_iter();
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return Err(format!("'{text}' is not a header's name and, behind a space, its value"));
        };
        if !is_name(name.as_bytes()) {
            return Err(format!("'{name}' is not the name of a header"));
        }
        if !is_value(value.as_bytes()) {
            return Err(format!("the value of {name} has control characters"));
        }
        Ok(Self { name, value })
    }
}

/// Whether a header may have this name: a token.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Whether a header may have this value.
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = |text| Header::from_conf(text).map(|h| (h.name, h.value));
        assert_eq!(header("X-Key  some  value"), Ok(("X-Key".into(), "some  value".into())));
        assert_eq!(header("X-Key \"a b\""), Ok(("X-Key".into(), "a b".into())));
        assert_eq!(header("X-Key").unwrap_err(), "'X-Key' is not a header's name and, behind a space, its value");
        assert_eq!(header("X:Key v").unwrap_err(), "'X:Key' is not the name of a header");
        assert_eq!(header("X \"a\rb\"").unwrap_err(), "the value of X has control characters");
    }
}
