//! The last bytes read of a file: by them it is known again when it was written anew, or copied and cut.

use super::marker::SIZE;

/// How many bytes are kept.
pub const KEPT: usize = SIZE as usize;
/// How many of them are read again and compared before reading goes on.
const COMPARED: usize = 16;

/// Up to [`KEPT`] bytes that stand before a file's offset.
#[derive(Debug, Clone, Copy)]
pub struct Last {
    bytes: [u8; KEPT],
    len: u8,
}

impl Default for Last {
    fn default() -> Self {
        Self { bytes: [0; KEPT], len: 0 }
    }
}

impl Last {
    /// Adds what was read behind them.
    pub fn push(&mut self, text: &[u8]) {
        let text = text.get(text.len().saturating_sub(KEPT)..).unwrap_or_default();
        let keep = (self.len as usize).min(KEPT - text.len());
        let from = self.len as usize - keep;
        self.bytes.copy_within(from..from + keep, 0);
        if let Some(room) = self.bytes.get_mut(keep..keep + text.len()) {
            room.copy_from_slice(text);
        }
        self.len = (keep + text.len()) as u8;
    }

    /// All of them.
    pub fn all(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or_default()
    }

    /// Those that are compared before reading goes on.
    pub fn compared(&self) -> &[u8] {
        let all = self.all();
        all.get(all.len().saturating_sub(COMPARED)..).unwrap_or_default()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn they_are_the_end_of_all_that_was_pushed(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..8)) {
            let mut last = Last::default();
            parts.iter().for_each(|p| last.push(p));
            let all = parts.concat();
            prop_assert_eq!(last.all(), &all[all.len().saturating_sub(KEPT)..]);
            prop_assert_eq!(last.compared(), &all[all.len().saturating_sub(COMPARED)..]);
        }
    }
}
