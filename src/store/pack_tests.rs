//! Tests of the batch codec.

use super::*;
use crate::event::Tag;
use crate::store::testing::{access_log, batch, shown};
use crate::util::rng::Rng;
use proptest::prelude::*;

fn packed(b: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    write(b, 0..b.len(), &mut out);
    out
}

fn other() -> Batch {
    let mut b = Batch::new(Tag::new("other"));
    let mark = b.begin();
    b.push_text(Key::of("before"), b"text");
    b.finish(mark, Time(1));
    b
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_written_is_read(seed: u64) {
        let b = batch(&mut Rng::new(seed), 12);
        let mut out = b"before".to_vec();
        let written = write(&b, 0..b.len(), &mut out);
        let mut back = other();
        prop_assert_eq!(read(&out[6..], &mut back), Ok(written));
        prop_assert_eq!(shown(&back, 1), shown(&b, 0));
        prop_assert_eq!(shown(&back, 0).len(), written + 1);
        // What was read can be written again.
        let mut again = other();
        let mut second = Vec::new();
        write(&back, 1..back.len(), &mut second);
        read(&second, &mut again).unwrap();
        prop_assert_eq!(shown(&again, 1), shown(&b, 0));
    }

    #[test]
    fn a_part_of_a_batch(seed: u64, from in 0usize..8, len in 0usize..8) {
        let b = batch(&mut Rng::new(seed), 12);
        let mut out = Vec::new();
        write(&b, from..from + len, &mut out);
        let mut back = Batch::new(Tag::new("t"));
        read(&out, &mut back).unwrap();
        let to = (from + len).min(b.len());
        let gone = |r: Range<usize>| r.filter(|&i| i < b.len() && !b.is_dropped(i)).count();
        prop_assert_eq!(&shown(&back, 0)[..], &shown(&b, 0)[gone(0..from)..gone(0..to)]);
    }

    #[test]
    fn cut_anywhere_nothing_is_read(seed: u64) {
        let b = batch(&mut Rng::new(seed), 3);
        let out = packed(&b);
        for end in 0..out.len() {
            let mut back = other();
            prop_assert!(read(&out[..end], &mut back).is_err(), "cut at {} of {}", end, out.len());
            prop_assert_eq!(shown(&back, 0), shown(&other_like(&back), 0));
            prop_assert_eq!((back.len(), back.arena().len(), back.sources().len()), (1, 4, 1));
        }
        let mut long = out;
        long.push(0);
        prop_assert!(read(&long, &mut other()).is_err());
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut b = other();
        let count = read(&bytes, &mut b);
        prop_assert_eq!(b.len(), 1 + count.unwrap_or(0));
        shown(&b, 0);
    }

    #[test]
    fn changed_bytes_do_no_harm(seed: u64, at: prop::sample::Index, to: u8) {
        let mut out = packed(&batch(&mut Rng::new(seed), 4));
        let at = at.index(out.len());
        out[at] = to;
        let mut b = other();
        let count = read(&out, &mut b);
        prop_assert_eq!(b.len(), 1 + count.unwrap_or(0));
        prop_assert!(b.memory() < 64 * 1024 + 64 * out.len());
        shown(&b, 0);
    }
}

/// [`other`] with the source of `b`, which is one of a kind.
fn other_like(b: &Batch) -> Batch {
    let mut like = other();
    like.set_position(b.position(0));
    like
}

#[test]
fn an_access_log_stays_small() {
    let b = access_log(1000);
    let out = packed(&b);
    let text = b.arena().len();
    assert!(out.len() * 100 <= text * 118, "{} bytes for {text} of text", out.len());
}

#[test]
fn many_keys_and_sources() {
    let mut b = Batch::new(Tag::new("t"));
    for round in 0..3u64 {
        for n in 0..700 {
            b.set_source(Source { dev: 1, ino: n % 300 + 1, print: 7, base: 0 });
            let mark = b.begin();
            b.push(Cell::int(Key::of(&format!("many {n}")), n as i64));
            b.finish_at(mark, Time(0), round * 1000 + n);
        }
    }
    let mut back = Batch::new(Tag::new("t"));
    assert_eq!(read(&packed(&b), &mut back), Ok(2100));
    assert_eq!(shown(&back, 0), shown(&b, 0));
}

#[test]
fn what_is_too_deep_is_read_less_deep() {
    let mut b = Batch::new(Tag::new("t"));
    let mark = b.begin();
    let opened: Vec<_> = (0..MAX_DEPTH + 5).map(|_| b.open(Key::of("m"), Kind::Map)).collect();
    opened.into_iter().rev().for_each(|m| b.close(m, 1));
    b.push_text(Key::of("log"), b"here");
    b.finish(mark, Time(0));
    let mut back = Batch::new(Tag::new("t"));
    assert_eq!(read(&packed(&b), &mut back), Ok(1));
    assert_eq!(back.body(0).count_entries(), 2);
    assert_eq!(back.body(0).run().len(), MAX_DEPTH + 6);
}

#[test]
fn hostile_numbers() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let empty = |tail: &[u8]| [&[1, SOURCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], tail].concat();
    assert_eq!(read(&empty(&[0]), &mut other()), Ok(1));
    let cases: &[(&str, Vec<u8>)] = &[
        ("nothing", vec![]),
        ("records that cannot be", huge.to_vec()),
        ("a record without a source", vec![1, 0, 0, 0, 0]),
        ("flags", vec![1, 4, 0, 0, 0]),
        ("cells that cannot be", empty(&huge)),
        ("an unknown key", empty(&[1, 3, NULL])),
        ("a key of no length", empty(&[1, 2, 0xff, 0xff, 0xff, 0xff, NULL])),
        ("a text that is longer than all", empty(&[[1, 0, STR | 0xf0].as_slice(), &huge].concat())),
        ("a map with more cells than there are", empty(&[1, 0, MAP | 1 << 4, 0, NULL])),
        ("a number of nine bytes", empty(&[1, 0, INT | 9 << 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a kind that does not exist", empty(&[1, 0, 12])),
        ("half a truth", empty(&[1, 0, BOOL | 2 << 4])),
    ];
    for (what, bytes) in cases {
        assert!(read(bytes, &mut other()).is_err(), "{what}");
    }
}
