//! Filters on five-field CRI records, per record: `cargo bench --profile quick --bench filter`.

use collector::conf::Section;
use collector::error::Diags;
use collector::event::{Batch, Cell, Key, Tag};
use collector::filter::{Filter, FilterCx, PLUGINS};
use collector::fmt::json_write::JsonOpts;
use collector::parse::{Parsed, ParserSet};
use collector::plugin::MakeCx;
use collector::time::Time;
use std::path::Path;
use std::time::{Duration, Instant};

const RECORDS: usize = 4096;
const NOW: Time = Time(1_715_000_000_000_000_000);

fn main() {
    let grep = ("grep", vec![("Regex", "message GET|POST")]);
    let exclude = ("grep", vec![("Exclude", "message healthz")]);
    let stream = ("grep", vec![("Regex", "stream ^stdout$")]);
    let in_place = ("modify", vec![("Rename", "message log"), ("Remove", "logtag"), ("Add", "cluster eu-1")]);
    let grows = ("modify", vec![("Add", "cluster eu-1"), ("Set", "env prod")]);
    let condition = ("modify", vec![("Condition", "Key_value_equals stream stdout"), ("Set", "env prod")]);
    let record = ("record_modifier", vec![("Record", "host node-1"), ("Remove_key", "logtag")]);
    let nest = ("nest", vec![("Operation", "nest"), ("Wildcard", "log*"), ("Nest_under", "k8s"), ("Add_prefix", "x_")]);
    measure("grep: text in the message", &[&grep]);
    measure("grep: exclude", &[&exclude]);
    measure("grep: a short field", &[&stream]);
    measure("modify: rename, remove, add", &[&in_place]);
    measure("modify: add, set", &[&grows]);
    measure("modify: condition, set", &[&condition]);
    measure("record_modifier: one in, one out", &[&record]);
    measure("nest", &[&nest]);
    measure("grep and modify", &[&exclude, &in_place]);
}

fn measure(name: &str, chain: &[&(&str, Vec<(&str, &str)>)]) {
    let mut filters: Vec<_> = chain.iter().map(|(plugin, conf)| make(plugin, conf)).collect();
    let mut parser = ParserSet::default().get("cri").expect("built in").make();
    let mut batch = Batch::new(Tag::new("bench"));
    let mut best = Duration::MAX;
    for _ in 0..200 {
        batch.recycle(Tag::new("bench"), usize::MAX);
        let path = batch.arena_mut().push(b"/var/log/containers/web.log");
        for n in 0..RECORDS {
            let what = if n % 7 == 0 { "healthz" } else { "items" };
            let line = format!(
                "2024-05-06T07:08:09.{:09}Z std{} F 10.0.0.{} \"GET /api/{what}/{n} HTTP/1.1\" 200 {} \"kube-probe/1.29\"",
                n * 7919,
                if n % 5 == 0 { "err" } else { "out" },
                n % 200,
                n * 31
            );
            let text = batch.arena_mut().push(line.as_bytes());
            let mark = batch.begin();
            assert!(matches!(parser.parse(&mut batch, text, NOW), Parsed::Hit(_)), "{line}");
            batch.push(Cell::str(Key::of("file"), path, 0));
            batch.finish(mark, NOW);
        }
        let mut cx = FilterCx::new(NOW);
        let start = Instant::now();
        for filter in &mut filters {
            filter.apply(&mut batch, &mut cx);
            batch.sweep();
        }
        best = best.min(start.elapsed());
    }
    let ns = best.as_nanos() as f64 / RECORDS as f64;
    println!("{name:<34} {ns:>7.1} ns/record, {:>4} of {RECORDS} kept", batch.len());
}

fn make(plugin: &str, conf: &[(&str, &str)]) -> Box<dyn Filter> {
    let plugin = PLUGINS.iter().find(|p| p.info.name == plugin).expect("in the table");
    let (section, mut diags) = (Section::of("FILTER", conf), Diags::new());
    let mut cx = MakeCx {
        section: &section,
        name: "bench",
        diags: &mut diags,
        parsers: &ParserSet::default(),
        json: JsonOpts::default(),
        dir: Path::new("."),
        multiline_limit: 2 << 20,
    };
    (plugin.make)(&mut cx).unwrap_or_else(|| panic!("{diags}"))
}
