//! Chunks of inputs that can read again go to the disk when they are not delivered soon: as long as the outputs keep up,
//! nothing is written.

use super::core::Core;
use super::intake::InputState;
use crate::rt;
use std::rc::Rc;
use std::time::Duration;

/// How long a chunk may wait for its outputs before it is written, and what comes in while one is down for more.
const SOON: Duration = Duration::from_secs(1);
/// How long a disk that could not be written to is left alone.
const LATER: Duration = Duration::from_secs(5);

/// Writes what waits too long, for ever.
pub(super) async fn run(core: Rc<Core>) {
    loop {
        core.unsaved.wait().await;
        while is_waiting(&core) {
            let failures = || core.storage.get().map_or(0, |s| s.failures.get());
            let before = failures();
            rt::sleep(SOON / 2).await;
            if failures() != before {
                rt::sleep(LATER).await;
            }
            save(&core, Some(SOON));
        }
    }
}

/// Writes the chunks that are not on the disk: those as old as `age`, or all that were never tried.
pub(super) fn save(core: &Core, age: Option<Duration>) {
    let Some(storage) = core.storage.get() else { return };
    for input in core.all_inputs().filter(|i| i.is_lazy()) {
        if core.is_any_down() {
            input.save_open(core, age.unwrap_or_default());
        }
        for chunk in input.chunks_up() {
            let due = age.map_or_else(|| chunk.file().is_none(), |age| chunk.age() >= age);
            if due && !chunk.is_saved() {
                chunk.save(storage, &core.chunk_name());
            }
        }
    }
    core.outputs().iter().for_each(|out| out.limit_disk(core));
}

fn is_waiting(core: &Core) -> bool {
    let is_down = core.is_any_down();
    let is_waiting = |i: &InputState| is_down && i.has_unsaved_open() || i.chunks_up().iter().any(|c| !c.is_saved());
    core.all_inputs().filter(|i| i.is_lazy()).any(|i| is_waiting(i))
}
