//! What a line costs in the built-in parsers, in nanoseconds: `cargo bench --profile quick --bench parse`.
//!
//! For regex parsers the search alone is measured too, so that the rest (time, cells) can be seen. Other parsers and
//! another count of lines may be given: `-- nginx cri 50000`.

use collector::conf::ini;
use collector::error::Diags;
use collector::event::{Batch, Span, Tag};
use collector::parse::regex::{Regex, Slots};
use collector::parse::{Parsed, Parser, ParserSet, STOCK};
use collector::time::Time;
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: Time = Time(1_714_564_800_000_000_000);
/// Bytes of text in a batch.
const CHUNK: usize = 512 * 1024;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Without `--bench` this runs as a test: does everything match?
    let (mut count, runs) = if words.iter().any(|w| w == "--bench") { (20_000, 40) } else { (1_000, 1) };
    let mut names: Vec<&str> = Vec::new();
    for word in words.iter().filter(|w| !w.starts_with("--")) {
        match word.parse() {
            Ok(n) => count = usize::max(n, 1),
            Err(_) => names.push(word),
        }
    }
    if names.is_empty() {
        names = vec!["nginx", "apache2", "docker", "cri", "syslog-rfc3164", "syslog-rfc5424"];
    }
    println!("{:16} {:6} {:>8} {:>10} {:>10} {:>8}", "parser", "engine", "B/line", "ns/line", "search ns", "rest ns");
    for name in names {
        let lines = generate(name, count);
        let bytes: usize = lines.iter().map(Vec::len).sum();
        let mut parser = ParserSet::default().get(name).expect("a built-in parser").make();
        let (regex, mut slots) = (pattern(name), Slots::default());
        let mut chunks = chunks(&lines);
        let (mut all, mut alone) = (Duration::MAX, Duration::MAX);
        // In turns, and the least of many: the machine has other work too.
        for _ in 0..runs {
            all = all.min(parse(parser.as_mut(), &mut chunks));
            if let Some(regex) = &regex {
                alone = alone.min(search(regex, &mut slots, &chunks));
            }
        }
        let nanos = |d: Duration| d.as_nanos() as f64 / lines.len() as f64;
        let (all, alone) = (nanos(all), if regex.is_some() { nanos(alone) } else { 0.0 });
        let engine = regex.as_ref().map_or("-", Regex::engine);
        println!("{name:16} {engine:6} {:>8} {all:>10.1} {alone:>10.1} {:>8.1}", bytes / lines.len(), all - alone);
    }
}

/// Lines laid out in batches beforehand, as the engine has them: what reading them costs is not measured.
struct Chunk {
    batch: Batch,
    lines: Vec<Span>,
}

fn chunks(lines: &[Vec<u8>]) -> Vec<Chunk> {
    let mut all: Vec<Chunk> = Vec::new();
    for line in lines {
        if all.last().is_none_or(|c| c.batch.arena().len() > CHUNK) {
            all.push(Chunk { batch: Batch::new(Tag::new("t")), lines: Vec::new() });
        }
        if let Some(chunk) = all.last_mut() {
            chunk.lines.push(chunk.batch.arena_mut().push(line));
        }
    }
    all
}

/// Parses all lines; the cells are thrown away after each chunk, so that the tape is warm from the second run on.
fn parse(parser: &mut dyn Parser, chunks: &mut [Chunk]) -> Duration {
    let mut took = Duration::ZERO;
    for Chunk { batch, lines } in chunks {
        let (first, arena_end) = (batch.begin(), batch.arena().len());
        let start = Instant::now();
        for &line in lines.iter() {
            if parser.parse(batch, line, NOW) == Parsed::Miss {
                panic!("a miss: {:?}", String::from_utf8_lossy(batch.arena().get(line)));
            }
        }
        took += start.elapsed();
        batch.abandon(first);
        batch.arena_mut().truncate(arena_end);
    }
    took
}

fn search(regex: &Regex, slots: &mut Slots, chunks: &[Chunk]) -> Duration {
    let start = Instant::now();
    for Chunk { batch, lines } in chunks {
        for &line in lines {
            black_box(regex.captures(batch.arena().get(line), slots));
        }
    }
    start.elapsed()
}

/// The pattern of a built-in regex parser.
fn pattern(name: &str) -> Option<Regex> {
    let doc = ini::parse("parsers.conf", STOCK.as_bytes(), &mut Diags::new());
    let section = doc.sections.iter().find(|s| s.value("Name") == Some(name))?;
    Regex::new(section.value("Regex")?).ok()
}

/// Lines of the shape that `name` reads; about a hundred share a second.
fn generate(name: &str, count: usize) -> Vec<Vec<u8>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut lines = Vec::with_capacity(count);
    for n in 0..count {
        let (minute, second) = (n / 6000 % 60, n / 100 % 60);
        let nanos = (n % 100) * 10_000_000 + random(10_000_000) as usize;
        let host = format!("10.{}.{}.{}", random(256), random(256), random(256));
        let path = format!("/api/v{}/items/{}?page={}&sort=name", random(3), random(100_000), random(50));
        let code = [200, 200, 200, 304, 404][random(5) as usize];
        let size = random(100_000);
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36";
        let iso = format!("2024-05-01T10:{minute:02}:{second:02}.{nanos:09}");
        let old = format!("May  1 10:{minute:02}:{second:02}");
        let message = format!("request {} served from cache in {} ms, {size} bytes", random(1 << 40), random(500));
        let line = match name {
            "docker" => {
                let quoted = message.replace("cache", "\\\"cache\\\"");
                format!(r#"{{"log":"{quoted}\n","stream":"stdout","time":"{iso}Z"}}"#)
            }
            "cri" => format!("{iso}+00:00 stdout F {message}"),
            "syslog-rfc3164" => format!("<{}>{old} web{} nginx[{}]: {message}", random(192), random(9), random(32_000)),
            "syslog-rfc5424" => format!(
                r#"<{}>1 {iso}Z web{}.example.com app {} ID{} [meta@32473 seq="{n}" ip="{host}"] {message}"#,
                random(192),
                random(9),
                random(32_000),
                random(99)
            ),
            _ => format!(
                "{host} - - [01/May/2024:10:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" {code} {size} \
                 \"https://example.com/start?from={}\" \"{agent}\"",
                random(1000)
            ),
        };
        lines.push(line.into_bytes());
    }
    lines
}
