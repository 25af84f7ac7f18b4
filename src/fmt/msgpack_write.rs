//! The msgpack writer: values in their smallest encodings, and records as Fluent Bit's events.

use super::json_text::{count_canonical, decode};
use crate::event::{Cells, Record, Text, Value, View};
use crate::time::Time;

/// Appends every record of `view`, one event behind the other.
pub fn write_events(view: &View<'_>, out: &mut Vec<u8>) {
    for record in view.records() {
        write_event(&record, out);
    }
}

/// Appends a record as an event: `[[EventTime, metadata], body]`.
pub fn write_event(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x92, 0x92]);
    write_time(record.time(), out);
    write_map(record.meta(), out);
    write_map(record.body(), out);
}

/// Appends an EventTime: extension type 0 with seconds and nanoseconds as 32-bit numbers. Times before 1970 and after
/// 2106 become the nearest one that fits.
pub fn write_time(time: Time, out: &mut Vec<u8>) {
    let secs = time.secs().clamp(0, u32::MAX.into()) as u32;
    let nanos = if i64::from(secs) == time.secs() { time.subsec_nanos() } else { 0 };
    out.extend_from_slice(&[0xd7, 0x00]);
    out.extend_from_slice(&secs.to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
}

/// Appends a map.
pub fn write_map(cells: Cells<'_>, out: &mut Vec<u8>) {
    write_map_head(cells.count_entries(), out);
    for (key, value) in cells {
        write_str(cells.name(key), out);
        write_value(&value, out);
    }
}

/// Appends a value of any kind.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(v) => out.push(0xc2 + u8::from(*v)),
        Value::Int(v) => write_int(*v, out),
        Value::Uint(v) => write_uint(*v, out),
        Value::Float(v) => {
            out.push(0xcb);
            out.extend_from_slice(&v.to_be_bytes());
        }
        Value::Str(text) => write_text(*text, out),
        Value::Bin(bytes) => write_bin(bytes, out),
        Value::Map(cells) => write_map(*cells, out),
        Value::Array(cells) => {
            write_array_head(cells.count_entries(), out);
            for (_, value) in *cells {
                write_value(&value, out);
            }
        }
    }
}

/// Appends an unsigned integer.
pub fn write_uint(v: u64, out: &mut Vec<u8>) {
    match v {
        0..=0x7f => out.push(v as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, v as u8]),
        0x100..=0xffff => sized(0xcd, &(v as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => sized(0xce, &(v as u32).to_be_bytes(), out),
        _ => sized(0xcf, &v.to_be_bytes(), out),
    }
}

/// Appends a signed integer; what is not negative is written as an unsigned one.
pub fn write_int(v: i64, out: &mut Vec<u8>) {
    match v {
        0.. => write_uint(v as u64, out),
        -0x20.. => out.push(v as u8),
        -0x80.. => out.extend_from_slice(&[0xd0, v as u8]),
        -0x8000.. => sized(0xd1, &(v as i16).to_be_bytes(), out),
        -0x8000_0000.. => sized(0xd2, &(v as i32).to_be_bytes(), out),
        _ => sized(0xd3, &v.to_be_bytes(), out),
    }
}

/// Appends text: its bytes as they are, valid UTF-8 or not.
pub fn write_str(bytes: &[u8], out: &mut Vec<u8>) {
    write_str_head(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends opaque bytes.
pub fn write_bin(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        n @ 0..=0xff => out.extend_from_slice(&[0xc4, n as u8]),
        n => long(0xc5, n, out),
    }
    out.extend_from_slice(bytes);
}

/// Appends the head of an array; that many values follow.
pub fn write_array_head(n: usize, out: &mut Vec<u8>) {
    if n < 16 { out.push(0x90 | n as u8) } else { long(0xdc, n, out) }
}

/// Appends the head of a map; that many keys, each with its value, follow.
pub fn write_map_head(n: usize, out: &mut Vec<u8>) {
    if n < 16 { out.push(0x80 | n as u8) } else { long(0xde, n, out) }
}

/// Appends the head of text; that many bytes follow.
pub fn write_str_head(n: usize, out: &mut Vec<u8>) {
    match n {
        0..=0x1f => out.push(0xa0 | n as u8),
        0x20..=0xff => out.extend_from_slice(&[0xd9, n as u8]),
        _ => long(0xda, n, out),
    }
}

fn write_text(text: Text<'_>, out: &mut Vec<u8>) {
    let raw = text.raw();
    if !text.is_escaped() {
        return write_str(raw, out);
    }
    write_str_head(raw.len().saturating_sub(count_canonical(raw)), out);
    decode(raw, out);
}

/// A length as 16 bits behind `mark`, or as 32 bits behind the next mark.
fn long(mark: u8, n: usize, out: &mut Vec<u8>) {
    match u16::try_from(n) {
        Ok(n) => sized(mark, &n.to_be_bytes(), out),
        Err(_) => sized(mark + 1, &(n as u32).to_be_bytes(), out),
    }
}

fn sized(mark: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(mark);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Cell, Key, Tag};
    use crate::fmt::json_read::JsonReader;

    fn hex(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        out.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn smallest_encodings() {
        let table: &[(i64, &str)] = &[
            (0, "00"),
            (127, "7f"),
            (128, "cc80"),
            (255, "ccff"),
            (256, "cd0100"),
            (65_536, "ce00010000"),
            (1 << 32, "cf0000000100000000"),
            (-1, "ff"),
            (-32, "e0"),
            (-33, "d0df"),
            (-128, "d080"),
            (-129, "d1ff7f"),
            (-32_769, "d2ffff7fff"),
            (i64::MIN, "d38000000000000000"),
        ];
        for &(v, expected) in table {
            assert_eq!(hex(|out| write_int(v, out)), expected, "{v}");
        }
        assert_eq!(hex(|out| write_value(&Value::Float(1.5), out)), "cb3ff8000000000000");
        assert_eq!(hex(|out| write_value(&Value::Bool(true), out)), "c3");
        for (n, head) in [(31, "bf"), (32, "d920"), (255, "d9ff"), (256, "da0100"), (65_536, "db00010000")] {
            assert!(hex(|out| write_str(&vec![b'x'; n], out)).starts_with(head), "text of {n}");
        }
        for (n, head) in [(0, "c400"), (255, "c4ff"), (256, "c50100"), (65_536, "c600010000")] {
            assert!(hex(|out| write_bin(&vec![b'x'; n], out)).starts_with(head), "{n} bytes");
        }
        for (n, array, map) in [(15, "9f", "8f"), (16, "dc0010", "de0010"), (65_536, "dd00010000", "df00010000")] {
            assert_eq!(hex(|out| write_array_head(n, out)), array);
            assert_eq!(hex(|out| write_map_head(n, out)), map);
        }
    }

    #[test]
    fn events() {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(br#"{"a":"x\n","b":[1,null],"c":{"d":false}}"#);
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        b.finish(mark, Time(1_700_000_000_000_000_005));
        let plain = hex(|out| write_events(&View::all(&b), out));
        assert_eq!(plain, "9292d7006553f1000000000580".to_owned() + "83a161a2780aa1629201c0a16381a164c2");
        let mark = b.begin();
        b.push(Cell::int(Key::of("m"), 1));
        b.replace_meta(0, mark);
        assert!(hex(|out| write_event(&b.record(0), out)).starts_with("9292d7006553f1000000000581a16d0183"));
        assert_eq!(hex(|out| write_time(Time(-1), out)), "d7000000000000000000");
    }
}
