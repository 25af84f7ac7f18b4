//! Runs a filter on lines of JSON, for the tests of the plugins.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::Kind;
use crate::event::{Batch, Cells, Tag};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::time::Time;

/// The time of the first record, one second between two.
pub(super) const START: i64 = 1_700_000_000;

/// The text of a map.
pub(super) fn json(map: Cells<'_>) -> String {
    let mut out = Vec::new();
    write_map(map, JsonOpts::default(), &mut out);
    String::from_utf8(out).unwrap()
}

/// Makes an instance; also what was found.
pub(super) fn made(plugin: &FilterPlugin, conf: &[(&str, &str)]) -> (Option<Box<dyn Filter>>, String) {
    crate::plugin::made(Kind::Filter, &plugin.info, plugin.make, conf)
}

/// An instance that must be possible.
pub(super) fn instance(plugin: &FilterPlugin, conf: &[(&str, &str)]) -> Box<dyn Filter> {
    let (filter, said) = made(plugin, conf);
    filter.unwrap_or_else(|| panic!("{conf:?} was refused: {said}"))
}

/// What is said of a configuration that is accepted.
pub(super) fn said(plugin: &FilterPlugin, conf: &[(&str, &str)]) -> String {
    let (filter, said) = made(plugin, conf);
    assert!(filter.is_some(), "{conf:?} was refused: {said}");
    said
}

/// What is said of a configuration that is refused.
pub(super) fn refused(plugin: &FilterPlugin, conf: &[(&str, &str)]) -> String {
    let (filter, said) = made(plugin, conf);
    assert!(filter.is_none(), "{conf:?} was accepted");
    said
}

/// A batch of these records.
pub(super) fn batch(tag: &str, lines: &[&str]) -> Batch {
    let mut b = Batch::new(Tag::new(tag));
    append(&mut b, lines);
    b
}

/// Appends records to a batch.
pub(super) fn append(b: &mut Batch, lines: &[&str]) {
    for line in lines {
        let text = b.arena_mut().push(line.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(b, text).unwrap_or_else(|e| panic!("{line}: {e}"));
        let time = Time((START + b.len() as i64) * 1_000_000_000);
        b.finish(mark, time);
    }
}

/// Runs a filter over the fresh records and sweeps.
pub(super) fn apply(filter: &mut dyn Filter, b: &mut Batch, cx: &mut FilterCx) {
    filter.apply(b, cx);
    b.sweep();
}

/// The fresh records as text.
pub(super) fn lines(b: &Batch) -> Vec<String> {
    b.fresh().map(|i| json(b.body(i))).collect()
}

/// Runs an instance twice over these records, behind others that it must leave alone.
pub(super) fn check(plugin: &FilterPlugin, conf: &[(&str, &str)], input: &[&str], expected: &[&str]) {
    const OLD: &str = r#"{"old":"x","log":"old","m":{"a":"b"}}"#;
    let mut filter = instance(plugin, conf);
    let mut b = batch("a.b.c", &[OLD, OLD]);
    b.settle();
    for round in 0..2 {
        append(&mut b, input);
        apply(&mut *filter, &mut b, &mut FilterCx::new(Time(START * 1_000_000_000)));
        assert_eq!(lines(&b), expected, "{conf:?} in round {round}");
        b.settle();
    }
    assert_eq!([json(b.body(0)), json(b.body(1))], [OLD, OLD], "records of an earlier run changed");
    let again = [expected, expected].concat();
    assert_eq!(b.records().skip(2).map(|r| json(r.body())).collect::<Vec<_>>(), again, "the first round's changed");
    // The batch is used again for another tag.
    b.recycle(Tag::new("x"), 1 << 20);
    append(&mut b, input);
    apply(&mut *filter, &mut b, &mut FilterCx::new(Time(START * 1_000_000_000)));
    assert_eq!(lines(&b), expected, "{conf:?} after recycling");
}
