//! One line through one parser, compared as text: for the tests of this layer.

mod any_bytes;
mod stock;

use super::ParserDef;
use crate::conf::Section;
use crate::error::Diags;
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::time::Time;

/// The current time of these tests: 2024-05-01 12:00:00 UTC.
pub(in crate::parse) const NOW: Time = Time(1_714_564_800_000_000_000);

/// What a definition makes of a line: `SECONDS {json}`, `- {json}` without a time, or `miss`.
pub(in crate::parse) fn show(def: &ParserDef, line: &[u8]) -> String {
    let Some((time, batch)) = def.parse_line(line, NOW) else { return "miss".into() };
    let mut out = match time {
        None => "- ".to_owned(),
        Some(t) => {
            let fraction = format!("{:09}", t.subsec_nanos());
            let fraction = fraction.trim_end_matches('0');
            format!("{}.{} ", t.secs(), if fraction.is_empty() { "0" } else { fraction })
        }
    }
    .into_bytes();
    let opts = JsonOpts { escape_unicode: false, ..JsonOpts::default() };
    write_map(batch.record(0).body(), opts, &mut out);
    String::from_utf8(out).unwrap()
}

/// A definition made of keys; `Name` is added.
pub(in crate::parse) fn def(conf: &[(&str, &str)]) -> ParserDef {
    let mut diags = Diags::new();
    let section = Section::of("PARSER", &[&[("Name", "t")], conf].concat());
    ParserDef::new(&section, &mut diags).unwrap_or_else(|| panic!("{diags}"))
}

/// Compares what [`show`] says.
#[track_caller]
pub(in crate::parse) fn check(conf: &[(&str, &str)], line: &str, expected: &str) {
    assert_eq!(show(&def(conf), line.as_bytes()), expected, "{line:?}");
}
