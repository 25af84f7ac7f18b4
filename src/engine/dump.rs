//! What the pipeline holds, for the operator: the dump on SIGCONT and the account of what a shutdown left behind.

use super::chunk::Chunk;
use super::core::Core;
use super::intake::InputState;
use std::fmt::Write;
use std::rc::Rc;

/// Writes the state of every instance to stderr.
pub(super) fn write(core: &Core) {
    let text = text(core);
    // A closed stderr is no reason to stop.
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
}

fn text(core: &Core) -> String {
    let mut o = String::from("===== Input =====\n");
    for i in core.all_inputs() {
        let _ = writeln!(
            o,
            "{}\n│\n├─ status\n│  └─ overlimit     : {}\n│     ├─ mem size   : {}b\n│     └─ mem limit  : {}b\n│\n├─ records\n│  ├─ read          : {}\n│  ├─ bytes         : {}\n│  ├─ lost          : {}\n│  └─ no output     : {}\n│\n└─ batches\n   └─ open          : {}\n{}",
            i.name,
            if i.is_paused() { "yes" } else { "no" },
            i.gate.used(),
            i.gate.limit(),
            i.stats.records.get(),
            i.stats.bytes.get(),
            i.stats.lost.get(),
            i.stats.unrouted.get(),
            i.open_batches(),
            own(i)
        );
    }
    o.push_str("===== Filter =====\n");
    for f in core.filters() {
        let _ = writeln!(
            o,
            "{}: records {}, dropped {}, re-emitted {}{}",
            f.name,
            f.stats.records.get(),
            f.stats.drop_records.get(),
            f.stats.add_records.get(),
            f.stats.own
        );
    }
    o.push_str("\n===== Output =====\n");
    for out in core.outputs() {
        let s = &out.stats;
        let _ = writeln!(
            o,
            "{}: records {}, bytes {}, errors {}, retries {}, retries failed {}, rejected {}, dropped {}, tasks {} (running {}, waiting for a retry {}){}",
            out.name,
            s.proc_records.get(),
            s.proc_bytes.get(),
            s.errors.get(),
            s.retries.get(),
            s.retries_failed.get(),
            s.rejected_records.get(),
            s.dropped_records.get(),
            out.pending(),
            out.queue.borrow().running(),
            out.queue.borrow().waiting(),
            if out.is_down() { ", destination down" } else { "" }
        );
    }
    if core.show_storage {
        storage_layer(core, &mut o);
    }
    o
}

/// A line with the counters an input names itself.
fn own(input: &InputState) -> String {
    let text = input.stats.own.to_string();
    text.strip_prefix(", ").map(|text| format!("\n{text}\n")).unwrap_or_default()
}

fn storage_layer(core: &Core, o: &mut String) {
    o.push_str("\n===== Storage Layer =====\n");
    let _ = writeln!(o, "total chunks     : {}", core.chunks.get());
    let _ = writeln!(o, "├─ mem chunks    : {}", core.chunks_up.get());
    let _ = writeln!(o, "└─ memory        : {}b", core.total.used());
    if let Some(storage) = core.storage.get() {
        let _ = writeln!(
            o,
            "fs chunks        : {}\n├─ path          : {}\n├─ bytes         : {}\n├─ write errors  : {}\n└─ damaged       : {}",
            storage.count.get(),
            storage.root().display(),
            storage.bytes.get(),
            storage.failures.get(),
            storage.quarantined.get()
        );
    }
}

/// Says what the end of the grace period leaves undelivered, and where it is. `chunks` are those in memory.
pub(super) fn left_behind(core: &Core, chunks: &[Rc<Chunk>]) {
    for out in core.outputs().iter().filter(|out| out.pending() > 0) {
        log::warn!(
            "[engine] output {}: {} record(s) in {} chunk(s) were not delivered{}",
            out.name,
            out.stats.undelivered(),
            out.pending(),
            if out.is_down() { ": the destination is down" } else { " within the grace period" }
        );
    }
    if let Some(storage) = core.storage.get().filter(|s| s.count.get() > 0) {
        log::warn!(
            "[engine] {} chunk file(s) with {} bytes stay in '{}' and are sent at the next start",
            storage.count.get(),
            storage.bytes.get(),
            storage.root().display()
        );
    }
    // A replay says itself what is left in its file.
    for input in core.all_inputs().filter(|_| !core.is_replay) {
        let in_memory = chunks.iter().filter(|c| Rc::ptr_eq(&c.input, input) && !c.is_stored());
        let (count, records) = in_memory.fold((0, 0), |(n, records), c| (n + 1, records + c.records()));
        if count > 0 {
            log::error!(
                "[engine] input {}: {records} record(s) in {count} chunk(s) were in memory only: an input that keeps its place (a DB) reads them again at the next start, others have lost them; set storage.path to keep what is left at the end",
                input.name
            );
        }
    }
}

/// The account of the whole run, one line per instance.
pub(super) fn summary(core: &Core) {
    for i in core.all_inputs() {
        let s = &i.stats;
        let (records, bytes, lost, unrouted) = (s.records.get(), s.bytes.get(), s.lost.get(), s.unrouted.get());
        log::info!(
            "[engine] input {}: {records} records, {bytes} bytes, {lost} lost, {unrouted} without an output{}",
            i.name,
            s.own
        );
    }
    for f in core.filters() {
        let s = &f.stats;
        let (records, dropped, added) = (s.records.get(), s.drop_records.get(), s.add_records.get());
        log::info!("[engine] filter {}: {records} records, {dropped} dropped, {added} re-emitted{}", f.name, s.own);
    }
    for o in core.outputs() {
        let s = &o.stats;
        log::info!(
            "[engine] output {}: {} records, {} bytes, {} errors, {} retries, {} retries failed, {} rejected, {} dropped, {} not delivered",
            o.name,
            s.proc_records.get(),
            s.proc_bytes.get(),
            s.errors.get(),
            s.retries.get(),
            s.retries_failed.get(),
            s.rejected_records.get(),
            s.dropped_records.get(),
            s.undelivered()
        );
    }
}
