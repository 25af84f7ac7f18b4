//! JSON from which the very same record is read again, for what is kept in a file and sent later.
//!
//! It is plain JSON, on one line, with text beyond ASCII as it is; order and duplicate keys stay. What JSON lacks:
//! - A byte outside valid UTF-8 is the character U+E000 + byte, written `\ue0ff`, as in the JSON of the outputs. Where a
//!   text holds such a character itself (U+E080 to U+E0FF) each of its three bytes is written so: reading is never in doubt.
//! - A double is the shortest decimal that means the same bits, and never looks like a whole number.
//! - `{"$double":"nan"}` (`-nan`, `inf`, `-inf`) is a double that is no number; `{"$bytes":"…"}` are opaque bytes.
//! - `{"$map":{…}}` is that map: it stands around those that would be read as one of these three.

use super::json_write::{JsonOpts, write_inner};
use super::num;
use crate::event::{Batch, Cell, Cells, Key, Kind, Value};
use std::io::Write as _;

/// Levels that a reader of such text should take: records have up to 64 from their source, filters nest them further.
pub const MAX_DEPTH: usize = 256;

const BYTES: &[u8] = b"$bytes";
const DOUBLE: &[u8] = b"$double";
const MAP: &[u8] = b"$map";

/// Appends a map, whose meaning is never in doubt: that of a record, or of its metadata.
pub fn write_map(cells: Cells<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, (key, value)) in cells.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        match key.json() {
            Some(ready) => out.extend_from_slice(ready),
            None => {
                write_text(cells.name(key), out);
                out.push(b':');
            }
        }
        write_value(&value, out);
    }
    out.push(b'}');
}

/// Appends bytes as text in quotes.
pub fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    let opts = JsonOpts { escape_unicode: false, nan_to_null: false };
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some((before, character, behind)) = split_at_byte(rest) {
            write_inner(before, opts, out);
            write_bytes(character, out);
            rest = behind;
        }
        write_inner(rest, opts, out);
        write_bytes(chunk.invalid(), out);
    }
    out.push(b'"');
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for b in bytes {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "\\ue0{b:02x}");
    }
}

fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => num::write_i64(*v, out),
        Value::Uint(v) => num::write_u64(*v, out),
        Value::Float(v) => write_double(*v, out),
        Value::Str(text) => write_text(&text.bytes(), out),
        Value::Bin(bytes) => wrap(BYTES, out, |out| write_text(bytes, out)),
        Value::Map(cells) if marker(*cells).is_some() => wrap(MAP, out, |out| write_map(*cells, out)),
        Value::Map(cells) => write_map(*cells, out),
        Value::Array(cells) => {
            out.push(b'[');
            for (n, (_, value)) in cells.enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_value(&value, out);
            }
            out.push(b']');
        }
    }
}

fn write_double(v: f64, out: &mut Vec<u8>) {
    if v.is_finite() {
        let _ = write!(out, "{v:?}");
        return;
    }
    let size = if v.is_nan() { "nan" } else { "inf" };
    let sign = if v.is_sign_negative() { "-" } else { "" };
    wrap(DOUBLE, out, |out| _ = write!(out, "\"{sign}{size}\""));
}

fn wrap(name: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
    write(out);
    out.push(b'}');
}

/// The marker under which a map's only entry stands.
fn marker(mut cells: Cells<'_>) -> Option<(&'static [u8], Value<'_>)> {
    let all = cells;
    let (key, value) = cells.next()?;
    let name = [BYTES, DOUBLE, MAP].into_iter().find(|m| *m == all.name(key))?;
    cells.is_empty().then_some((name, value))
}

/// Pushes the entries of a map that was read from such text, between the caller's [`Batch::begin`] and
/// [`Batch::finish`], as what they stood for.
///
/// # Errors
/// What is wrong with a marker; the caller abandons what was pushed.
pub fn restore(from: Cells<'_>, to: &mut Batch) -> Result<u32, &'static str> {
    let mut entries = 0;
    for (key, value) in from {
        let key = match bytes_of(from.name(key)) {
            Some(name) => to.key(&name),
            None if key.is_local() => to.key(from.name(key)),
            None => key,
        };
        restore_value(key, &value, to)?;
        entries += 1;
    }
    Ok(entries)
}

fn restore_value(key: Key, value: &Value<'_>, to: &mut Batch) -> Result<(), &'static str> {
    match value {
        Value::Str(text) => match bytes_of(&text.bytes()) {
            Some(bytes) => to.push_text(key, &bytes),
            None => to.push_value(key, value),
        },
        Value::Map(cells) => match marker(*cells) {
            None => map(key, *cells, to)?,
            Some((MAP, Value::Map(inner))) => map(key, inner, to)?,
            Some((MAP, _)) => return Err("$map without a map"),
            Some((BYTES, Value::Str(text))) => {
                let text = text.bytes();
                let bytes = to.arena_mut().push(bytes_of(&text).as_deref().unwrap_or(&text));
                to.push(Cell::bin(key, bytes));
            }
            Some((BYTES, _)) => return Err("$bytes without a text"),
            Some((_, value)) => {
                let name = value.as_text().map(|t| t.bytes());
                let double = match name.as_deref() {
                    Some(b"nan") => f64::NAN,
                    Some(b"-nan") => -f64::NAN,
                    Some(b"inf") => f64::INFINITY,
                    Some(b"-inf") => f64::NEG_INFINITY,
                    _ => return Err("$double without nan, -nan, inf or -inf"),
                };
                to.push(Cell::float(key, double));
            }
        },
        Value::Array(cells) => {
            let opened = to.open(key, Kind::Array);
            let mut elements = 0;
            for (_, value) in *cells {
                restore_value(Key::NONE, &value, to)?;
                elements += 1;
            }
            to.close(opened, elements);
        }
        _ => to.push_value(key, value),
    }
    Ok(())
}

fn map(key: Key, cells: Cells<'_>, to: &mut Batch) -> Result<(), &'static str> {
    let opened = to.open(key, Kind::Map);
    let entries = restore(cells, to)?;
    to.close(opened, entries);
    Ok(())
}

/// The bytes that a text stands for; `None` when they are its own.
pub fn bytes_of(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut bytes = Vec::new();
    while let Some((before, character, behind)) = split_at_byte(rest) {
        bytes.extend_from_slice(before);
        // The last eight bits of U+E080 to U+E0FF.
        let byte = character.iter().fold(0u8, |bits, b| bits << 6 | b & 0x3f);
        bytes.push(byte);
        rest = behind;
    }
    if rest.len() == text.len() {
        return None;
    }
    bytes.extend_from_slice(rest);
    Some(bytes)
}

/// Splits around the first of the characters U+E080 to U+E0FF.
fn split_at_byte(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let found = memchr::memchr_iter(0xee, text)
        .find(|&at| matches!(text.get(at + 1..at + 3), Some([0x82 | 0x83, 0x80..=0xbf])))?;
    let (before, rest) = text.split_at_checked(found)?;
    let (character, behind) = rest.split_at_checked(3)?;
    Some((before, character, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_read::JsonReader;
    use crate::time::Time;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A value with a meaning that can be compared.
    #[derive(Debug, Clone)]
    pub enum V {
        Null,
        Bool(bool),
        Int(i64),
        Uint(u64),
        Float(u64),
        Str(Vec<u8>),
        Bin(Vec<u8>),
        Map(Vec<(Vec<u8>, V)>),
        Array(Vec<V>),
    }

    fn push(b: &mut Batch, key: Key, v: &V) {
        match v {
            V::Null => b.push(Cell::null(key)),
            V::Bool(v) => b.push(Cell::bool(key, *v)),
            V::Int(v) => b.push(Cell::int(key, *v)),
            V::Uint(v) => b.push(Cell::uint(key, *v)),
            V::Float(v) => b.push(Cell::float(key, f64::from_bits(*v))),
            V::Str(v) => b.push_text(key, v),
            V::Bin(v) => {
                let span = b.arena_mut().push(v);
                b.push(Cell::bin(key, span));
            }
            V::Map(entries) => {
                let opened = b.open(key, Kind::Map);
                push_entries(b, entries);
                b.close(opened, entries.len() as u32);
            }
            V::Array(list) => {
                let opened = b.open(key, Kind::Array);
                list.iter().for_each(|v| push(b, Key::NONE, v));
                b.close(opened, list.len() as u32);
            }
        }
    }

    fn push_entries(b: &mut Batch, entries: &[(Vec<u8>, V)]) {
        for (name, v) in entries {
            let key = b.key(name);
            push(b, key, v);
        }
    }

    /// What a map means, as text.
    fn meaning(cells: Cells<'_>) -> String {
        let value = |v: Value<'_>| match v {
            Value::Str(t) => format!("text {:x?}", t.bytes()),
            Value::Float(v) if v.is_nan() => format!("nan {}", v.is_sign_negative()),
            Value::Float(v) => format!("double {:x}", v.to_bits()),
            Value::Map(m) => format!("map {}", meaning(m)),
            Value::Array(m) => format!("list {}", meaning(m)),
            other => format!("{other:?}"),
        };
        cells.map(|(k, v)| format!("({:x?} {})", cells.name(k), value(v))).collect()
    }

    fn check(entries: &[(Vec<u8>, V)]) -> String {
        let mut b = Batch::new(Tag::new("t"));
        let mark = b.begin();
        push_entries(&mut b, entries);
        let mut line = Vec::new();
        write_map(b.since(mark), &mut line);
        assert!(!line.contains(&b'\n') && std::str::from_utf8(&line).is_ok(), "{line:?}");
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok(), "{}", String::from_utf8_lossy(&line));
        let mut read = Batch::new(Tag::new("r"));
        let span = read.arena_mut().push(&line);
        let from = read.begin();
        JsonReader::deep(MAX_DEPTH).object(&mut read, span).unwrap();
        let mut back = Batch::new(Tag::new("t"));
        let start = back.begin();
        restore(read.since(from), &mut back).unwrap();
        back.finish(start, Time(0));
        assert_eq!(meaning(back.body(0)), meaning(b.since(mark)), "{}", String::from_utf8_lossy(&line));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn forms() {
        let one = |v: V| check(&[(b"k".to_vec(), v)]);
        let map = |name: &str, v: V| V::Map(vec![(name.into(), v)]);
        assert_eq!(one(V::Str("é\n\"😀".into())), "{\"k\":\"é\\n\\\"😀\"}");
        assert_eq!(one(V::Str(b"a\xff\xc3z".to_vec())), r#"{"k":"a\ue0ff\ue0c3z"}"#);
        assert_eq!(one(V::Str("\u{e0ff}".into())), r#"{"k":"\ue0ee\ue083\ue0bf"}"#);
        assert_eq!(one(V::Str("\u{e07f}\u{e100}".into())), "{\"k\":\"\u{e07f}\u{e100}\"}");
        assert_eq!(one(V::Int(i64::MIN)), r#"{"k":-9223372036854775808}"#);
        assert_eq!(one(V::Uint(u64::MAX)), r#"{"k":18446744073709551615}"#);
        for (v, text) in [(0.1 + 0.2, "0.30000000000000004"), (1.0, "1.0"), (1e22, "1e22"), (-0.0, "-0.0")] {
            assert_eq!(one(V::Float(f64::to_bits(v))), format!("{{\"k\":{text}}}"));
        }
        assert_eq!(one(V::Float(f64::to_bits(-f64::NAN))), r#"{"k":{"$double":"-nan"}}"#);
        assert_eq!(one(V::Float(f64::to_bits(f64::INFINITY))), r#"{"k":{"$double":"inf"}}"#);
        assert_eq!(one(V::Bin(b"a\0\xff".to_vec())), r#"{"k":{"$bytes":"a\u0000\ue0ff"}}"#);
        assert_eq!(one(map("$bytes", V::Int(1))), r#"{"k":{"$map":{"$bytes":1}}}"#);
        assert_eq!(one(map("$map", map("$map", V::Map(vec![])))), r#"{"k":{"$map":{"$map":{"$map":{"$map":{}}}}}}"#);
        assert_eq!(one(map("$other", V::Null)), r#"{"k":{"$other":null}}"#);
        let two = V::Map(vec![(b"$map".to_vec(), V::Null), (b"$map".to_vec(), V::Null)]);
        assert_eq!(one(two), r#"{"k":{"$map":null,"$map":null}}"#);
        assert_eq!(check(&[(b"$double".to_vec(), V::Null)]), r#"{"$double":null}"#, "a record is no marker");
        assert_eq!(check(&[(b"\xff".to_vec(), V::Null), (vec![b'k'; 300], V::Null)])[..15], r#"{"\ue0ff":null,"#[..15]);
    }

    #[test]
    fn wrong_markers_are_refused() {
        for (text, why) in [
            (r#"{"a":{"$map":1}}"#, "$map without a map"),
            (r#"{"a":[{"$bytes":null}]}"#, "$bytes without a text"),
            (r#"{"a":{"b":{"$double":"1"}}}"#, "$double without nan, -nan, inf or -inf"),
        ] {
            let mut read = Batch::new(Tag::new("r"));
            let span = read.arena_mut().push(text.as_bytes());
            let from = read.begin();
            JsonReader::default().object(&mut read, span).unwrap();
            assert_eq!(restore(read.since(from), &mut Batch::new(Tag::new("t"))), Err(why));
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            vec(any::<u8>(), 0..6),
            any::<String>().prop_map(String::into_bytes),
            (0xe070u32..0xe110).prop_map(|c| char::from_u32(c).unwrap().to_string().into_bytes()),
            Just(b"\xee".to_vec()),
            Just(b"\xee\x82".to_vec()),
        ];
        vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::sample::select(vec!["$bytes", "$double", "$map", "log", "a.b", ""]).prop_map(Vec::from),
            1 => text(),
        ]
    }

    fn value() -> impl Strategy<Value = V> {
        let leaf = prop_oneof![
            Just(V::Null),
            any::<bool>().prop_map(V::Bool),
            any::<i64>().prop_map(V::Int),
            any::<u64>().prop_map(V::Uint),
            any::<u64>().prop_map(V::Float),
            any::<f64>().prop_map(|v| V::Float(v.to_bits())),
            text().prop_map(V::Str),
            text().prop_map(V::Bin),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![vec((name(), inner.clone()), 0..4).prop_map(V::Map), vec(inner, 0..4).prop_map(V::Array)]
        })
    }

    proptest! {
        #[test]
        fn every_record_reads_back(entries in vec((name(), value()), 0..6)) {
            check(&entries);
        }

        #[test]
        fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..40)) {
            let _ = bytes_of(&bytes);
        }
    }
}
