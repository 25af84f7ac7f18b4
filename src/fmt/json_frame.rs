//! Waiting for the end of a JSON value that arrives in pieces, each byte looked at once.
//!
//! Reading an unfinished value again from its start whenever a piece arrives costs the square of its length: a sender of
//! single bytes could keep the program busy. So when [`super::json_read::JsonReader::next_value`] finds a value
//! unfinished, this watches the further bytes, and says when trying again can succeed.

use super::scan::string_stop;

/// Follows brackets and strings of one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonFrame {
    seen: usize,
    depth: usize,
    in_string: bool,
}

impl JsonFrame {
    /// The bytes of the text that were looked at; once the value may be whole, its length.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Lets go of what was looked at, which nobody needs any more; `text` keeps the rest, and goes on from there.
    pub fn forget(&mut self, text: &mut Vec<u8>) {
        text.drain(..self.seen.min(text.len()));
        self.seen = 0;
    }

    /// Whether `text`, which begins where the value does and is longer than at the last call, may hold the whole value
    /// now. Values that are neither map, array nor string may end at every byte.
    ///
    /// Start over with [`JsonFrame::default`] for the next value.
    pub fn may_be_whole(&mut self, text: &[u8]) -> bool {
        while let Some(&b) = text.get(self.seen) {
            if self.in_string {
                let (stop, _) = string_stop::<true>(text, self.seen);
                self.seen = stop;
                match text.get(stop) {
                    Some(b'"') => {
                        self.in_string = false;
                        self.seen += 1;
                        if self.depth == 0 {
                            return true;
                        }
                    }
                    // A backslash waits for what it escapes.
                    Some(b'\\') if stop + 1 < text.len() => self.seen += 2,
                    Some(b'\\') | None => return false,
                    Some(_) => self.seen += 1,
                }
                continue;
            }
            self.seen += 1;
            match b {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return true;
                    }
                }
                b' ' | b'\t' | b'\n' | b'\r' => {}
                _ if self.depth == 0 => return true,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;

    #[test]
    fn the_end_is_found_however_it_arrives() {
        let values = [
            r#"{"a":1}"#,
            r#" {"a":"}\"]\\","b":[{},[1,"x"]]}"#,
            r#"[1700000000.5, {"log":"a long text that takes more than one word [of eight] bytes\\"}]"#,
            r#""text \" with { quotes""#,
            "\n[]",
        ];
        for value in values {
            let text = value.as_bytes();
            for step in 1..=text.len() {
                let mut frame = JsonFrame::default();
                let mut len = 0;
                while len < text.len() {
                    len = (len + step).min(text.len());
                    assert_eq!(
                        frame.may_be_whole(&text[..len]),
                        len == text.len(),
                        "{value} at {len} in steps of {step}"
                    );
                }
            }
            // The reader agrees on where it ends.
            let mut b = Batch::new(Tag::new("t"));
            let span = b.arena_mut().push(text);
            assert_eq!(JsonReader::default().next_value(&mut b, span), Ok(Some(text.len())));
        }
    }

    #[test]
    fn what_has_no_end_mark_is_tried_at_once() {
        for text in ["1", "-", "tru", "x", "}"] {
            assert!(JsonFrame::default().may_be_whole(text.as_bytes()), "{text}");
        }
        assert!(!JsonFrame::default().may_be_whole(b" \n"));
    }
}
