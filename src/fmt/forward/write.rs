//! Messages out of records.

use crate::event::{Record, View};
use crate::fmt::codec::Codec;
use crate::fmt::msgpack_write::{
    write_array_head, write_bin, write_int, write_map, write_map_head, write_str, write_time, write_uint,
};
use crate::util::hex;
use crate::util::murmur3::murmur3_x64_128;

/// An id that a receiver acknowledges: 32 digits.
type ChunkId = [u8; 32];

/// The id of a message with these events: the same events have the same id when they are sent again.
fn chunk_id(events: &[u8]) -> ChunkId {
    let (low, high) = murmur3_x64_128(events, 0);
    let mut id = [0; 32];
    for (pair, byte) in id.chunks_exact_mut(2).zip(low.to_be_bytes().into_iter().chain(high.to_be_bytes())) {
        pair.copy_from_slice(&hex::digits(byte));
    }
    id
}

/// How records are put into messages.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// Times as whole seconds, for receivers of version 0.
    pub integer_time: bool,
    /// Metadata of records goes along.
    pub metadata: bool,
    /// Options stand behind the events.
    pub options: bool,
    /// Each message asks to be acknowledged.
    pub ack: bool,
    /// How events are packed.
    pub pack: Option<(Codec, &'static str)>,
    /// Further options.
    pub extra: Vec<(String, String)>,
}

impl Envelope {
    /// Appends one message with all records. Answers where its id stands in `out`, when it is to be acknowledged. `scratch` is
    /// for the events of a packed one.
    pub fn write_all(&self, tag: &[u8], view: &View<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<usize> {
        write_array_head(2 + usize::from(self.has_options()), out);
        write_str(tag, out);
        let (id, packed) = match self.pack {
            None => {
                write_array_head(view.len(), out);
                let start = out.len();
                view.records().for_each(|record| self.write_event(&record, out));
                (out.get(start..).map(|events| self.id(events)), None)
            }
            Some((codec, name)) => {
                scratch.clear();
                view.records().for_each(|record| self.write_event(&record, scratch));
                let id = self.id(scratch);
                let mut packed = Vec::new();
                codec.pack(scratch, &mut packed);
                write_bin(&packed, out);
                (Some(id), Some(name))
            }
        };
        if !self.has_options() {
            return None;
        }
        self.write_options(id.flatten().as_ref(), Some(view.len()), packed, None, out)
    }

    /// Appends one record as a message of its own; answers where its id stands.
    pub fn write_one(&self, tag: &[u8], record: &Record<'_>, out: &mut Vec<u8>) -> Option<usize> {
        let meta = Some(record).filter(|r| self.metadata && !r.meta().is_empty());
        let has_options = self.has_options() || meta.is_some();
        write_array_head(3 + usize::from(has_options), out);
        write_str(tag, out);
        let start = out.len();
        self.write_when(record, out);
        write_map(record.body(), out);
        let id = out.get(start..).and_then(|event| self.id(event));
        if !has_options {
            return None;
        }
        self.write_options(id.as_ref(), None, None, meta, out)
    }

    fn has_options(&self) -> bool {
        self.options || self.ack || self.pack.is_some() || !self.extra.is_empty()
    }

    fn id(&self, events: &[u8]) -> Option<ChunkId> {
        self.ack.then(|| chunk_id(events))
    }

    /// `[time, record]`, which every receiver knows; with metadata Fluent Bit's `[[time, metadata], record]`.
    fn write_event(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let meta = record.meta();
        if self.metadata && !meta.is_empty() {
            out.extend_from_slice(&[0x92, 0x92]);
            self.write_when(record, out);
            write_map(meta, out);
        } else {
            out.push(0x92);
            self.write_when(record, out);
        }
        write_map(record.body(), out);
    }

    fn write_when(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        if self.integer_time { write_int(record.time().secs(), out) } else { write_time(record.time(), out) }
    }

    fn write_options(
        &self,
        id: Option<&ChunkId>,
        size: Option<usize>,
        packed: Option<&str>,
        meta: Option<&Record<'_>>,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let own = [id.is_some(), size.is_some(), packed.is_some(), meta.is_some()];
        let signal = usize::from(size.is_some());
        write_map_head(own.into_iter().filter(|&there| there).count() + signal + self.extra.len(), out);
        let at = id.map(|id| {
            write_str(b"chunk", out);
            write_str(id, out);
            out.len() - id.len()
        });
        if let Some(size) = size {
            write_str(b"size", out);
            write_uint(size as u64, out);
        }
        if let Some(name) = packed {
            write_str(b"compressed", out);
            write_str(name.as_bytes(), out);
        }
        if let Some(record) = meta {
            write_str(b"metadata", out);
            write_map(record.meta(), out);
        }
        if signal > 0 {
            // These are logs.
            write_str(b"fluent_signal", out);
            write_uint(0, out);
        }
        for (key, value) in &self.extra {
            write_str(key.as_bytes(), out);
            write_str(value.as_bytes(), out);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Entries, Message};
    use super::*;
    use crate::event::{Batch, Cell, Key, Tag};
    use crate::fmt::json_write::{JsonOpts, write_map as write_json};
    use crate::time::Time;

    fn batch() -> Batch {
        let mut b = Batch::new(Tag::new("t"));
        for (i, text) in ["x", "y"].into_iter().enumerate() {
            let mark = b.begin();
            b.push_text(Key::of("a"), text.as_bytes());
            b.finish(mark, Time(1_000_000_005 + i as i64 * 1_000_000_000));
        }
        let mark = b.begin();
        b.push(Cell::int(Key::of("m"), 1));
        b.replace_meta(1, mark);
        b
    }

    fn written(e: &Envelope) -> Vec<u8> {
        let mut out = Vec::new();
        e.write_all(b"t", &View::all(&batch()), &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn the_bytes() {
        let one = b"\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x05\x81\xa1a\xa1x";
        let two = b"\x92\x92\xd7\x00\x00\x00\x00\x02\x00\x00\x00\x05\x81\xa1m\x01\x81\xa1a\xa1y";
        let e = Envelope { metadata: true, ..Envelope::default() };
        assert_eq!(written(&e), [&b"\x92\xa1t\x92"[..], one, two].concat());
        let e = Envelope { integer_time: true, options: true, ..Envelope::default() };
        let tail = b"\x82\xa4size\x02\xadfluent_signal\x00";
        assert_eq!(written(&e), [&b"\x93\xa1t\x92\x92\x01\x81\xa1a\xa1x\x92\x02\x81\xa1a\xa1y"[..], tail].concat());
        let e = Envelope { ack: true, extra: vec![("k".into(), "v".into())], ..Envelope::default() };
        let got = written(&e);
        let tail = got.len() - b"\x84\xa5chunk\xd9\x20".len() - 32 - tail.len() + 1 - b"\xa1k\xa1v".len();
        assert!(got[tail..].starts_with(b"\x84\xa5chunk\xd9\x20") && got.ends_with(b"\x00\xa1k\xa1v"), "{got:x?}");
    }

    #[test]
    fn what_is_written_is_read() {
        let packs = [None, Some((Codec::Gzip, "gzip")), Some((Codec::Zstd, "zstd"))];
        for (pack, ack) in packs.into_iter().flat_map(|p| [(p, false), (p, true)]) {
            let e = Envelope { metadata: true, pack, ack, ..Envelope::default() };
            let mut bytes = Vec::new();
            let id = e.write_all(b"t", &View::all(&batch()), &mut Vec::new(), &mut bytes);
            let m = Message::read(&bytes).unwrap().unwrap();
            assert_eq!((id, ack), (m.options.chunk.map(|r| r.start), id.is_some()));
            let mut events = Vec::new();
            match (m.entries, pack) {
                (Entries::Many(r), None) => events.extend_from_slice(&bytes[r]),
                (Entries::Packed(r), Some((codec, name))) => {
                    assert_eq!(&bytes[m.options.compressed.unwrap()], name.as_bytes());
                    codec.unpack(&bytes[r], 1000, &mut events).unwrap();
                }
                other => panic!("{other:?}"),
            }
            let mut got = Batch::new(Tag::new("t"));
            assert_eq!(Decoder::default().events(&mut got, &events, 1000).used, events.len());
            assert_eq!((got.len(), got.record(1).meta().count_entries()), (2, 1));
        }
        let mut bytes = Vec::new();
        let e = Envelope { metadata: true, ack: true, ..Envelope::default() };
        let (b, mut got) = (batch(), Batch::new(Tag::new("t")));
        let id = e.write_one(b"t", &b.record(1), &mut bytes).unwrap();
        let m = Message::read(&bytes).unwrap().unwrap();
        assert_eq!(m.options.chunk.unwrap(), id..id + 32);
        let Entries::One(Some(time), record) = m.entries else { panic!() };
        let meta = m.options.metadata.map(|r| &bytes[r]);
        Decoder::default().one(&mut got, time, &bytes[record], meta).unwrap();
        let mut text = Vec::new();
        write_json(got.meta(0), JsonOpts::default(), &mut text);
        write_json(got.body(0), JsonOpts::default(), &mut text);
        assert_eq!((got.record(0).time(), text), (Time(2_000_000_005), br#"{"m":1}{"a":"y"}"#.to_vec()));
    }
}
