//! The frames that a chunk file is a sequence of.
//!
//! ```text
//! frame   = header (20 bytes), payload
//! header  = C5 'c' 'k', kind (1 byte), length of the payload, number of records, CRC-32 of the payload,
//!           CRC-32 of the 16 bytes before (4 bytes each, little endian)
//! kinds   = 'H' head: version (1 byte), created (8 bytes), tag, input
//!           'R' records: see `pack`
//!           'D' done: output
//!           'L' left: output, number of records (varint), their indices (zigzag, from the one before)
//! text    = length (varint), bytes of UTF-8
//! ```
//!
//! A file begins with its head, so that `C5 'c' 'k' 'H'` recognises it. The header has a sum of its own: where it is
//! right the length is, and what follows a damaged payload is found at once.

use super::Damage;
use super::pack;
use super::wire::{Wire, put_text, put_varint, zigzag};
use crate::event::{Batch, Tag};
use memchr::memmem;
use std::ops::Range;

/// The version of the format that is written.
pub const VERSION: u8 = 1;
/// Length of a frame's header, in bytes.
pub const HEADER: usize = 20;

const MARK: [u8; 3] = [0xc5, b'c', b'k'];

/// What a chunk file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The tag of every record.
    pub tag: Tag,
    /// The name of the input they came from.
    pub input: String,
    /// When the chunk began, in nanoseconds since 1970.
    pub created: u64,
    /// The version of the format.
    pub version: u8,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first one.
    Head(Head),
    /// Records; the payload is for [`pack::read`].
    Records {
        /// How many.
        count: u32,
        /// Where the payload stands in the file.
        payload: Range<usize>,
    },
    /// This output has taken the whole chunk.
    Done(String),
    /// Only these records, by their index in the chunk, are left for this output. A later frame replaces an earlier.
    Left(String, Vec<u32>),
}

/// Appends the first frame of a file.
pub fn write_head(head: &Head, out: &mut Vec<u8>) {
    frame(b'H', out, |out| {
        out.push(head.version);
        out.extend_from_slice(&head.created.to_le_bytes());
        put_text(&head.tag, out);
        put_text(&head.input, out);
        0
    });
}

/// Appends the records of `range` and returns how many they are; see [`pack::write`].
pub fn write_records(batch: &Batch, range: Range<usize>, out: &mut Vec<u8>) -> usize {
    let mut count = 0;
    frame(b'R', out, |out| {
        count = pack::write(batch, range, out);
        count as u32
    });
    count
}

/// Appends that `output` has taken the whole chunk.
pub fn write_done(output: &str, out: &mut Vec<u8>) {
    frame(b'D', out, |out| {
        put_text(output, out);
        0
    });
}

/// Appends that only the records of these indices are left for `output`.
pub fn write_left(output: &str, records: &[u32], out: &mut Vec<u8>) {
    frame(b'L', out, |out| {
        put_text(output, out);
        put_varint(records.len() as u64, out);
        let mut last = 0;
        for &index in records {
            put_varint(zigzag(i64::from(index) - i64::from(last)), out);
            last = index;
        }
        records.len() as u32
    });
}

/// Appends a frame of what `payload` appends, which returns the number of records.
fn frame(kind: u8, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>) -> u32) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let count = payload(out);
    let (header, payload) = out.split_at_mut(start + HEADER);
    if let Some(header) = header.last_chunk_mut() {
        *header = Header { kind, len: payload.len() as u32, count, crc: crc32fast::hash(payload) }.bytes();
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) len: u32,
    pub(super) count: u32,
    crc: u32,
}

impl Header {
    /// The header at the start of `bytes`, if there is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut wire = Wire::new(bytes.strip_prefix(&MARK)?);
        let kind = wire.byte().ok()?;
        let [len, count, crc, own] = [wire.u32().ok()?, wire.u32().ok()?, wire.u32().ok()?, wire.u32().ok()?];
        (own == crc32fast::hash(bytes.get(..HEADER - 4)?)).then_some(Self { kind, len, count, crc })
    }

    fn bytes(self) -> [u8; HEADER] {
        let [m, c, k] = MARK;
        let mut bytes = [0; HEADER];
        if let Some((first, own)) = bytes.split_last_chunk_mut::<4>() {
            first.copy_from_slice(
                &[[m, c, k, self.kind], self.len.to_le_bytes(), self.count.to_le_bytes(), self.crc.to_le_bytes()]
                    .concat(),
            );
            *own = crc32fast::hash(first).to_le_bytes();
        }
        bytes
    }

    /// Whether `payload` is what was written.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        crc32fast::hash(payload) == self.crc
    }

    /// The frame of this header, its payload standing at `at` in the file.
    pub(super) fn frame(&self, payload: &[u8], at: usize) -> Result<Frame, Damage> {
        let mut wire = Wire::new(payload);
        let frame = match self.kind {
            b'R' => return Ok(Frame::Records { count: self.count, payload: at..at + payload.len() }),
            b'H' => {
                let version = wire.byte()?;
                if version != VERSION {
                    return Err(Damage { at, why: "a format of another version" });
                }
                let created = wire.u64()?;
                let (tag, input) = (Tag::new(wire.text()?), wire.text()?.to_owned());
                Frame::Head(Head { tag, input, created, version })
            }
            b'D' => Frame::Done(wire.text()?.to_owned()),
            b'L' => {
                let output = wire.text()?.to_owned();
                let mut records = Vec::with_capacity(wire.count(1)?);
                let mut last = 0u32;
                for _ in 0..records.capacity() {
                    last = last.wrapping_add(wire.zigzag()? as u32);
                    records.push(last);
                }
                Frame::Left(output, records)
            }
            _ => return Err(Damage { at, why: "an unknown kind of frame" }),
        };
        wire.end()?;
        Ok(frame)
    }
}

/// How the frames of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of them were read.
    Clean,
    /// The last one is incomplete, which is what a crash leaves: it begins at this byte.
    Torn {
        /// Where the whole ones end.
        at: usize,
    },
    /// Something else than what was written stands in the file.
    Damaged {
        /// The first byte of the first frame that cannot be read.
        at: usize,
        /// How many bytes, in all such places, could not be read.
        lost_bytes: usize,
    },
}

/// The frames of a file. Damaged ones are passed over; [`Frames::state`] says so in the end.
#[derive(Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
}

impl<'a> Frames<'a> {
    /// The frames of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, state: State::Clean }
    }

    /// How it ended; to be asked when there is no further frame.
    pub fn state(&self) -> State {
        self.state
    }

    /// Passes over `n` bytes that cannot be read.
    fn lose(&mut self, n: usize) {
        let (at, before) = match self.state {
            State::Damaged { at, lost_bytes } => (at, lost_bytes),
            _ => (self.at, 0),
        };
        self.state = State::Damaged { at, lost_bytes: before + n };
        self.at += n;
    }

    /// What remains is the beginning of a frame. Behind damage that makes no difference.
    fn tear(&mut self, n: usize) {
        match self.state {
            State::Clean => {
                self.state = State::Torn { at: self.at };
                self.at += n;
            }
            _ => self.lose(n),
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let Some(header) = Header::read(rest) else {
                if is_begun(rest) {
                    self.tear(rest.len());
                } else {
                    self.lose(1 + rest.get(1..).map_or(0, next_header));
                }
                continue;
            };
            let size = HEADER.saturating_add(header.len as usize);
            let Some(payload) = rest.get(HEADER..size) else {
                self.tear(rest.len());
                continue;
            };
            let frame = header.frame(payload, self.at + HEADER);
            match frame.ok().filter(|_| header.fits(payload)) {
                Some(frame) => {
                    self.at += size;
                    return Some(frame);
                }
                // Its length is right, unless bytes are missing or too many.
                None => match rest.get(size..) {
                    Some(after) if after.is_empty() || Header::read(after).is_some() => self.lose(size),
                    _ => self.lose(HEADER + rest.get(HEADER..).map_or(0, next_header)),
                },
            }
        }
    }
}

/// Whether a crash leaves such bytes at the end of a file: a part of a header, or room that was never written.
fn is_begun(rest: &[u8]) -> bool {
    let mark = rest.get(..MARK.len()).unwrap_or(rest);
    (rest.len() < HEADER && MARK.starts_with(mark)) || rest.iter().all(|b| *b == 0)
}

/// The offset of the first header in `bytes`, or their end.
pub(super) fn next_header(bytes: &[u8]) -> usize {
    let mut marks = memmem::find_iter(bytes, &MARK);
    marks.find(|&at| bytes.get(at..).and_then(Header::read).is_some()).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{batch, shown};
    use crate::util::rng::Rng;
    use proptest::prelude::*;

    fn head() -> Head {
        Head { tag: Tag::new("a.b"), input: "tail.0".to_owned(), created: 1_700_000_000_000_000_001, version: VERSION }
    }

    fn read(bytes: &[u8]) -> (Vec<Frame>, State) {
        let mut frames = Frames::new(bytes);
        let all = frames.by_ref().collect();
        (all, frames.state())
    }

    /// A head, three frames of records, and what two outputs said; where the frames end.
    fn sample() -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        write_head(&head(), &mut out);
        ends.push(out.len());
        for n in 0..3u64 {
            let mut b = Batch::new(Tag::new("a.b"));
            let mark = b.begin();
            b.push_text(crate::event::Key::of("log"), format!("line {n}").as_bytes());
            b.finish(mark, crate::time::Time(n as i64));
            assert_eq!(write_records(&b, 0..1, &mut out), 1);
            ends.push(out.len());
        }
        write_left("es.0", &[0, 2], &mut out);
        ends.push(out.len());
        write_done("stdout.1", &mut out);
        ends.push(out.len());
        (out, ends)
    }

    #[test]
    fn frames_round_trip() {
        let (bytes, ends) = sample();
        let (frames, state) = read(&bytes);
        assert_eq!(state, State::Clean);
        assert_eq!(frames[0], Frame::Head(head()));
        for n in 1..4 {
            let payload = ends[n - 1] + HEADER..ends[n];
            assert_eq!(frames[n], Frame::Records { count: 1, payload: payload.clone() });
            assert_eq!(pack::read(&bytes[payload], &mut Batch::new(Tag::new("t"))), Ok(1));
        }
        assert_eq!(frames[4..], [Frame::Left("es.0".into(), vec![0, 2]), Frame::Done("stdout.1".into())]);
        assert_eq!(read(b""), (vec![], State::Clean));
        assert!(bytes.starts_with(b"\xc5ckH"));
    }

    #[test]
    fn what_stands_before_a_cut_is_read() {
        let (bytes, ends) = sample();
        let all = read(&bytes).0;
        for cut in 0..bytes.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            let at = ends[..whole].last().copied().unwrap_or(0);
            let state = if at == cut { State::Clean } else { State::Torn { at } };
            assert_eq!(read(&bytes[..cut]), (all[..whole].to_vec(), state), "cut at {cut}");
            // Room that was never written, behind the cut or instead of it.
            let mut room = bytes[..at].to_vec();
            room.resize(at + 100, 0);
            assert_eq!(read(&room), (all[..whole].to_vec(), State::Torn { at }));
        }
    }

    #[test]
    fn one_bit_costs_one_frame_at_most() {
        let (bytes, ends) = sample();
        let all = read(&bytes).0;
        for bit in 0..bytes.len() * 8 {
            let mut hurt = bytes.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            let (frames, state) = read(&hurt);
            let hit = ends.iter().position(|&end| bit / 8 < end).unwrap();
            let mut others = all.clone();
            others.remove(hit);
            assert_eq!(frames, others, "bit {bit}");
            let start = if hit == 0 { 0 } else { ends[hit - 1] };
            assert_eq!(state, State::Damaged { at: start, lost_bytes: ends[hit] - start }, "bit {bit}");
        }
    }

    #[test]
    fn bytes_that_are_gone_or_too_many() {
        let (bytes, ends) = sample();
        let all = read(&bytes).0;
        // Payloads stand elsewhere then.
        let same = |a: &Frame, b: &Frame| match (a, b) {
            (Frame::Records { payload: a, .. }, Frame::Records { payload: b, .. }) => a.len() == b.len(),
            (a, b) => a == b,
        };
        for from in 0..bytes.len() {
            let to = (from + 5).min(bytes.len());
            let less = read(&[&bytes[..from], &bytes[to..]].concat()).0;
            let more = read(&[&bytes[..from], b"\xc5ck..", &bytes[from..]].concat()).0;
            let starts = [0].iter().chain(&ends);
            for ((frame, &start), &end) in all.iter().zip(starts).zip(&ends) {
                assert!(!(end <= from || start >= to) || less.iter().any(|f| same(f, frame)), "{from}: {frame:?}");
                assert!(!(end <= from || start >= from) || more.iter().any(|f| same(f, frame)), "{from}: {frame:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }

        #[test]
        fn random_batches_in_frames(seed: u64) {
            let mut rng = Rng::new(seed);
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..3 {
                let b = batch(&mut rng, 6);
                let count = write_records(&b, 0..b.len(), &mut out);
                expected.push((count as u32, shown(&b, 0)));
            }
            let (frames, state) = read(&out);
            prop_assert_eq!(state, State::Clean);
            for (frame, (n, shown_then)) in frames.into_iter().zip(expected) {
                let Frame::Records { count, payload } = frame else { panic!("{frame:?}") };
                let mut back = Batch::new(Tag::new("t"));
                prop_assert_eq!(pack::read(&out[payload], &mut back), Ok(n as usize));
                prop_assert_eq!((count, shown(&back, 0)), (n, shown_then));
            }
        }

        #[test]
        fn indices_of_any_order(records: Vec<u32>) {
            let mut out = Vec::new();
            write_left("o", &records, &mut out);
            prop_assert_eq!(read(&out), (vec![Frame::Left("o".to_owned(), records)], State::Clean));
        }
    }
}
