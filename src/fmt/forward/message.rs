//! One whole message: whose it is, where its events stand, what its options ask for.

use crate::fmt::msgpack_read::{Head, MsgpackError, head, skip, time};
use crate::fmt::msgpack_write::{write_map_head, write_str};
use crate::time::Time;
use std::fmt;
use std::ops::Range;

/// The longest tag, in bytes.
const MAX_TAG: usize = 4096;
/// The longest id that is acknowledged, in bytes. Senders use 24 to 36.
const MAX_CHUNK: usize = 1024;

/// A message; its parts are offsets from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The tag's bytes.
    pub tag: Range<usize>,
    /// The events.
    pub entries: Entries,
    /// What stands behind them.
    pub options: Options,
}

/// Where a message's events stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Entries {
    /// One record, with its time unless the receiver is to give it one.
    One(Option<Time>, Range<usize>),
    /// Events behind each other.
    Many(Range<usize>),
    /// The same, in one value of opaque bytes that may be packed.
    Packed(Range<usize>),
}

/// What a message's options say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// What the sender wants to have acknowledged.
    pub chunk: Option<Range<usize>>,
    /// How the events are packed, in the sender's word.
    pub compressed: Option<Range<usize>>,
    /// Metadata of the one record.
    pub metadata: Option<Range<usize>>,
    /// Records, as the sender counts them.
    pub size: Option<u64>,
    /// What it carries in Fluent Bit's numbers: 0 for logs, 1 for metrics, 2 for traces.
    pub signal: u64,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotMessage {
    /// The first byte, by which other protocols are told.
    pub first: u8,
    /// What is wrong.
    pub why: &'static str,
}

impl fmt::Display for NotMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.first {
            0x16 => "it speaks TLS: set 'tls on' here, or 'tls off' at the sender",
            b'[' | b'{' => "it speaks JSON, which is not served: let the sender use msgpack",
            b'A'..=b'Z' => "it speaks another protocol in text, perhaps HTTP",
            _ => self.why,
        })
    }
}

impl From<MsgpackError> for NotMessage {
    fn from(e: MsgpackError) -> Self {
        Self { first: 0, why: e.why }
    }
}

impl Message {
    /// Reads a message that is whole; `None` for a value that means nothing, a nil.
    ///
    /// # Errors
    /// When it is a value of another kind.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, NotMessage> {
        let first = bytes.first().copied().unwrap_or_default();
        let not = |why| NotMessage { first, why };
        let (count, at) = match next(bytes, 0)? {
            (Head::Array(n), at) => (n, at),
            (Head::Nil, _) => return Ok(None),
            _ => return Err(not("it does not speak the forward protocol: not an array")),
        };
        if count < 2 {
            return Err(not("an array of less than two values"));
        }
        let (tag, at) = text(bytes, at)?.ok_or(not("a tag that is no text"))?;
        if tag.len() > MAX_TAG {
            return Err(not("a tag longer than 4096 bytes"));
        }
        let behind = |at| skip(bytes, at)?.ok_or(CUT);
        let (entries, at, used) = match next(bytes, at)? {
            (Head::Array(_), inner) => {
                let end = behind(at)?;
                (Entries::Many(inner..end), end, 2)
            }
            (Head::Str(n) | Head::Bin(n), inner) => {
                let end = inner.saturating_add(n);
                (Entries::Packed(inner..end), end, 2)
            }
            (Head::Map(_), _) => return Err(not("an event without a time")),
            (Head::Nil, inner) => (Entries::One(None, inner..inner), inner, 2),
            _ => {
                let (time, at) = time(bytes, at)?.ok_or(CUT)?;
                (Entries::One(Some(time), at..at), at, 2)
            }
        };
        let (entries, at, used) = match entries {
            Entries::One(..) if count < 3 => return Err(not("a time without a record")),
            Entries::One(time, _) => {
                let end = behind(at)?;
                (Entries::One(time, at..end), end, used + 1)
            }
            many => (many, at, used),
        };
        let options = if count > used { options(bytes, at)? } else { Options::default() };
        Ok(Some(Self { tag, entries, options }))
    }
}

const CUT: NotMessage = NotMessage { first: 0, why: "a message that ends too early" };

fn next(bytes: &[u8], at: usize) -> Result<(Head, usize), NotMessage> {
    head(bytes, at)?.ok_or(CUT)
}

/// The text or the bytes at `at`, and the offset behind them; `None` when something else stands there.
pub(super) fn text(bytes: &[u8], at: usize) -> Result<Option<(Range<usize>, usize)>, NotMessage> {
    match next(bytes, at)? {
        (Head::Str(n) | Head::Bin(n), at) => {
            let end = at.saturating_add(n);
            Ok((end <= bytes.len()).then_some((at..end, end)))
        }
        _ => Ok(None),
    }
}

/// Calls `each` with the name of each key of the map at `at`, where it has one, and the offset of its value.
pub(super) fn each_key(
    bytes: &[u8],
    at: usize,
    mut each: impl FnMut(&[u8], usize) -> Result<(), NotMessage>,
) -> Result<(), NotMessage> {
    let (Head::Map(n), mut at) = next(bytes, at)? else {
        return Err(NotMessage { first: 0, why: "options that are no map" });
    };
    for _ in 0..n {
        let key = text(bytes, at)?.map(|(key, _)| key);
        at = skip(bytes, at)?.ok_or(CUT)?;
        if let Some(key) = key {
            each(bytes.get(key).unwrap_or_default(), at)?;
        }
        at = skip(bytes, at)?.ok_or(CUT)?;
    }
    Ok(())
}

fn options(bytes: &[u8], at: usize) -> Result<Options, NotMessage> {
    let mut found = Options::default();
    // Old senders write nil for no options.
    if next(bytes, at)?.0 == Head::Nil {
        return Ok(found);
    }
    each_key(bytes, at, |key, at| {
        match key {
            b"chunk" => {
                let id = text(bytes, at)?.map(|(id, _)| id).filter(|id| id.len() <= MAX_CHUNK);
                found.chunk = Some(id.ok_or(NotMessage { first: 0, why: "a chunk id that is no short text" })?);
            }
            b"compressed" => found.compressed = text(bytes, at)?.map(|(word, _)| word),
            b"metadata" if matches!(next(bytes, at)?.0, Head::Map(_)) => {
                found.metadata = Some(at..skip(bytes, at)?.ok_or(CUT)?);
            }
            b"size" => found.size = number(bytes, at)?,
            b"fluent_signal" => found.signal = number(bytes, at)?.unwrap_or_default(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn number(bytes: &[u8], at: usize) -> Result<Option<u64>, NotMessage> {
    Ok(match next(bytes, at)?.0 {
        Head::Uint(n) => Some(n),
        _ => None,
    })
}

/// Appends the acknowledgement of a chunk.
pub fn write_ack(chunk: &[u8], out: &mut Vec<u8>) {
    write_map_head(1, out);
    write_str(b"ack", out);
    write_str(chunk, out);
}

/// The id that a whole value acknowledges; `None` when it is no acknowledgement.
pub fn read_ack(bytes: &[u8]) -> Option<&[u8]> {
    let mut id = None;
    let read = each_key(bytes, 0, |key, at| {
        if key == b"ack" {
            id = text(bytes, at)?.map(|(id, _)| id);
        }
        Ok(())
    });
    read.ok()?;
    bytes.get(id?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Message {
        Message::read(bytes).unwrap().unwrap()
    }

    #[test]
    fn the_modes() {
        let m = read(b"\x93\xa1t\x05\x81\xa1a\x01");
        assert_eq!((m.tag, m.entries), (2..3, Entries::One(Some(Time(5_000_000_000)), 4..8)));
        let m = read(b"\x94\xa1t\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x02\x80\x81\xa5chunk\xa2ab");
        assert_eq!((m.entries, m.options.chunk), (Entries::One(Some(Time(1_000_000_002)), 13..14), Some(22..24)));
        assert_eq!(read(b"\x93\xa1t\xc0\x80").entries, Entries::One(None, 4..5));
        let m = read(b"\x92\xc4\x01t\x92\x92\x01\x80\x92\x02\x80");
        assert_eq!((m.tag, m.entries), (3..4, Entries::Many(5..11)));
        let m = read(b"\x93\xa1t\xc4\x03abc\x84\xa4size\x07\xaacompressed\xa4gzip\xadfluent_signal\x01\x05\x06");
        assert_eq!(m.entries, Entries::Packed(5..8));
        assert_eq!((m.options.size, m.options.signal, m.options.compressed.map(|r| r.len())), (Some(7), 1, Some(4)));
        let m = read(b"\x94\xa1t\x05\x80\x81\xa8metadata\x81\xa1m\x01");
        assert_eq!(m.options.metadata, Some(15..19));
        // Version 0: text for the events of bytes, nil for the options.
        assert_eq!(read(b"\x93\xa1t\xa2ab\xc0").entries, Entries::Packed(4..6));
        assert_eq!(Message::read(b"\xc0"), Ok(None));
    }

    #[test]
    fn what_is_no_message() {
        let why = |bytes| Message::read(bytes).unwrap_err().to_string();
        assert!(why(b"\x16\x03\x01").contains("TLS"));
        assert!(why(b"[\"t\",1,{}]").contains("JSON"));
        assert!(why(b"GET / HTTP/1.1").contains("HTTP"));
        assert!(why(b"\x91\xa1t").contains("less than two"));
        assert!(why(b"\x92\x01\x90").contains("tag"));
        assert!(why(b"\x92\xa1t\x05").contains("without a record"));
        assert!(why(b"\x92\xa1t\x80").contains("without a time"));
        assert!(why(b"\x93\xa1t\x90\x01").contains("options"));
        assert!(why(b"\x93\xa1t\x90\x81\xa5chunk\x01").contains("chunk"));
    }

    #[test]
    fn acknowledgements() {
        let mut out = Vec::new();
        write_ack(b"id", &mut out);
        assert_eq!(out, b"\x81\xa3ack\xa2id");
        assert_eq!(read_ack(&out), Some(&b"id"[..]));
        assert_eq!(read_ack(b"\x82\xa1x\x90\xa3ack\xc4\x01i"), Some(&b"i"[..]));
        assert_eq!((read_ack(b"\x80"), read_ack(b"\x90"), read_ack(b"\x81\xa3ack\x01")), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            head in prop_oneof![Just(&b""[..]), Just(&b"\x93\xa1t"[..]), Just(&b"\x93\xa1t\x90\x82\xa5chunk"[..])],
            tail in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            let bytes = [head, &tail].concat();
            if let Ok(Some(m)) = Message::read(&bytes) {
                let entries = match m.entries {
                    Entries::One(_, r) | Entries::Many(r) | Entries::Packed(r) => r,
                };
                let ranges = [Some(m.tag), Some(entries), m.options.chunk, m.options.metadata, m.options.compressed];
                for r in ranges.into_iter().flatten() {
                    prop_assert!(r.start <= r.end);
                }
            }
            let _ = read_ack(&bytes);
        }
    }
}
