//! The text form of records that is meant for people: `{"key"=>"value", "n"=>1}`, as stdout, csv and ltsv show values.
//!
//! Strings stand as they are, nothing in them is escaped; doubles have six decimals, no value is `nil`. The form cannot
//! be read back in general: outputs that are to be read by programs use JSON.

use super::json_text::decode;
use super::num::{write_f64_fixed6, write_i64, write_u64};
use crate::event::{Cells, Record, Text, Value};
use crate::time::Time;
use crate::util::decimal::push_fixed;

/// Appends a record as `[[1700000000.000000005, {"meta"=>1}], {"key"=>"value"}]`.
pub fn write_record(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[[");
    write_time(record.time(), out);
    out.extend_from_slice(b", ");
    write_map(record.meta(), out);
    out.extend_from_slice(b"], ");
    write_map(record.body(), out);
    out.push(b']');
}

/// Appends a time as seconds with nine decimals.
pub fn write_time(time: Time, out: &mut Vec<u8>) {
    write_i64(time.secs(), out);
    out.push(b'.');
    push_fixed::<9>(out, u64::from(time.subsec_nanos()));
}

/// Appends a map: `{"a"=>1, "b"=>2}`.
pub fn write_map(cells: Cells<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (key, value) in cells {
        if !first {
            out.extend_from_slice(b", ");
        }
        first = false;
        quoted(|out| out.extend_from_slice(cells.name(key)), out);
        out.extend_from_slice(b"=>");
        write_value(&value, out);
    }
    out.push(b'}');
}

/// Appends a value of any kind.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"nil"),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => write_i64(*v, out),
        Value::Uint(v) => write_u64(*v, out),
        Value::Float(v) => write_f64_fixed6(*v, out),
        Value::Str(text) => quoted(|out| write_text(*text, out), out),
        Value::Bin(bytes) => quoted(|out| write_bytes(bytes, out), out),
        Value::Map(cells) => write_map(*cells, out),
        Value::Array(cells) => {
            out.push(b'[');
            let mut first = true;
            for (_, value) in *cells {
                if !first {
                    out.extend_from_slice(b", ");
                }
                first = false;
                write_value(&value, out);
            }
            out.push(b']');
        }
    }
}

/// Appends what text means, without quotes.
#[inline]
pub fn write_text(text: Text<'_>, out: &mut Vec<u8>) {
    if text.is_escaped() { decode(text.raw(), out) } else { out.extend_from_slice(text.raw()) }
}

fn quoted(write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Opaque bytes: printable ASCII as it is, `"` behind a backslash, all else as `\x00`.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &b in bytes {
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b' '..=b'~' => out.push(b),
            _ => {
                let hex = |n: u8| n + if n < 10 { b'0' } else { b'a' - 10 };
                out.extend_from_slice(&[b'\\', b'x', hex(b >> 4), hex(b & 0xf)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Cell, Key, Tag};
    use crate::fmt::json_read::JsonReader;

    fn check(json: &str, expected: &str) {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(json.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        let mut out = Vec::new();
        write_map(b.since(mark), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn maps() {
        check("{}", "{}");
        check(
            r#"{"a":"x","n":1,"f":1.5,"z":null,"arr":[1,"q",[]],"m":{"k":"v","l":{}}}"#,
            r#"{"a"=>"x", "n"=>1, "f"=>1.500000, "z"=>nil, "arr"=>[1, "q", []], "m"=>{"k"=>"v", "l"=>{}}}"#,
        );
        check(
            r#"{"q\"":"a \"b\"\n\\ \u00e9/","t":true,"i":-7,"u":18446744073709551615}"#,
            "{\"q\"\"=>\"a \"b\"\n\\ é/\", \"t\"=>true, \"i\"=>-7, \"u\"=>18446744073709551615}",
        );
    }

    #[test]
    fn records_and_bytes() {
        let mut b = Batch::new(Tag::new("t"));
        let mark = b.begin();
        let bytes = b.arena_mut().push(b"\x00\"\\\xffz");
        b.push(Cell::bin(Key::of("b"), bytes));
        b.finish(mark, Time(1_700_000_000_000_000_005));
        let mark = b.begin();
        b.push(Cell::int(Key::of("mk"), 1));
        b.replace_meta(0, mark);
        let mut out = Vec::new();
        write_record(&b.record(0), &mut out);
        let expected = r#"[[1700000000.000000005, {"mk"=>1}], {"b"=>"\x00\"\\xffz"}]"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
