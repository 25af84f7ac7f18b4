//! JSON in and out, per line and in MB/s, beside serde_json: `cargo bench --profile quick --bench json`
//! (`-- --ours` leaves serde_json out, `-- --fields` all but the first).

use collector::event::{Batch, Key, Tag, View};
use collector::fmt::date_format::DateFormat;
use collector::fmt::json_read::JsonReader;
use collector::fmt::json_write::{JsonOpts, write_map};
use collector::fmt::msgpack_read::MsgpackReader;
use collector::fmt::msgpack_write::write_events;
use collector::fmt::record::{Container, RecordFormat};
use collector::time::Time;
use std::hint::black_box;
use std::time::{Duration, Instant};

const LINES: usize = 4096;

fn main() {
    let docker = |n: usize| {
        format!(
            r#"{{"log":"10.42.{}.{} - - [12/Mar/2021:10:{:02}:09 +0000] \"GET /api/v1/items/{n} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) kube-probe/1.20 (amd64)\"\n","stream":"stdout","time":"2021-03-12T10:21:09.{:09}Z"}}"#,
            n % 256,
            n % 199,
            n % 60,
            n * 31 % 9973,
            n * 7919 % 1_000_000_000
        )
    };
    let plain = |n: usize| {
        format!(
            r#"{{"log":"2021-03-12 10:21:{:02} INFO com.example.service.ItemService - item {n} was stored in shard {} after a while of waiting for it to be free again, ticket 10045\n","stream":"stderr","time":"2021-03-12T10:21:09.{:09}Z"}}"#,
            n % 60,
            n % 17,
            n * 7919 % 1_000_000_000
        )
    };
    let app = |n: usize| {
        format!(
            r#"{{"ts": 1615544469.{:03}, "level": "info", "msg": "request done", "status": {}, "bytes": {}, "user": {{"id": {n}, "name": "Zoë", "roles": ["admin", "dev"]}}, "ok": true, "err": null}}"#,
            n % 1000,
            200 + n % 300,
            n * 37
        )
    };
    fields();
    if std::env::args().any(|a| a == "--fields") {
        return;
    }
    measure("docker, escaped quotes", &(0..LINES).map(docker).collect::<Vec<_>>());
    measure("docker, plain", &(0..LINES).map(plain).collect::<Vec<_>>());
    measure("application, nested", &(0..LINES).map(app).collect::<Vec<_>>());
}

/// Fields as a regular expression leaves them: short, and nothing known about their bytes.
fn fields() {
    let mut batch = Batch::new(Tag::new("bench"));
    for n in 0..LINES {
        let mark = batch.begin();
        for (key, value) in [
            ("remote", format!("10.42.{}.{}", n % 256, n % 199)),
            ("host", "-".into()),
            ("user", "-".into()),
            ("method", "GET".into()),
            ("path", format!("/api/v1/items/{n}?page={}", n % 31)),
            ("code", "200".into()),
            ("size", format!("{}", n * 31 % 9973)),
            ("referer", "https://shop.example.com/start".into()),
            ("agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0".into()),
        ] {
            batch.push_text(Key::of(key), value.as_bytes());
        }
        batch.finish(mark, Time(1_615_544_469_123_456_789 + n as i64 * 200_003_007));
    }
    let mut out = Vec::new();
    for (what, format) in [("date as double", DateFormat::Double), ("date as iso8601", DateFormat::Iso8601)] {
        let lines = RecordFormat::new(Some("date"), format, JsonOpts::default());
        let mut best = Duration::MAX;
        for _ in 0..200 {
            out.clear();
            let start = Instant::now();
            lines.write(Container::JsonLines, &View::all(&batch), &mut out);
            best = best.min(start.elapsed());
            black_box(&out);
        }
        let ns = best.as_nanos() as f64;
        let (line, rate) = (ns / LINES as f64, out.len() as f64 * 1e3 / ns);
        println!("nine fields, {what:<16} {line:>7.1} ns/line {rate:>8.0} MB/s");
    }
}

fn measure(name: &str, lines: &[String]) {
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("{name}: {} bytes a line", bytes / lines.len());
    let report = |what: &str, best: Duration| {
        let ns = best.as_nanos() as f64;
        println!("  {what:<22} {:>7.1} ns/line {:>8.0} MB/s", ns / lines.len() as f64, bytes as f64 * 1e3 / ns);
    };

    let mut reader = JsonReader::default();
    let mut batch = Batch::new(Tag::new("bench"));
    let mut best = Duration::MAX;
    for _ in 0..200 {
        batch.recycle(Tag::new("bench"), usize::MAX);
        let spans: Vec<_> = lines.iter().map(|l| batch.arena_mut().push(l.as_bytes())).collect();
        let start = Instant::now();
        for span in spans {
            let mark = batch.begin();
            if reader.object(&mut batch, span).is_ok() {
                batch.finish(mark, Time(1_615_544_469_123_456_789 + i64::from(span.at) * 1_003_007));
            }
        }
        best = best.min(start.elapsed());
    }
    assert_eq!(batch.len(), lines.len());
    report("read", best);

    let mut out = Vec::new();
    let mut best = Duration::MAX;
    for _ in 0..200 {
        out.clear();
        let start = Instant::now();
        for record in batch.records() {
            write_map(record.body(), JsonOpts::default(), &mut out);
            out.push(b'\n');
        }
        best = best.min(start.elapsed());
        black_box(&out);
    }
    report("write", best);

    let lines_format = RecordFormat::new(Some("date"), DateFormat::Double, JsonOpts::default());
    let mut best = Duration::MAX;
    for _ in 0..200 {
        out.clear();
        let start = Instant::now();
        lines_format.write(Container::JsonLines, &View::all(&batch), &mut out);
        best = best.min(start.elapsed());
        black_box(&out);
    }
    report("write json_lines", best);

    let mut best = Duration::MAX;
    for _ in 0..200 {
        out.clear();
        let start = Instant::now();
        write_events(&View::all(&batch), &mut out);
        best = best.min(start.elapsed());
        black_box(&out);
    }
    report("write msgpack", best);

    let mut reader = MsgpackReader::default();
    let mut best = Duration::MAX;
    for _ in 0..200 {
        batch.recycle(Tag::new("bench"), usize::MAX);
        let mut rest = batch.arena_mut().push(&out);
        let start = Instant::now();
        while let Ok(Some(used)) = reader.next_event(&mut batch, rest) {
            rest = rest.sub(used, rest.len as usize);
        }
        best = best.min(start.elapsed());
    }
    assert_eq!(batch.len(), lines.len());
    report("read msgpack", best);

    if std::env::args().any(|a| a == "--ours") {
        return;
    }
    let mut best = Duration::MAX;
    let mut values = Vec::new();
    for _ in 0..20 {
        values.clear();
        let start = Instant::now();
        values.extend(lines.iter().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok()));
        best = best.min(start.elapsed());
    }
    report("serde_json read", best);
    let mut best = Duration::MAX;
    for _ in 0..20 {
        out.clear();
        let start = Instant::now();
        for v in &values {
            let _ = serde_json::to_writer(&mut out, v);
            out.push(b'\n');
        }
        best = best.min(start.elapsed());
        black_box(&out);
    }
    report("serde_json write", best);
}
