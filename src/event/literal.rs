//! Text of the configuration that goes into records: its bytes stand once in an arena, however many records name it.

use super::cell::CLEAN;
use super::{Batch, Cell, Key, Span};
use crate::util::bytes::is_clean;

/// A text with its place in the batch at hand.
#[derive(Debug, Clone)]
pub struct Literal {
    text: Box<str>,
    flags: u8,
    span: Option<Span>,
}

impl Literal {
    /// A text that no batch holds yet.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), flags: if is_clean(text.as_bytes()) { CLEAN } else { 0 }, span: None }
    }

    /// Forgets the place: to be called whenever another batch, or the same batch another time, is worked on.
    pub fn restart(&mut self) {
        self.span = None;
    }

    /// A cell with this text; its bytes are copied into the arena at the first call since [`Self::restart`].
    #[inline]
    pub fn cell(&mut self, batch: &mut Batch, key: Key) -> Cell {
        let span = *self.span.get_or_insert_with(|| batch.arena_mut().push(self.text.as_bytes()));
        Cell::str(key, span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;

    #[test]
    fn the_bytes_stand_once() {
        let mut b = Batch::new(Tag::new("t"));
        let mut l = Literal::new("value");
        let first = l.cell(&mut b, Key::of("a"));
        let second = l.cell(&mut b, Key::of("b"));
        assert_eq!((first.span(), first.flags), (second.span(), CLEAN));
        assert_eq!(b.arena().as_slice(), b"value");
        b.recycle(Tag::new("u"), 0);
        l.restart();
        let third = l.cell(&mut b, Key::of("a"));
        assert_eq!(b.arena().get(third.span()), b"value");
        assert_eq!(Literal::new("say \"x\"").cell(&mut b, Key::of("a")).flags, 0);
    }
}
