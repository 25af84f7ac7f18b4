//! The counters of the pipeline as metrics, under the names that Fluent Bit gives them; what it does not have begins with
//! `collector_`.

use crate::engine::core::Core;
use crate::engine::stats::{InputStats, OutputStats};
use crate::fmt::prometheus::{Family, Type};
use crate::util::sort;
use std::time::SystemTime;

/// The process itself.
pub(super) fn runtime(uptime: u64) -> [Family; 5] {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = [("hostname", host.as_str())];
    let mut logs = Family::new("fluentbit_logger_logs_total", Type::Counter, "Lines logged");
    for (level, n) in ["error", "warn", "info", "debug", "trace"].into_iter().zip(crate::log::counts()) {
        logs.add(&[("message_type", level)], n as u64);
    }
    [
        Family::new("fluentbit_uptime", Type::Counter, "Seconds that the program has been running").with(&host, uptime),
        Family::new("fluentbit_hot_reloaded_times", Type::Gauge, "Reloads of the configuration").with(&host, 0),
        logs,
        started(&host, uptime),
        build_info(),
    ]
}

fn started(labels: &[(&'static str, &str)], uptime: u64) -> Family {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let help = "Start of the program, in seconds since 1970";
    Family::new("fluentbit_process_start_time_seconds", Type::Gauge, help).with(labels, now.saturating_sub(uptime))
}

fn build_info() -> Family {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("edition", "collector")];
    Family::new("fluentbit_build_info", Type::Gauge, "The program's version").with(&labels, 1)
}

type Each<S> = (&'static str, Type, &'static str, fn(&S) -> u64);

const INPUTS: &[Each<InputStats>] = &[
    ("fluentbit_input_bytes_total", Type::Counter, "Bytes read", |s| s.bytes.get()),
    ("fluentbit_input_records_total", Type::Counter, "Records read", |s| s.records.get()),
    ("collector_input_lost_records_total", Type::Counter, "Records given up", |s| s.lost.get()),
    ("collector_input_unrouted_records_total", Type::Counter, "Records that no output matches", |s| s.unrouted.get()),
    ("collector_input_pauses_total", Type::Counter, "Pauses at a memory limit", |s| s.pauses.get()),
];

const OUTPUTS: &[Each<OutputStats>] = &[
    ("fluentbit_output_dropped_records_total", Type::Counter, "Records kept nowhere", |s| s.dropped_records.get()),
    ("fluentbit_output_errors_total", Type::Counter, "Deliveries failed for good", |s| s.errors.get()),
    ("fluentbit_output_proc_bytes_total", Type::Counter, "Bytes delivered", |s| s.proc_bytes.get()),
    ("fluentbit_output_proc_records_total", Type::Counter, "Records delivered", |s| s.proc_records.get()),
    ("fluentbit_output_retried_records_total", Type::Counter, "Records sent again", |s| s.retried_records.get()),
    ("fluentbit_output_retries_failed_total", Type::Counter, "Chunks given up", |s| s.retries_failed.get()),
    ("fluentbit_output_retries_total", Type::Counter, "Deliveries to be tried again", |s| s.retries.get()),
    ("collector_output_rejected_records_total", Type::Counter, "Records kept as rejected", |s| {
        s.rejected_records.get()
    }),
    ("collector_output_undelivered_records", Type::Gauge, "Records not settled yet", OutputStats::undelivered),
];

/// What every instance has done and holds.
pub(super) fn snapshot(core: &Core) -> Vec<Family> {
    let mut all = Vec::new();
    for (name, kind, help, value) in INPUTS {
        let mut family = Family::new(name, *kind, help);
        core.all_inputs().for_each(|i| family.add(&[("name", &i.name)], value(&i.stats)));
        all.push(family);
    }
    let mut own = Family::new("collector_input_own_total", Type::Counter, "What an input counts itself");
    let mut memory = Family::new("fluentbit_input_storage_memory_bytes", Type::Gauge, "Memory that its records hold");
    let mut over =
        Family::new("fluentbit_input_storage_overlimit", Type::Gauge, "Whether a limit of memory is reached");
    let mut paused = Family::new("fluentbit_input_ingestion_paused", Type::Gauge, "Whether it waits for memory");
    for i in core.all_inputs() {
        let name = ("name", i.name.as_str());
        i.stats.own.each(|what, n| own.add(&[name, ("what", what)], n));
        memory.add(&[name], i.gate.used() as u64);
        over.add(&[name], i.gate.over().is_some().into());
        paused.add(&[name], i.is_paused().into());
    }
    all.extend([own, memory, over, paused]);
    all.extend(filters(core));
    for (name, kind, help, value) in OUTPUTS {
        let mut family = Family::new(name, *kind, help);
        core.outputs().iter().for_each(|o| family.add(&[("name", &o.name)], value(&o.stats)));
        all.push(family);
    }
    let mut pending = Family::new("collector_output_pending_chunks", Type::Gauge, "Chunks that wait or are being sent");
    let mut down = Family::new("collector_output_down", Type::Gauge, "Whether the destination is out of reach");
    for o in core.outputs() {
        pending.add(&[("name", &o.name)], o.pending() as u64);
        down.add(&[("name", &o.name)], o.is_down().into());
    }
    all.extend([pending, down]);
    all.extend(storage(core));
    all
}

fn filters(core: &Core) -> [Family; 5] {
    let mut records = Family::new("fluentbit_filter_records_total", Type::Counter, "Records seen");
    let mut dropped = Family::new("fluentbit_filter_drop_records_total", Type::Counter, "Records dropped");
    let mut added = Family::new("fluentbit_filter_add_records_total", Type::Counter, "Records added");
    let mut own = Family::new("collector_filter_own_total", Type::Counter, "What a filter counts itself");
    let mut held = Family::new("collector_filter_held_bytes", Type::Gauge, "Memory of the records that it holds back");
    for f in core.filters() {
        let name = [("name", f.name.as_str())];
        records.add(&name, f.stats.records.get());
        dropped.add(&name, f.stats.drop_records.get());
        added.add(&name, f.stats.add_records.get());
        f.stats.own.each(|what, n| own.add(&[name[0], ("what", what)], n));
        held.add(&name, f.held.get() as u64);
    }
    [records, dropped, added, own, held]
}

fn storage(core: &Core) -> Vec<Family> {
    let gauge = |name, help, n: usize| Family::new(name, Type::Gauge, help).with(&[], n as u64);
    let mut all = vec![
        gauge("fluentbit_storage_chunks", "Chunks that are not delivered everywhere", core.chunks.get()),
        gauge("fluentbit_storage_mem_chunks", "Chunks in memory", core.chunks_up.get()),
        gauge("collector_storage_memory_bytes", "Memory that all records hold", core.total.used()),
    ];
    if let Some(storage) = core.storage.get() {
        all.extend([
            gauge("fluentbit_storage_fs_chunks", "Chunk files", storage.count.get()),
            gauge("collector_storage_fs_bytes", "Bytes of chunk files", storage.bytes.get() as usize),
            gauge("collector_storage_write_errors", "Chunk files that could not be written", storage.failures.get()),
            gauge("collector_storage_damaged", "Chunk files that were damaged", storage.quarantined.get()),
        ]);
    }
    all
}

/// The families of the first version of the interface, sorted by name; then the process.
pub(super) fn v1(core: &Core, uptime: u64) -> Vec<Family> {
    let mut all = snapshot(core);
    all.retain(|f| {
        f.name.starts_with("fluentbit_") && f.name.ends_with("_total") && f.name != "fluentbit_filter_records_total"
    });
    sort::by_key(&mut all, |f| f.name);
    let help = "Start of the program, in seconds since 1970";
    let mut start = started(&[], uptime);
    (start.name, start.help) = ("process_start_time_seconds", help);
    let up =
        Family::new("fluentbit_uptime", Type::Counter, "Seconds that the program has been running").with(&[], uptime);
    all.extend([up, start, build_info()]);
    all
}
