//! The numbers and texts that the formats of chunk files are made of.
//!
//! A *varint* is a number in groups of seven bits, the lowest first, each byte but the last with its top bit set.
//! A *zigzag* number is a varint whose lowest bit is the sign. All else is little endian.

use super::Damage;

/// Appends a number below 2^64 in 1 to 10 bytes.
#[inline]
pub(super) fn put_varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// A signed number as one whose lowest bit is the sign.
#[inline]
pub(super) fn zigzag(v: i64) -> u64 {
    (v << 1 ^ v >> 63) as u64
}

/// The signed number of [`zigzag`].
#[inline]
pub(super) fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

/// Appends text behind its length.
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Something is wrong here.
    pub(super) fn wrong<T>(&self, why: &'static str) -> Result<T, Damage> {
        Err(Damage { at: self.at, why })
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Damage> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) {
            Some(part) => {
                self.at += n;
                Ok(part)
            }
            None => self.wrong("the bytes end too early"),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let part = self.take(N)?;
        part.first_chunk().copied().map_or_else(|| self.wrong("the bytes end too early"), Ok)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Damage> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let mut v = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let b = self.byte()?;
            v |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                // The tenth byte holds the 64th bit alone.
                return if shift == 63 && b > 1 { self.wrong("a number that is too large") } else { Ok(v) };
            }
        }
        self.wrong("a number that does not end")
    }

    pub(super) fn zigzag(&mut self) -> Result<i64, Damage> {
        self.varint().map(unzigzag)
    }

    /// A number of things that take at least `least` bytes each: no more than can follow.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Damage> {
        let n = self.varint()?;
        match usize::try_from(n) {
            Ok(n) if n <= self.left() / least.max(1) => Ok(n),
            _ => self.wrong("more than the bytes can hold"),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Damage> {
        let n = self.count(1)?;
        let part = self.take(n)?;
        std::str::from_utf8(part).or_else(|_| self.wrong("text that is not UTF-8"))
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Damage> {
        if self.left() == 0 { Ok(()) } else { self.wrong("bytes behind the end") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for v in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u32::MAX.into(), i64::MAX as u64, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(v, &mut out);
            let mut wire = Wire::new(&out);
            assert_eq!((wire.varint(), wire.end()), (Ok(v), Ok(())));
            assert_eq!(zigzag(unzigzag(v)), v);
            assert_eq!(unzigzag(zigzag(v as i64)), v as i64);
            assert!(Wire::new(&out[..out.len() - 1]).varint().is_err());
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
        assert!(Wire::new(&[0xff; 11]).varint().is_err());
        assert!(Wire::new(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").varint().is_err());
    }

    #[test]
    fn lengths_are_those_that_can_be() {
        assert_eq!(Wire::new(b"\x02ab").text(), Ok("ab"));
        assert!(Wire::new(b"\x03ab").text().is_err());
        assert!(Wire::new(b"\x01\xff").text().is_err());
        assert!(Wire::new(b"\x02abc").count(2).is_err());
        assert_eq!(Wire::new(b"\x02abcd").count(2), Ok(2));
    }
}
