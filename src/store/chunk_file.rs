//! A chunk file as a whole: what is in it, and what it says of itself.

pub use super::files::Files;
use super::frame::{Frame, Frames, HEADER, Head, Header, State};
use super::{Damage, fluent_bit};
use crate::event::Tag;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest chunk file that is read, in bytes.
pub const SIZE_MAX: u64 = 1 << 30;

/// What a chunk file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub head: Head,
    /// Where the payloads of records stand, for [`super::pack::read`].
    pub records: Vec<Range<usize>>,
    /// How many records those are.
    pub count: usize,
    /// The outputs that have taken the whole chunk.
    pub done: Vec<String>,
    /// The outputs for which only these records are left; empty when the file is damaged, since the indices may mean
    /// other records then.
    pub left: Vec<(String, Vec<u32>)>,
    /// How the file ends.
    pub state: State,
}

/// Reads a chunk file. What can be read of a damaged one is there.
///
/// # Errors
/// When not even its head can be read.
pub fn parse(bytes: &[u8]) -> Result<Contents, Damage> {
    let mut frames = Frames::new(bytes);
    let Some(Frame::Head(head)) = frames.next() else { return Err(headless(bytes)) };
    let (mut records, mut count, mut notes) = (Vec::new(), 0, Notes::default());
    for frame in frames.by_ref() {
        match frame {
            Frame::Records { count: n, payload } => {
                records.push(payload);
                count += n as usize;
            }
            other => notes.add(other),
        }
    }
    let state = frames.state();
    let Notes { done, left } = notes.settled(state);
    Ok(Contents { head, records, count, done, left, state })
}

/// What outputs said of a chunk.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) done: Vec<String>,
    pub(super) left: Vec<(String, Vec<u32>)>,
}

impl Notes {
    pub(super) fn add(&mut self, frame: Frame) {
        match frame {
            Frame::Done(output) if !self.done.contains(&output) => self.done.push(output),
            Frame::Left(output, only) => {
                self.left.retain(|(o, _)| *o != output);
                self.left.push((output, only));
            }
            _ => {}
        }
    }

    /// What of it holds: the indices of a damaged file may mean other records.
    pub(super) fn settled(mut self, state: State) -> Self {
        let Self { done, left } = &mut self;
        left.retain(|(output, _)| !matches!(state, State::Damaged { .. }) && !done.contains(output));
        self
    }
}

/// Why the head cannot be read.
fn headless(bytes: &[u8]) -> Damage {
    let first = Header::read(bytes).filter(|h| h.kind == b'H');
    let head = first.map(|h| (h, bytes.get(HEADER..HEADER.saturating_add(h.len as usize))));
    match head {
        Some((h, Some(payload))) if h.fits(payload) => {
            h.frame(payload, HEADER).err().unwrap_or(Damage { at: HEADER, why: "a damaged head" })
        }
        Some((_, Some(_))) => Damage { at: HEADER, why: "a damaged head" },
        Some((_, None)) => Damage { at: bytes.len(), why: "the file ends within its head" },
        None if bytes.is_empty() => Damage { at: 0, why: "an empty file" },
        None => Damage { at: 0, why: "not a chunk file" },
    }
}

/// What the start of the program wants to know of a chunk file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The tag of every record.
    pub tag: Tag,
    /// The name of the input they came from; empty when only the folder of the file tells.
    pub input: String,
    /// How many records there are.
    pub records: usize,
    /// The outputs that have taken the whole chunk.
    pub done: Vec<String>,
    /// The length of the file in bytes, without what is torn at its end: there further frames go.
    pub len: u64,
}

/// Reads what a chunk file says of itself, and little else: records are passed over, neither read nor checked. Files of
/// Fluent Bit, which say so little, and those with a damaged or torn header are read whole.
///
/// # Errors
/// The outer one when the file cannot be read, the inner one when it has no head.
pub fn summary(path: &Path) -> io::Result<Result<Summary, Damage>> {
    let mut file = Window { file: File::open(path)?, start: 0, bytes: vec![0; WINDOW], used: 0 };
    file.fill(0)?;
    if fluent_bit::is_one(file.bytes.get(..file.used).unwrap_or_default()) {
        return Ok(fluent_bit::summary(&Files::read(path)?));
    }
    let mut len = if file.used < WINDOW { file.used as u64 } else { file.file.metadata()?.len() };
    let first = file.frame(0)?;
    let Some((head, mut at)) = first.and_then(|(h, payload)| match h.frame(payload, HEADER) {
        Ok(Frame::Head(head)) if h.fits(payload) => Some((head, (HEADER + payload.len()) as u64)),
        _ => None,
    }) else {
        file.fill(0)?;
        return Ok(Err(headless(file.bytes.get(..file.used).unwrap_or_default())));
    };
    let (mut records, mut notes) = (0, Notes::default());
    while at < len {
        let Some(header) = file.header(at)? else { return Ok(whole(&Files::read(path)?)) };
        let end = at + HEADER as u64 + u64::from(header.len);
        if end > len {
            len = at;
            break;
        }
        if header.kind == b'R' {
            records += header.count as usize;
        }
        if header.kind == b'D'
            && let Some((_, payload)) = file.frame(at)?.filter(|(_, payload)| header.fits(payload))
            && let Ok(frame) = header.frame(payload, HEADER)
        {
            notes.add(frame);
        }
        at = end;
    }
    Ok(Ok(Summary { tag: head.tag, input: head.input, records, done: notes.done, len }))
}

/// The summary of a file that was read.
fn whole(bytes: &[u8]) -> Result<Summary, Damage> {
    let Contents { head, count, done, state, .. } = parse(bytes)?;
    let len = if let State::Torn { at } = state { at } else { bytes.len() };
    Ok(Summary { tag: head.tag, input: head.input, records: count, done, len: len as u64 })
}

/// Bytes of a file that are read at once. Heads and most small files fit.
const WINDOW: usize = 4096;
/// A frame with a name in it is not longer.
const LONG: u32 = 1 << 20;

/// A file, seen through a window.
struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
    used: usize,
}

impl Window {
    fn fill(&mut self, at: u64) -> io::Result<()> {
        (self.start, self.used) = (at, 0);
        loop {
            match self.file.read_at(&mut self.bytes, at) {
                Ok(n) => self.used = n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            return Ok(());
        }
    }

    /// `n` bytes at `at`; `None` when they are not there.
    fn get(&mut self, at: u64, n: usize) -> io::Result<Option<&[u8]>> {
        let within = |w: &Self| usize::try_from(at.checked_sub(w.start)?).ok().filter(|i| i + n <= w.used);
        if within(self).is_none() {
            if n > self.bytes.len() {
                self.bytes.resize(n, 0);
            }
            self.fill(at)?;
        }
        Ok(within(self).and_then(|i| self.bytes.get(i..i + n)))
    }

    fn header(&mut self, at: u64) -> io::Result<Option<Header>> {
        Ok(self.get(at, HEADER)?.and_then(Header::read))
    }

    /// The header and the payload of the frame at `at`; names are short, so that nothing long is read.
    fn frame(&mut self, at: u64) -> io::Result<Option<(Header, &[u8])>> {
        let Some(header) = self.header(at)?.filter(|h| h.len < LONG) else { return Ok(None) };
        Ok(self.get(at + HEADER as u64, header.len as usize)?.map(|payload| (header, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Key};
    use crate::store::testing::Dir;
    use crate::store::{frame, pack};
    use crate::time::Time;
    use proptest::prelude::*;
    use std::fs;

    fn head() -> Head {
        Head { tag: Tag::new("a.b"), input: "tail.0".to_owned(), created: 7, version: frame::VERSION }
    }

    fn records(n: usize, text: usize, out: &mut Vec<u8>) {
        let mut b = Batch::new(Tag::new("a.b"));
        for i in 0..n {
            let mark = b.begin();
            b.push_text(Key::of("log"), "x".repeat(text).as_bytes());
            b.finish(mark, Time(i as i64));
        }
        frame::write_records(&b, 0..n, out);
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_head(&head(), &mut out);
        records(2, 10, &mut out);
        frame::write_left("es.0", &[1, 2], &mut out);
        records(3, 5, &mut out);
        frame::write_done("stdout.1", &mut out);
        frame::write_left("es.0", &[4], &mut out);
        frame::write_left("stdout.1", &[0], &mut out);
        out
    }

    #[test]
    fn what_a_file_holds() {
        let bytes = sample();
        let c = parse(&bytes).unwrap();
        assert_eq!((c.head, c.count, c.state), (head(), 5, State::Clean));
        assert_eq!((c.done, c.left), (vec!["stdout.1".to_owned()], vec![("es.0".to_owned(), vec![4])]));
        let mut b = Batch::new(Tag::new("t"));
        let counts: Vec<_> = c.records.into_iter().map(|r| pack::read(&bytes[r], &mut b)).collect();
        assert_eq!(counts, [Ok(2), Ok(3)]);
    }

    #[test]
    fn damage_leaves_what_can_be_read() {
        let mut bytes = sample();
        let first = parse(&bytes).unwrap().records[0].clone();
        bytes[first.start + 3] ^= 1;
        let c = parse(&bytes).unwrap();
        assert_eq!((c.count, c.records.len(), c.done.len(), c.left.len()), (3, 1, 1, 0));
        assert_eq!(c.state, State::Damaged { at: first.start - HEADER, lost_bytes: first.len() + HEADER });
    }

    #[test]
    fn without_a_head() {
        let bytes = sample();
        let why = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert_eq!(why(b""), "an empty file at byte 0");
        assert_eq!(why(b"{}\n"), "not a chunk file at byte 0");
        assert_eq!(why(&bytes[..30]), "the file ends within its head at byte 30");
        let mut hurt = bytes.clone();
        hurt[HEADER + 12] ^= 1;
        assert_eq!(why(&hurt), "a damaged head at byte 20");
        let mut newer = Vec::new();
        frame::write_head(&Head { version: 9, ..head() }, &mut newer);
        assert_eq!(why(&newer), "a format of another version at byte 20");
    }

    #[test]
    fn a_summary_reads_no_records() {
        let expected = |records, done: &[&str], len: usize| {
            let done = done.iter().map(|&o| o.to_owned()).collect();
            Ok(Summary { tag: head().tag, input: head().input, records, done, len: len as u64 })
        };
        let dir = Dir::new("summary");
        fs::create_dir_all(&dir.0).unwrap();
        let path = dir.0.join("f");
        let of = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            summary(&path).unwrap()
        };
        assert_eq!(of(&sample()), expected(5, &["stdout.1"], sample().len()));
        let mut large = Vec::new();
        frame::write_head(&head(), &mut large);
        for n in [1, 3000, 5000, 1, 20_000] {
            records(2, n, &mut large);
            frame::write_done(&format!("o.{n}"), &mut large);
        }
        let done = ["o.1", "o.3000", "o.5000", "o.20000"];
        assert_eq!(of(&large), expected(10, &done, large.len()));
        let all = large.len();
        for (cut, n, outputs) in [(all - 1, 10, 3), (all - 25, 10, 3), (all - 10_000, 8, 3), (6000, 2, 1)] {
            let State::Torn { at } = parse(&large[..cut]).unwrap().state else { panic!("not torn") };
            assert_eq!(of(&large[..cut]), expected(n, &done[..outputs], at), "{cut}");
            // Room that was never written.
            let mut room = large[..at].to_vec();
            room.resize(at + 5000, 0);
            assert_eq!(of(&room), expected(n, &done[..outputs], at), "{cut}");
            // Something else stays where it is, and what stands behind it counts.
            frame::write_done("late", &mut room);
            assert_eq!(of(&room), expected(n, &[&done[..outputs], &["late"]].concat(), room.len()), "{cut}");
        }
        let old = include_bytes!("../../fuzz/seeds/chunk/fluent-bit");
        let (tag, len) = (Tag::new("kube.app"), old.len() as u64);
        assert_eq!(of(old), Ok(Summary { tag, input: String::new(), records: 3, done: vec![], len }));
        for bytes in [b"".as_slice(), b"nothing", &large[..30]] {
            assert_eq!(of(bytes).unwrap_err(), parse(bytes).unwrap_err());
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(summary(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    proptest! {
        #[test]
        fn changed_bytes_do_no_harm(at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
            let mut bytes = sample();
            let at = at.index(bytes.len());
            bytes[at] = to;
            bytes.truncate(cut.index(bytes.len()) + 1);
            if let Ok(c) = parse(&bytes) {
                let mut b = Batch::new(Tag::new("t"));
                let n: usize = c.records.into_iter().map(|r| pack::read(&bytes[r], &mut b).unwrap()).sum();
                prop_assert_eq!(n, c.count);
            }
        }
    }
}
