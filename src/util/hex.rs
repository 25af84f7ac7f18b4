//! Bytes as hexadecimal digits.

const LOWER: &[u8; 16] = b"0123456789abcdef";

/// The two digits of a byte, in lower case.
#[inline]
pub const fn digits(byte: u8) -> [u8; 2] {
    // A nibble is always inside the table.
    [LOWER[(byte >> 4) as usize], LOWER[(byte & 15) as usize]]
}

/// Appends the digits of bytes, in lower case.
pub fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().saturating_mul(2));
    bytes.iter().for_each(|b| out.extend_from_slice(&digits(*b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        let mut out = Vec::new();
        push(&mut out, &[0x00, 0x9a, 0xff]);
        assert_eq!(out, b"009aff");
        assert!((0..=255).all(|b| digits(b) == *format!("{b:02x}").as_bytes()));
    }
}
