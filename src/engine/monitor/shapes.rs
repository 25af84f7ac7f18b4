//! The JSON of the interface, in the shapes that Fluent Bit has.

use crate::conf::PluginInfo;
use crate::engine::core::Core;
use crate::engine::intake::InputState;
use crate::event::Batch;
use crate::fmt::json_write::{JsonOpts, write_str};
use crate::time::Time;
use crate::{filter, input, output};
use std::rc::Rc;

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_str(text.as_bytes(), JsonOpts::default(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `{"a":…,"b":…}` of names and what is JSON already.
fn object(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entries: Vec<String> = entries.into_iter().map(|(name, value)| format!("{}:{value}", quoted(&name))).collect();
    format!("{{{}}}", entries.join(","))
}

pub(super) fn about() -> String {
    let flags: Vec<String> =
        [("TLS", cfg!(feature = "tls")), ("SQLDB", cfg!(feature = "sqlite")), ("PCAP", cfg!(feature = "pcap"))]
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| format!("\"FLB_HAVE_{name}\""))
            .collect();
    format!(
        r#"{{"fluent-bit":{{"version":"{}","edition":"collector","flags":[{}]}}}}"#,
        env!("CARGO_PKG_VERSION"),
        flags.join(",")
    )
}

pub(super) fn uptime(secs: u64) -> String {
    let plural = |n: u64| if n > 1 { "s" } else { "" };
    let (d, h, m, s) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!(
        r#"{{"uptime_sec":{secs},"uptime_hr":"collector has been running:  {d} day{}, {h} hour{}, {m} minute{} and {s} second{}"}}"#,
        plural(d),
        plural(h),
        plural(m),
        plural(s)
    )
}

pub(super) fn metrics(core: &Core) -> String {
    let inputs = core.all_inputs().map(|i| {
        let s = &i.stats;
        (i.name.clone(), format!(r#"{{"records":{},"bytes":{}}}"#, s.records.get(), s.bytes.get()))
    });
    let filters = core.filters().iter().map(|f| {
        let s = &f.stats;
        (
            f.name.clone(),
            format!(r#"{{"drop_records":{},"add_records":{}}}"#, s.drop_records.get(), s.add_records.get()),
        )
    });
    let outputs = core.outputs().iter().map(|o| {
        let s = &o.stats;
        let value = format!(
            r#"{{"proc_records":{},"proc_bytes":{},"errors":{},"retries":{},"retries_failed":{},"dropped_records":{},"retried_records":{}}}"#,
            s.proc_records.get(),
            s.proc_bytes.get(),
            s.errors.get(),
            s.retries.get(),
            s.retries_failed.get(),
            s.dropped_records.get(),
            s.retried_records.get()
        );
        (o.name.clone(), value)
    });
    format!(r#"{{"input":{},"filter":{},"output":{}}}"#, object(inputs), object(filters), object(outputs))
}

pub(super) fn storage(core: &Core) -> String {
    let files = core.storage.get().map_or(0, |s| s.count.get());
    let up = core.chunks_up.get();
    let total = core.chunks.get();
    let layer = format!(
        r#"{{"chunks":{{"total_chunks":{total},"mem_chunks":{},"fs_chunks":{files},"fs_chunks_up":{},"fs_chunks_down":{}}}}}"#,
        total.saturating_sub(files),
        files.saturating_sub(total.saturating_sub(up)),
        total.saturating_sub(up)
    );
    let inputs = core.all_inputs().map(|i| (i.name.clone(), input_chunks(i)));
    format!(r#"{{"storage_layer":{layer},"input_chunks":{}}}"#, object(inputs))
}

fn input_chunks(input: &Rc<InputState>) -> String {
    let chunks = input.chunks_up();
    let busy: Vec<_> = chunks.iter().filter(|c| c.is_running()).collect();
    let busy_size: usize = busy.iter().filter_map(|c| c.with(Batch::memory)).sum();
    format!(
        r#"{{"status":{{"overlimit":{},"mem_size":"{}","mem_limit":"{}"}},"chunks":{{"total":{n},"up":{n},"down":0,"busy":{},"busy_size":"{}"}}}}"#,
        input.gate.over().is_some(),
        size(input.gate.used()),
        size(input.gate.limit()),
        busy.len(),
        size(busy_size),
        n = chunks.len()
    )
}

/// `112b`, `9.6M`
fn size(bytes: usize) -> String {
    let (mut n, mut unit) = (bytes as f64, 0);
    while n >= 1024.0 && unit < 4 {
        (n, unit) = (n / 1024.0, unit + 1);
    }
    match unit {
        0 => format!("{bytes}b"),
        _ => format!("{n:.1}{}", ["b", "K", "M", "G", "T"].get(unit).unwrap_or(&"T")),
    }
}

pub(super) fn plugins() -> String {
    let names = |all: Vec<&PluginInfo>| {
        let names: Vec<String> = all.iter().map(|i| quoted(i.name)).collect();
        names.join(",")
    };
    format!(
        r#"{{"plugins":{{"inputs":[{}],"filters":[{}],"outputs":[{}]}}}}"#,
        names(input::PLUGINS.iter().map(|p| &p.info).collect()),
        names(filter::PLUGINS.iter().map(|p| &p.info).collect()),
        names(output::PLUGINS.iter().map(|p| &p.info).collect())
    )
}

/// `2026-11-21T12:04:11.123456789Z`
pub(super) fn rfc3339(time: Time) -> String {
    let mut out = Vec::new();
    crate::time::rfc3339::write(time, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(
            uptime(3),
            r#"{"uptime_sec":3,"uptime_hr":"collector has been running:  0 day, 0 hour, 0 minute and 3 seconds"}"#
        );
        assert!(uptime(200_000).contains("2 days, 7 hours, 33 minutes and 20 seconds"));
        assert_eq!([size(0), size(112), size(10_066_330), size(1 << 60)], ["0b", "112b", "9.6M", "1048576.0T"]);
        for text in [about(), uptime(1), plugins()] {
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        assert_eq!(object([("a\"".to_owned(), "1".to_owned())]), r#"{"a\"":1}"#);
    }
}
