//! Between reading a line and sending it nothing is allocated for a record: counted by an allocator of our own.

use crate::lab::{Lab, has};
use collector::conf::Section;
use collector::error::Diags;
use collector::event::{Batch, Key, Span, Tag, View};
use collector::filter::{self, Filter, FilterCx};
use collector::fmt::json_write::JsonOpts;
use collector::output::{self, Output, Payload};
use collector::parse::{Parsed, Parser, ParserSet};
use collector::plugin::MakeCx;
use collector::time::Time;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

/// Counts what a thread asks for; other tests run beside this one.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is going away has nobody to count for.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a record at most: what a batch or a cache needs now and then, spread over its records.
const PER_RECORD: f64 = 0.02;

/// What a plugin is made with, for `make`.
fn made<T>(section: &Section, parsers: &ParserSet, make: impl FnOnce(&mut MakeCx<'_>) -> Option<T>) -> T {
    let mut diags = Diags::new();
    let mut cx = MakeCx {
        section,
        name: "x.0",
        diags: &mut diags,
        parsers,
        json: JsonOpts::default(),
        dir: Path::new("."),
        multiline_limit: 2 << 20,
    };
    let made = make(&mut cx);
    made.unwrap_or_else(|| panic!("{diags}"))
}

fn filter(name: &str, keys: &[(&str, &str)]) -> Box<dyn Filter> {
    let plugin = filter::PLUGINS.iter().find(|p| p.info.name == name).unwrap();
    made(&Section::of("FILTER", keys), &ParserSet::default(), |cx| (plugin.make)(cx))
}

fn output(name: &str, keys: &[(&str, &str)]) -> Box<dyn Output> {
    let plugin = output::PLUGINS.iter().find(|p| p.info.name == name).unwrap();
    made(&Section::of("OUTPUT", keys), &ParserSet::default(), |cx| (plugin.make)(cx))
}

/// The lines of a block, a parser, filters, an output's format, over a batch that is used again.
struct Pipeline {
    parser: Box<dyn Parser>,
    filters: Vec<Box<dyn Filter>>,
    output: Box<dyn Output>,
    batch: Batch,
    tag: Tag,
    payload: Payload,
}

impl Pipeline {
    fn new(parser: &str, filters: Vec<Box<dyn Filter>>, output: Box<dyn Output>) -> Self {
        Self::tagged("t", parser, filters, output)
    }

    fn tagged(tag: &str, parser: &str, filters: Vec<Box<dyn Filter>>, output: Box<dyn Output>) -> Self {
        let tag = Tag::new(tag);
        let parser = ParserSet::default().get(parser).unwrap().make();
        Self { parser, filters, output, batch: Batch::new(tag.clone()), payload: Payload::new(tag.clone()), tag }
    }

    /// One block of a file; answers the records that came out.
    fn block(&mut self, block: &[u8], now: Time) -> usize {
        self.batch.recycle(self.tag.clone(), 64 << 20);
        let text = self.batch.arena_mut().push(block);
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', self.batch.arena().get(text.sub(at, block.len()))) {
            self.line(text.sub(at, at + end), now);
            at += end + 1;
        }
        for filter in &mut self.filters {
            filter.apply(&mut self.batch, &mut FilterCx::new(now));
            self.batch.sweep();
        }
        self.payload.bytes.clear();
        self.payload.items.clear();
        self.output.format(&View::all(&self.batch), &mut self.payload).unwrap();
        self.batch.len()
    }

    fn line(&mut self, line: Span, now: Time) {
        let mark = self.batch.begin();
        match self.parser.parse(&mut self.batch, line, now) {
            Parsed::Hit(time) => self.batch.finish(mark, time.unwrap_or(now)),
            Parsed::Miss => {
                self.batch.push_span(Key::of("log"), line);
                self.batch.finish(mark, now);
            }
        }
    }
}

/// Allocations per line of a pipeline, after its buffers have grown.
fn check(mut pipeline: Pipeline, line: impl Fn(usize) -> String, kept: usize, bytes: &str) {
    const LINES: usize = 1000;
    let block = |n: usize| (0..LINES).map(|i| line(n * LINES + i)).collect::<String>().into_bytes();
    for n in 0..4 {
        pipeline.block(&block(n), Time(0));
    }
    let mut calls = 0;
    for n in 4..12 {
        let text = block(n);
        let before = COUNT.get();
        let records = pipeline.block(&text, Time(n as i64));
        calls += COUNT.get() - before;
        assert_eq!(records, kept);
    }
    let out = String::from_utf8_lossy(&pipeline.payload.bytes).into_owned();
    assert!(out.contains(bytes), "{out}");
    let each = calls as f64 / (8 * LINES) as f64;
    println!("{each} allocations per record");
    assert!(each <= PER_RECORD, "{each} allocations per record");
}

fn access(n: usize) -> String {
    let (s, path) =
        (n / 100 % 60, if n.is_multiple_of(10) { "/healthz".to_owned() } else { format!("/p/{n}?q=\u{e4}") });
    format!(
        "192.0.2.{} - - [12/Mar/2025:08:14:{s:02} +0000] \"GET {path} HTTP/1.1\" 200 {n} \"-\" \"agent \\x22 {n}\"\n",
        n % 256
    )
}

fn edits() -> Vec<Box<dyn Filter>> {
    let modify = [("set", "site shop"), ("rename", "remote client"), ("remove", "host"), ("copy", "path url")];
    vec![filter("grep", &[("exclude", "path ^/healthz")]), filter("modify", &modify)]
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    let text = std::hint::black_box(vec![1u8; 100]);
    assert_eq!(COUNT.get(), before + 1);
    drop(text);
}

#[test]
fn access_logs_to_json_lines() {
    let out = output("stdout", &[("format", "json_lines")]);
    check(Pipeline::new("nginx", edits(), out), access, 900, "\"client\":\"192.0.2.");
}

#[cfg(feature = "es")]
#[test]
fn access_logs_to_bulk_bodies() {
    let out = output("es", &[("host", "127.0.0.1"), ("logstash_format", "on"), ("generate_id", "on")]);
    check(Pipeline::new("nginx", edits(), out), access, 900, "{\"create\":{\"_index\":\"logstash-2025.03.12\"");
}

#[test]
fn access_logs_to_msgpack() {
    let out = output("file", &[("format", "msgpack")]);
    check(Pipeline::new("nginx", edits(), out), access, 900, "site");
}

#[test]
fn container_logs_to_json_lines() {
    let docker = |n: usize| {
        format!(
            "{{\"log\":\"line {n} says \\\"x\\\"\\n\",\"stream\":\"stdout\",\"attrs\":{{\"pod\":\"p-{}\"}},\"time\":\"2025-03-12T08:14:{:02}.{:09}Z\"}}\n",
            n % 7,
            n / 100 % 60,
            n * 1017 % 1_000_000_000
        )
    };
    let out = || output("file", &[("format", "json_lines")]);
    check(Pipeline::new("docker", vec![], out()), docker, 1000, "\"attrs\":{\"pod\":\"p-");
    let cri = |n: usize| {
        format!("2025-03-12T08:14:{:02}.{:09}+00:00 stdout F line {n} of a container\n", n / 100 % 60, n * 1017)
    };
    let grep = vec![filter("grep", &[("regex", "message container")])];
    check(Pipeline::new("cri", grep, out()), cri, 1000, "\"logtag\":\"F\"");
}

#[test]
fn container_logs_with_metadata_of_their_pod() {
    if !has!("kubernetes") {
        return;
    }
    let lab = Lab::new("alloc-kubernetes");
    let labels: Vec<_> = (0..8).map(|n| format!("\"label-{n}\":\"value {n}\"")).collect();
    let pod = format!(r#"{{"metadata":{{"uid":"u","labels":{{{}}}}},"spec":{{"nodeName":"n"}}}}"#, labels.join(","));
    lab.write("shop_web.meta", pod);
    let dir = lab.path("").display().to_string();
    let keys = [("merge_log", "on"), ("kube_meta_preload_cache_dir", dir.as_str())];
    let tag = format!("kube.var.log.containers.web_shop_app-{}.log", "0123456789abcdef".repeat(4));
    let docker = |n: usize| {
        let log =
            format!("{{\\\"level\\\":\\\"info\\\",\\\"n\\\":{n},\\\"msg\\\":\\\"handled in {} ms\\\"}}\\n", n % 90);
        format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"2025-03-12T08:14:{:02}.5Z\"}}\n", n / 100 % 60)
    };
    let out = output("file", &[("format", "json_lines")]);
    let pipeline = Pipeline::tagged(&tag, "docker", vec![filter("kubernetes", &keys)], out);
    check(pipeline, docker, 1000, "\"label-7\":\"value 7\"}");
}
