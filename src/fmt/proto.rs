//! Protocol Buffers: fields as bytes, and reading them back.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// How the value of a field stands behind its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// Appends a variable-length number.
pub fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn key(field: u32, wire: Wire, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3 | wire as u64, out);
}

/// Appends an unsigned number, an enum or a truth value; a negative number as its two's complement.
pub fn uint(field: u32, n: u64, out: &mut Vec<u8>) {
    key(field, Wire::Varint, out);
    varint(n, out);
}

/// Appends eight bytes.
pub fn fixed64(field: u32, n: u64, out: &mut Vec<u8>) {
    key(field, Wire::Fixed64, out);
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends four bytes.
pub fn fixed32(field: u32, n: u32, out: &mut Vec<u8>) {
    key(field, Wire::Fixed32, out);
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends text (which has to be UTF-8) or bytes.
pub fn bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    key(field, Wire::Bytes, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a message that `write` writes.
pub fn message(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(field, Wire::Bytes, out);
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if let (0..=0x7f, Some(head)) = (len, out.get_mut(at)) {
        *head = len as u8;
        return;
    }
    // The length takes more than the one byte that most messages need.
    let more = (usize::BITS - len.leading_zeros()).div_ceil(7) as usize - 1;
    let end = out.len();
    out.resize(end + more, 0);
    out.copy_within(at + 1..end, at + 1 + more);
    let mut n = len;
    for i in 0..=more {
        if let Some(b) = out.get_mut(at + i) {
            *b = (n & 0x7f) as u8 | if i < more { 0x80 } else { 0 };
        }
        n >>= 7;
    }
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// A number of any kind.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message, up to the first that is damaged.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut message)?;
        let value = match key & 7 {
            0 => Field::Number(take_varint(&mut message)?),
            1 => Field::Number(u64::from_le_bytes(*take(&mut message)?)),
            2 => {
                let len = usize::try_from(take_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                message = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Number(u32::from_le_bytes(*take(&mut message)?).into()),
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, value))
    })
}

fn take<'a, const N: usize>(message: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = message.split_first_chunk()?;
    *message = rest;
    Some(head)
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&b, rest) = message.split_first()?;
        *message = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        let mut out = Vec::new();
        uint(1, 150, &mut out);
        bytes(2, b"testing", &mut out);
        message(3, &mut out, |out| uint(1, 150, out));
        uint(4, -1i64 as u64, &mut out);
        let expected = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn there_and_back(sizes in prop::collection::vec(0..300usize, 0..4), n: u64, deep in 0..20_000usize) {
            let mut out = Vec::new();
            message(7, &mut out, |out| {
                uint(1, n, out);
                fixed64(2, n, out);
                fixed32(3, n as u32, out);
                sizes.iter().for_each(|size| bytes(16, &vec![b'x'; *size], out));
                message(5, out, |out| bytes(1, &vec![b'y'; deep], out));
            });
            let all: Vec<_> = fields(&out).collect();
            let [(7, Field::Bytes(inner))] = all[..] else { panic!("{all:?}") };
            let inner: Vec<_> = fields(inner).collect();
            prop_assert_eq!(inner.len(), 4 + sizes.len());
            prop_assert_eq!(&inner[..3], &[(1, Field::Number(n)), (2, Field::Number(n)), (3, Field::Number(u64::from(n as u32)))]);
            let Some((5, Field::Bytes(last))) = inner.last() else { panic!("{inner:?}") };
            let Some((1, Field::Bytes(text))) = fields(last).next() else { panic!("{last:?}") };
            prop_assert_eq!(text.len(), deep);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
