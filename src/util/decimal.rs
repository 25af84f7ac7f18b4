//! Decimal digits of a fixed width, as dates and fractions need them.

/// The two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// The last two decimal digits of `n`.
pub const fn pair(n: u32) -> [u8; 2] {
    PAIRS[(n % 100) as usize]
}

/// The last four decimal digits of `n`.
pub const fn quad(n: u32) -> [u8; 4] {
    let [a, b] = pair(n / 100);
    let [c, d] = pair(n);
    [a, b, c, d]
}

/// Appends the last `WIDTH` decimal digits of `n`, with zeros in front.
pub fn push_fixed<const WIDTH: usize>(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends `n` with at least `width` characters, filled in front with `fill`.
pub fn push_padded(out: &mut Vec<u8>, n: u64, width: usize, fill: u8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n).as_bytes();
    out.extend(std::iter::repeat_n(fill, width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths() {
        let mut out = Vec::new();
        push_fixed::<6>(&mut out, 114_916);
        push_fixed::<6>(&mut out, 7);
        push_fixed::<3>(&mut out, 12_345);
        out.extend(pair(9));
        out.extend(quad(2023));
        push_padded(&mut out, 5, 2, b' ');
        push_padded(&mut out, 1234, 2, b'0');
        assert_eq!(out, b"114916000007345092023 51234");
    }
}
