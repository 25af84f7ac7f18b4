//! Records as bytes of a chunk file and back, in nanoseconds a record: `cargo bench --profile quick --bench pack`.

use collector::event::{Batch, Key, Source, Tag, View};
use collector::fmt::msgpack_write::write_events;
use collector::store::pack;
use collector::time::Time;
use std::hint::black_box;
use std::time::{Duration, Instant};

const LINES: usize = 4096;

fn main() {
    let fields = access_log();
    measure("nine fields", &fields);
    measure("one text", &lines(&fields));
}

fn measure(name: &str, batch: &Batch) {
    let runs = if std::env::args().any(|a| a == "--bench") { 300 } else { 1 };
    let report = |what: &str, best: Duration, bytes: usize| {
        let ns = best.as_nanos() as f64 / LINES as f64;
        println!("{name:<12} {what:<14} {ns:>7.1} ns/record {:>6} bytes/record", bytes / LINES);
    };
    let mut out = Vec::new();
    let time = |work: &mut dyn FnMut()| {
        (0..runs).fold(Duration::MAX, |best, _| {
            let start = Instant::now();
            work();
            best.min(start.elapsed())
        })
    };
    let best = time(&mut || {
        out.clear();
        pack::write(black_box(batch), 0..batch.len(), &mut out);
    });
    report("write", best, out.len());
    let mut back = Batch::new(Tag::new("t"));
    let best = time(&mut || {
        back.recycle(Tag::new("t"), usize::MAX);
        let read = pack::read(black_box(&out), &mut back);
        assert_eq!(read, Ok(LINES));
    });
    report("read", best, back.used());
    let mut crc = 0;
    let best = time(&mut || crc ^= crc32fast::hash(black_box(&out)));
    black_box(crc);
    report("crc32", best, out.len());
    let mut packed = Vec::new();
    let best = time(&mut || {
        packed.clear();
        write_events(&View::all(black_box(batch)), &mut packed);
    });
    report("msgpack write", best, packed.len());
    println!("{name:<12} {:<14} {:>37} bytes/record", "text", batch.arena().len() / LINES);
}

/// Lines of an access log, taken apart as the parser does it: fields are spans of the line.
fn access_log() -> Batch {
    let mut batch = Batch::new(Tag::new("nginx"));
    batch.set_source(Source { dev: 1, ino: 2, print: 3, base: 0 });
    let keys = ["remote", "host", "user", "method", "path", "code", "size", "referer", "agent"].map(Key::of);
    for n in 0..LINES {
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36";
        let fields = [
            &format!("10.{}.{}.{}", n % 256, n % 199, n % 77),
            "-",
            "-",
            "GET",
            &format!("/api/v1/items/{n}?page={}&sort=name", n % 50),
            "200",
            &format!("{}", n * 31 % 99_973),
            &format!("https://example.com/start?from={}", n % 1000),
            agent,
        ];
        let line = batch.arena().len();
        let mark = batch.begin();
        for (key, field) in keys.iter().zip(fields) {
            let span = batch.arena_mut().push(field.as_bytes());
            batch.arena_mut().push(b" ");
            batch.push_span(*key, span);
        }
        batch.finish_at(mark, Time(1_714_564_800_000_000_000 + n as i64 / 100 * 1_000_000_000), line as u64);
    }
    batch
}

/// The same lines, whole, under one key.
fn lines(fields: &Batch) -> Batch {
    let mut batch = Batch::new(Tag::new("lines"));
    let width = fields.arena().len() / LINES;
    let texts: Vec<_> = (0..LINES)
        .map(|n| {
            let text = fields.arena().as_slice().get(n * width..(n + 1) * width).unwrap_or_default();
            batch.arena_mut().push(text)
        })
        .collect();
    batch.push_texts(Key::of("log"), &texts, Time(1_714_564_800_000_000_000), 0, 0);
    batch
}
