//! Records that filters hold back: counted against the limits, given back when they are due and at the end.

use super::core::{Core, FilterState};
use crate::filter::{Emitted, Filter, FilterCx, Wake};
use crate::rt::{self, Task};
use crate::time::Time;
use std::rc::Rc;
use std::time::SystemTime;

/// Wakes filters when what they hold is due.
pub(super) async fn release_in_time(core: Rc<Core>) {
    loop {
        match core.release_at.get() {
            None => core.release_sooner.wait().await,
            Some(at) if at > rt::now() => rt::or(rt::sleep_until(at), core.release_sooner.wait()).await,
            Some(_) => {
                core.release_at.set(None);
                core.release(false);
                // A filter that is always due must not keep others from their turn.
                rt::yield_now().await;
            }
        }
    }
}

/// Starts what filters do beside the records; dropping the tasks ends it.
pub(super) fn start_background(core: &Rc<Core>) -> Vec<Task<()>> {
    let start = |state: &FilterState| {
        let weak = Rc::downgrade(core);
        let wake: Wake = Rc::new(move || {
            if let Some(core) = weak.upgrade() {
                core.release_now();
            }
        });
        state.filter.borrow_mut().background(wake).map(rt::spawn)
    };
    core.filters().iter().filter_map(start).collect()
}

impl Core {
    /// Counts what a filter holds, and remembers when it is due.
    pub(super) fn note_held(&self, state: &FilterState, filter: &dyn Filter) {
        let Some(emitter) = &state.emitter else { return };
        let held = filter.held();
        let before = state.held.replace(held);
        if held != before {
            emitter.gate.resize_open(before, held);
        }
        if held < before {
            self.eased();
        }
        if let Some(due) = filter.due()
            && self.release_at.get().is_none_or(|at| due < at)
        {
            self.release_at.set(Some(due));
            self.release_sooner.notify();
        }
    }

    /// Has filters give back what they hold: what is due, or all of it.
    pub(super) fn release(self: &Rc<Self>, all: bool) {
        for state in self.filters() {
            let Some(emitter) = &state.emitter else { continue };
            // What was given back and is not delivered takes room, too.
            let waits = emitter.gate.used().saturating_sub(state.held.get());
            if !all && state.in_order && waits > emitter.gate.limit() / 2 {
                self.release_stalled.set(true);
                continue;
            }
            let mut cx = FilterCx::new(Time::from_system(SystemTime::now()));
            {
                let mut filter = state.filter.borrow_mut();
                filter.release(&mut cx, all);
                self.note_held(state, &**filter);
            }
            let emitted = cx.take_emitted();
            let is_older = state.in_order && !emitted.is_empty();
            for Emitted { batch, acks } in emitted {
                state.stats.add_records.add(batch.len());
                emitter.take_in(self, &batch, acks.unwrap_or_default());
            }
            if is_older {
                emitter.flush(self, true);
            }
        }
    }
}
