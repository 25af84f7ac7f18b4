//! The end of a buffer, written in place: a store for each lane of text where an append costs a call.

/// More room than was asked for, so that it is asked for rarely.
const AHEAD: usize = 1000;

/// Appends to a buffer. What lies behind the text is filler; it is cut off when this is dropped.
#[derive(Debug)]
pub struct Room<'a> {
    out: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Room<'a> {
    /// Behind what `out` holds.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { at: out.len(), out }
    }

    /// Where the text ends.
    #[inline]
    pub fn end(&self) -> usize {
        self.at
    }

    /// `n` bytes to write into; [`Self::advance`] takes what was written.
    #[inline(always)]
    pub fn spare(&mut self, n: usize) -> &mut [u8] {
        if self.out.len().wrapping_sub(self.at) < n {
            self.grow(n);
        }
        self.out.get_mut(self.at..).and_then(|spare| spare.get_mut(..n)).unwrap_or_default()
    }

    #[inline(never)]
    fn grow(&mut self, n: usize) {
        self.out.resize(self.at + n + AHEAD, 0);
    }

    /// Takes `n` bytes that were written.
    #[inline(always)]
    pub fn advance(&mut self, n: usize) {
        self.at += n;
    }

    /// Takes the last byte back.
    #[inline(always)]
    pub fn back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    /// Appends a byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.put(&[byte], 1);
    }

    /// Appends the first `len` of these bytes: where their number is known to the compiler this is a store or two.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        if let Some(place) = self.spare(N).first_chunk_mut() {
            *place = *bytes;
            self.at += len.min(N);
        }
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Appends by other means.
    #[inline]
    pub fn with(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        self.out.truncate(self.at);
        append(self.out);
        self.at = self.out.len();
    }
}

impl Drop for Room<'_> {
    #[inline]
    fn drop(&mut self) {
        self.out.truncate(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_taken_stays() {
        let mut out = b"<".to_vec();
        let mut room = Room::new(&mut out);
        room.push(b'a');
        room.spare(2)[..2].copy_from_slice(b"bc");
        room.advance(1);
        room.with(|out| out.extend_from_slice(b"12"));
        room.put(b"three...", 5);
        room.extend(b"four>?");
        room.back();
        assert_eq!(room.end(), 15);
        drop(room);
        assert_eq!(String::from_utf8_lossy(&out), "<ab12threefour>");
    }
}
