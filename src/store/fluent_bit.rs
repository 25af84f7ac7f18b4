//! Chunk files that Fluent Bit left behind, so that a backlog survives the change to this program.
//!
//! The layout is that of its Chunk I/O library (`cio_file_st.h`) and its developer guide on chunks:
//!
//! ```text
//! C1 00, CRC-32 of all from byte 22 on (zeros when checksums are off), 4 zeros, length of the content, 8 zeros,
//! length of the metadata (2 bytes), metadata, content; numbers are big endian
//! metadata = F1 77, type (1 byte, 0 for logs), flags (1 byte), tag, [0, routes]; up to version 1.8 the tag alone
//! content  = events in msgpack, [[time, metadata], body] or [time, body]
//! ```
//!
//! Files of old versions have 0 for the length of the content: it goes to the end of the file, but for zeros there, which
//! a killed process leaves. Nor has such a process put the finished sum into the file, but the state of its computation,
//! in the byte order of its processor.
//!
//! The routes of newer versions are passed over: the tag routes as it did when they were made. What this program's outputs
//! say of such a chunk stands behind it, in frames as in any other chunk file.

use super::chunk_file::{Notes, Summary};
use super::frame::{Frames, next_header};
use super::load::Loaded;
use super::{Damage, State};
use crate::event::{Arena, Batch, Tag};
use crate::fmt::msgpack_read::{MsgpackReader, skip, time};

const MAGIC: [u8; 2] = [0xc1, 0];
const META_MAGIC: [u8; 2] = [0xf1, 0x77];
/// Where the sum begins to count.
const SUMMED: usize = 22;
const HEADER: usize = 24;
/// The first byte of every event: an array of two.
const EVENT: u8 = 0x92;

/// Whether a file begins as those of Fluent Bit do.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The parts of a file.
struct Parts<'a> {
    tag: Tag,
    content: &'a [u8],
    /// What stands behind the content from the first frame on.
    frames: &'a [u8],
    /// Where the content begins in the file.
    at: usize,
    /// Bytes of content that the file should have and has not.
    missing: usize,
    /// Whether the sum is wrong.
    is_changed: bool,
}

fn parts(bytes: &[u8]) -> Result<Parts<'_>, Damage> {
    let short = Damage { at: bytes.len(), why: "a chunk file of Fluent Bit that ends within its head" };
    let number = |at: usize, n: usize| {
        let part = bytes.get(at..at + n)?;
        Some(part.iter().fold(0usize, |v, &b| v << 8 | usize::from(b)))
    };
    let (sum, stated) = (number(2, 4).ok_or(short)?, number(10, 4).ok_or(short)?);
    let at = HEADER + number(SUMMED, 2).ok_or(short)?;
    let meta = bytes.get(HEADER..at).ok_or(short)?;
    let tag = match meta {
        [a, b, kind, _flags, tag @ ..] if [*a, *b] == META_MAGIC => {
            if *kind != 0 {
                let why = "a chunk file of Fluent Bit that holds no logs but metrics, traces, profiles or blobs";
                return Err(Damage { at: HEADER + 2, why });
            }
            tag.split(|b| *b == 0).next().unwrap_or_default()
        }
        tag => tag,
    };
    let all = bytes.get(at..).unwrap_or_default();
    let is_old = stated == 0 && all.first().is_some_and(|b| *b != 0);
    let end = if is_old { next_header(all) } else { stated.min(all.len()) };
    let (content, behind) = all.split_at(end);
    let frames = behind.get(next_header(behind)..).unwrap_or_default();
    let summed = bytes.get(SUMMED..at + content.len()).unwrap_or_default();
    let right = crc32fast::hash(summed);
    // Old versions grow by whole pages: there the sum covers less than what is here.
    let sums = [0, right, right.swap_bytes(), !right, (!right).swap_bytes()];
    let is_changed = stated > 0 && !sums.contains(&(sum as u32));
    let missing = if is_old { 0 } else { stated - end };
    Ok(Parts { tag: Tag::new(&String::from_utf8_lossy(tag)), content, frames, at, missing, is_changed })
}

impl Parts<'_> {
    fn notes(&self) -> Notes {
        let mut notes = Notes::default();
        Frames::new(self.frames).for_each(|frame| notes.add(frame));
        notes
    }
}

/// What a file says of itself.
///
/// # Errors
/// When it is no file of Fluent Bit, or holds something else than logs.
pub fn summary(bytes: &[u8]) -> Result<Summary, Damage> {
    let parts = parts(bytes)?;
    let (mut at, mut records) = (0, 0);
    while let Some(end) = next(parts.content, at) {
        let event = parts.content.get(at..end).unwrap_or_default();
        records += usize::from(event.first() == Some(&EVENT) && !is_marker(event));
        at = end;
    }
    let done = parts.notes().done;
    Ok(Summary { tag: parts.tag, input: String::new(), records, done, len: bytes.len() as u64 })
}

/// Appends the records of a file to `batch`.
///
/// # Errors
/// When it is no file of Fluent Bit, or holds something else than logs; then the batch is as it was.
pub fn load(bytes: &[u8], batch: &mut Batch) -> Result<Loaded, Damage> {
    let parts = parts(bytes)?;
    let notes = parts.notes();
    let Parts { tag, content, at: start, missing, is_changed, .. } = parts;
    if batch.arena().len() + content.len() > Arena::MAX {
        return Err(Damage { at: start, why: "more than a batch can hold" });
    }
    let span = batch.arena_mut().push(content);
    let mut reader = MsgpackReader::default();
    let (mut at, mut records) = (0, 0);
    let mut state = if is_changed { State::Damaged { at: start, lost_bytes: 0 } } else { State::Clean };
    let lose = |state: State, from: usize, n: usize| match state {
        State::Damaged { at, lost_bytes } => State::Damaged { at, lost_bytes: lost_bytes + n },
        _ => State::Damaged { at: start + from, lost_bytes: n },
    };
    while let Some(rest) = content.get(at..).filter(|rest| rest.iter().any(|b| *b != 0)) {
        if let Some(end) = next(content, at).filter(|&end| is_marker(content.get(at..end).unwrap_or_default())) {
            at = end;
            continue;
        }
        match reader.next_event(batch, span.sub(at, content.len())) {
            Ok(Some(used)) => {
                (at, records) = (at + used, records + 1);
            }
            Ok(None) => {
                state =
                    if state == State::Clean { State::Torn { at: start + at } } else { lose(state, at, rest.len()) };
                break;
            }
            // A value that is no event ends somewhere all the same.
            Err(_) => match next(content, at) {
                Some(end) => {
                    state = lose(state, at, end - at);
                    at = end;
                }
                None => {
                    state = lose(state, at, rest.len());
                    break;
                }
            },
        }
    }
    if missing > 0 && state == State::Clean {
        state = State::Torn { at: bytes.len() };
    }
    let Notes { done, left } = notes.settled(state);
    Ok(Loaded { input: String::new(), tag, records, done, left, state })
}

/// The end of the value at `at`; `None` at the end and where there is none.
fn next(content: &[u8], at: usize) -> Option<usize> {
    skip(content, at).ok().flatten()
}

/// Whether an event is not one but the begin or the end of a group of them, as OpenTelemetry has it: its time is −1 or −2
/// seconds. Fluent Bit's outputs do not send these either.
fn is_marker(event: &[u8]) -> bool {
    let at = match event {
        [EVENT, EVENT, ..] => 2,
        [EVENT, ..] => 1,
        _ => return false,
    };
    let secs = time(event, at).ok().flatten().map(|(time, _)| time.secs());
    matches!(secs, Some(-1 | -2 | 0xffff_ffff | 0xffff_fffe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Key, View};
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::fmt::msgpack_write::write_events;
    use crate::store::frame;
    use crate::store::testing::batch;
    use crate::time::Time;
    use crate::util::rng::Rng;
    use proptest::prelude::*;

    /// Two events with metadata and one without, as the two versions of the format have them.
    fn events() -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for n in 0..2i64 {
            let mut b = Batch::new(Tag::new("t"));
            let mark = b.begin();
            b.push_text(Key::of("log"), format!("line {n}").as_bytes());
            b.finish(mark, Time(1_700_000_000_000_000_000 + n));
            let mut event = Vec::new();
            write_events(&View::all(&b), &mut event);
            all.push(event);
        }
        all.push(b"\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x07\x81\xa3log\xa3old".to_vec());
        all
    }

    /// A file as the program writes it.
    fn file(meta: &[u8], content: &[u8], stated: usize, sum: bool) -> Vec<u8> {
        let mut bytes = vec![0; SUMMED];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[10..14].copy_from_slice(&(stated as u32).to_be_bytes());
        bytes.extend_from_slice(&(meta.len() as u16).to_be_bytes());
        bytes.extend_from_slice(meta);
        bytes.extend_from_slice(content);
        if sum {
            let sum = crc32fast::hash(&bytes[SUMMED..]).to_be_bytes();
            bytes[2..6].copy_from_slice(&sum);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Loaded, Vec<String>) {
        let mut b = Batch::new(Tag::new("t"));
        b.arena_mut().push(b"before");
        let loaded = crate::store::load(bytes, &mut b).unwrap();
        assert_eq!(loaded.records, b.len());
        let json = |i| {
            let mut out = Vec::new();
            write_map(b.body(i), JsonOpts::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let all: Vec<_> = (0..b.len()).map(json).collect();
        (loaded, all)
    }

    const ALL: [&str; 3] = [r#"{"log":"line 0"}"#, r#"{"log":"line 1"}"#, r#"{"log":"old"}"#];

    #[test]
    fn files_of_every_version() {
        let content = events().concat();
        let n = content.len();
        let cases: &[(&str, Vec<u8>)] = &[
            ("without sums", file(b"\xf1\x77\0\0kube.app", &content, n, false)),
            ("with sums", file(b"\xf1\x77\0\0kube.app", &content, n, true)),
            ("with routes", file(b"\xf1\x77\0\x01kube.app\0\0\x04\0\x01\0\x02", &content, n, true)),
            ("1.8", file(b"kube.app", &content, 0, true)),
            ("1.8, killed", file(b"kube.app", &[&content[..], &[0; 500]].concat(), 0, false)),
            ("pages", [file(b"\xf1\x77\0\0kube.app", &content, n, true), vec![0; 3000]].concat()),
        ];
        for (what, bytes) in cases {
            let (loaded, all) = read(bytes);
            assert_eq!((&*loaded.tag, loaded.state), ("kube.app", State::Clean), "{what}");
            assert_eq!(all, ALL, "{what}");
            let said = summary(bytes).unwrap();
            assert_eq!((&*said.tag, said.records, said.done.len()), ("kube.app", 3, 0), "{what}");
            let mut noted = bytes.clone();
            frame::write_left("es.0", &[1], &mut noted);
            frame::write_done("es.1", &mut noted);
            let (loaded, all) = read(&noted);
            assert_eq!((loaded.state, all.len()), (State::Clean, 3), "{what}");
            let done = vec!["es.1".to_owned()];
            assert_eq!((loaded.left, &loaded.done), (vec![("es.0".to_owned(), vec![1])], &done), "{what}");
            assert_eq!(summary(&noted).map(|s| (s.records, s.done)), Ok((3, done)), "{what}");
        }
        // The sum of a process that was killed: its bits turned around, as the processor has them.
        let mut killed = file(b"kube.app", &content, n, true);
        let raw = (!u32::from_be_bytes(killed[2..6].try_into().unwrap())).to_le_bytes();
        killed[2..6].copy_from_slice(&raw);
        assert_eq!(read(&killed).0.state, State::Clean);
    }

    #[test]
    fn what_a_crash_or_a_disk_did() {
        let events = events();
        let content = events.concat();
        let good = file(b"\xf1\x77\0\0t", &content, content.len(), true);
        let start = HEADER + 5;
        for cut in start..good.len() {
            let (loaded, all) = read(&good[..cut]);
            let whole = (0..3).filter(|&i| start + events[..=i].concat().len() <= cut).count();
            assert_eq!(all, ALL[..whole], "cut at {cut}");
            assert_ne!(loaded.state, State::Clean);
        }
        let mut changed = good.clone();
        *changed.last_mut().unwrap() = b'D';
        let (loaded, all) = read(&changed);
        assert_eq!(all[2], r#"{"log":"olD"}"#);
        assert_eq!(loaded.state, State::Damaged { at: start, lost_bytes: 0 });
        // A value that is no event costs only itself.
        let odd = [&events[0][..], b"\xa3odd", &events[1]].concat();
        let (loaded, all) = read(&file(b"t", &odd, odd.len(), false));
        assert_eq!(all, ALL[..2]);
        assert_eq!(loaded.state, State::Damaged { at: HEADER + 1 + events[0].len(), lost_bytes: 4 });
        let end = [&events[0][..], b"\xc1\xc1", &events[1]].concat();
        let (loaded, all) = read(&file(b"t", &end, end.len(), false));
        assert_eq!(all, ALL[..1]);
        assert_eq!(loaded.state, State::Damaged { at: HEADER + 1 + events[0].len(), lost_bytes: 2 + events[1].len() });
    }

    #[test]
    fn no_logs() {
        let why = |bytes: &[u8]| crate::store::load(bytes, &mut Batch::new(Tag::new("t"))).unwrap_err().to_string();
        assert!(why(&file(b"\xf1\x77\x01\0t", b"\x80", 1, false)).contains("no logs but metrics"));
        assert_eq!(why(b"\xc1\x00"), "a chunk file of Fluent Bit that ends within its head at byte 2");
        assert!(why(&file(b"tag", b"", 0, false)[..26]).contains("within its head"));
        let empty = file(b"\xf1\x77\0\0t", b"", 0, false);
        assert_eq!((read(&empty).0.records, read(&empty).0.state), (0, State::Clean));
    }

    #[test]
    fn groups_have_no_records_of_their_own() {
        let event = events().remove(0);
        let begin = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x80\x81\xa8resource\x80";
        let end = b"\x92\x92\xd7\x00\xff\xff\xff\xfe\0\0\0\0\x80\x80";
        let content = [begin, &event[..], end].concat();
        let bytes = file(b"t", &content, content.len(), true);
        let (loaded, all) = read(&bytes);
        assert_eq!((loaded.state, &all[..]), (State::Clean, &[ALL[0].to_owned()][..]));
        assert_eq!(summary(&bytes).unwrap().records, 1);
    }

    proptest! {
        #[test]
        fn records_of_any_kind(seed: u64) {
            let mut b = batch(&mut Rng::new(seed), 8);
            b.settle();
            (0..b.len()).for_each(|i| b.set_time(i, Time(1_700_000_000_000_000_000)));
            let mut content = Vec::new();
            write_events(&View::all(&b), &mut content);
            let (loaded, _) = read(&file(b"t", &content, content.len(), true));
            prop_assert_eq!((loaded.records, loaded.state), (b.len(), State::Clean));
        }

        #[test]
        fn any_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 2..200), meta in 0u8..8) {
            bytes[..2].copy_from_slice(&MAGIC);
            if let Some(len) = bytes.get_mut(SUMMED..HEADER) {
                len.copy_from_slice(&[0, meta]);
            }
            let mut b = Batch::new(Tag::new("t"));
            let loaded = crate::store::load(&bytes, &mut b);
            prop_assert_eq!(b.len(), loaded.map_or(0, |l| l.records));
            let _ = summary(&bytes);
        }

        #[test]
        fn changed_bytes_do_no_harm(at: prop::sample::Index, to: u8) {
            let content = events().concat();
            let mut bytes = file(b"\xf1\x77\0\0t", &content, content.len(), true);
            let at = at.index(bytes.len());
            bytes[at] = to;
            let mut b = Batch::new(Tag::new("t"));
            if let Ok(loaded) = crate::store::load(&bytes, &mut b) {
                prop_assert_eq!(b.len(), loaded.records);
            }
            let _ = summary(&bytes);
        }
    }
}
