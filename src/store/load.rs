//! Reading a chunk file into a batch, whoever wrote it.

use super::{Contents, Damage, State, chunk_file, fluent_bit, pack};
use crate::event::{Batch, Tag};

/// What a chunk file held, beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The input its records came from; empty when only the folder of the file tells.
    pub input: String,
    /// The tag of every record.
    pub tag: Tag,
    /// How many records were read.
    pub records: usize,
    /// The outputs that have taken the whole chunk.
    pub done: Vec<String>,
    /// The outputs for which only the records of these indices are left.
    pub left: Vec<(String, Vec<u32>)>,
    /// How the file ends.
    pub state: State,
}

impl Loaded {
    /// Whether something else than what was written stands in the file.
    pub fn is_damaged(&self) -> bool {
        matches!(self.state, State::Damaged { .. })
    }

    /// What is wrong with the file, in words.
    pub fn problem(&self) -> Option<String> {
        match self.state {
            State::Clean => None,
            State::Torn { at } => Some(format!("its end, from byte {at} on, was not written completely")),
            State::Damaged { at, lost_bytes } => {
                Some(format!("it is damaged from byte {at} on, {lost_bytes} bytes cannot be read"))
            }
        }
    }
}

/// Appends the records of a chunk file to `batch`. Of a damaged file those that can be read are there.
///
/// # Errors
/// When nothing can be read; then the batch is as it was.
pub fn load(bytes: &[u8], batch: &mut Batch) -> Result<Loaded, Damage> {
    if fluent_bit::is_one(bytes) {
        return fluent_bit::load(bytes, batch);
    }
    let Contents { head, records, done, mut left, mut state, .. } = chunk_file::parse(bytes)?;
    let mut count = 0;
    for payload in records {
        let (at, size) = (payload.start, payload.len());
        match pack::read(bytes.get(payload).unwrap_or_default(), batch) {
            Ok(n) => count += n,
            // The sum is right, so this is a fault of the program that wrote it. It must not pass for read.
            Err(_) => {
                left.clear();
                state = match state {
                    State::Damaged { at, lost_bytes } => State::Damaged { at, lost_bytes: lost_bytes + size },
                    _ => State::Damaged { at, lost_bytes: size },
                };
            }
        }
    }
    Ok(Loaded { input: head.input, tag: head.tag, records: count, done, left, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::frame::{self, HEADER, Head};
    use crate::store::testing::{Shown, batch, shown};
    use crate::util::rng::Rng;
    use proptest::prelude::*;

    /// A file of three frames of records, their ends, and the records of each.
    fn sample(seed: u64) -> (Vec<u8>, Vec<usize>, Vec<Vec<Shown>>) {
        let mut rng = Rng::new(seed);
        let head = Head { tag: Tag::new("a.b"), input: "tail.0".to_owned(), created: 7, version: frame::VERSION };
        let (mut out, mut ends, mut records) = (Vec::new(), Vec::new(), Vec::new());
        frame::write_head(&head, &mut out);
        for _ in 0..3 {
            let b = batch(&mut rng, 3);
            frame::write_records(&b, 0..b.len(), &mut out);
            ends.push(out.len());
            records.push(shown(&b, 0));
        }
        (out, ends, records)
    }

    fn read(bytes: &[u8]) -> Result<(Loaded, Vec<Shown>), Damage> {
        let mut b = Batch::new(Tag::new("t"));
        let loaded = load(bytes, &mut b)?;
        assert_eq!(loaded.records, b.len());
        let shown = shown(&b, 0);
        Ok((loaded, shown))
    }

    #[test]
    fn cut_anywhere_the_frames_before_are_read() {
        let (bytes, ends, records) = sample(1);
        let first = HEADER + 20;
        for cut in 0..=bytes.len() {
            if cut < first {
                assert!(read(&bytes[..cut]).is_err());
                continue;
            }
            let (loaded, got) = read(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(got, records[..whole].concat());
            assert_eq!(loaded.problem().is_none(), cut == first || ends.contains(&cut), "cut at {cut}");
            assert!(!loaded.is_damaged());
        }
    }

    #[test]
    fn no_bit_changes_a_record() {
        let (bytes, ends, records) = sample(2);
        let first = HEADER + 20;
        for bit in 0..bytes.len() * 8 {
            let mut hurt = bytes.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            let Ok((loaded, got)) = read(&hurt) else {
                assert!(bit / 8 < first, "bit {bit}");
                continue;
            };
            let hit = ends.iter().position(|&end| bit / 8 < end).unwrap();
            let mut others = records.clone();
            others.remove(hit);
            assert_eq!(got, others.concat(), "bit {bit}");
            assert!(loaded.is_damaged() && loaded.problem().is_some());
        }
    }

    #[test]
    fn a_payload_that_is_none_is_not_passed_over() {
        let (mut bytes, ends, records) = sample(3);
        bytes.truncate(ends[0]);
        let before = bytes.len();
        let mut payload = Vec::new();
        frame::write_done("x", &mut payload);
        // A frame of records with the payload of another kind.
        payload[3] = b'R';
        let sum = crc32fast::hash(&payload[..16]).to_le_bytes();
        payload[16..20].copy_from_slice(&sum);
        bytes.extend(payload);
        frame::write_left("es.0", &[0], &mut bytes);
        let (loaded, got) = read(&bytes).unwrap();
        assert_eq!(got, records[0]);
        assert_eq!(loaded.state, State::Damaged { at: before + HEADER, lost_bytes: 2 });
        assert!(loaded.left.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_left_and_done(seed: u64) {
            let (mut bytes, _, records) = sample(seed);
            frame::write_left("es.0", &[2, 1], &mut bytes);
            frame::write_done("stdout.0", &mut bytes);
            let (loaded, got) = read(&bytes).unwrap();
            prop_assert_eq!(got, records.concat());
            prop_assert_eq!((&*loaded.input, &*loaded.tag), ("tail.0", "a.b"));
            prop_assert_eq!(loaded.left, vec![("es.0".to_owned(), vec![2, 1])]);
            prop_assert_eq!((loaded.done, loaded.state), (vec!["stdout.0".to_owned()], State::Clean));
        }
    }
}
