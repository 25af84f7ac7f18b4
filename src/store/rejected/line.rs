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
use std::io::Write as _;

/// Longer names of outputs and inputs are none, in bytes.
const NAME_MAX: usize = 4096;

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

/// Reads a line; `json` should take the levels of [`json_exact::MAX_DEPTH`].
///
/// # Errors
/// What is wrong with the line.
pub fn read_line(line: &[u8], json: &mut JsonReader) -> Result<Entry, String> {
    let mut read = Batch::new(Tag::new(""));
    let text = read.arena_mut().push(line);
    let mark = read.begin();
    json.object(&mut read, text).map_err(|e| format!("not a JSON object: {e}"))?;
    entry(read.since(mark))
}

/// The record of a line.
fn entry(line: Cells<'_>) -> Result<Entry, String> {
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
    let name = |key: &str| {
        text(key).and_then(|t| if t.len() > NAME_MAX { Err(format!("\"{key}\" is no name")) } else { Ok(t) })
    };
    let input = if field("input").is_some() { name("input")? } else { String::new() };
    Ok(Entry { output: name("output")?, input, batch })
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
