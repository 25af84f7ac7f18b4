//! Reading JSON while it arrives, in memory that does not grow with it.
//!
//! For long answers of which little is wanted: the caller walks down to it, the rest is only looked at for where it
//! ends. So what is skipped need not be JSON to the last comma.

use super::json_text;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// Bytes read at once.
const STEP: usize = 16 * 1024;
/// Of a number or word only so much is looked at, in bytes.
const WORD: usize = 24;

/// Why reading cannot go on.
#[derive(Debug)]
pub enum StreamError {
    /// The source failed.
    Io(io::Error),
    /// The text ends too early.
    End,
    /// Something else was to stand at this offset.
    Expected(&'static str, u64),
    /// More than [`JsonStream::allow`] granted.
    Long,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::End => write!(f, "the text ends too early"),
            Self::Expected(what, at) => write!(f, "expected {what} at byte {at}"),
            Self::Long => write!(f, "it does not end"),
        }
    }
}

/// A value that arrives in pieces.
pub struct JsonStream<R> {
    from: R,
    buf: Box<[u8]>,
    /// What is not looked at yet: `buf[at..end]`.
    at: usize,
    end: usize,
    /// Bytes before `buf`.
    before: u64,
    /// Where reading has to stop.
    limit: u64,
    head: Vec<u8>,
    keep: usize,
}

type Result<T> = std::result::Result<T, StreamError>;

impl<R: Read> JsonStream<R> {
    /// Reads from here; keeps the first `keep` bytes for [`Self::head`].
    pub fn new(from: R, keep: usize) -> Self {
        let buf = vec![0; STEP].into_boxed_slice();
        Self { from, buf, at: 0, end: 0, before: 0, limit: u64::MAX, head: Vec::new(), keep }
    }

    /// From here on about so many bytes may come before the next call.
    pub fn allow(&mut self, bytes: u64) {
        self.limit = self.offset().saturating_add(bytes);
    }

    /// How the text began, as far as it was read.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    fn expected<T>(&self, what: &'static str) -> Result<T> {
        Err(StreamError::Expected(what, self.offset()))
    }

    /// Gets more bytes; false at the end.
    fn fill(&mut self) -> Result<bool> {
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        if self.before >= self.limit {
            return Err(StreamError::Long);
        }
        self.end = loop {
            match self.from.read(&mut self.buf) {
                Ok(n) => break n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(StreamError::Io(e)),
            }
        };
        let room = self.keep.saturating_sub(self.head.len()).min(self.end);
        self.head.extend_from_slice(self.buf.get(..room).unwrap_or_default());
        Ok(self.end > 0)
    }

    /// What was read and not looked at; empty only at the end.
    fn rest(&mut self) -> Result<&[u8]> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buf.get(self.at..self.end).unwrap_or_default())
    }

    /// The byte at which the next token begins; it is not taken.
    ///
    /// # Errors
    /// At the end of the text, or when it cannot be read.
    pub fn peek(&mut self) -> Result<u8> {
        loop {
            let rest = self.rest()?;
            let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
            let found = rest.get(blank).copied();
            let ended = rest.is_empty();
            self.at += blank;
            match found {
                Some(b) => return Ok(b),
                None if ended => return Err(StreamError::End),
                None => {}
            }
        }
    }

    /// Takes this byte, which begins or parts something.
    ///
    /// # Errors
    /// When another one stands there.
    pub fn take(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.peek()? != byte {
            return self.expected(what);
        }
        self.at += 1;
        Ok(())
    }

    /// Goes on to the next entry of a container whose opening bracket was taken; false once `close` was taken.
    fn next(&mut self, first: &mut bool, close: u8) -> Result<bool> {
        if self.peek()? == close {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.take(b',', "',' or the end of the container")?;
        }
        Ok(true)
    }

    /// The next entry of an array whose `[` was taken: true when a value follows, false behind its `]`. `first` is true
    /// before the first call.
    ///
    /// # Errors
    /// When there is neither.
    pub fn element(&mut self, first: &mut bool) -> Result<bool> {
        self.next(first, b']')
    }

    /// The next entry of an object whose `{` was taken: its key (the first bytes of a long one) in `name`, and true when
    /// its value follows; false behind its `}`.
    ///
    /// # Errors
    /// When there is neither.
    pub fn key(&mut self, first: &mut bool, name: &mut Vec<u8>) -> Result<bool> {
        if !self.next(first, b'}')? {
            return Ok(false);
        }
        self.text(name, 64)?;
        self.take(b':', "':'")?;
        Ok(true)
    }

    /// A string: at most `most` bytes of its source text are decoded into `out`, which is emptied before.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&mut self, out: &mut Vec<u8>, most: usize) -> Result<()> {
        out.clear();
        self.take(b'"', "a string")?;
        let mut raw = Vec::new();
        let mut escaped = false;
        loop {
            let rest = self.rest()?;
            if rest.is_empty() {
                return Err(StreamError::End);
            }
            // The byte behind a backslash is never the end.
            let from = usize::from(std::mem::take(&mut escaped));
            let stop = memchr::memchr2(b'"', b'\\', rest.get(from..).unwrap_or_default());
            let len = stop.map_or(rest.len(), |n| from + n);
            let text = rest.get(..len).unwrap_or_default();
            let is_end = rest.get(len) == Some(&b'"');
            if is_end && raw.is_empty() {
                // The usual string: in one piece, nothing escaped.
                out.extend_from_slice(text.get(..text.len().min(most)).unwrap_or_default());
                self.at += len + 1;
                return Ok(());
            }
            let room = most.saturating_sub(raw.len()).min(len);
            raw.extend_from_slice(text.get(..room).unwrap_or_default());
            escaped = rest.get(len) == Some(&b'\\');
            if escaped && raw.len() < most {
                raw.push(b'\\');
            }
            self.at += len + usize::from(is_end || escaped);
            if is_end {
                json_text::decode(&raw, out);
                return Ok(());
            }
        }
    }

    /// A number or word (`true`): its first bytes, and how many of them.
    fn word(&mut self) -> Result<([u8; WORD], usize)> {
        let (mut word, mut kept) = ([0; WORD], 0);
        self.peek()?;
        loop {
            let rest = self.rest()?;
            let is_part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
            let len = rest.iter().take_while(is_part).count();
            for (to, from) in word.iter_mut().skip(kept).zip(rest.iter().take(len)) {
                *to = *from;
                kept += 1;
            }
            let is_end = len < rest.len() || rest.is_empty();
            self.at += len;
            if is_end {
                return if kept == 0 { self.expected("a value") } else { Ok((word, kept)) };
            }
        }
    }

    /// A whole number; `None` when the value is something else, which is then skipped.
    ///
    /// # Errors
    /// When there is no value.
    pub fn int(&mut self) -> Result<Option<i64>> {
        self.scalar(|word| std::str::from_utf8(word).ok()?.parse().ok())
    }

    /// `true` or `false`; `None` when the value is something else, which is then skipped.
    ///
    /// # Errors
    /// When there is no value.
    pub fn bool(&mut self) -> Result<Option<bool>> {
        self.scalar(|word| match word {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        })
    }

    fn scalar<T>(&mut self, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>> {
        if matches!(self.peek()?, b'"' | b'{' | b'[') {
            return self.skip().map(|()| None);
        }
        let (word, kept) = self.word()?;
        Ok(word.get(..kept).and_then(read))
    }

    /// Goes behind the next value, however deep it is.
    ///
    /// # Errors
    /// When there is no value.
    pub fn skip(&mut self) -> Result<()> {
        let mut unused = Vec::new();
        let mut depth = 0u64;
        loop {
            match self.peek()? {
                b'"' => self.text(&mut unused, 0)?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                _ => _ = self.word()?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Gives its bytes in pieces.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.max(1).min(buf.len()).min(self.0.len());
            let (now, later) = self.0.split_at(n);
            buf[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    /// Reads everything back into a tree.
    fn tree<R: Read>(json: &mut JsonStream<R>) -> Result<Value> {
        let mut first = true;
        Ok(match json.peek()? {
            b'{' => {
                json.take(b'{', "")?;
                let (mut map, mut key) = (serde_json::Map::new(), Vec::new());
                while json.key(&mut first, &mut key)? {
                    map.insert(String::from_utf8(key.clone()).unwrap(), tree(json)?);
                }
                map.into()
            }
            b'[' => {
                json.take(b'[', "")?;
                let mut all = Vec::new();
                while json.element(&mut first)? {
                    all.push(tree(json)?);
                }
                all.into()
            }
            b'"' => {
                let mut text = Vec::new();
                json.text(&mut text, usize::MAX)?;
                String::from_utf8(text).unwrap().into()
            }
            b't' | b'f' => json.bool()?.into(),
            _ => json.int()?.into(),
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,40}|[\"\\\\\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]{0,6}", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn however_it_arrives_it_is_the_same(value in value(), step in 1usize..40, pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let text = format!("{text} 7");
            let mut json = JsonStream::new(Pieces(text.as_bytes(), step), 0);
            prop_assert_eq!(&tree(&mut json).unwrap(), &value);
            prop_assert_eq!(json.int().unwrap(), Some(7));
            let mut json = JsonStream::new(Pieces(text.as_bytes(), step), 0);
            json.skip().unwrap();
            prop_assert_eq!(json.int().unwrap(), Some(7));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..40) {
            let mut json = JsonStream::new(Pieces(&bytes, step), 10);
            while json.skip().is_ok() {}
            let mut json = JsonStream::new(Pieces(&bytes, step), 10);
            let mut text = Vec::new();
            while json.text(&mut text, 7).is_ok() {
                prop_assert!(text.len() <= 3 * 7);
            }
        }
    }

    #[test]
    fn long_texts_are_cut_and_passed_over() {
        for escape in ["", "\\n"] {
            let text = format!("\"{}{escape}{}\" 1", "a".repeat(50_000), "\\\"b".repeat(50_000));
            let mut json = JsonStream::new(Pieces(text.as_bytes(), 1000), 5);
            let mut out = Vec::new();
            json.text(&mut out, 10).unwrap();
            assert_eq!(out, b"aaaaaaaaaa");
            assert_eq!(json.int().unwrap(), Some(1));
            assert_eq!(json.head(), b"\"aaaa");
        }
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        for (start, endless) in
            [("", "["), ("", "{\"a\":"), ("", " "), ("\"", "x"), ("\"", "\\\""), ("", "1"), ("[", "1,")]
        {
            let mut json = JsonStream::new(start.as_bytes().chain(Endless(endless.as_bytes(), 0)), 0);
            json.allow(1 << 20);
            assert!(matches!(json.skip(), Err(StreamError::Long)), "{endless}");
        }
    }

    /// The same bytes again and again.
    struct Endless(&'static [u8], usize);

    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            for b in buf.iter_mut() {
                *b = self.0[self.1 % self.0.len()];
                self.1 += 1;
            }
            Ok(buf.len())
        }
    }

    #[test]
    fn errors_name_the_place() {
        let error = |text: &str| JsonStream::new(text.as_bytes(), 0).skip().unwrap_err().to_string();
        assert_eq!(error("  <html>"), "expected a value at byte 2");
        assert_eq!(error("{\"a\":[1,"), "the text ends too early");
        assert_eq!(error("]"), "expected a value at byte 0");
        let mut json = JsonStream::new(&b"{\"a\" 1}"[..], 0);
        json.take(b'{', "an object").unwrap();
        assert_eq!(json.key(&mut true, &mut Vec::new()).unwrap_err().to_string(), "expected ':' at byte 5");
    }
}
