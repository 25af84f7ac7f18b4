//! Short text that is copied as a whole: two stores where a copy of any length costs a call.

/// Text of at most 31 bytes, filled up with zeros.
#[derive(Debug, Clone)]
pub struct Short {
    text: [u8; Self::SIZE],
    len: u8,
}

impl Short {
    /// Bytes that are copied.
    pub const SIZE: usize = 32;

    /// Keeps `text`; `None` when it is longer.
    pub fn new(text: &[u8]) -> Option<Self> {
        let len = u8::try_from(text.len()).ok().filter(|&len| usize::from(len) < Self::SIZE)?;
        Some(Self { text: std::array::from_fn(|n| text.get(n).copied().unwrap_or_default()), len })
    }

    /// The text and what fills it up.
    #[inline(always)]
    pub fn filled(&self) -> &[u8; Self::SIZE] {
        &self.text
    }

    /// The length of the text.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // That it is less than what is copied spares checks.
        usize::from(self.len) % Self::SIZE
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        for len in 0..40 {
            let text: Vec<u8> = (0..len).map(|n| b'a' + n).collect();
            match Short::new(&text) {
                Some(short) => {
                    assert!(len < 32 && short.is_empty() == text.is_empty());
                    assert_eq!(short.filled().split_at(short.len()).0, text);
                    assert!(short.filled().split_at(short.len()).1.iter().all(|&b| b == 0));
                }
                None => assert!(len >= 32),
            }
        }
    }
}
