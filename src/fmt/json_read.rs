//! The JSON reader: text in a batch's arena becomes cells, in one pass and without a tree.
//!
//! Accepts what RFC 8259 accepts, with two liberties for text that was never valid but is found in logs: control
//! characters may stand raw in strings, and invalid UTF-8 passes through untouched. Duplicate keys and their order stay.

use super::json_keys::KeyCache;
use super::json_text::{self, Escape};
use super::scan::string_stop;
use crate::event::cell::{CLEAN, ESCAPED};
use crate::event::{Batch, Cell, Key, Kind, Span};
use std::fmt;

/// Maps and arrays that may stand in each other, unless [`JsonReader::deep`] allows more.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Offset of the first byte that cannot be, counted from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// The kinds of [`JsonError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text ends too early.
    End,
    /// Something else was to stand here.
    Expected(&'static str),
    /// `\` before a character that makes no escape.
    Escape,
    /// A number in a form that JSON does not have, or too large for a double.
    Number,
    /// More than so many levels.
    Depth(usize),
    /// Something follows the value.
    Trailing,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            JsonErrorKind::End => write!(f, "the text ends too early")?,
            JsonErrorKind::Expected(what) => write!(f, "expected {what}")?,
            JsonErrorKind::Escape => write!(f, "invalid escape")?,
            JsonErrorKind::Number => write!(f, "invalid number")?,
            JsonErrorKind::Depth(max) => write!(f, "more than {max} levels")?,
            JsonErrorKind::Trailing => write!(f, "something follows the value")?,
        }
        write!(f, " at byte {}", self.at)
    }
}

impl std::error::Error for JsonError {}

/// Reads JSON into batches. Each source keeps its own, for the reader learns the order of its keys.
#[derive(Debug)]
pub struct JsonReader {
    keys: KeyCache,
    /// Decoded text that goes to the arena's end once the value is complete.
    decoded: Vec<u8>,
    max_depth: usize,
}

impl Default for JsonReader {
    fn default() -> Self {
        Self::deep(MAX_DEPTH)
    }
}

impl JsonReader {
    /// A reader that takes so many levels.
    pub fn deep(max_depth: usize) -> Self {
        Self { keys: KeyCache::default(), decoded: Vec::new(), max_depth }
    }

    /// Reads the one object that `text` holds and pushes its entries, between the caller's [`Batch::begin`] and
    /// [`Batch::finish`]. Returns their number.
    ///
    /// # Errors
    /// When `text` is not one JSON object with nothing but white space around; then nothing was pushed.
    pub fn object(&mut self, batch: &mut Batch, text: Span) -> Result<u32, JsonError> {
        self.run(batch, text, |p| {
            let at = p.space(0);
            if p.byte(at) != Some(b'{') {
                return Err(p.expected(at, "an object"));
            }
            let (entries, at) = p.containers(at + 1, NO_HEAD)?;
            let at = p.space(at);
            if at < p.text.len() { Err(p.fail(at, JsonErrorKind::Trailing)) } else { Ok(entries) }
        })
    }

    /// Reads the first of several values that follow each other, as a stream brings them, and pushes it as one value
    /// without a key: read it through [`Batch::since`], or make a map in it a record with [`Batch::finish_map`].
    ///
    /// Returns how many bytes it took; `None` when `text` is blank or ends before the value does (bring more then).
    ///
    /// # Errors
    /// When no value can begin so; then nothing was pushed.
    pub fn next_value(&mut self, batch: &mut Batch, text: Span) -> Result<Option<usize>, JsonError> {
        let read = self.run(batch, text, |p| {
            let start = p.space(0);
            let first = p.byte(start);
            let at = match first {
                Some(open @ (b'{' | b'[')) => {
                    let head = p.open(Key::NONE, open);
                    p.containers(start + 1, head)?.1
                }
                _ => p.scalar(start, Key::NONE)?,
            };
            // More digits may follow.
            let open_end = matches!(first, Some(b'-' | b'0'..=b'9')) && at == p.text.len();
            if open_end { Err(p.fail(at, JsonErrorKind::End)) } else { Ok(at) }
        });
        match read {
            Ok(used) => Ok(Some(used)),
            Err(JsonError { kind: JsonErrorKind::End, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    #[inline]
    fn run<T>(
        &mut self,
        batch: &mut Batch,
        text: Span,
        read: impl FnOnce(&mut Pass<'_>) -> Result<T, Failed>,
    ) -> Result<T, JsonError> {
        let (arena, tape) = batch.parts_mut();
        let before = tape.len();
        self.keys.restart();
        self.decoded.clear();
        let mut pass = Pass {
            text: arena.get(text),
            origin: text.at,
            end: arena.len() as u32,
            tape,
            keys: &mut self.keys,
            decoded: &mut self.decoded,
            max_depth: self.max_depth,
            error: JsonError { at: 0, kind: JsonErrorKind::End },
        };
        match read(&mut pass) {
            Ok(done) => {
                if !self.decoded.is_empty() {
                    arena.push(&self.decoded);
                }
                Ok(done)
            }
            Err(Failed) => {
                let error = pass.error;
                tape.truncate(before);
                Err(error)
            }
        }
    }
}

/// The error stands in [`Pass::error`]: results stay small enough for registers.
struct Failed;

/// One pass over one text. Functions take the offset to go on at and return the one behind what they read.
struct Pass<'a> {
    text: &'a [u8],
    /// Where `text` stands in the arena.
    origin: u32,
    /// The arena's end: where `decoded` will stand.
    end: u32,
    tape: &'a mut Vec<Cell>,
    keys: &'a mut KeyCache,
    decoded: &'a mut Vec<u8>,
    max_depth: usize,
    error: JsonError,
}

/// The head of what is not on the tape: the object whose entries go to the tape directly.
const NO_HEAD: u32 = u32::MAX;

impl Pass<'_> {
    fn open(&mut self, key: Key, bracket: u8) -> u32 {
        let head = self.tape.len() as u32;
        self.tape.push(Cell::nested(key, if bracket == b'{' { Kind::Map } else { Kind::Array }, 0, NO_HEAD));
        head
    }

    /// Everything up to the end of the container at `head`, whose opening bracket was read; returns its entries too.
    ///
    /// While a container is open, its head on the tape holds the entries so far of the one around it, and where that
    /// one's head is: the tape itself is the stack.
    fn containers(&mut self, mut at: usize, mut head: u32) -> Result<(u32, usize), Failed> {
        let mut depth = 1;
        let mut entries = 0;
        let mut is_map = self.is_map(head);
        // An empty container closes where others have their first entry.
        at = self.space(at);
        let mut empty = self.byte(at) == Some(if is_map { b'}' } else { b']' });
        loop {
            if !empty {
                let key = if is_map {
                    let (key, next) = self.key(at)?;
                    at = next;
                    key
                } else {
                    Key::NONE
                };
                match self.byte(at) {
                    Some(b'"') => at = self.string(at + 1, key)?,
                    Some(bracket @ (b'{' | b'[')) => {
                        if depth == self.max_depth {
                            return Err(self.fail(at, JsonErrorKind::Depth(depth)));
                        }
                        depth += 1;
                        let inner = self.open(key, bracket);
                        if let Some(cell) = self.tape.get_mut(inner as usize) {
                            (cell.a, cell.b) = (entries, head);
                        }
                        (head, entries, is_map) = (inner, 0, bracket == b'{');
                        at = self.space(at + 1);
                        empty = self.byte(at) == Some(if is_map { b'}' } else { b']' });
                        continue;
                    }
                    _ => at = self.scalar(at, key)?,
                }
                entries += 1;
            }
            empty = false;
            // Behind a value: the next entry, or the end of this container and perhaps of those around it.
            loop {
                at = self.space(at);
                match self.byte(at) {
                    Some(b',') => {
                        at = self.space(at + 1);
                        break;
                    }
                    Some(b'}') if is_map => at += 1,
                    Some(b']') if !is_map => at += 1,
                    _ if is_map => return Err(self.expected(at, "',' or '}'")),
                    _ => return Err(self.expected(at, "',' or ']'")),
                }
                let inner = (self.tape.len() as u32).saturating_sub(head.saturating_add(1));
                let (mut outer, mut before) = (NO_HEAD, 0);
                if let Some(cell) = self.tape.get_mut(head as usize) {
                    (before, outer) = (cell.a, cell.b);
                    (cell.a, cell.b) = (entries, inner);
                }
                depth -= 1;
                if depth == 0 {
                    return Ok((entries, at));
                }
                (head, entries) = (outer, before + 1);
                is_map = self.is_map(head);
            }
        }
    }

    /// Whether the container at `head` is a map; the one that is not on the tape is.
    fn is_map(&self, head: u32) -> bool {
        self.tape.get(head as usize).is_none_or(|cell| cell.kind == Kind::Map)
    }

    /// A key, its colon, and the space up to the value.
    #[inline]
    fn key(&mut self, at: usize) -> Result<(Key, usize), Failed> {
        if self.byte(at) != Some(b'"') {
            return Err(self.expected(at, "a key"));
        }
        let (key, at) = match self.keys.predict(self.text, at + 1) {
            Some(hit) => hit,
            None => self.unpredicted_key(at + 1)?,
        };
        let at = self.space(at);
        if self.byte(at) != Some(b':') {
            return Err(self.expected(at, "':'"));
        }
        Ok((key, self.space(at + 1)))
    }

    #[inline(never)]
    fn unpredicted_key(&mut self, start: usize) -> Result<(Key, usize), Failed> {
        let (found, end) = self.string_end(start)?;
        let before = self.decoded.len();
        let name = self.text.get(start..end - 1).unwrap_or_default();
        // A name that has to stay local goes to the arena's end, behind its length.
        self.decoded.extend_from_slice(&[0; 4]);
        let from = self.decoded.len();
        let key = if found.escaped {
            json_text::decode(name, self.decoded);
            Key::intern(self.decoded.get(from..).unwrap_or_default())
        } else {
            self.keys.look_up(name)
        };
        if let Some(key) = key {
            self.decoded.truncate(before);
            return Ok((key, end));
        }
        if !found.escaped {
            self.decoded.extend_from_slice(name);
        }
        let len = (self.decoded.len() - from) as u32;
        if let Some(prefix) = self.decoded.get_mut(before..from) {
            prefix.copy_from_slice(&len.to_le_bytes());
        }
        Ok((Key::local(self.end + before as u32), end))
    }

    /// A string, number or word.
    fn scalar(&mut self, at: usize, key: Key) -> Result<usize, Failed> {
        match self.byte(at) {
            Some(b'"') => self.string(at + 1, key),
            Some(b'-' | b'0'..=b'9') => self.number(at, key),
            Some(b't') => self.word(at, b"true", Cell::bool(key, true)),
            Some(b'f') => self.word(at, b"false", Cell::bool(key, false)),
            Some(b'n') => self.word(at, b"null", Cell::null(key)),
            _ => Err(self.expected(at, "a value")),
        }
    }

    fn word(&mut self, at: usize, word: &'static [u8], cell: Cell) -> Result<usize, Failed> {
        let rest = self.text.get(at..).unwrap_or_default();
        let same = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        if same < word.len() {
            return Err(self.expected(at + same, "true, false or null"));
        }
        self.tape.push(cell);
        Ok(at + same)
    }

    /// A string whose opening quote was read.
    #[inline]
    fn string(&mut self, start: usize, key: Key) -> Result<usize, Failed> {
        let (found, end) = self.string_end(start)?;
        let span = Span { at: self.origin + start as u32, len: (end - 1 - start) as u32 };
        let cell = match found {
            Found { escaped: false, control, clean, .. } => {
                Cell::str(key, span, if clean && !control { CLEAN } else { 0 })
            }
            Found { canonical: true, control: false, clean, .. } => {
                Cell::str(key, span, if clean { CLEAN | ESCAPED } else { ESCAPED })
            }
            _ => self.decode(start, end - 1, key),
        };
        self.tape.push(cell);
        Ok(end)
    }

    #[cold]
    fn decode(&mut self, start: usize, end: usize, key: Key) -> Cell {
        let at = self.decoded.len();
        json_text::decode(self.text.get(start..end).unwrap_or_default(), self.decoded);
        Cell::str(key, Span { at: self.end + at as u32, len: (self.decoded.len() - at) as u32 }, 0)
    }

    /// What the string that begins at `at` holds, its escapes checked, and the offset behind its closing quote.
    #[inline]
    fn string_end(&mut self, start: usize) -> Result<(Found, usize), Failed> {
        let mut found = Found { escaped: false, canonical: true, control: false, clean: true };
        let (mut stop, mut clean) = string_stop::<true>(self.text, start);
        loop {
            let at;
            found.clean &= clean;
            match self.byte(stop) {
                Some(b'"') => return Ok((found, stop + 1)),
                Some(b'\\') => {
                    found.escaped = true;
                    match json_text::escape(self.text, stop) {
                        Escape::Canonical => at = stop + 2,
                        Escape::Other(len) => {
                            found.canonical = false;
                            at = stop + len;
                        }
                        Escape::Wrong(wrong) => return Err(self.end_or(wrong, JsonErrorKind::Escape)),
                    }
                }
                Some(_) => {
                    found.control = true;
                    at = stop + 1;
                }
                None => return Err(self.fail(stop, JsonErrorKind::End)),
            }
            // Text with one escape has more of them, a few words apart.
            (stop, clean) = string_stop::<false>(self.text, at);
        }
    }

    #[inline]
    fn number(&mut self, start: usize, key: Key) -> Result<usize, Failed> {
        let negative = self.byte(start) == Some(b'-');
        let digits = start + usize::from(negative);
        let mut at = digits;
        // `None` once it passed `u64::MAX`.
        let mut whole = Some(0u64);
        while let Some(b @ b'0'..=b'9') = self.byte(at) {
            whole = whole.and_then(|n| n.checked_mul(10)?.checked_add(u64::from(b - b'0')));
            at += 1;
        }
        if at == digits {
            return Err(self.end_or(at, JsonErrorKind::Number));
        }
        if at > digits + 1 && self.byte(digits) == Some(b'0') {
            return Err(self.fail(digits + 1, JsonErrorKind::Number));
        }
        if !matches!(self.byte(at), Some(b'.' | b'e' | b'E')) {
            let cell = match whole {
                Some(n) if !negative => Some(Cell::uint(key, n)),
                Some(n) if n <= 1 << 63 => Some(Cell::int(key, (n as i64).wrapping_neg())),
                _ => None,
            };
            if let Some(cell) = cell {
                self.tape.push(cell);
                return Ok(at);
            }
        }
        self.float(start, at, key)
    }

    /// The rest of a number behind its whole part, which ends at `at`.
    fn float(&mut self, start: usize, mut at: usize, key: Key) -> Result<usize, Failed> {
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            at += 1;
            at = self.digits(at + usize::from(matches!(self.byte(at), Some(b'+' | b'-'))))?;
        }
        let source = self.text.get(start..at).and_then(|t| std::str::from_utf8(t).ok());
        match source.and_then(|t| t.parse::<f64>().ok()).filter(|v| v.is_finite()) {
            Some(v) => {
                self.tape.push(Cell::float(key, v));
                Ok(at)
            }
            None => Err(self.fail(start, JsonErrorKind::Number)),
        }
    }

    fn digits(&mut self, start: usize) -> Result<usize, Failed> {
        let rest = self.text.get(start..).unwrap_or_default();
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 { Err(self.end_or(start, JsonErrorKind::Number)) } else { Ok(start + count) }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    #[inline]
    fn space(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte(at) {
            at += 1;
        }
        at
    }

    #[cold]
    fn expected(&mut self, at: usize, what: &'static str) -> Failed {
        self.end_or(at, JsonErrorKind::Expected(what))
    }

    /// The text's end explains a failure better than anything else that could have stood there.
    #[cold]
    fn end_or(&mut self, at: usize, kind: JsonErrorKind) -> Failed {
        self.fail(at, if at >= self.text.len() { JsonErrorKind::End } else { kind })
    }

    #[cold]
    fn fail(&mut self, at: usize, kind: JsonErrorKind) -> Failed {
        self.error = JsonError { at, kind };
        Failed
    }
}

/// What a string holds.
#[derive(Clone, Copy)]
struct Found {
    /// Some escape.
    escaped: bool,
    /// No escape but the short ones that the writer would write too.
    canonical: bool,
    /// Some raw control character.
    control: bool,
    /// No byte above 0x7e.
    clean: bool,
}

#[cfg(test)]
mod tests;
