//! Ids of documents: what is sent twice has the same one, and so is stored once.
//!
//! An id made of the position is the same whenever a record is sent, also after it was read again, and no other record
//! has it. So nothing goes into it that a second reading may give otherwise: not the time, which is the time of reading
//! for lines without one of their own. The content is part of it beside the position, for a file may be written anew
//! with its first bytes the same.

use super::msgpack_write as msgpack;
use crate::event::{Key, Record};
use crate::util::hex;
use crate::util::murmur3::murmur3_x64_128;

/// The seed of Fluent Bit's hashes.
const SEED: u64 = 42;

/// A hash, its low word first.
type Hash = (u64, u64);

/// The id of a record by tag, position and content. `packed` is memory for it.
pub fn of_position(record: &Record<'_>, packed: &mut Vec<u8>) -> Hash {
    let at = record.position();
    packed.clear();
    for number in [at.source.dev, at.source.ino, at.source.print, at.offset] {
        packed.extend_from_slice(&number.to_le_bytes());
    }
    msgpack::write_str(record.batch().tag().as_bytes(), packed);
    msgpack::write_map_head(record.body().count_entries(), packed);
    write_entries(record, packed);
    murmur3_x64_128(packed, SEED)
}

/// The id that Fluent Bit makes: a hash of the document as msgpack, with `more` entries before those of the record.
pub fn of_content(record: &Record<'_>, more: &[Option<(Key, &[u8])>], packed: &mut Vec<u8>) -> Hash {
    packed.clear();
    msgpack::write_map_head(record.body().count_entries() + more.iter().flatten().count(), packed);
    for (key, text) in more.iter().flatten() {
        msgpack::write_str(key.name(), packed);
        msgpack::write_str(text, packed);
    }
    write_entries(record, packed);
    murmur3_x64_128(packed, SEED)
}

fn write_entries(record: &Record<'_>, packed: &mut Vec<u8>) {
    let body = record.body();
    for (key, value) in body {
        msgpack::write_str(body.name(key), packed);
        msgpack::write_value(&value, packed);
    }
}

/// Writes the hash as eight 16-bit numbers: `a3f5aa8c-61d6-e285-91af-12a8bfde00c1`.
pub fn write((low, high): Hash, out: &mut Vec<u8>) {
    let parts = [low, low >> 16, low >> 32, low >> 48, high, high >> 16, high >> 32, high >> 48];
    for (n, part) in parts.into_iter().enumerate() {
        if (2..=5).contains(&n) {
            out.push(b'-');
        }
        hex::push(out, &(part as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Source, Tag};
    use crate::fmt::json_read::JsonReader;
    use crate::time::Time;
    use std::collections::HashSet;

    const FILE: Source = Source { dev: 1, ino: 2, print: 3, base: 0 };

    /// A batch of one record; at an offset of a file, or of no file.
    fn batch(tag: &str, text: &str, time: i64, at: Option<(Source, u64)>) -> Batch {
        let mut b = Batch::new(Tag::new(tag));
        if let Some((source, _)) = at {
            b.set_source(source);
        }
        let span = b.arena_mut().push(text.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, span).unwrap();
        match at {
            Some((_, offset)) => b.finish_at(mark, Time(time), offset),
            None => b.finish(mark, Time(time)),
        }
        b
    }

    fn id(b: &Batch) -> String {
        let mut out = Vec::new();
        write(of_position(&b.record(0), &mut Vec::new()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_that_is_read_again_has_the_same_id() {
        let first = id(&batch("t", r#"{"log":"x"}"#, 1, Some((FILE, 100))));
        assert_eq!(first.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(id(&batch("t", r#"{"log":"x"}"#, 2, Some((FILE, 100)))), first, "at another time");
        let base = Source { base: 90, ..FILE };
        assert_eq!(id(&batch("t", r#"{"log":"x"}"#, 1, Some((base, 100)))), first, "in another batch");
    }

    #[test]
    fn whatever_is_another_record_has_another_id() {
        let line = |tag, text, source, offset| id(&batch(tag, text, 1, Some((source, offset))));
        let x = r#"{"log":"x"}"#;
        let ids = [
            line("t", x, FILE, 100),
            line("t", x, FILE, 102),
            line("u", x, FILE, 100),
            line("t", r#"{"log":"y"}"#, FILE, 100),
            line("t", r#"{"lo":"gx"}"#, FILE, 100),
            line("t", x, Source { dev: 9, ..FILE }, 100),
            line("t", x, Source { ino: 9, ..FILE }, 100),
            line("t", x, Source { print: 9, ..FILE }, 100),
            id(&batch("t", x, 1, None)),
            id(&batch("t", x, 1, None)),
        ];
        assert_eq!(HashSet::from(ids.clone()).len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn copies_of_what_is_no_file_keep_their_id() {
        let b = batch("t", r#"{"log":"x"}"#, 1, None);
        let mut copy = Batch::new(Tag::new("t"));
        copy.push_record(&b.record(0));
        assert_eq!(id(&copy), id(&b));
    }

    #[test]
    fn equal_documents_have_equal_ids_by_content() {
        let of = |text: &str, more: &[Option<(Key, &[u8])>]| {
            of_content(&batch("t", text, 1, None).record(0), more, &mut Vec::new())
        };
        let time = Some((Key::of("@timestamp"), &b"2023"[..]));
        assert_eq!(of(r#"{"a":1}"#, &[time, None]), of(r#"{"@timestamp":"2023","a":1}"#, &[]));
        assert_ne!(of(r#"{"a":1}"#, &[time]), of(r#"{"a":1}"#, &[]));
        // The map as msgpack.
        assert_eq!(of(r#"{"a":1}"#, &[]), murmur3_x64_128(b"\x81\xa1a\x01", 42));
    }
}
