//! Random batches, what makes them equal, and folders, for the tests.

use crate::event::{Batch, Cell, Key, Kind, Source, Tag, View};
use crate::fmt::date_format::DateFormat;
use crate::fmt::json_write::JsonOpts;
use crate::fmt::msgpack_write::write_event;
use crate::fmt::record::{Container, RecordFormat};
use crate::time::Time;
use crate::util::rng::Rng;
use std::fs;
use std::path::PathBuf;

/// A path for a folder, which goes with the test.
pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A batch of up to `max` records: every kind of value, nested and edited, of several sources.
pub(super) fn batch(rng: &mut Rng, max: u64) -> Batch {
    let mut b = Batch::new(Tag::new("some.tag"));
    for i in 0..rng.between(0, max) as usize {
        if rng.between(0, 3) == 0 {
            let base = rng.between(0, 1 << 40);
            b.set_source(Source { dev: rng.between(0, 3), ino: rng.between(0, 5), print: rng.next_u64(), base });
        }
        let mark = b.begin();
        entries(rng, &mut b, Kind::Map, 0);
        let time =
            Time(if rng.between(0, 9) == 0 { rng.next_u64() as i64 } else { 1_700_000_000_000_000_000 + i as i64 });
        if rng.between(0, 3) == 0 {
            b.finish(mark, time);
        } else {
            let base = b.sources().last().unwrap().base;
            b.finish_at(mark, time, base + rng.between(0, u64::from(u32::MAX)));
        }
        match rng.between(0, 9) {
            0 => {
                let mark = b.begin();
                entries(rng, &mut b, Kind::Map, 0);
                b.replace_meta(i, mark);
            }
            1 => {
                let mark = b.reopen(i);
                b.push_text(Key::of("added"), b"later");
                b.replace_body(i, mark);
            }
            _ => {}
        }
    }
    for i in 0..b.len() {
        if rng.between(0, 9) == 0 {
            b.drop_record(i);
        }
    }
    if rng.between(0, 1) == 0 {
        b.settle();
    }
    b
}

fn entries(rng: &mut Rng, b: &mut Batch, kind: Kind, depth: u32) -> u32 {
    let n = rng.between(0, if depth == 0 { 12 } else { 4 });
    for _ in 0..n {
        let key = if kind == Kind::Array { Key::NONE } else { key(rng, b) };
        value(rng, b, key, depth);
    }
    n as u32
}

fn key(rng: &mut Rng, b: &mut Batch) -> Key {
    match rng.between(0, 19) {
        0 => b.key("long".repeat(rng.between(65, 70) as usize).as_bytes()),
        1 => Key::of(&format!("rare {}", rng.between(0, 400))),
        _ => Key::of(["log", "stream", "host", "é", "", "a\"b"][rng.between(0, 5) as usize]),
    }
}

fn value(rng: &mut Rng, b: &mut Batch, key: Key, depth: u32) {
    let word = rng.next_u64() >> rng.between(0, 63);
    match rng.between(0, 11) {
        0 => b.push(Cell::null(key)),
        1 => b.push(Cell::bool(key, word & 1 == 0)),
        2 => b.push(Cell::int(key, word as i64)),
        3 => b.push(Cell::int(key, (word as i64).wrapping_neg())),
        4 => b.push(Cell::uint(key, word)),
        5 => b.push(Cell::float(key, f64::from_bits(rng.next_u64()))),
        6 => {
            let span = b.arena_mut().push(&word.to_le_bytes());
            b.push(Cell::bin(key, span));
        }
        7 if depth < 6 => nested(rng, b, key, Kind::Map, depth),
        8 if depth < 6 => nested(rng, b, key, Kind::Array, depth),
        9 => {
            let flags = rng.between(0, 3) as u8;
            let text = if flags & 2 == 0 { "clean" } else { r#"a\"b\n\\"# };
            let span = b.arena_mut().push(text.as_bytes());
            b.push(Cell::str(key, span, flags));
        }
        _ => {
            let n = rng.between(0, if depth == 0 { 300 } else { 20 });
            let text: Vec<u8> = (0..n).map(|_| rng.between(0, 255) as u8).collect();
            b.push_text(key, &text);
        }
    }
}

fn nested(rng: &mut Rng, b: &mut Batch, key: Key, kind: Kind, depth: u32) {
    let opened = b.open(key, kind);
    let n = entries(rng, b, kind, depth + 1);
    b.close(opened, n);
}

/// A record as msgpack, where it came from, and what JSON makes of it.
pub(super) type Shown = (Time, Vec<u8>, (u64, u64, u64, u64), Vec<u8>);

/// Everything that can be seen of the records from `from` on; dropped ones are no records.
pub(super) fn shown(b: &Batch, from: usize) -> Vec<Shown> {
    let json = RecordFormat::new(Some("date"), DateFormat::Double, JsonOpts::default());
    let one = |i: usize| {
        let (record, only) = (b.record(i), [i as u32]);
        let (mut packed, mut text) = (Vec::new(), Vec::new());
        write_event(&record, &mut packed);
        json.write(Container::JsonLines, &View::only(b, Some(&only)), &mut text);
        let at = record.position();
        (record.time(), packed, (at.source.dev, at.source.ino, at.source.print, at.offset), text)
    };
    (from..b.len()).filter(|&i| !b.is_dropped(i)).map(one).collect()
}

/// Lines of an access log, taken apart into nine fields as a parser does it: spans of the line.
pub(super) fn access_log(lines: usize) -> Batch {
    let mut b = Batch::new(Tag::new("nginx"));
    b.set_source(Source { dev: 1, ino: 2, print: 3, base: 0 });
    let keys = ["remote", "host", "user", "method", "path", "code", "size", "referer", "agent"].map(Key::of);
    for n in 0..lines {
        let fields = [
            format!("10.{}.{}.{}", n % 256, n % 199, n % 77),
            "-".to_owned(),
            "-".to_owned(),
            "GET".to_owned(),
            format!("/api/v1/items/{n}?page={}&sort=name", n % 50),
            "200".to_owned(),
            format!("{}", n * 31 % 99_973),
            format!("https://example.com/start?from={}", n % 1000),
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36".into(),
        ];
        let line = b.arena().len();
        let mark = b.begin();
        for (key, field) in keys.iter().zip(&fields) {
            let span = b.arena_mut().push(field.as_bytes());
            b.arena_mut().push(b" ");
            b.push_span(*key, span);
        }
        b.finish_at(mark, Time(1_714_564_800_000_000_000 + n as i64 / 100 * 1_000_000_000), line as u64);
    }
    b
}
