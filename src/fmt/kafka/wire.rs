//! The primitives of the protocol: numbers, strings and arrays, in the older and in the flexible form.

use std::fmt;

/// Bytes of the peer end early, or declare a length that they do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its bytes end early or contradict each other")
    }
}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`; `flexible` chooses the form of strings and arrays.
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { rest: bytes, flexible }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when there are fewer; so do all others.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A byte.
    pub fn i8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    /// A 16-bit number.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// A 32-bit number.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// A 32-bit number without a sign.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A 64-bit number.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A varint without a sign.
    pub fn uvarint(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.base128(5)?).map_err(|_| Malformed)
    }

    /// A zigzag varint of up to 64 bits.
    pub fn varlong(&mut self) -> Result<i64, Malformed> {
        let v = self.base128(10)?;
        Ok((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// A zigzag varint of up to 32 bits.
    pub fn varint(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.varlong()?).map_err(|_| Malformed)
    }

    fn base128(&mut self, most: u32) -> Result<u64, Malformed> {
        let mut v = 0u64;
        for n in 0..most {
            let [byte] = self.array()?;
            v |= u64::from(byte & 0x7f).checked_shl(7 * n).unwrap_or(0);
            if byte < 0x80 {
                return Ok(v);
            }
        }
        Err(Malformed)
    }

    /// The length of a string or array; `None` is null.
    fn length(&mut self, short: bool) -> Result<Option<usize>, Malformed> {
        let n = match (self.flexible, short) {
            (true, _) => i64::from(self.uvarint()?) - 1,
            (false, true) => self.i16()?.into(),
            (false, false) => self.i32()?.into(),
        };
        match n {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| Malformed),
        }
    }

    /// A string that may be null; what is not UTF-8 is malformed.
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(n) = self.length(true)? else { return Ok(None) };
        std::str::from_utf8(self.take(n)?).map(Some).map_err(|_| Malformed)
    }

    /// A string; null is the empty one.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        Ok(self.nullable_string()?.unwrap_or_default())
    }

    /// Bytes; null is none.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        match self.length(false)? {
            Some(n) => self.take(n),
            None => Ok(&[]),
        }
    }

    /// The number of elements of an array, each of at least `least` bytes: no more than what is there can hold.
    ///
    /// # Errors
    /// [`Malformed`] when they cannot all be there.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let n = self.length(false)?.unwrap_or(0);
        if n > self.rest.len() / least.max(1) { Err(Malformed) } else { Ok(n) }
    }

    /// Skips the tagged fields at the end of a structure; older versions have none.
    pub fn tags(&mut self) -> Result<(), Malformed> {
        if self.flexible {
            for _ in 0..self.uvarint()? {
                self.uvarint()?;
                let size = self.uvarint()?;
                self.take(size as usize)?;
            }
        }
        Ok(())
    }
}

/// A request that grows.
#[derive(Debug)]
pub struct Writer<'a> {
    /// The bytes.
    pub out: &'a mut Vec<u8>,
    flexible: bool,
}

impl<'a> Writer<'a> {
    /// Appends to `out`; `flexible` chooses the form of strings and arrays.
    pub fn new(out: &'a mut Vec<u8>, flexible: bool) -> Self {
        Self { out, flexible }
    }

    /// A byte.
    pub fn i8(&mut self, v: i8) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }

    /// A 16-bit number.
    pub fn i16(&mut self, v: i16) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }

    /// A 32-bit number.
    pub fn i32(&mut self, v: i32) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }

    /// A 64-bit number.
    pub fn i64(&mut self, v: i64) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }

    /// A varint without a sign.
    pub fn uvarint(&mut self, v: u32) {
        base128(v.into(), self.out);
    }

    fn length(&mut self, n: Option<usize>, short: bool) {
        let n = n.map_or(-1, |n| n as i32);
        match (self.flexible, short) {
            (true, _) => self.uvarint((n + 1) as u32),
            (false, true) => self.i16(n as i16),
            (false, false) => self.i32(n),
        }
    }

    /// A string, at most 32,767 bytes.
    pub fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    /// A string or null.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        self.length(text.map(str::len), true);
        self.out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(Some(bytes.len()), false);
        self.out.extend_from_slice(bytes);
    }

    /// The length of bytes that follow.
    pub fn bytes_head(&mut self, n: usize) {
        self.length(Some(n), false);
    }

    /// The number of elements of an array that follow.
    pub fn count(&mut self, n: usize) {
        self.length(Some(n), false);
    }

    /// No tagged fields, where there may be some.
    pub fn tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }
}

/// Appends a zigzag varint.
pub fn write_varlong(v: i64, out: &mut Vec<u8>) {
    base128(((v << 1) ^ (v >> 63)) as u64, out);
}

/// The bytes that [`write_varlong`] needs.
pub fn varlong_len(v: i64) -> usize {
    let bits = 64 - ((((v << 1) ^ (v >> 63)) as u64) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn base128(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints() {
        for (v, bytes) in
            [(0, &b"\x00"[..]), (-1, b"\x01"), (1, b"\x02"), (63, b"\x7e"), (64, b"\x80\x01"), (-65, b"\x81\x01")]
        {
            let mut out = Vec::new();
            write_varlong(v, &mut out);
            assert_eq!((out.as_slice(), varlong_len(v)), (bytes, bytes.len()), "{v}");
        }
        assert_eq!(Reader::new(&[0xff; 11], true).varlong(), Err(Malformed));
        assert_eq!(Reader::new(b"\xff\xff\xff\xff\x1f", true).uvarint(), Err(Malformed));
        assert_eq!(Reader::new(b"\xff\xff\xff\xff\x0f", true).uvarint(), Ok(u32::MAX));
    }

    #[test]
    fn lengths_that_cannot_be() {
        assert_eq!(Reader::new(b"\x00\x05abc", false).string(), Err(Malformed));
        assert_eq!(Reader::new(b"\xff\xff", false).nullable_string(), Ok(None));
        assert_eq!(Reader::new(b"\xff\xfe", false).nullable_string(), Err(Malformed));
        assert_eq!(Reader::new(b"\x7f\xff\xff\xff\0\0", false).count(1), Err(Malformed));
        assert_eq!(Reader::new(b"\x00", true).nullable_string(), Ok(None));
        assert_eq!(Reader::new(b"\x02\xff", true).string(), Err(Malformed));
    }

    proptest! {
        #[test]
        fn there_and_back(v: i64, u: u32, text in ".{0,40}", null: bool, flexible: bool) {
            let mut out = Vec::new();
            write_varlong(v, &mut out);
            prop_assert_eq!(out.len(), varlong_len(v));
            let mut w = Writer::new(&mut out, flexible);
            w.uvarint(u);
            w.nullable_string((!null).then_some(text.as_str()));
            w.bytes(text.as_bytes());
            w.tags();
            w.i16(-7);
            let mut r = Reader::new(&out, flexible);
            prop_assert_eq!(r.varlong(), Ok(v));
            prop_assert_eq!(r.uvarint(), Ok(u));
            prop_assert_eq!(r.nullable_string(), Ok((!null).then_some(text.as_str())));
            prop_assert_eq!(r.bytes(), Ok(text.as_bytes()));
            prop_assert_eq!(r.tags(), Ok(()));
            prop_assert_eq!(r.i16(), Ok(-7));
            prop_assert!(r.rest().is_empty());
        }
    }
}
