//! A place in a text that moves forward.

/// A text and how far it is read. Nothing here can leave the text.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    text: &'a [u8],
    /// Bytes that are read.
    pub at: usize,
}

impl<'a> Cursor<'a> {
    /// At `at` of `text`.
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at: at.min(text.len()) }
    }

    /// What is not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The whole text.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The next byte; NUL at the end.
    #[inline]
    pub fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Whether the end, or a space, is next.
    #[inline]
    pub fn is_at_break(&self) -> bool {
        self.is_at_end() || self.peek() == b' '
    }

    /// Takes `byte` when it is next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes all spaces that are next; answers how many.
    #[inline]
    pub fn spaces(&mut self) -> usize {
        let n = self.rest().iter().take_while(|b| **b == b' ').count();
        self.at += n;
        n
    }

    /// Takes a number of `min` to `max` (at most 9) digits.
    #[inline]
    pub fn number(&mut self, min: usize, max: usize) -> Option<u32> {
        let mut n = 0;
        let mut count = 0;
        for b in self.rest().iter().take(max) {
            if !b.is_ascii_digit() {
                break;
            }
            n = n * 10 + u32::from(b - b'0');
            count += 1;
        }
        if count < min {
            return None;
        }
        self.at += count;
        Some(n)
    }

    /// Takes everything before the next space, and that space. The part without it.
    #[inline]
    pub fn word(&mut self) -> Part {
        let len = memchr::memchr(b' ', self.rest()).unwrap_or(self.rest().len());
        let part = Part { from: self.at, to: self.at + len };
        self.at = (part.to + 1).min(self.text.len());
        part
    }

    /// The bytes of a part.
    #[inline]
    pub fn get(&self, part: Part) -> &'a [u8] {
        self.text.get(part.from..part.to).unwrap_or_default()
    }
}

/// Some bytes of a message; none when it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// The first byte.
    pub from: usize,
    /// Behind the last one.
    pub to: usize,
}

impl Part {
    /// Whether it holds nothing.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.from >= self.to
    }
}
