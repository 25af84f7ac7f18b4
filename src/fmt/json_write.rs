//! The JSON writer: values to text, byte for byte as Fluent Bit writes it.
//!
//! No spaces; `\n \t \r \b \f \" \\` in short form, other control characters as `\u0001`; `/` and DEL as they are.
//! Non-ASCII characters become `\u00e9`, or surrogate pairs, unless [`JsonOpts::escape_unicode`] is off.
//!
//! A byte that is not part of valid UTF-8 becomes the private-use character U+E000 + byte (0xFF: U+E0FF). No byte is
//! lost and none of its neighbours changes: unless a text holds U+E080 to U+E0FF itself, it can be restored.

use super::clean::{PLAIN, SHORT, copy_clean, copy_short, put};
use super::num;
use super::room::Room;
use super::scan::non_ascii;
use crate::event::{Cells, Key, Text, Value};
use crate::util::lane::LANE;
use crate::util::short::Short;

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonOpts {
    /// Non-ASCII characters become `\uXXXX`; on unless `json.escape_unicode` is off.
    pub escape_unicode: bool,
    /// NaN and infinities, which JSON does not have, become `null` (`json.convert_nan_to_null`).
    pub nan_to_null: bool,
}

impl Default for JsonOpts {
    fn default() -> Self {
        Self { escape_unicode: true, nan_to_null: false }
    }
}

/// Appends a map: `{"key":value,…}`.
pub fn write_map(cells: Cells<'_>, opts: JsonOpts, out: &mut Vec<u8>) {
    put_map(cells, opts, &mut Room::new(out));
}

/// Appends the entries of a map without its braces, each but the first behind a comma.
pub fn write_entries(cells: Cells<'_>, opts: JsonOpts, out: &mut Vec<u8>) {
    put_entries(cells, opts, &mut Room::new(out));
}

/// Appends `"name":` of a key of `cells`.
pub fn write_key(cells: Cells<'_>, name: Key, opts: JsonOpts, out: &mut Vec<u8>) {
    put_key(cells, name, opts, &mut Room::new(out));
}

/// Appends a value of any kind.
pub fn write_value(value: &Value<'_>, opts: JsonOpts, out: &mut Vec<u8>) {
    put_value(value, opts, &mut Room::new(out));
}

/// Appends text in quotes.
pub fn write_text(value: Text<'_>, opts: JsonOpts, out: &mut Vec<u8>) {
    put_text(value, opts, &mut Room::new(out));
}

/// Appends bytes as a JSON string, in quotes.
pub fn write_str(bytes: &[u8], opts: JsonOpts, out: &mut Vec<u8>) {
    put_string(bytes, opts, &mut Room::new(out));
}

/// Appends what stands between the quotes of a JSON string that means `bytes`.
pub fn write_inner(bytes: &[u8], opts: JsonOpts, out: &mut Vec<u8>) {
    put_inner(bytes, opts, &mut Room::new(out));
}

/// [`write_map`] into a room.
pub(super) fn put_map(cells: Cells<'_>, opts: JsonOpts, room: &mut Room<'_>) {
    room.push(b'{');
    put_entries(cells, opts, room);
    room.push(b'}');
}

/// [`write_entries`] into a room.
pub(super) fn put_entries(cells: Cells<'_>, opts: JsonOpts, room: &mut Room<'_>) {
    if cells.is_empty() {
        return;
    }
    let mut at = 0;
    loop {
        at += put_fields(cells, at, room);
        let rest = cells.behind(at);
        let Some((_, width)) = rest.head() else { break };
        put_entry(cells, rest, opts, room);
        at += width;
    }
    // The comma behind the last one.
    room.back();
}

/// Appends entries from cell `from` on, each with a comma, as long as they are fields of the simple kind; how many.
#[inline(always)]
fn put_fields(cells: Cells<'_>, from: usize, room: &mut Room<'_>) -> usize {
    let to = room.spare(4 * FIELD);
    let (mut at, mut used) = (from, 0);
    while let Some(place) = to.get_mut(used..).and_then(|to| to.first_chunk_mut())
        && let Some((key, text)) = cells.text_entry(at)
        && let Some(ready) = key.ready()
        && let Some(n) = field(ready, text, place)
    {
        (at, used) = (at + 1, used + n);
    }
    room.advance(used);
    at - from
}

/// What a field of the simple kind takes at most.
const FIELD: usize = Short::SIZE + SHORT + LANE;

/// Writes `"name":"text",` to the start of `to`; its length, or `None` when it is not of the simple kind: short, and
/// nothing to escape.
#[inline(always)]
fn field(ready: &Short, text: Text<'_>, to: &mut [u8; FIELD]) -> Option<usize> {
    let bytes = text.raw();
    if bytes.len() > SHORT || text.is_unclean_source() {
        return None;
    }
    *to.first_chunk_mut()? = *ready.filled();
    let inside = to.get_mut(ready.len()..)?;
    if !copy_short(bytes, inside) && !text.is_clean() {
        return None;
    }
    *inside.get_mut(bytes.len()..)?.first_chunk_mut()? = *b"\",";
    Some(ready.len() + bytes.len() + 2)
}

/// Appends the first entry of `rest` and a comma.
#[inline(never)]
fn put_entry(cells: Cells<'_>, rest: Cells<'_>, opts: JsonOpts, room: &mut Room<'_>) {
    if let Some((key, _)) = rest.head()
        && let Some(value) = rest.value_at(0)
    {
        put_key(cells, key, opts, room);
        put_value(&value, opts, room);
        room.push(b',');
    }
}

fn put_key(cells: Cells<'_>, name: Key, opts: JsonOpts, room: &mut Room<'_>) {
    match name.json() {
        Some(json) => room.extend(json),
        None => {
            put_string(cells.name(name), opts, room);
            room.push(b':');
        }
    }
}

fn put_value(value: &Value<'_>, opts: JsonOpts, room: &mut Room<'_>) {
    match value {
        Value::Str(value) => put_text(*value, opts, room),
        Value::Int(v) => room.extend(itoa::Buffer::new().format(*v).as_bytes()),
        Value::Uint(v) => room.extend(itoa::Buffer::new().format(*v).as_bytes()),
        Value::Float(v) if opts.nan_to_null && !v.is_finite() => room.put(b"null", 4),
        Value::Float(v) => room.with(|out| num::write_f64_json(*v, out)),
        Value::Bool(true) => room.put(b"true", 4),
        Value::Bool(false) => room.put(b"false", 5),
        Value::Null => room.put(b"null", 4),
        Value::Bin(bytes) => put_string(bytes, opts, room),
        Value::Map(cells) => put_map(*cells, opts, room),
        Value::Array(cells) => {
            room.push(b'[');
            let mut first = true;
            for (_, value) in *cells {
                if !first {
                    room.push(b',');
                }
                first = false;
                put_value(&value, opts, room);
            }
            room.push(b']');
        }
    }
}

fn put_text(value: Text<'_>, opts: JsonOpts, room: &mut Room<'_>) {
    room.push(b'"');
    if value.is_clean() {
        room.extend(value.raw());
    } else if value.is_escaped() {
        room.with(|out| write_source(value.raw(), opts, out));
    } else {
        put_inner(value.raw(), opts, room);
    }
    room.push(b'"');
}

fn put_string(bytes: &[u8], opts: JsonOpts, room: &mut Room<'_>) {
    room.push(b'"');
    put_inner(bytes, opts, room);
    room.push(b'"');
}

fn put_inner(bytes: &[u8], opts: JsonOpts, room: &mut Room<'_>) {
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let done = match first {
            0x80.. => {
                let mut read = rest.len();
                room.with(|out| read = write_foreign(rest, 0, opts, out));
                read
            }
            _ if PLAIN[usize::from(first)] || SHORT_ESCAPES[usize::from(first)] != 0 => put_ascii(rest, room),
            _ => {
                room.with(|out| write_unit(u16::from(first), out));
                1
            }
        };
        rest = rest.get(done..).unwrap_or_default();
    }
}

/// Appends the start of `text`: what JSON takes as it is, and what has a short escape; how many bytes of it.
fn put_ascii(text: &[u8], room: &mut Room<'_>) -> usize {
    let text = text.get(..WINDOW).unwrap_or(text);
    let to = room.spare(2 * text.len() + LANE);
    let (mut read, mut written) = (0, 0);
    loop {
        let clean = copy_clean(text.get(read..).unwrap_or_default(), to.get_mut(written..).unwrap_or_default());
        (read, written) = (read + clean, written + clean);
        let Some(&escape) = text.get(read).and_then(|&b| SHORT_ESCAPES.get(usize::from(b))) else { break };
        if escape == 0 {
            break;
        }
        put(to, written, &[b'\\', escape]);
        (read, written) = (read + 1, written + 2);
    }
    room.advance(written);
    read
}

/// Bytes of text that are looked at together.
const WINDOW: usize = 4096;

/// What stands behind the backslash for each byte that has a short escape; 0 for others.
const SHORT_ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[b'\n' as usize] = b'n';
    escapes[b'\t' as usize] = b't';
    escapes[b'\r' as usize] = b'r';
    escapes[0x08] = b'b';
    escapes[0x0c] = b'f';
    escapes
};

/// Appends JSON source text whose escapes stay as they are.
fn write_source(raw: &[u8], opts: JsonOpts, out: &mut Vec<u8>) {
    let mut at = 0;
    loop {
        let stop = non_ascii(raw, at);
        out.extend_from_slice(raw.get(at..stop).unwrap_or_default());
        if stop >= raw.len() {
            return;
        }
        at = write_foreign(raw, stop, opts, out);
    }
}

/// Appends the bytes above 0x7f that begin at `at`; returns where ASCII goes on.
fn write_foreign(bytes: &[u8], at: usize, opts: JsonOpts, out: &mut Vec<u8>) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let run = rest.iter().position(u8::is_ascii).map_or(rest, |n| rest.get(..n).unwrap_or_default());
    for chunk in run.utf8_chunks() {
        if opts.escape_unicode {
            chunk.valid().encode_utf16().for_each(|unit| write_unit(unit, out));
        } else {
            out.extend_from_slice(chunk.valid().as_bytes());
        }
        for &b in chunk.invalid() {
            let private = 0xe000 + u16::from(b);
            if opts.escape_unicode {
                write_unit(private, out);
            } else {
                // U+E080 to U+E0FF in UTF-8.
                out.extend_from_slice(&[0xee, 0x80 | (private >> 6 & 0x3f) as u8, 0x80 | (b & 0x3f)]);
            }
        }
    }
    at + run.len()
}

/// Appends `\uXXXX`.
fn write_unit(unit: u16, out: &mut Vec<u8>) {
    let hex = |shift: u16| {
        let digit = (unit >> shift & 0xf) as u8;
        digit + if digit < 10 { b'0' } else { b'a' - 10 }
    };
    out.extend_from_slice(&[b'\\', b'u', hex(12), hex(8), hex(4), hex(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Cell, Kind, Tag};
    use crate::fmt::json_read::JsonReader;
    use proptest::prelude::*;

    const RAW: JsonOpts = JsonOpts { escape_unicode: false, nan_to_null: false };

    fn inner(bytes: &[u8], opts: JsonOpts) -> String {
        let mut out = Vec::new();
        write_inner(bytes, opts, &mut out);
        String::from_utf8(out).expect("output is UTF-8")
    }

    /// Reads an object and writes it again.
    fn rewrite(json: &[u8], opts: JsonOpts) -> String {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(json);
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        let mut out = Vec::new();
        write_map(b.since(mark), opts, &mut out);
        String::from_utf8(out).expect("output is UTF-8")
    }

    #[test]
    fn strings() {
        let table: &[(&[u8], &str, &str)] = &[
            (b"plain / text\x7f", "plain / text\x7f", "plain / text\x7f"),
            (b"\"\\\n\t\r\x08\x0c", r#"\"\\\n\t\r\b\f"#, r#"\"\\\n\t\r\b\f"#),
            (b"\x00\x01\x1f", r"\u0000\u0001\u001f", r"\u0000\u0001\u001f"),
            ("é日😀z".as_bytes(), r"\u00e9\u65e5\ud83d\ude00z", "é日😀z"),
            (b"\xff\xfe bad", r"\ue0ff\ue0fe bad", "\u{e0ff}\u{e0fe} bad"),
            (b"\xe3\x81x", r"\ue0e3\ue081x", "\u{e0e3}\u{e081}x"),
            (b"end\xc3", r"end\ue0c3", "end\u{e0c3}"),
            (b"\xc3\"", r#"\ue0c3\""#, "\u{e0c3}\\\""),
            (b"\xed\xa0\x80", r"\ue0ed\ue0a0\ue080", "\u{e0ed}\u{e0a0}\u{e080}"),
        ];
        for &(bytes, escaped, raw) in table {
            assert_eq!(inner(bytes, JsonOpts::default()), escaped, "{bytes:x?}");
            assert_eq!(inner(bytes, RAW), raw, "{bytes:x?}");
        }
    }

    #[test]
    fn every_length_and_every_place() {
        let plain = |b: u8| match b {
            b'"' | b'\\' => format!("\\{}", char::from(b)),
            b'\n' => "\\n".into(),
            0x80 => "\\ue080".into(),
            _ => char::from(b).to_string(),
        };
        for len in (0..=70).chain([100, 1500]) {
            for at in 0..=len.min(70) {
                for b in *b"\"\\\n\x7f\x80 " {
                    let mut text: Vec<u8> = (0..len).map(|n| b'a' + (n % 26) as u8).collect();
                    if let Some(place) = text.get_mut(at) {
                        *place = b;
                    }
                    let want: String = text.iter().map(|&b| plain(b)).collect();
                    let mut batch = Batch::new(Tag::new("t"));
                    let (mark, span) = (batch.begin(), batch.arena_mut().push(&text));
                    for name in ["k", "a name as long as it can be in one go..", "é"] {
                        batch.push(Cell::str(Key::of(name), span, 0));
                    }
                    let mut out = Vec::new();
                    write_map(batch.since(mark), JsonOpts::default(), &mut out);
                    let map = format!(
                        "{{\"k\":\"{want}\",\"a name as long as it can be in one go..\":\"{want}\",\"\\u00e9\":\"{want}\"}}"
                    );
                    assert_eq!(String::from_utf8_lossy(&out), map, "{b:#x} at {at} of {len}");
                    assert_eq!(inner(&text, JsonOpts::default()), want, "{b:#x} at {at} of {len}");
                }
            }
        }
    }

    /// Undoes the private-use form; the input must not hold such characters itself.
    fn restore(json: &str) -> Vec<u8> {
        let text: String = serde_json::from_str(json).expect("valid JSON");
        let mut out = Vec::new();
        for c in text.chars() {
            match c as u32 {
                code @ 0xe080..=0xe0ff => out.push((code - 0xe000) as u8),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out
    }

    #[test]
    fn no_malformed_sequence_loses_a_byte() {
        // Every lead byte with every class of second, third and fourth byte, between ASCII neighbours.
        let classes = [b'a', b'"', 0x80, 0x90, 0x9f, 0xa0, 0xbf, 0xc3, 0xff];
        let check = |bytes: &[u8]| {
            // U+E080 to U+E0FF themselves, the one case that cannot be told apart, begin with EE 82 or EE 83.
            for opts in [JsonOpts::default(), RAW] {
                let json = format!("\"{}\"", inner(bytes, opts));
                assert_eq!(restore(&json), bytes, "{bytes:x?} became {json}");
            }
        };
        for a in 0x80..=0xff {
            check(&[b'<', a, b'>']);
            check(&[a]);
            for b in classes {
                check(&[b'<', a, b, b'>']);
                for c in classes {
                    check(&[b'<', a, b, c, b'>']);
                    for d in [b'\\', 0x80, 0xbf, 0xe3] {
                        check(&[b'<', a, b, c, d, b'>']);
                    }
                }
            }
        }
    }

    #[test]
    fn values() {
        let table: &[(&str, &str)] = &[
            ("{}", "{}"),
            (r#" { "a" : 1 , "b" : [ true , false , null ] } "#, r#"{"a":1,"b":[true,false,null]}"#),
            (
                r#"{"a":-9223372036854775808,"b":18446744073709551615}"#,
                r#"{"a":-9223372036854775808,"b":18446744073709551615}"#,
            ),
            (r#"{"a":{"b":{}},"c":[],"d":[[],{}],"e":1.5}"#, r#"{"a":{"b":{}},"c":[],"d":[[],{}],"e":1.5}"#),
            (r#"{"a":"x\n\"\\\u000a\/","b":"\n/"}"#, r#"{"a":"x\n\"\\\n/","b":"\n/"}"#),
            (r#"{"é":"é\n","k\"q\u0001":"\u00e9"}"#, r#"{"\u00e9":"\u00e9\n","k\"q\u0001":"\u00e9"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ];
        for (json, expected) in table {
            assert_eq!(rewrite(json.as_bytes(), JsonOpts::default()), *expected);
        }
        assert_eq!(rewrite("{\"é\":\"é\\n\\u00e9\"}".as_bytes(), RAW), "{\"é\":\"é\\né\"}");
        assert_eq!(rewrite(b"{\"a\":\"\xff\\n\xc3\"}", RAW), "{\"a\":\"\u{e0ff}\\n\u{e0c3}\"}");
        assert_eq!(rewrite(b"{\"a\":\"\xff\\n\xc3\"}", JsonOpts::default()), r#"{"a":"\ue0ff\n\ue0c3"}"#);
    }

    #[test]
    fn what_json_does_not_have() {
        let mut b = Batch::new(Tag::new("t"));
        let mark = b.begin();
        b.push(Cell::float(Key::of("nan"), f64::NAN));
        b.push(Cell::float(Key::of("inf"), f64::INFINITY));
        let opened = b.open(Key::of("list"), Kind::Array);
        let bytes = b.arena_mut().push(b"\x00\xffa");
        b.push(Cell::bin(Key::NONE, bytes));
        b.close(opened, 1);
        let mut out = Vec::new();
        write_map(b.since(mark), JsonOpts { nan_to_null: true, ..JsonOpts::default() }, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), r#"{"nan":null,"inf":null,"list":["\u0000\ue0ffa"]}"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            for opts in [JsonOpts::default(), RAW] {
                let json = format!("\"{}\"", inner(text.as_bytes(), opts));
                prop_assert_eq!(serde_json::from_str::<String>(&json).ok(), Some(text.clone()));
                prop_assert!(!opts.escape_unicode || json.is_ascii());
            }
        }

        #[test]
        fn any_bytes_are_written_as_utf8(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for opts in [JsonOpts::default(), RAW] {
                let json = format!("\"{}\"", inner(&bytes, opts));
                prop_assert!(serde_json::from_str::<String>(&json).is_ok());
            }
        }
    }
}
