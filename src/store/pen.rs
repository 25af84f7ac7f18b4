//! Writing small pieces to the end of a buffer quickly.

use super::wire::put_varint;

/// Bytes that stand ready behind the written ones, so that short pieces are copied in one step of fixed length.
const READY: usize = 64;
/// How many bytes are made ready at once.
const STEP: usize = 512;

/// Writes to the end of a buffer. What is ready but not written goes when the pen is dropped.
#[derive(Debug)]
pub(super) struct Pen<'a> {
    out: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Pen<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let at = out.len();
        Self { out, at }
    }

    /// The next [`READY`] bytes.
    #[inline]
    fn ready(&mut self) -> Option<&mut [u8; READY]> {
        if self.out.len() < self.at + READY {
            self.grow(READY);
        }
        self.out.get_mut(self.at..)?.first_chunk_mut()
    }

    #[cold]
    fn grow(&mut self, n: usize) {
        self.out.resize(self.at + n + STEP, 0);
    }

    #[inline]
    pub(super) fn byte(&mut self, b: u8) {
        if let Some([first, ..]) = self.ready() {
            *first = b;
        }
        self.at += 1;
    }

    /// Two bytes.
    #[inline]
    pub(super) fn two(&mut self, a: u8, b: u8) {
        if let Some([first, second, ..]) = self.ready() {
            (*first, *second) = (a, b);
        }
        self.at += 2;
    }

    /// A label, then the first `n` of some bytes; both together are not more than [`READY`].
    #[inline]
    pub(super) fn labelled<const L: usize, const N: usize>(&mut self, label: [u8; L], bytes: &[u8; N], n: usize) {
        const { assert!(L + N <= READY) };
        if let Some((first, rest)) = self.ready().and_then(|r| r.split_first_chunk_mut())
            && let Some(room) = rest.first_chunk_mut()
        {
            *first = label;
            *room = *bytes;
        }
        self.at += L + n.min(N);
    }

    /// The first `n` of some bytes.
    #[inline]
    pub(super) fn first<const N: usize>(&mut self, bytes: &[u8; N], n: usize) {
        if let Some(room) = self.ready().and_then(|r| r.first_chunk_mut()) {
            *room = *bytes;
        }
        self.at += n.min(N);
    }

    #[inline]
    pub(super) fn varint(&mut self, v: u64) {
        match v {
            0..0x80 => self.byte(v as u8),
            0x80..0x4000 => self.two(v as u8 | 0x80, (v >> 7) as u8),
            _ => self.long(v),
        }
    }

    fn long(&mut self, v: u64) {
        self.out.truncate(self.at);
        put_varint(v, self.out);
        self.at = self.out.len();
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if self.out.len() < end {
            self.grow(bytes.len());
        }
        if let Some(room) = self.out.get_mut(self.at..end) {
            room.copy_from_slice(bytes);
        }
        self.at = end;
    }
}

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stand_one_behind_the_other() {
        let mut out = b"before".to_vec();
        let mut expected = out.clone();
        let mut pen = Pen::new(&mut out);
        for n in 0..2000u64 {
            let v = n * n * n * n * n;
            pen.byte(1);
            pen.two(2, 3);
            pen.first(&[4; 48], n as usize % 60);
            pen.varint(v);
            pen.bytes(&vec![5; n as usize * 3]);
            expected.extend([1, 2, 3]);
            expected.extend(vec![4; (n as usize % 60).min(48)]);
            put_varint(v, &mut expected);
            expected.extend(vec![5; n as usize * 3]);
        }
        drop(pen);
        assert_eq!(out, expected);
    }
}
