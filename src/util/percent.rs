//! Percent signs in addresses and forms (RFC 3986 §2.1).

/// Appends the text that `written` stands for; in forms (`plus`) a plus sign is a blank. A percent sign without two
/// digits behind it stands for itself.
pub fn decode(written: &[u8], plus: bool, out: &mut Vec<u8>) {
    let mut rest = written;
    while let Some((&b, more)) = rest.split_first() {
        let (byte, after) = match (b, more) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b, more),
            },
            (b'+', _) if plus => (b' ', more),
            _ => (b, more),
        };
        out.push(byte);
        rest = after;
    }
}

/// The text as the value of a query: all but letters, digits and `-._~` with percent signs (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => {
                out.push('%');
                let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0').to_ascii_uppercase();
                out.extend([digit(b >> 4), digit(b & 15)]);
            }
        }
    }
    out
}

fn digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    #[test]
    fn encoding() {
        assert_eq!(super::encode("spec.nodeName=n-1/ä"), "spec.nodeName%3Dn-1%2F%C3%A4");
    }

    #[test]
    fn decoding() {
        for (written, plus, want) in [
            ("a%20b+c", false, "a b+c"),
            ("a%20b+c", true, "a b c"),
            ("%", true, "%"),
            ("%4", true, "%4"),
            ("%zz%41%", true, "%zzA%"),
        ] {
            let mut out = Vec::new();
            super::decode(written.as_bytes(), plus, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
