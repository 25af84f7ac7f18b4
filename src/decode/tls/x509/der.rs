//! DER: values with a tag and a length (X.690), as far as certificates need them.

/// A value: its tag, its content, and both with their length.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// Class, form and number, in one byte.
    pub tag: u8,
    /// What it holds.
    pub body: &'a [u8],
    /// All of it, as it stands in the bytes.
    pub whole: &'a [u8],
}

/// Tags in use.
pub mod tag {
    /// Two's complement, big end first.
    pub const INTEGER: u8 = 0x02;
    /// Bits behind a byte that counts the unused ones.
    pub const BIT_STRING: u8 = 0x03;
    /// Bytes, often DER again.
    pub const OCTET_STRING: u8 = 0x04;
    /// An object identifier.
    pub const OID: u8 = 0x06;
    /// ISO 10646 in UTF-8.
    pub const UTF8: u8 = 0x0c;
    /// Digits and spaces.
    pub const NUMERIC: u8 = 0x12;
    /// Letters, digits and a few signs.
    pub const PRINTABLE: u8 = 0x13;
    /// Teletex: in practice ISO 8859-1.
    pub const T61: u8 = 0x14;
    /// ASCII.
    pub const IA5: u8 = 0x16;
    /// `YYMMDDhhmmssZ`.
    pub const UTC_TIME: u8 = 0x17;
    /// `YYYYMMDDhhmmssZ`.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// ASCII that can be printed.
    pub const VISIBLE: u8 = 0x1a;
    /// ISO 10646, four bytes each.
    pub const UNIVERSAL: u8 = 0x1c;
    /// ISO 10646's first plane, two bytes each.
    pub const BMP: u8 = 0x1e;
    /// A list.
    pub const SEQUENCE: u8 = 0x30;
    /// A list without order.
    pub const SET: u8 = 0x31;
}

/// A reader of values that follow each other. It never goes on behind something that is damaged.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next value: a tag below 31 and a definite length of at most four bytes that fits.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let (&[tag, first], behind) = self.rest.split_first_chunk::<2>()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (size, content) = match first {
            ..=0x7f => (usize::from(first), behind),
            0x81..=0x84 => {
                let (size, content) = behind.split_at_checked(usize::from(first & 0x7f))?;
                (size.iter().fold(0, |n: usize, b| n << 8 | usize::from(*b)), content)
            }
            _ => return None,
        };
        let (body, rest) = content.split_at_checked(size)?;
        let whole = self.rest.get(..self.rest.len() - rest.len())?;
        self.rest = rest;
        Some(Value { tag, body, whole })
    }

    /// The next value, when it has this tag.
    pub fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let found = ahead.value().filter(|v| v.tag == tag)?;
        *self = ahead;
        Some(found)
    }

    /// What the next value holds, when it is a list.
    pub fn sequence(&mut self) -> Option<Self> {
        Some(Self::new(self.expect(tag::SEQUENCE)?.body))
    }

    /// The values up to the end, or to damage.
    pub fn all(mut self) -> impl Iterator<Item = Value<'a>> {
        std::iter::from_fn(move || self.value())
    }
}

impl<'a> Value<'a> {
    /// What it holds.
    pub fn inner(&self) -> Reader<'a> {
        Reader::new(self.body)
    }
}

/// The bits of a positive number without its leading zeros.
pub fn bit_length(number: &[u8]) -> u32 {
    let number = number.iter().position(|b| *b != 0).and_then(|at| number.get(at..)).unwrap_or_default();
    let Some((first, rest)) = number.split_first() else { return 0 };
    let below = u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8);
    below.saturating_add(8 - first.leading_zeros())
}

/// An object identifier with dots; `None` when it is damaged or longer than anything in use.
pub fn oid_text(oid: &[u8]) -> Option<String> {
    const LONGEST: usize = 40;
    if oid.is_empty() || oid.len() > LONGEST || oid.last().is_some_and(|b| b & 0x80 != 0) {
        return None;
    }
    let mut text = String::new();
    let mut part: u64 = 0;
    for byte in oid {
        part = part.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // The first two numbers share one: 40 times the first, which is at most 2, and the second.
        if text.is_empty() {
            let top = (part / 40).min(2);
            text = format!("{top}.{}", part - top * 40);
        } else {
            text = format!("{text}.{part}");
        }
        part = 0;
    }
    Some(text)
}

/// A whole number in decimal digits. Nothing longer than a serial number may be is calculated: such a number stays
/// hexadecimal (`0x…`).
pub fn decimal(number: &[u8]) -> String {
    // RFC 5280 allows 20 bytes.
    const LONGEST: usize = 64;
    if number.len() > LONGEST {
        let mut out = b"0x".to_vec();
        crate::util::hex::push(&mut out, number);
        return String::from_utf8_lossy(&out).into_owned();
    }
    let negative = number.first().is_some_and(|b| b & 0x80 != 0);
    // Groups of nine digits, the lowest first.
    const GROUP: u64 = 1_000_000_000;
    let mut groups: Vec<u64> = vec![0];
    // The magnitude of a negative number is its complement and one more.
    let mut carry = u64::from(negative);
    for byte in number {
        let mut add = u64::from(if negative { !byte } else { *byte });
        for group in &mut groups {
            let n = *group * 256 + add;
            *group = n % GROUP;
            add = n / GROUP;
        }
        if add > 0 {
            groups.push(add);
        }
    }
    for group in &mut groups {
        let n = *group + carry;
        *group = n % GROUP;
        carry = n / GROUP;
    }
    if carry > 0 {
        groups.push(carry);
    }
    let mut groups = groups.into_iter().rev();
    let mut text = format!("{}{}", if negative { "-" } else { "" }, groups.next().unwrap_or_default());
    groups.for_each(|g| text.push_str(&format!("{g:09}")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_forms() {
        for (bytes, body) in [
            (&[4, 1, 9][..], Some(&[9][..])),
            (&[4, 0x81, 1, 9], Some(&[9])),
            (&[4, 0x84, 0, 0, 0, 1, 9, 7], Some(&[9])),
            (&[4, 2, 9], None),
            (&[4, 0x80, 9], None),
            (&[4, 0x85, 0, 0, 0, 0, 1, 9], None),
            (&[4, 0x84, 255, 255, 255, 255], None),
            (&[0x1f, 1, 9], None),
            (&[4], None),
            (&[], None),
        ] {
            assert_eq!(Reader::new(bytes).value().map(|v| v.body), body, "{bytes:?}");
        }
    }

    #[test]
    fn numbers_in_decimal() {
        let bytes = 21_020_869_104_500_376_438_182_461_249_190_639_870_u128.to_be_bytes();
        assert_eq!(decimal(&bytes), "21020869104500376438182461249190639870");
        assert_eq!(decimal(&[0, 0xf5, 0x0f]), "62735");
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[0]), "0");
        assert_eq!(decimal(&[0x80]), "-128");
        assert_eq!(decimal(&[0xff]), "-1");
        assert_eq!(decimal(&[0xff, 0x00]), "-256");
        assert_eq!(decimal(&1_000_000_000_u32.to_be_bytes()), "1000000000");
        assert_eq!(decimal(&[1; 65]).len(), 132);
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]).as_deref(), Some("1.2.840.113549.1.9.1"));
        assert_eq!(oid_text(&[0x55, 4, 3]).as_deref(), Some("2.5.4.3"));
        assert_eq!(oid_text(&[0x88, 0x37]).as_deref(), Some("2.999"));
        assert_eq!(oid_text(&[0x55, 0x84]), None);
        assert_eq!(oid_text(&[]), None);
        assert_eq!(oid_text(&[0xff; 39]), None);
    }

    #[test]
    fn bits() {
        assert_eq!([&[][..], &[0], &[0, 1], &[0x80, 0], &[0, 0xff, 0xff]].map(bit_length), [0, 0, 1, 16, 16]);
    }
}
