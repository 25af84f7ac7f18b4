//! The reader beside journals that were written for it, whole and damaged.

use super::testing::{Pack, Writer};
use super::*;
use proptest::prelude::*;

/// All entries with their fields.
fn all(bytes: &[u8]) -> Vec<(u64, Vec<String>)> {
    let mut source = bytes;
    let mut journal = Journal::open(&mut source).unwrap();
    let (mut entry, mut found) = (Entry::default(), Vec::new());
    for n in 0..journal.header().entries {
        assert!(journal.entry(&mut source, n, &mut entry).unwrap(), "{n}");
        let fields = entry.items.iter().map(|at| {
            let mut out = Vec::new();
            journal.data(&mut source, *at, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        found.push((entry.seqnum, fields.collect()));
    }
    found
}

fn sample(compact: bool, pack: Pack, entries: u64) -> Writer {
    let mut w = Writer::new(compact, pack, 7);
    for n in 1..=entries {
        let long = format!("LONG={}", "abc ".repeat(20 + n as usize));
        w.add(n, 1000 + n, &[b"_HOSTNAME=h", format!("MESSAGE=m{n}").as_bytes(), long.as_bytes()]);
    }
    w
}

#[test]
fn every_shape_is_read() {
    for compact in [false, true] {
        for pack in [Pack::Plain, Pack::Lz4, Pack::Zstd] {
            let found = all(&sample(compact, pack, 20).bytes);
            assert_eq!(found.len(), 20);
            let (seqnum, fields) = &found[16];
            assert_eq!(*seqnum, 17);
            assert_eq!(fields[..2], ["_HOSTNAME=h", "MESSAGE=m17"]);
            assert_eq!(fields[2], format!("LONG={}", "abc ".repeat(37)));
        }
    }
}

#[test]
fn what_is_written_later_is_seen_after_a_refresh() {
    let mut w = sample(false, Pack::Plain, 3);
    let mut journal = Journal::open(&mut &w.bytes[..]).unwrap();
    let mut entry = Entry::default();
    assert!(journal.entry(&mut &w.bytes[..], 2, &mut entry).unwrap());
    // Written, and not linked up: nothing leads to it.
    let at = w.entry(4, 2000, &[b"MESSAGE=4"]);
    assert_eq!(journal.refresh(&mut &w.bytes[..]), Ok(3));
    assert_eq!(journal.entry(&mut &w.bytes[..], 3, &mut entry), Ok(false));
    w.link(at);
    assert_eq!(journal.refresh(&mut &w.bytes[..]), Ok(4));
    assert!(journal.entry(&mut &w.bytes[..], 3, &mut entry).unwrap());
    assert_eq!((entry.seqnum, entry.realtime, entry.items.len()), (4, 2000, 1));
    let other = Writer::new(false, Pack::Plain, 8);
    assert_eq!(journal.refresh(&mut &other.bytes[..]), Err(Damage::Header));
}

#[test]
fn places_are_found() {
    let w = sample(true, Pack::Plain, 100);
    let mut journal = Journal::open(&mut &w.bytes[..]).unwrap();
    for seqnum in [0, 1, 50, 99, 100, 5000] {
        let n = journal.partition(&mut &w.bytes[..], |e| e.seqnum <= seqnum).unwrap();
        assert_eq!(n, seqnum.min(100));
    }
    assert_eq!(journal.partition(&mut &w.bytes[..], |e| e.realtime <= 1010), Ok(10));
    let none = Writer::new(false, Pack::Plain, 1);
    assert_eq!(Journal::open(&mut &none.bytes[..]).unwrap().partition(&mut &none.bytes[..], |_| true), Ok(0));
}

#[test]
fn what_is_no_journal() {
    let w = sample(false, Pack::Plain, 1).bytes;
    let open = |bytes: &[u8]| Journal::open(&mut &bytes[..]).map(|_| ());
    assert_eq!(open(b""), Err(Damage::Header));
    assert_eq!(open(&[b'x'; 300]), Err(Damage::NotJournal));
    let mut newer = w.clone();
    newer[13] = 1;
    assert_eq!(open(&newer), Err(Damage::Flags(256)));
    let mut small = w;
    small[88] = 8;
    small[89] = 0;
    assert_eq!(open(&small), Err(Damage::Header));
    let xz = sample(false, Pack::Xz, 1).bytes;
    let mut source = &xz[..];
    let mut journal = Journal::open(&mut source).unwrap();
    let mut entry = Entry::default();
    assert!(journal.entry(&mut source, 0, &mut entry).unwrap());
    assert_eq!(journal.data(&mut source, entry.items[2], &mut Vec::new()), Err(Damage::Xz));
}

/// An array that leads back to itself, and fields whose length is a lie.
#[test]
fn lies() {
    let w = sample(false, Pack::Plain, 3);
    let first = u64::from_le_bytes(w.bytes[176..184].try_into().unwrap()) as usize;
    let mut bytes = w.bytes.clone();
    bytes[first + 16..first + 24].copy_from_slice(&(first as u64).to_le_bytes());
    let mut journal = Journal::open(&mut &bytes[..]).unwrap();
    let got = journal.entry(&mut &bytes[..], 2, &mut Entry::default());
    assert_eq!(got, Err(Damage::Loop(first as u64)));
    let mut bytes = w.bytes.clone();
    bytes[256 + 8..256 + 16].copy_from_slice(&(MAX_DATA as u64 + 64).to_le_bytes());
    let journal = Journal::open(&mut &bytes[..]).unwrap();
    let mut out = Vec::new();
    assert_eq!(
        journal.data(&mut &bytes[..], 256, &mut out),
        Err(Damage::Outside(320 + (bytes.len() as u64 - 320) / 65536 * 65536))
    );
    assert!(out.is_empty());
    bytes[256 + 8..256 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(journal.data(&mut &bytes[..], 256, &mut out), Err(Damage::Object(256)));
}

#[test]
fn cursors() {
    let text = "s=0639e99a07bb48b2a40c6b8c6dfde1c8;i=1a2b;b=b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0;m=5;t=5ef5a1b2c3d4e;x=ff";
    let cursor = Cursor::parse(text).unwrap();
    assert_eq!((cursor.seqnum, cursor.realtime, cursor.xor_hash), (0x1a2b, 0x5ef5a1b2c3d4e, 255));
    assert_eq!(cursor.to_string(), text);
    for bad in ["", "s=1", "i=x", "s=0639e99a07bb48b2a40c6b8c6dfde1c8", "b=zz;i=1"] {
        assert_eq!(Cursor::parse(bad), None, "{bad}");
    }
    let later = Cursor { seqnum: 0x1a2c, realtime: 1, ..cursor };
    assert!(cursor.order(&later).is_lt(), "a clock that was set back");
    let elsewhere = Cursor { seqnum_id: Id([1; 16]), monotonic: 4, ..later };
    assert!(cursor.order(&elsewhere).is_gt(), "of one boot");
    let other_boot = Cursor { boot_id: Id([2; 16]), ..elsewhere };
    assert!(cursor.order(&other_boot).is_gt() && cursor.order(&cursor).is_eq());
}

/// The seeds of the fuzz target: `BLESS_SEEDS=1` writes them.
#[test]
fn seeds() {
    if std::env::var_os("BLESS_SEEDS").is_some() {
        for (n, (compact, pack)) in
            [(false, Pack::Plain), (true, Pack::Plain), (false, Pack::Lz4), (true, Pack::Zstd)].into_iter().enumerate()
        {
            let mut w = Writer::new(compact, pack, n as u8);
            w.add(1, 10, &[b"MESSAGE=one", b"LONG=abcabcabcabcabcabcabcabcabcabcabcabc"]);
            w.add(2, 11, &[b"MESSAGE=two"]);
            w.add(3, 12, &[b"MESSAGE=one"]);
            let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/journal");
            std::fs::write(format!("{dir}/{n}"), w.bytes).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn flipped_bytes_do_no_harm(
        compact: bool, pack in 0..4usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = sample(compact, [Pack::Plain, Pack::Lz4, Pack::Zstd, Pack::Xz][pack], 12).bytes;
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        crate::fuzz::journal(&bytes);
    }
}
