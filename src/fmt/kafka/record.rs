//! Record batches of version 2: a head of 61 bytes, then records, all of them packed together.

use super::compress::Compression;
use super::sasl::ProducerId;
use super::wire::{Malformed, Reader, varlong_len, write_varlong};

/// The bytes of a batch before its records.
pub const HEAD: usize = 61;
/// Those of them that its length does not count.
const BEFORE_LENGTH: usize = 12;
/// Where the part begins that its checksum covers.
const SUMMED: usize = 21;
/// The most records that a batch is read with.
const MAX_RECORDS: usize = 1 << 20;

/// What stands in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How the records are packed.
    pub compression: Compression,
    /// The time of all records, in milliseconds since 1970.
    pub timestamp: i64,
    /// The idempotent producer, and the number of the first record.
    pub producer: Option<(ProducerId, i32)>,
    /// The number of records.
    pub count: i32,
}

/// Appends a record: its place in the batch, its key, its value; no headers. Its time is that of the batch.
pub fn write_record(place: i32, key: Option<&[u8]>, value: &[u8], out: &mut Vec<u8>) {
    let key_len = key.map_or(-1, |k| k.len() as i64);
    write_varlong(body_len(place, key, value) as i64, out);
    // Attributes, and the distance to the batch's time.
    out.extend_from_slice(&[0, 0]);
    write_varlong(place.into(), out);
    write_varlong(key_len, out);
    out.extend_from_slice(key.unwrap_or_default());
    write_varlong(value.len() as i64, out);
    out.extend_from_slice(value);
    // The number of headers.
    out.push(0);
}

/// The bytes of a record in a batch.
pub fn record_len(place: i32, key: Option<&[u8]>, value: &[u8]) -> usize {
    let n = body_len(place, key, value);
    n + varlong_len(n as i64)
}

fn body_len(place: i32, key: Option<&[u8]>, value: &[u8]) -> usize {
    let key_len = key.map_or(1, |k| k.len() + varlong_len(k.len() as i64));
    3 + varlong_len(place.into()) + key_len + varlong_len(value.len() as i64) + value.len()
}

/// Appends a batch; `records` are packed already.
pub fn write_batch(head: &Head, records: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // The offset is the broker's to give.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&((HEAD - BEFORE_LENGTH + records.len()) as u32).to_be_bytes());
    // The leader's epoch is not known to producers; the version; the checksum comes last.
    out.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0]);
    out.extend_from_slice(&(head.compression as i16).to_be_bytes());
    out.extend_from_slice(&(head.count - 1).to_be_bytes());
    out.extend_from_slice(&head.timestamp.to_be_bytes());
    out.extend_from_slice(&head.timestamp.to_be_bytes());
    let (producer, first) = head.producer.unwrap_or((ProducerId { id: -1, epoch: -1 }, -1));
    out.extend_from_slice(&producer.id.to_be_bytes());
    out.extend_from_slice(&producer.epoch.to_be_bytes());
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&head.count.to_be_bytes());
    out.extend_from_slice(records);
    let sum = crc32c::crc32c(out.get(start + SUMMED..).unwrap_or_default());
    if let Some(place) = out.get_mut(start + SUMMED - 4..start + SUMMED) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// A batch that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its head; the time is that of its first record.
    pub head: Head,
    /// The offset of its first record.
    pub base_offset: i64,
    /// Its records, unpacked.
    pub records: Vec<u8>,
    /// The bytes that it took.
    pub size: usize,
}

/// Why a batch could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It ends early, or contradicts itself.
    Malformed,
    /// Its checksum is another one.
    Checksum,
    /// Its records cannot be unpacked within the limit.
    Packed(String),
}

impl From<Malformed> for Damage {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads the batch that `bytes` begin with; its records unpacked are at most `limit` bytes.
///
/// # Errors
/// Says what is wrong with it.
pub fn read_batch(bytes: &[u8], limit: usize) -> Result<Batch, Damage> {
    let mut r = Reader::new(bytes, false);
    let base_offset = r.i64()?;
    let len = usize::try_from(r.i32()?).map_err(|_| Malformed)?;
    let mut r = Reader::new(r.take(len)?, false);
    r.i32()?;
    if r.i8()? != 2 {
        return Err(Damage::Malformed);
    }
    if r.u32()? != crc32c::crc32c(r.rest()) {
        return Err(Damage::Checksum);
    }
    let compression = Compression::of_attributes(r.i16()?).ok_or(Malformed)?;
    r.i32()?;
    let timestamp = r.i64()?;
    r.i64()?;
    let producer = ProducerId { id: r.i64()?, epoch: r.i16()? };
    let first = r.i32()?;
    let count = r.i32()?;
    if usize::try_from(count).map_or(true, |n| n > MAX_RECORDS) {
        return Err(Damage::Malformed);
    }
    let producer = (producer.id >= 0).then_some((producer, first));
    let head = Head { compression, timestamp, producer, count };
    let mut records = Vec::new();
    compression.unpack(r.rest(), limit, &mut records).map_err(|e| Damage::Packed(e.to_string()))?;
    Ok(Batch { head, base_offset, records, size: BEFORE_LENGTH + len })
}

/// One record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the batch.
    pub place: i32,
    /// Its time less that of the batch, in milliseconds.
    pub time: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: usize,
}

impl Batch {
    /// The records, each with an error where it cannot be read, which is then the last.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
        let mut r = Reader::new(&self.records, false);
        let mut left = self.head.count;
        std::iter::from_fn(move || {
            if left <= 0 {
                return None;
            }
            let record = read_record(&mut r);
            left = if record.is_ok() { left - 1 } else { 0 };
            Some(record)
        })
    }
}

fn read_record<'a>(r: &mut Reader<'a>) -> Result<Record<'a>, Malformed> {
    fn bytes<'a>(r: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Malformed> {
        match r.varint()? {
            -1 => Ok(None),
            n => r.take(usize::try_from(n).map_err(|_| Malformed)?).map(Some),
        }
    }
    let len = usize::try_from(r.varint()?).map_err(|_| Malformed)?;
    let mut r = Reader::new(r.take(len)?, false);
    r.i8()?;
    let (time, place) = (r.varlong()?, r.varint()?);
    let (key, value) = (bytes(&mut r)?, bytes(&mut r)?);
    let headers = usize::try_from(r.varint()?).map_err(|_| Malformed)?;
    // Each header has two lengths.
    if headers > r.rest().len() / 2 {
        return Err(Malformed);
    }
    for _ in 0..headers {
        bytes(&mut r)?;
        bytes(&mut r)?;
    }
    Ok(Record { place, time, key, value, headers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_batch_byte_by_byte() {
        let mut records = Vec::new();
        write_record(0, None, b"hi", &mut records);
        write_record(1, Some(b"k"), b"", &mut records);
        assert_eq!(records, b"\x10\0\0\0\x01\x04hi\0\x0e\0\0\x02\x02k\0\0");
        let producer = Some((ProducerId { id: 5, epoch: 1 }, 9));
        let head = Head { compression: Compression::None, timestamp: 1_700_000_000_000, producer, count: 2 };
        let mut out = Vec::new();
        write_batch(&head, &records, &mut out);
        let want = [
            &b"\0\0\0\0\0\0\0\0\0\0\0\x42\xff\xff\xff\xff\x02"[..],
            // The checksum that kafka-python computes for this batch.
            b"\xe6\x90\xd2\x48",
            b"\0\0\0\0\0\x01\0\0\x01\x8b\xcf\xe5\x68\0\0\0\x01\x8b\xcf\xe5\x68\0\0\0\0\0\0\0\0\x05\0\x01\0\0\0\x09\0\0\0\x02",
            &records,
        ];
        assert_eq!(out, want.concat());
        let batch = read_batch(&out, 1000).unwrap();
        assert_eq!((batch.head, batch.size, batch.base_offset), (head, out.len(), 0));
        out[30] ^= 1;
        assert_eq!(read_batch(&out, 1000), Err(Damage::Checksum));
        assert_eq!(read_batch(&out[..50], 1000), Err(Damage::Malformed));
    }

    proptest! {
        #[test]
        fn there_and_back(
            pairs in proptest::collection::vec((proptest::option::of(".{0,9}"), ".{0,300}"), 1..80),
            pick in 0..5usize,
        ) {
            let (mut plain, mut packed, mut out) = (Vec::new(), Vec::new(), b"<".to_vec());
            for (n, (key, value)) in pairs.iter().enumerate() {
                let (before, key) = (plain.len(), key.as_deref().map(str::as_bytes));
                write_record(n as i32, key, value.as_bytes(), &mut plain);
                prop_assert_eq!(plain.len() - before, record_len(n as i32, key, value.as_bytes()));
            }
            let compression = Compression::ALL[pick];
            compression.pack(None, &plain, &mut packed);
            let head = Head { compression, timestamp: 7, producer: None, count: pairs.len() as i32 };
            write_batch(&head, &packed, &mut out);
            let batch = read_batch(&out[1..], plain.len()).unwrap();
            prop_assert_eq!(batch.head, head);
            let got: Vec<_> = batch.records().map(|r| r.map(|r| (r.key, r.value, r.place, r.headers))).collect();
            let bytes = |t: &String| -> Vec<u8> { t.as_bytes().to_vec() };
            prop_assert_eq!(got.len(), pairs.len());
            for (n, ((key, value), got)) in pairs.iter().zip(got).enumerate() {
                let (k, v, place, headers) = got.unwrap();
                prop_assert_eq!((k.map(<[u8]>::to_vec), v.map(<[u8]>::to_vec)), (key.as_ref().map(bytes), Some(bytes(value))));
                prop_assert_eq!((place, headers), (n as i32, 0));
            }
        }
    }
}
