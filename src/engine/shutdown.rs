//! The end: inputs stop, what waits is delivered within the grace period, what is left is put where it is safe.

use super::build::FOREVER;
use super::core::Core;
use super::dump;
use crate::rt::{self, Task};
use std::rc::Rc;
use std::time::Duration;

/// Time that inputs and outputs have for their last words when everything is drained.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Silence after which no input is about to commit anything more.
const SETTLE: Duration = Duration::from_millis(20);

/// Stops the inputs, delivers what there is within the grace period, then lets everybody say their last words.
pub(super) async fn run(core: &Rc<Core>, inputs: Vec<Task<()>>) {
    match core.grace {
        FOREVER => log::warn!("[engine] service will shutdown when all remaining tasks are flushed"),
        grace => log::warn!("[engine] service will shutdown in max {} seconds", grace.as_secs()),
    }
    log::info!("[engine] pausing all inputs..");
    core.state.stopping.set(true);
    core.state.stop.notify();
    for input in core.all_inputs() {
        log::info!("[input] pausing {}", input.name);
    }
    core.outputs().iter().for_each(|out| out.hasten(core));
    let drained = rt::timeout(core.grace, drain(core)).await;
    if drained != Some(true) {
        leave_behind(core).await;
    }
    core.state.drained.set(true);
    core.state.drain.notify();
    let rest = async {
        for task in inputs {
            task.await;
        }
    };
    if rt::timeout(LAST_WORDS, rest).await.is_none() {
        log::warn!("[engine] an input did not end in time");
    }
    for out in core.outputs() {
        if rt::timeout(LAST_WORDS, out.output.stop()).await.is_none() {
            log::warn!("[engine] output {} did not end in time", out.name);
        }
    }
    if let Some(storage) = core.storage.get()
        && rt::timeout(LAST_WORDS, storage.close()).await.is_none()
    {
        log::warn!("[storage] the disk did not answer in time");
    }
    if let Some(screen) = rt::FdWriter::open_stdout() {
        // What filters have shown may still wait for a slow reader.
        rt::timeout(LAST_WORDS, screen.settle()).await;
    }
    dump::summary(core);
    log::info!("[engine] service has stopped ({} pending tasks)", core.chunks.get());
}

/// Until every record is delivered and no input commits anything more; `false` when the rest is safe and has nowhere
/// to go.
async fn drain(core: &Rc<Core>) -> bool {
    rt::sleep(SETTLE).await;
    loop {
        while core.state.held.get() > 0 {
            // Meanwhile what they commit goes on.
            core.flush_all(true);
            rt::or(core.state.released.wait(), rt::sleep(Duration::from_millis(200))).await;
        }
        // What filters held back comes behind what they let pass.
        core.flush_all(true);
        core.release(true);
        core.flush_all(true);
        if core.chunks.get() > 0 {
            if is_futile(core) {
                return false;
            }
            rt::or(core.chunk_done.wait(), rt::sleep(Duration::from_millis(200))).await;
            continue;
        }
        rt::sleep(SETTLE).await;
        if core.chunks.get() == 0 && core.all_inputs().all(|i| i.open_batches() == 0) {
            return true;
        }
    }
}

/// Whether all that is left is safe on the disk and for destinations that are down: waiting would change nothing.
fn is_futile(core: &Core) -> bool {
    !core.flush_on_shutdown
        && core.outputs().iter().all(|out| out.pending() == 0 || out.is_down())
        && core.all_inputs().all(|i| i.open_batches() == 0 && i.chunks_up().iter().all(|c| c.is_stored()))
}

/// The time is up: what is in memory only goes to the disk, if there is a place for it.
async fn leave_behind(core: &Rc<Core>) {
    core.state.over.set(true);
    core.flush_all(true);
    core.release(true);
    core.flush_all(true);
    let chunks: Vec<_> = core.all_inputs().flat_map(|i| i.chunks_up()).collect();
    if let Some(storage) = core.storage.get() {
        for chunk in chunks.iter().filter(|c| !c.is_saved()) {
            chunk.save(storage, &core.chunk_name());
        }
        if rt::timeout(LAST_WORDS, storage.settle()).await.is_none() {
            storage.abandon();
        }
    }
    dump::left_behind(core, &chunks);
}
