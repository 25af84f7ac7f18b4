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

/// Maps and arrays that may stand in each other.
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
    /// More than [`MAX_DEPTH`] levels.
    Depth,
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
            JsonErrorKind::Depth => write!(f, "more than {MAX_DEPTH} levels")?,
            JsonErrorKind::Trailing => write!(f, "something follows the value")?,
        }
        write!(f, " at byte {}", self.at)
    }
}

impl std::error::Error for JsonError {}

/// Reads JSON into batches. Each source keeps its own, for the reader learns the order of its keys.
#[derive(Debug, Default)]
pub struct JsonReader {
    keys: KeyCache,
    /// Decoded text that goes to the arena's end once the value is complete.
    decoded: Vec<u8>,
}

impl JsonReader {
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
                        if depth == MAX_DEPTH {
                            return Err(self.fail(at, JsonErrorKind::Depth));
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
    fn string_end(&mut self, mut at: usize) -> Result<(Found, usize), Failed> {
        let mut found = Found { escaped: false, canonical: true, control: false, clean: true };
        loop {
            let (stop, clean) = string_stop(self.text, at);
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
mod tests {
    use super::*;
    use crate::event::{Cells, Tag, Value};
    use crate::fmt::json_write::{JsonOpts, write_map, write_value};
    use crate::time::Time;
    use crate::util::rng::Rng;
    use proptest::prelude::*;
    use serde_json::json;

    fn batch() -> Batch {
        let mut b = Batch::new(Tag::new("t"));
        b.arena_mut().push(b"bytes before");
        b
    }

    /// Reads one object; on an error checks that nothing stays behind.
    fn read(reader: &mut JsonReader, b: &mut Batch, json: &[u8]) -> Result<u32, JsonError> {
        let text = b.arena_mut().push(json);
        let (mark, bytes) = (b.begin(), b.arena().len());
        let result = reader.object(b, text);
        match result {
            Ok(_) => b.finish(mark, Time(0)),
            Err(_) => {
                assert!(b.since(mark).is_empty(), "cells stay after an error");
                assert_eq!(b.arena().len(), bytes, "bytes stay after an error");
            }
        }
        result
    }

    fn error(json: &[u8]) -> Option<JsonError> {
        read(&mut JsonReader::default(), &mut batch(), json).err()
    }

    fn object(cells: Cells<'_>) -> serde_json::Value {
        cells.map(|(k, v)| (String::from_utf8_lossy(cells.name(k)).into_owned(), value(v))).collect()
    }

    fn value(v: Value<'_>) -> serde_json::Value {
        match v {
            Value::Null => json!(null),
            Value::Bool(v) => json!(v),
            Value::Int(v) => json!(v),
            Value::Uint(v) => json!(v),
            Value::Float(v) => json!(v),
            Value::Str(t) => json!(String::from_utf8_lossy(&t.bytes())),
            Value::Bin(_) => panic!("JSON has no opaque bytes"),
            Value::Map(m) => object(m),
            Value::Array(a) => a.map(|(_, v)| value(v)).collect(),
        }
    }

    /// Equal, where numbers are as near as two correct readers come (the oracle may be one bit off).
    fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
        use serde_json::Value as J;
        match (a, b) {
            (J::Number(a), J::Number(b)) => {
                let (x, y) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                a == b
                    || ((a.is_f64() || b.is_f64()) && (x - y).abs() <= x.abs() * 4.0 * f64::EPSILON + f64::MIN_POSITIVE)
            }
            (J::Array(a), J::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (J::Object(a), J::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same(v, w))
            }
            _ => a == b,
        }
    }

    /// Holds the reader against serde_json; false when the text uses one of the liberties of this reader.
    fn compare(reader: &mut JsonReader, b: &mut Batch, json: &[u8]) -> bool {
        let ours = read(reader, b, json);
        let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json);
        let shown = String::from_utf8_lossy(json);
        match (ours, theirs) {
            (Ok(_), Ok(map)) => {
                let got = object(b.record(b.len() - 1).body());
                assert!(same(&got, &map.into()), "{shown}: {got}");
                true
            }
            (Err(e), Err(_)) => {
                assert!(e.at <= json.len(), "{shown}: {e}");
                true
            }
            (Ok(_), Err(e)) => {
                let e = e.to_string();
                let liberty = ["control character", "surrogate", "hex escape", "unicode code point"]
                    .iter()
                    .any(|l| e.contains(l));
                assert!(liberty, "{shown}: taken, but {e}");
                false
            }
            (Err(e), Ok(_)) => panic!("{shown}: {e}, but it is valid"),
        }
    }

    #[test]
    fn strings_keep_the_form_they_can_be_written_in() {
        let table: &[(&[u8], u8, &[u8])] = &[
            (b"plain", CLEAN, b"plain"),
            (b"", CLEAN, b""),
            (b"long enough for several words of eight bytes", CLEAN, b"long enough for several words of eight bytes"),
            (br#"a\n\t\r\b\f\"\\"#, CLEAN | ESCAPED, br#"a\n\t\r\b\f\"\\"#),
            ("é".as_bytes(), 0, "é".as_bytes()),
            ("é\\n".as_bytes(), ESCAPED, "é\\n".as_bytes()),
            (b"\x7f", 0, b"\x7f"),
            (br"\/", 0, b"/"),
            (br"\u00e9\n", 0, "é\n".as_bytes()),
            (br"\ud83d\ude00", 0, "😀".as_bytes()),
            (br"\ud83d", 0, "\u{fffd}".as_bytes()),
            (b"raw\ttab", 0, b"raw\ttab"),
            (b"raw\tand\\n", 0, b"raw\tand\n"),
            (b"\xff\xc3", 0, b"\xff\xc3"),
            (b"\xff\\n", ESCAPED, b"\xff\\n"),
        ];
        for &(source, flags, stored) in table {
            let mut b = batch();
            read(&mut JsonReader::default(), &mut b, &[b"{\"k\":\"", source, b"\"}"].concat()).unwrap();
            let cell = b.record(0).body().run()[0];
            assert_eq!(cell.flags, flags, "{}", source.escape_ascii());
            assert_eq!(b.arena().get(cell.span()), stored, "{}", source.escape_ascii());
        }
    }

    #[test]
    fn numbers() {
        let table: &[(&str, serde_json::Value)] = &[
            ("0", json!(0)),
            ("-0", json!(0)),
            ("9223372036854775807", json!(i64::MAX)),
            ("9223372036854775808", json!(1u64 << 63)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("-9223372036854775809", json!(-9223372036854775809.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18446744073709551616.0)),
            ("1.0", json!(1.0)),
            ("-0.5e-3", json!(-0.0005)),
            ("1E+2", json!(100.0)),
            ("123456789.1234568", json!(123456789.1234568)),
            ("1e-400", json!(0.0)),
            ("2.2250738585072011e-308", json!("2.2250738585072011e-308".parse::<f64>().unwrap())),
        ];
        for (source, expected) in table {
            let mut b = batch();
            read(&mut JsonReader::default(), &mut b, format!("{{\"k\":{source}}}").as_bytes()).unwrap();
            assert_eq!(object(b.record(0).body())["k"], *expected, "{source}");
        }
        for wrong in
            ["01", "-", "-a", "1.", ".5", "1e", "1e+", "1.e3", "+1", "1e400", "-1e400", "00", "0x1", "1_0", "NaN"]
        {
            assert!(error(format!("{{\"k\":{wrong}}}").as_bytes()).is_some(), "{wrong}");
        }
    }

    #[test]
    fn errors_say_where() {
        use JsonErrorKind::{Depth, End, Escape, Expected, Number, Trailing};
        let table: &[(&str, usize, JsonErrorKind)] = &[
            ("", 0, End),
            ("  ", 2, End),
            ("[]", 0, Expected("an object")),
            ("{", 1, End),
            ("{}x", 2, Trailing),
            ("{} {}", 3, Trailing),
            ("{\"a\"}", 4, Expected("':'")),
            ("{\"a\":}", 5, Expected("a value")),
            ("{\"a\":1,}", 7, Expected("a key")),
            ("{\"a\":1 \"b\":2}", 7, Expected("',' or '}'")),
            ("{\"a\":[1}", 7, Expected("',' or ']'")),
            ("{\"a\":[1,]}", 8, Expected("a value")),
            ("{\"a\":tru3}", 8, Expected("true, false or null")),
            ("{\"a\":tru", 8, End),
            ("{\"a\":\"x", 7, End),
            ("{\"a\":\"\\x\"}", 7, Escape),
            ("{\"a\":\"\\u12G4\"}", 10, Escape),
            ("{\"a\":\"\\u12", 10, End),
            ("{\"a\":01}", 6, Number),
            ("{\"a\":1.}", 7, Number),
            ("{\"a\":1e999}", 5, Number),
            ("{a:1}", 1, Expected("a key")),
        ];
        for &(json, at, kind) in table {
            assert_eq!(error(json.as_bytes()), Some(JsonError { at, kind }), "{json}");
        }
        let deep = |n: usize| ["{\"a\":".repeat(n - 1), "{}".into(), "}".repeat(n - 1)].concat();
        assert_eq!(error(deep(MAX_DEPTH).as_bytes()), None);
        assert_eq!(error(deep(MAX_DEPTH + 1).as_bytes()), Some(JsonError { at: 5 * MAX_DEPTH, kind: Depth }));
        assert_eq!(error(["{\"a\":", &"[".repeat(100_000)].concat().as_bytes()).map(|e| e.kind), Some(Depth));
        assert_eq!(JsonError { at: 4, kind: Expected("':'") }.to_string(), "expected ':' at byte 4");
    }

    #[test]
    fn order_duplicates_and_odd_keys_stay() {
        let long = "k".repeat(300);
        let json =
            format!(r#"{{"b":1,"a":{{"x":[1,{{"y":2}}]}},"b":3,"\u00e9\n":4,"é":5,"":6,"{long}":7,"{long}\t":8}}"#);
        let mut reader = JsonReader::default();
        let mut b = batch();
        for _ in 0..3 {
            assert_eq!(read(&mut reader, &mut b, json.as_bytes()), Ok(8));
        }
        for r in b.records() {
            let names: Vec<_> = r.body().map(|(k, _)| String::from_utf8_lossy(r.body().name(k)).into_owned()).collect();
            assert_eq!(names, ["b", "a", "b", "é\n", "é", "", &long, &format!("{long}\t")]);
            assert_eq!(object(r.body())["a"], json!({"x": [1, {"y": 2}]}));
            assert_eq!(r.body().count_entries(), 8);
        }
    }

    #[test]
    fn values_follow_each_other_however_they_are_cut() {
        let stream = b" {\"a\":1}{\"b\":[2,\"}\"]}\n[3, {\"c\":\"\\u00e9\"}] 12 true\n\"s\"";
        let wanted = [r#"{"a":1}"#, r#"{"b":[2,"}"]}"#, r#"[3,{"c":"\u00e9"}]"#, "12", "true", "\"s\""];
        for step in 1..stream.len() {
            let mut reader = JsonReader::default();
            let (mut from, mut to, mut got) = (0, 0, Vec::new());
            while to < stream.len() {
                to = (to + step).min(stream.len());
                let mut b = batch();
                let text = b.arena_mut().push(&stream[from..to]);
                let mut at = 0;
                loop {
                    let mark = b.begin();
                    let rest = text.sub(at, text.len as usize);
                    let Some(used) = reader.next_value(&mut b, rest).unwrap() else {
                        assert!(b.since(mark).is_empty());
                        break;
                    };
                    at += used;
                    let mut out = Vec::new();
                    write_value(&b.since(mark).value_at(0).unwrap(), JsonOpts::default(), &mut out);
                    got.push(String::from_utf8(out).unwrap());
                }
                from += at;
            }
            assert_eq!(got, wanted, "in steps of {step}");
        }
    }

    #[test]
    fn stream_errors_and_records_from_arrays() {
        let mut reader = JsonReader::default();
        let mut b = batch();
        let mark = b.begin();
        let text = b.arena_mut().push(b"[1700000000.5, {\"a\":\"x\",\"m\":{\"k\":1}}]");
        assert_eq!(reader.next_value(&mut b, text), Ok(Some(text.len as usize)));
        assert!(!b.finish_map(mark, 1, Time(7)), "a number is no record");
        assert!(b.finish_map(mark, 2, Time(7)));
        assert_eq!(object(b.record(0).body()), json!({"a": "x", "m": {"k": 1}}));
        for (json, at) in [("}", 0), ("{\"a\" 1}", 5), ("[1 2]", 3), ("nul!", 3)] {
            let text = b.arena_mut().push(json.as_bytes());
            assert_eq!(reader.next_value(&mut b, text).map_err(|e| e.at), Err(at), "{json}");
        }
    }

    fn tree() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof!["[a-c\\\\\"/ \n\t\u{8}\u{1}é日😀\u{7f}]{0,12}", "[ -~]{0,40}", any::<String>()];
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|v| json!(v)),
            any::<i64>().prop_map(|v| json!(v)),
            any::<u64>().prop_map(|v| json!(v)),
            any::<f64>().prop_map(|v| json!(v)),
            (-1e6..1e6).prop_map(|v: f64| json!(v)),
            text.prop_map(|v| json!(v)),
        ];
        let key = prop_oneof!["[a-d]{1,2}", "[a-z_]{5,20}", "[ -~é\n]{0,12}"];
        leaf.prop_recursive(4, 40, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::vec((key.clone(), inner), 0..8)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn agrees_with_serde_json(a in tree(), b in tree(), cut in any::<prop::sample::Index>(), pretty: bool) {
            let doc = json!({"a": a, "b": b});
            let text = if pretty { serde_json::to_string_pretty(&doc) } else { serde_json::to_string(&doc) }.unwrap();
            let mut reader = JsonReader::default();
            let mut batch = batch();
            // Twice: the second time the keys are predicted.
            prop_assert!(compare(&mut reader, &mut batch, text.as_bytes()));
            prop_assert!(compare(&mut reader, &mut batch, text.as_bytes()));
            // What is written reads back the same.
            let mut again = Vec::new();
            write_map(batch.record(0).body(), JsonOpts::default(), &mut again);
            compare(&mut reader, &mut batch, &again);
            prop_assert!(same(&object(batch.record(2).body()), &doc));
            let cut = cut.index(text.len());
            prop_assert_eq!(error(&text.as_bytes()[..cut]).map(|e| e.kind), Some(JsonErrorKind::End));
        }
    }

    #[test]
    fn mutated_text_agrees_with_serde_json() {
        let seeds: &[&str] = &[
            r#"{"log":"10.0.0.1 - \"GET / HTTP/1.1\" 200\n","stream":"stdout","time":"2021-03-01T10:00:00.123456789Z"}"#,
            r#"{"a":[1,-2.5e3,{"b":null,"c":[true,false]},""],"d":{"e":{"f":[[],{}]}},"\u00e9":"\ud83d\ude00\/"}"#,
            r#" { "k" : 0 , "k" : -0.0 , "long key that is predicted" : 18446744073709551615 , "é日" : "é日😀" } "#,
        ];
        let splice: &[&str] = &[
            "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "\\u", "d8", " ", "\n", "null", "\u{1}", "é",
            "1e9",
        ];
        let mut rng = Rng::new(1);
        let (mut reader, mut b) = (JsonReader::default(), batch());
        let (mut held, mut taken) = (0, 0);
        for round in 0..20_000 {
            let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
            for _ in 0..rng.between(1, 4) {
                let at = rng.between(0, text.len() as u64 - 1) as usize;
                match rng.between(0, 3) {
                    0 => drop(text.remove(at)),
                    1 => text[at] = rng.between(0, 127) as u8,
                    2 => text.truncate(at.max(1)),
                    _ => drop(text.splice(at..at, splice[rng.between(0, splice.len() as u64 - 1) as usize].bytes())),
                }
                if text.is_empty() {
                    break;
                }
            }
            if b.used() > 1 << 20 {
                b = batch();
            }
            if std::str::from_utf8(&text).is_ok() {
                let before = b.len();
                held += usize::from(compare(&mut reader, &mut b, &text));
                taken += b.len() - before;
            } else {
                let _ = read(&mut reader, &mut b, &text);
            }
        }
        assert!(held > 15_000 && taken > 2_000, "{held} held against the oracle, {taken} taken");
    }

    #[test]
    fn random_bytes_never_panic() {
        let alphabet = b"{}[]\",:\\u0123456789abcdefntrl.-+eE \n\x00\xff\xc3\xa9";
        let mut rng = Rng::new(2);
        let (mut reader, mut b) = (JsonReader::default(), batch());
        for _ in 0..20_000 {
            let text: Vec<u8> =
                (0..rng.between(0, 60)).map(|_| alphabet[rng.between(0, alphabet.len() as u64 - 1) as usize]).collect();
            let span = b.arena_mut().push(&text);
            let mark = b.begin();
            let (read, bytes) = (reader.next_value(&mut b, span), b.arena().len());
            if let Ok(Some(used)) = read {
                assert!(used > 0 && used <= text.len());
                write_value(&b.since(mark).value_at(0).unwrap(), JsonOpts::default(), &mut Vec::new());
            } else {
                assert!(b.since(mark).is_empty() && bytes == span.at as usize + text.len());
            }
            b.abandon(mark);
            b.arena_mut().truncate(0);
        }
    }
}
