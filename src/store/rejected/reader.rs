//! Reading the file of rejected records line by line, in bounded memory.

use super::line::{Entry, read_line};
use crate::fmt::json_exact;
use crate::fmt::json_read::JsonReader;
use std::io::{BufRead, ErrorKind, Result};

/// The longest line that is read, in bytes: a file of another kind must not fill the memory.
const MAX_LINE: usize = 64 << 20;

/// A line that was read.
#[derive(Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its length in the file, in bytes, with its newline.
    pub len: u64,
    /// Its record, or what is wrong with it. Nothing when it is blank.
    pub record: Option<std::result::Result<Entry, String>>,
}

/// Reads lines one by one.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
    json: JsonReader,
}

impl<R: BufRead> Reader<R> {
    /// Reads from the start of a file.
    pub fn new(from: R) -> Self {
        Self { from, number: 0, text: Vec::new(), json: JsonReader::deep(json_exact::MAX_DEPTH) }
    }

    /// Takes the next line without its newline into `text`, at most [`MAX_LINE`] bytes of it. Answers its length in the
    /// file; 0 at the end.
    fn take(&mut self) -> Result<u64> {
        self.text.clear();
        let mut len = 0;
        loop {
            let piece = match self.from.fill_buf() {
                Ok(piece) => piece,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let end = memchr::memchr(b'\n', piece);
            let line = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            let fits = (MAX_LINE - self.text.len()).min(line.len());
            self.text.extend_from_slice(line.get(..fits).unwrap_or_default());
            let used = line.len() + usize::from(end.is_some());
            self.from.consume(used);
            len += used as u64;
            if used == 0 || end.is_some() {
                return Ok(len);
            }
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = match self.take() {
            Ok(0) => return None,
            Ok(len) => len,
            Err(e) => return Some(Err(e)),
        };
        self.number += 1;
        let record = if len > MAX_LINE as u64 + 1 {
            Some(Err(format!("longer than {MAX_LINE} bytes")))
        } else if self.text.iter().all(u8::is_ascii_whitespace) {
            None
        } else {
            Some(read_line(&self.text, &mut self.json))
        };
        Some(Ok(Line { number: self.number, len, record }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Read};

    const GOOD: &[u8] = br#"{"output":"o","tag":"t","time":"2026-01-01T00:00:00Z","record":{"a":1}}"#;

    fn read(text: &[u8]) -> Vec<(u64, u64, String)> {
        let shown = |line: Line| match line.record {
            None => "blank".to_owned(),
            Some(Ok(entry)) => format!("{} {}", entry.output, entry.batch.tag()),
            Some(Err(why)) => why,
        };
        // A small buffer: lines come in pieces.
        let lines = Reader::new(BufReader::with_capacity(7, text)).map(|l| l.unwrap());
        lines.map(|l| (l.number, l.len, shown(l))).collect()
    }

    #[test]
    fn lines_are_numbered_and_measured() {
        let text = [GOOD, b"\n\n \r\n{}\n", GOOD].concat();
        let good = GOOD.len() as u64;
        let expected =
            [(1, good + 1, "o t"), (2, 1, "blank"), (3, 3, "blank"), (4, 3, "\"time\" is no text"), (5, good, "o t")];
        assert_eq!(read(&text), expected.map(|(n, len, what)| (n, len, what.to_owned())));
        assert_eq!(read(b""), []);
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let zeros = std::io::repeat(b'0').take(2 * MAX_LINE as u64);
        let rest = [b"\n", GOOD].concat();
        let mut reader = Reader::new(BufReader::new(zeros.chain(&rest[..])));
        let first = reader.next().unwrap().unwrap();
        assert_eq!(first.record.unwrap().unwrap_err(), "longer than 67108864 bytes");
        assert_eq!(first.len, 2 * MAX_LINE as u64 + 1);
        assert!(reader.text.capacity() <= 2 * MAX_LINE);
        assert!(reader.next().unwrap().unwrap().record.unwrap().is_ok());
        assert!(reader.next().is_none());
    }
}
