//! Writes the files that the bench reads: the same bytes for the same shape and size, on every machine.
//!
//! `bench-gen SHAPE MIB FILE`. Of the logs (SHAPE is nginx, docker, cri or cri_json) it prints `LINES BYTES KEPT`: KEPT lines do not
//! hold the word that the bench's filter drops. Of the captures (http, dns, flows, mix) it prints `PACKETS BYTES
//! TRANSACTIONS FLOWS`; of mix, which is put together from samples that lie beside the project, 0 for the last two.

mod frames;
mod mix;
mod packets;

use frames::Capture;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// The word that lines are dropped for.
const DROPPED: &str = "/healthz";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, shape, mib, path] = args.as_slice() else {
        fail("bench-gen nginx|docker|cri|cri_json|http|dns|flows|mix MIB FILE")
    };
    let Ok(mib) = mib.parse::<u64>() else { fail("MIB is a number") };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut out =
        BufWriter::with_capacity(1 << 20, File::create(path).unwrap_or_else(|e| fail(&format!("{path}: {e}"))));
    if let Some(told) = capture(&mut random, shape, mib << 20, &mut out) {
        let told = told.unwrap_or_else(|e| fail(&e.to_string()));
        println!("{}", told.map(|number| number.to_string()).join(" "));
        return;
    }
    let (mut lines, mut bytes, mut kept) = (0u64, 0u64, 0u64);
    let mut line = String::new();
    while bytes < mib << 20 {
        line.clear();
        match shape.as_str() {
            "nginx" => access(&mut random, lines, &mut line),
            "docker" => docker(&mut random, lines, &mut line),
            "cri" => cri(&mut random, lines, &mut line),
            "cri_json" => cri_json(&mut random, lines, &mut line),
            other => fail(&format!("no shape '{other}'")),
        }
        line.push('\n');
        kept += u64::from(!line.contains(DROPPED));
        lines += 1;
        bytes += line.len() as u64;
        out.write_all(line.as_bytes()).unwrap_or_else(|e| fail(&e.to_string()));
    }
    out.flush().unwrap_or_else(|e| fail(&e.to_string()));
    println!("{lines} {bytes} {kept}");
}

/// A capture of this shape, if there is one: packets, bytes, transactions, flows.
fn capture(r: &mut Random, shape: &str, bytes: u64, out: &mut impl Write) -> Option<io::Result<[u64; 4]>> {
    let write = match shape {
        "http" => packets::http,
        "dns" => packets::dns,
        "flows" => packets::flows,
        "mix" => return Some(mix::mix(bytes, out).map(|(packets, bytes)| [packets, bytes, 0, 0])),
        _ => return None,
    };
    let mut run = |out| {
        let mut capture = Capture::new(out)?;
        let (transactions, flows) = write(r, bytes, &mut capture)?;
        capture.flush()?;
        Ok([capture.packets, capture.bytes, transactions, flows])
    };
    Some(run(out))
}

fn fail(why: &str) -> ! {
    eprintln!("bench-gen: {why}");
    std::process::exit(2);
}

/// Numbers that look random and are always the same (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "GET", "GET", "POST", "PUT", "HEAD", "DELETE"];
const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/api/v1/orders",
    "/api/v1/users",
    "/static/js/app.js",
    "/static/css/site.css",
    "/images/logo.png",
    "/search",
    "/cart",
    "/p",
];
const STATUSES: &[&str] = &["200", "200", "200", "200", "200", "200", "201", "204", "301", "304", "404", "500", "502"];
const REFERERS: &[&str] = &[
    "-",
    "-",
    "https://shop.example/",
    "https://shop.example/search?q=tea",
    "https://www.example.org/a/long/path/to/a/page.html",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "curl/8.12.1",
    "kube-probe/1.31",
];
const LEVELS: &[&str] = &["info", "info", "info", "debug", "warn", "error"];
const WORDS: &[&str] = &[
    "request",
    "handled",
    "for",
    "tenant",
    "cache",
    "miss",
    "retrying",
    "connection",
    "to",
    "upstream",
    "closed",
    "after",
    "timeout",
    "in",
    "queue",
];

/// Seconds of a day, four lines each second, as `12/Mar/2025:08:14:03 +0000`.
fn clock(n: u64) -> (u64, u64, u64, u64) {
    let s = n / 4;
    (12 + s / 86400 % 14, s / 3600 % 24, s / 60 % 60, s % 60)
}

/// The combined log format, about 210 bytes.
fn access(r: &mut Random, n: u64, line: &mut String) {
    let (day, h, m, s) = clock(n);
    let user = if r.below(8) == 0 { "mira" } else { "-" };
    let _ = write!(line, "{}.{}.{}.{} - {user} ", r.below(223) + 1, r.below(256), r.below(256), r.below(256));
    let _ = write!(line, "[{day:02}/Mar/2025:{h:02}:{m:02}:{s:02} +0000] \"{} ", r.of(METHODS));
    path(r, line);
    let (status, size) = (r.of(STATUSES), r.below(60_000));
    let _ = write!(line, " HTTP/1.1\" {status} {size} \"{}\" \"{}\"", r.of(REFERERS), r.of(AGENTS));
}

fn path(r: &mut Random, line: &mut String) {
    if r.below(16) == 0 {
        line.push_str(DROPPED);
        return;
    }
    line.push_str(r.of(PATHS));
    match r.below(3) {
        0 => _ = write!(line, "/{}", r.below(1_000_000)),
        1 => _ = write!(line, "?page={}&session={:016x}", r.below(50), r.next()),
        _ => {}
    }
}

/// What an application says: 60 to 200 bytes, now and then with quotes and a tab.
fn message(r: &mut Random, line: &mut String, quote: &str) {
    let _ = write!(line, "level={} ", r.of(LEVELS));
    if r.below(4) == 0 {
        let _ = write!(line, "path={quote}");
        path(r, line);
        let _ = write!(line, "{quote} ");
    }
    for _ in 0..4 + r.below(12) {
        line.push_str(r.of(WORDS));
        line.push(' ');
    }
    let _ = write!(line, "id={:016x} took={}ms", r.next(), r.below(5000));
}

/// A line of a docker json-file, about 230 bytes.
fn docker(r: &mut Random, n: u64, line: &mut String) {
    let (day, h, m, s) = clock(n);
    line.push_str("{\"log\":\"");
    message(r, line, "\\\"");
    let stream = r.of(&["stdout", "stdout", "stdout", "stderr"]);
    let _ = write!(
        line,
        "\\n\",\"stream\":\"{stream}\",\"time\":\"2025-03-{day:02}T{h:02}:{m:02}:{s:02}.{:09}Z\"}}",
        r.below(1_000_000_000)
    );
}

/// A line as the container runtimes of Kubernetes write it, about 190 bytes.
fn cri(r: &mut Random, n: u64, line: &mut String) {
    let (day, h, m, s) = clock(n);
    let stream = r.of(&["stdout", "stdout", "stdout", "stderr"]);
    let _ = write!(line, "2025-03-{day:02}T{h:02}:{m:02}:{s:02}.{:09}+00:00 {stream} F ", r.below(1_000_000_000));
    message(r, line, "\"");
}

/// The same from an application that writes JSON, about 240 bytes.
fn cri_json(r: &mut Random, n: u64, line: &mut String) {
    let (day, h, m, s) = clock(n);
    let stream = r.of(&["stdout", "stdout", "stdout", "stderr"]);
    let _ = write!(line, "2025-03-{day:02}T{h:02}:{m:02}:{s:02}.{:09}+00:00 {stream} F ", r.below(1_000_000_000));
    let _ = write!(line, "{{\"level\":\"{}\",\"msg\":\"", r.of(LEVELS));
    for _ in 0..4 + r.below(12) {
        line.push_str(r.of(WORDS));
        line.push(' ');
    }
    let _ = write!(
        line,
        "\",\"tenant\":\"t{}\",\"trace\":\"{:016x}\",\"took\":{}}}",
        r.below(100),
        r.next(),
        r.below(5000)
    );
}
