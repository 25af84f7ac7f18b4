//! What the pipeline holds, for the operator: the dump on SIGCONT and the account of what a shutdown left behind.

use super::core::Core;
use std::fmt::Write;

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
            "{}\n│\n├─ status\n│  └─ overlimit     : {}\n│     ├─ mem size   : {}b\n│     └─ mem limit  : {}b\n│\n├─ records\n│  ├─ read          : {}\n│  ├─ bytes         : {}\n│  ├─ lost          : {}\n│  └─ no output     : {}\n│\n└─ batches\n   └─ open          : {}\n",
            i.name,
            if i.is_paused() { "yes" } else { "no" },
            i.memory(),
            i.limit(),
            i.stats.records.get(),
            i.stats.bytes.get(),
            i.stats.lost.get(),
            i.stats.unrouted.get(),
            i.open_batches()
        );
    }
    o.push_str("===== Filter =====\n");
    for f in core.filters() {
        let _ = writeln!(
            o,
            "{}: records {}, dropped {}, re-emitted {}",
            f.name,
            f.stats.records.get(),
            f.stats.drop_records.get(),
            f.stats.add_records.get()
        );
    }
    o.push_str("\n===== Output =====\n");
    for out in core.outputs() {
        let s = &out.stats;
        let _ = writeln!(
            o,
            "{}: records {}, bytes {}, errors {}, retries {}, retries failed {}, dropped {}, tasks {} (running {}, waiting for a retry {})",
            out.name,
            s.proc_records.get(),
            s.proc_bytes.get(),
            s.errors.get(),
            s.retries.get(),
            s.retries_failed.get(),
            s.dropped_records.get(),
            out.pending(),
            out.running.get(),
            out.waiting.get()
        );
    }
    o
}

/// Says what the grace period left undelivered; it is lost unless its input reads it again.
pub(super) fn lost(core: &Core) {
    for out in core.outputs() {
        if out.pending() > 0 {
            log::error!(
                "[engine] output {}: {} record(s) in {} chunk(s) were not delivered within the grace period; inputs that keep offsets read them again at the next start, others have lost them",
                out.name,
                out.stats.undelivered(),
                out.pending()
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
            "[engine] input {}: {records} records, {bytes} bytes, {lost} lost, {unrouted} without an output",
            i.name
        );
    }
    for f in core.filters() {
        let s = &f.stats;
        let (records, dropped, added) = (s.records.get(), s.drop_records.get(), s.add_records.get());
        log::info!("[engine] filter {}: {records} records, {dropped} dropped, {added} re-emitted", f.name);
    }
    for o in core.outputs() {
        let s = &o.stats;
        log::info!(
            "[engine] output {}: {} records, {} bytes, {} errors, {} retries, {} retries failed, {} dropped, {} not delivered",
            o.name,
            s.proc_records.get(),
            s.proc_bytes.get(),
            s.errors.get(),
            s.retries.get(),
            s.retries_failed.get(),
            s.dropped_records.get(),
            s.undelivered()
        );
    }
}
