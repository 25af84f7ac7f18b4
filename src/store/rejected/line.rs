//! The lines of the file: a record with all that it takes to send it again, and why it was not delivered.
//!
//! ```json
//! {"rejected_at":"…Z","output":"es.0","input":"tail.0","tag":"kube.x","reason":"400 …","attempts":1,
//!  "source":{"dev":1,"inode":2,"print":"00000000000000ff","offset":4096},"time":"…Z","metadata":{…},"record":{…}}
//! ```
//!
//! `metadata` stands there only when there is some; `dev` and `inode` only when the record came from a file. `print` is
//! the number of [`crate::event::Source`] in hexadecimal digits: tools that hold numbers as doubles must not round it.
//! Values are written as [`json_exact`] says, so a line read back is the same record.

use crate::event::{Batch, Cells, Key, Position, Record, Source, Tag, Value};
use crate::fmt::json_exact::{self, bytes_of, write_map, write_text};
use crate::fmt::json_read::JsonReader;
use crate::fmt::num::write_u64;
use crate::time::{Time, rfc3339};
use std::io::{BufRead, ErrorKind, Result, Write as _};

/// The longest line that is read, in bytes: a file of another kind must not fill the memory.
const MAX_LINE: usize = 64 << 20;

/// Why a record was not delivered, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// When it was given up.
    pub rejected_at: Time,
    /// The output that it was for, by its name.
    pub output: &'a str,
    /// The input that it came from, by its name.
    pub input: &'a str,
    /// The server's reason, or ours.
    pub reason: &'a str,
    /// How often it was sent.
    pub attempts: u32,
}

/// Appends the line of a record, newline included.
pub fn write_line(record: &Record<'_>, note: &Note<'_>, out: &mut Vec<u8>) {
    let text = |name: &str, value: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(name.as_bytes());
        write_text(value.as_bytes(), out);
    };
    out.extend_from_slice(b"{\"rejected_at\":\"");
    rfc3339::write(note.rejected_at, out);
    text("\",\"output\":", note.output, out);
    text(",\"input\":", note.input, out);
    text(",\"tag\":", record.batch().tag(), out);
    text(",\"reason\":", note.reason, out);
    // Writing to a Vec cannot fail.
    let _ = write!(out, ",\"attempts\":{},\"source\":{{", note.attempts);
    let Position { source, offset } = record.position();
    if source.is_file() {
        let _ = write!(out, "\"dev\":{},\"inode\":{},", source.dev, source.ino);
    }
    let _ = write!(out, "\"print\":\"{:016x}\",\"offset\":", source.print);
    write_u64(offset, out);
    out.extend_from_slice(b"},\"time\":\"");
    rfc3339::write(record.time(), out);
    out.push(b'"');
    if !record.meta().is_empty() {
        out.extend_from_slice(b",\"metadata\":");
        write_map(record.meta(), out);
    }
    out.extend_from_slice(b",\"record\":");
    write_map(record.body(), out);
    out.extend_from_slice(b"}\n");
}

/// A line that was read.
#[derive(Debug)]
pub struct Entry {
    /// The output that the record is for.
    pub output: String,
    /// The input that it came from; empty when the line does not say.
    pub input: String,
    /// A batch of one: the record with its tag, time, metadata and position.
    pub batch: Batch,
}

/// A line that cannot be read as a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Reads lines one by one. Blank ones are passed over.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
    json: JsonReader,
}

impl<R: BufRead> Reader<R> {
    /// Reads from the start of a file, or from wherever `from` stands.
    pub fn new(from: R) -> Self {
        Self { from, number: 0, text: Vec::new(), json: JsonReader::deep(json_exact::MAX_DEPTH) }
    }

    /// The next line without its newline, and whether it is whole: a longer one is cut. `None` at the end.
    fn line(&mut self) -> Result<Option<bool>> {
        self.text.clear();
        let (mut any, mut whole) = (false, true);
        loop {
            let piece = match self.from.fill_buf() {
                Ok(piece) => piece,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if piece.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = memchr::memchr(b'\n', piece);
            let line = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            whole &= self.text.len() + line.len() <= MAX_LINE;
            if whole {
                self.text.extend_from_slice(line);
            }
            let used = line.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }

    fn entry(&mut self) -> std::result::Result<Entry, String> {
        let mut read = Batch::new(Tag::new(""));
        let text = read.arena_mut().push(&self.text);
        let mark = read.begin();
        self.json.object(&mut read, text).map_err(|e| format!("not a JSON object: {e}"))?;
        entry(read.since(mark))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<std::result::Result<Entry, Damaged>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let whole = match self.line() {
                Ok(line) => line?,
                Err(e) => return Some(Err(e)),
            };
            self.number += 1;
            let damaged = |why| Some(Ok(Err(Damaged { line: self.number, why })));
            if !whole {
                return damaged(format!("longer than {MAX_LINE} bytes"));
            }
            if self.text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = self.number;
            return Some(Ok(self.entry().map_err(|why| Damaged { line, why })));
        }
    }
}

/// The record of a line.
fn entry(line: Cells<'_>) -> std::result::Result<Entry, String> {
    let field = |name: &str| line.find(Key::of(name));
    let text = |name: &str| text_of(field(name)).ok_or_else(|| format!("\"{name}\" is no text"));
    let map = |name: &str| match field(name) {
        Some(Value::Map(cells)) => Ok(Some(cells)),
        Some(_) => Err(format!("\"{name}\" is no object")),
        None => Ok(None),
    };
    let time = rfc3339::parse(text("time")?.as_bytes()).ok_or("\"time\" is no time")?;
    let mut batch = Batch::new(Tag::new(&text("tag")?));
    let mark = batch.begin();
    json_exact::restore(map("record")?.ok_or("there is no \"record\"")?, &mut batch)?;
    batch.finish(mark, time);
    if let Some(cells) = map("metadata")? {
        let mark = batch.begin();
        json_exact::restore(cells, &mut batch)?;
        batch.replace_meta(0, mark);
    }
    // Without a source the record has a position of its own, as new ones do.
    if let Some(cells) = map("source")? {
        batch.set_position(position(cells).ok_or("\"source\" is no position")?);
    }
    let input = if field("input").is_some() { text("input")? } else { String::new() };
    Ok(Entry { output: text("output")?, input, batch })
}

fn position(cells: Cells<'_>) -> Option<Position> {
    let number = |name: &str| match cells.find(Key::of(name)) {
        Some(Value::Int(n)) => u64::try_from(n).ok(),
        Some(Value::Uint(n)) => Some(n),
        Some(_) => None,
        None => Some(0),
    };
    let print = u64::from_str_radix(&text_of(cells.find(Key::of("print")))?, 16).ok()?;
    let source = Source { dev: number("dev")?, ino: number("inode")?, print, base: 0 };
    Some(Position { source, offset: number("offset")? })
}

fn text_of(value: Option<Value<'_>>) -> Option<String> {
    let text = value?.as_text()?.bytes();
    String::from_utf8(bytes_of(&text).unwrap_or_else(|| text.into_owned())).ok()
}

#[cfg(test)]
mod tests;
