//! Produce (versions 3 to 9): batches for partitions, and what became of each.

use super::record::{HEAD, Head, write_batch};
use super::wire::{Malformed, Reader, Writer};

/// The most records of one batch whose own errors are remembered.
const MAX_RECORD_ERRORS: usize = 10_000;

/// A batch for a partition.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The batch's head.
    pub head: Head,
    /// Its records, packed.
    pub records: &'a [u8],
}

/// Writes a request. Parts of one topic stand together; a partition may be there once. `acks` is -1 for all replicas in
/// sync, 1 for the leader alone, 0 for no answer.
pub fn write(parts: &[Part<'_>], acks: i16, timeout_ms: i32, w: &mut Writer<'_>) {
    // No transaction.
    w.nullable_string(None);
    w.i16(acks);
    w.i32(timeout_ms);
    let topics = || parts.chunk_by(|a, b| a.topic == b.topic);
    w.count(topics().count());
    for parts in topics() {
        w.string(parts.first().map_or("", |p| p.topic));
        w.count(parts.len());
        for part in parts {
            w.i32(part.partition);
            w.bytes_head(HEAD + part.records.len());
            write_batch(&part.head, part.records, w.out);
            w.tags();
        }
        w.tags();
    }
    w.tags();
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// An error code, or 0.
    pub error: i16,
    /// The broker's words for it.
    pub words: Option<String>,
    /// The places in the batch of records that are at fault, each with the broker's words.
    pub records: Vec<(i32, Option<String>)>,
}

/// Reads a response.
///
/// # Errors
/// [`Malformed`] when it cannot be read.
pub fn read(mut r: Reader<'_>, version: i16) -> Result<Vec<Answer>, Malformed> {
    let mut all = Vec::new();
    for _ in 0..r.count(5)? {
        let topic = r.string()?;
        for _ in 0..r.count(14)? {
            all.push(answer(&mut r, topic, version)?);
        }
        r.tags()?;
    }
    Ok(all)
}

fn answer(r: &mut Reader<'_>, topic: &str, version: i16) -> Result<Answer, Malformed> {
    let (partition, error) = (r.i32()?, r.i16()?);
    // The offset, the time of appending, the first offset there is.
    r.take(if version >= 5 { 24 } else { 16 })?;
    let (mut records, mut words) = (Vec::new(), None);
    if version >= 8 {
        for _ in 0..r.count(5)? {
            let (place, words) = (r.i32()?, r.nullable_string()?);
            r.tags()?;
            if records.len() < MAX_RECORD_ERRORS {
                records.push((place, words.map(str::to_owned)));
            }
        }
        words = r.nullable_string()?.map(str::to_owned);
    }
    r.tags()?;
    Ok(Answer { topic: topic.to_owned(), partition, error, words, records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::kafka::record::{read_batch, write_record};
    use crate::fmt::kafka::{Api, Compression};

    /// Writes a response as a broker does.
    fn write_answers(answers: &[Answer], w: &mut Writer<'_>, version: i16) {
        w.count(answers.len());
        for a in answers {
            w.string(&a.topic);
            w.count(1);
            w.i32(a.partition);
            w.i16(a.error);
            [7, -1].into_iter().for_each(|v| w.i64(v));
            if version >= 5 {
                w.i64(0);
            }
            if version >= 8 {
                w.count(a.records.len());
                for (place, words) in &a.records {
                    w.i32(*place);
                    w.nullable_string(words.as_deref());
                    w.tags();
                }
                w.nullable_string(a.words.as_deref());
            }
            w.tags();
            w.tags();
        }
        w.i32(0);
        w.tags();
    }

    #[test]
    fn answers_in_every_version() {
        for version in 3..=9 {
            let flexible = Api::Produce.is_flexible(version);
            let told = version >= 8;
            let records = if told { vec![(2, Some("bad".to_owned())), (3, None)] } else { Vec::new() };
            let words = told.then(|| "words".to_owned());
            let all = [
                Answer { topic: "a".into(), partition: 0, error: 0, words: None, records: Vec::new() },
                Answer { topic: "bc".into(), partition: 4, error: 87, words, records },
            ];
            let mut out = Vec::new();
            write_answers(&all, &mut Writer::new(&mut out, flexible), version);
            assert_eq!(read(Reader::new(&out, flexible), version).as_deref(), Ok(&all[..]), "{version}");
            for cut in 0..out.len() - 7 {
                assert_eq!(read(Reader::new(&out[..cut], flexible), version), Err(Malformed));
            }
        }
    }

    #[test]
    fn a_request_groups_by_topic() {
        let mut records = Vec::new();
        write_record(0, None, b"v", &mut records);
        let head = Head { compression: Compression::None, timestamp: 1, producer: None, count: 1 };
        let part = |topic, partition| Part { topic, partition, head, records: &records };
        let mut out = Vec::new();
        write(&[part("a", 0), part("a", 2), part("b", 0)], -1, 500, &mut Writer::new(&mut out, false));
        let size = HEAD + records.len();
        assert_eq!(&out[..18], b"\xff\xff\xff\xff\0\0\x01\xf4\0\0\0\x02\0\x01a\0\0\0");
        assert_eq!(&out[18..27], [&b"\x02\0\0\0\0\0\0\0"[..], &[size as u8]].concat());
        assert_eq!(read_batch(&out[27..27 + size], 100).unwrap().records, records);
        assert_eq!(out.len(), 12 + 7 + 7 + 3 * (8 + size));
    }
}
