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

/// The ten digits of a number that has ten, `None` for others: seconds since the epoch have them until the year 2286.
#[inline]
pub fn ten(n: i64) -> Option<[u8; 10]> {
    if !(1_000_000_000..10_000_000_000).contains(&n) {
        return None;
    }
    let [a, b] = pair((n / 100_000_000) as u32);
    let [c, d, e, f, g, h, i, j] = eight((n % 100_000_000) as u32);
    Some([a, b, c, d, e, f, g, h, i, j])
}

/// The eight digits of a number below 100,000,000: halves, then pairs, then digits, all of them split at once.
#[inline]
const fn eight(n: u32) -> [u8; 8] {
    let high = n as u64 / 10_000;
    let fours = high | (n as u64 - high * 10_000) << 32;
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = (pairs * 103) >> 10 & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - tens * 10) << 8;
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
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
        for n in [1_000_000_000, 1_760_101_200, 9_999_999_999, 1_234_567_890] {
            assert_eq!(ten(n).map(|d| d.to_vec()), Some(n.to_string().into_bytes()));
        }
        for n in (0..100_000_000).step_by(997).chain([9, 99, 9_999, 10_000, 99_999, 99_990_000, 99_999_999]) {
            assert_eq!(eight(n).to_vec(), format!("{n:08}").into_bytes());
        }
        assert_eq!((ten(999_999_999), ten(10_000_000_000), ten(-1_234_567_890)), (None, None, None));
    }
}
