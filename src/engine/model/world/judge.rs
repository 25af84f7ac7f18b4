//! What must hold while the engine runs, and when everything was delivered.

use super::World;
use crate::conf::storage::StorageType;
use crate::engine::core::Core;
use crate::engine::gate::Over;
use crate::engine::intake::InputState;
use crate::engine::model::plan::End;
use crate::event::Batch;
use crate::input::{Intake, Patience};
use crate::store::dir;
use std::rc::{Rc, Weak};

impl World {
    /// (a) Nobody waits while there is room. (f) Usage stays near the limits.
    pub(super) fn look(&self) {
        let Some(core) = self.core.get().and_then(Weak::upgrade) else { return };
        if self.dead.get() || core.state.stopping.get() {
            return;
        }
        for (input, waiting) in core.inputs().iter().zip(&self.waiting) {
            ensure!(self, !waiting.get() || !input.has_room(), "{} waits while there is room", input.name);
            if waiting.get() && self.looks.get().is_multiple_of(4) {
                self.look_stalled(&core, input);
            }
        }
        if !self.looks.replace(self.looks.get() + 1).is_multiple_of(8) {
            return;
        }
        let memory = |input: &Rc<InputState>| input.chunks_up().iter().filter_map(|c| c.with(Batch::memory)).max();
        let largest = core.all_inputs().filter_map(memory).max().unwrap_or(0);
        self.largest_chunk.set(self.largest_chunk.get().max(largest));
        let loads: usize = self.plan.outputs.iter().map(|o| o.concurrency).sum();
        let (commit, chunk) = (self.largest_commit.get(), self.largest_chunk.get());
        for input in core.inputs() {
            // What is on the wire cannot leave.
            let loads = if input.storage_type() == StorageType::Memory { 0 } else { loads };
            let most = input.gate.limit().saturating_add(commit + chunk * (1 + loads));
            ensure!(
                self,
                input.gate.used() <= most,
                "{} holds {} bytes, not {most}; {commit} a commit, {chunk} a chunk; {:?}",
                input.name,
                input.gate.used(),
                input
                    .chunks_up()
                    .iter()
                    .map(|c| (c.with(Batch::memory), c.is_stored(), c.is_running()))
                    .collect::<Vec<_>>()
            );
        }
        if let Some(backlog) = core.backlog() {
            let most = backlog.gate.limit().saturating_add(chunk * (loads + 1));
            ensure!(self, backlog.gate.used() <= most, "the backlog holds {} bytes", backlog.gate.used());
        }
    }

    /// What is on the disk and not being sent need not hold back a reader that cannot wait.
    fn look_stalled(&self, core: &Core, input: &Rc<InputState>) {
        if input.storage_type() != StorageType::Filesystem || input.gate.over() != Some(Over::Own) {
            return;
        }
        let plan = &self.plan.inputs[core.inputs().iter().position(|i| Rc::ptr_eq(i, input)).unwrap()];
        if plan.patience > Patience::None && !core.outputs().iter().any(|out| out.is_stuck()) {
            return;
        }
        let idle = input.chunks_up().iter().any(|c| c.is_stored() && !c.is_running());

        let outputs: Vec<_> = core.outputs().iter().map(|o| (o.is_down(), o.pending())).collect();
        ensure!(self, !idle, "{} waits for memory that could leave, with outputs {outputs:?}", input.name);
    }

    /// Everything was delivered: (c) every ack has fired, (d) the counters fit, (e) memory came back, (i) no file is left.
    pub(in crate::engine::model) fn check_end(&self) {
        let core = self.core();
        let facts = self.facts.borrow();
        ensure_eq!(self, (core.chunks.get(), core.chunks_up.get(), core.total.used()), (0, 0, 0), "chunks, up, memory");
        for input in core.all_inputs() {
            ensure_eq!(self, input.gate.used(), 0, "memory of {}", input.name);
        }
        let is_last = facts.runs > 0 || self.plan.end == End::Delivered;
        let missing = facts.commits.iter().position(|c| !c.acked);
        ensure!(self, facts.runs > 0 || missing.is_none(), "commit {missing:?} was never acknowledged");
        for (n, out) in core.outputs().iter().enumerate() {
            let (s, seen) = (&out.stats, &facts.outputs[n]);
            let dropped = s.dropped_records.get() as usize + seen.dropped_before;
            ensure_eq!(self, s.undelivered(), 0, "undelivered of {}", out.name);
            ensure_eq!(self, s.routed_records.get(), s.proc_records.get() + s.dropped_records.get(), "{}", out.name);
            if facts.runs == 0 {
                ensure_eq!(
                    self,
                    (s.routed_records.get(), s.proc_records.get()),
                    (seen.routed as u64, seen.done as u64),
                    "routed and delivered by {}",
                    out.name
                );
            }
            let unsettled = facts.units.iter().filter(|u| (u.expected & !(u.done | u.refused)) >> n & 1 == 1);
            let acked = unsettled.filter(|u| facts.commits[u.commit as usize].acked).count();
            let excuses = dropped.saturating_sub(seen.refused);
            let fits = if facts.runs == 0 { acked == excuses } else { acked <= excuses };
            ensure!(
                self,
                is_last && fits,
                "{acked} acknowledged records did not reach {}, {excuses} were dropped",
                out.name
            );
        }
        if let (Some(root), Some(storage)) = (&self.root, core.storage.get()) {
            ensure_eq!(self, dir::scan(root), (vec![], vec![]), "files are left");
            ensure_eq!(self, (storage.count.get(), storage.bytes.get()), (0, 0), "files and bytes");
        }
    }
}
