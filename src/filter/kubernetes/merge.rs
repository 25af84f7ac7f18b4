//! `Merge_Log`: the text of `log` becomes fields of the record.

use crate::event::cell::{ESCAPED, first_under, heads};
use crate::event::{Batch, Cell, Key, Kind, Span};
use crate::fmt::json_read::JsonReader;
use crate::parse::{Parsed, Parser};
use crate::time::Time;

/// How texts are merged.
pub struct Merge {
    /// `Merge_Log_Key`
    pub under: Option<Key>,
    /// `Merge_Log_Trim`
    pub trim: bool,
    /// `Keep_Log`
    pub keep: bool,
    /// `Merge_Parser`
    pub parser: Option<Box<dyn Parser>>,
    log: Key,
    json: JsonReader,
}

impl Merge {
    /// Merges JSON, or what `parser` makes of a text.
    pub fn new(under: Option<Key>, trim: bool, keep: bool, parser: Option<Box<dyn Parser>>) -> Self {
        Self { under, trim, keep, parser, log: Key::of("log"), json: JsonReader::default() }
    }

    /// Merges what stands in a record whose cells are the tape's last ones, from `from` on. `own` is the parser that its pod asks for.
    /// Answers the time that the text holds.
    pub fn apply(
        &mut self,
        batch: &mut Batch,
        from: usize,
        own: Option<&mut (dyn Parser + 'static)>,
        now: Time,
    ) -> Option<Time> {
        let (_, tape) = batch.parts_mut();
        let body = tape.get(from..)?;
        let at = from + first_under(body, self.log)?;
        let cell = *tape.get(at)?;
        let end = tape.len();
        let head = self.under.map(|key| Cell::nested(key, Kind::Map, 0, 0));
        tape.extend(head);
        let first = tape.len();
        let (time, is_text) = match cell.kind {
            Kind::Map => {
                tape.extend_from_within(at + 1..at + cell.width());
                (None, false)
            }
            Kind::Str => match self.parse(batch, &cell, own, now) {
                Some(time) => (time, true),
                None => {
                    batch.parts_mut().1.truncate(end);
                    return None;
                }
            },
            _ => {
                tape.truncate(end);
                return None;
            }
        };
        let (arena, tape) = batch.parts_mut();
        let (old, new) = tape.split_at_mut_checked(first)?;
        if is_text && self.trim {
            trim(new, |span| arena.get(span));
        }
        match old.last_mut().filter(|_| head.is_some()) {
            Some(head) if !new.is_empty() => (head.a, head.b) = (heads(new).count() as u32, new.len() as u32),
            Some(_) => tape.truncate(end),
            None => {}
        }
        self.tidy(tape, from, end, at);
        time
    }

    /// Removes fields that are there again among what was merged, and the text itself unless it is kept.
    #[inline]
    fn tidy(&self, tape: &mut Vec<Cell>, from: usize, end: usize, log: usize) {
        let (mut at, mut end, mut log) = (from, end, log);
        while at < end
            && let Some(cell) = tape.get(at)
        {
            let next = (at + cell.width()).min(end);
            let key = cell.key;
            let again = tape.get(end..).unwrap_or_default().iter().any(|c| c.key == key)
                && heads(tape.get(end..).unwrap_or_default()).any(|h| h.1 == key);
            if again || (at == log && !self.keep) {
                tape.drain(at..next);
                end -= next - at;
                log = if at < log { log - (next - at) } else { usize::MAX };
            } else {
                at = next;
            }
        }
    }

    /// Pushes the fields of a text; `None` when it has another form.
    fn parse(
        &mut self,
        batch: &mut Batch,
        cell: &Cell,
        own: Option<&mut (dyn Parser + 'static)>,
        now: Time,
    ) -> Option<Option<Time>> {
        if let Some(parser) = own.or(self.parser.as_deref_mut()) {
            let text = batch.plain_text(cell)?;
            return match parser.parse(batch, text, now) {
                Parsed::Hit(time) => Some(time),
                Parsed::Miss => None,
            };
        }
        // Most texts are no JSON: nothing is decoded to find that out.
        let raw = batch.arena().get(cell.span());
        if !matches!(raw.iter().find(|b| !b.is_ascii_whitespace()), Some(b'{' | b'\\')) {
            return None;
        }
        let text = batch.plain_text(cell)?;
        self.json.object(batch, text).ok().map(|_| None)
    }
}

/// Cuts line ends from the texts of a map: newlines, and the two characters of a newline or a carriage return that was escaped
/// once too often. The first character stays.
fn trim<'a>(map: &mut [Cell], bytes: impl Fn(Span) -> &'a [u8]) {
    let mut at = 0;
    while let Some(cell) = map.get_mut(at) {
        if cell.kind == Kind::Str {
            let raw = bytes(cell.span());
            if matches!(raw.last(), Some(b'\n' | b'n' | b'r')) {
                let len = if cell.flags & ESCAPED != 0 { trimmed_escaped(raw) } else { trimmed(raw) };
                cell.b = len as u32;
            }
        }
        at += cell.width();
    }
}

fn trimmed(text: &[u8]) -> usize {
    let mut len = text.len();
    while len > 1 {
        match text.get(..len).unwrap_or_default() {
            [.., b'\n'] => len -= 1,
            [.., b'\\', b'n' | b'r'] => len -= 2,
            _ => break,
        }
    }
    len
}

/// The same for the text between the quotes of JSON.
fn trimmed_escaped(raw: &[u8]) -> usize {
    let mut len = raw.len();
    loop {
        let text = raw.get(..len).unwrap_or_default();
        let Some((last, before)) = text.split_last() else { return len };
        let slashes = before.iter().rev().take_while(|b| **b == b'\\').count();
        let cut = match (last, slashes % 2) {
            // A newline.
            (b'n', 1) => 2,
            // A backslash and a letter.
            (b'n' | b'r', 0) if slashes > 0 => 3,
            (b'\n', _) => 1,
            _ => return len,
        };
        // Only a backslash with its letter may be all there is.
        if cut == len && cut != 3 {
            return len;
        }
        len -= cut;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_cut() {
        for (text, want) in [
            ("", ""),
            ("\n", "\n"),
            ("\n\n", "\n"),
            ("a\n", "a"),
            ("a\n\n", "a"),
            ("a\r\n", "a\r"),
            ("a\\n", "a"),
            ("a\\r\\n", "a"),
            ("a\\n\n", "a"),
            ("\\n", ""),
            ("in", "in"),
            ("for", "for"),
            ("r", "r"),
        ] {
            assert_eq!(&text.as_bytes()[..trimmed(text.as_bytes())], want.as_bytes(), "{text:?}");
            let mut escaped = Vec::new();
            crate::fmt::json_write::write_inner(text.as_bytes(), Default::default(), &mut escaped);
            let mut expected = Vec::new();
            crate::fmt::json_write::write_inner(want.as_bytes(), Default::default(), &mut expected);
            assert_eq!(&escaped[..trimmed_escaped(&escaped)], expected, "{text:?} escaped");
        }
    }
}
