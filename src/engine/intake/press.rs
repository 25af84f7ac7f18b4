//! An input over its memory limit: what can leave memory does, then its reader waits.

use super::InputState;
use crate::conf::storage::StorageType;
use crate::engine::chunk::Chunk;
use crate::engine::core::Core;
use crate::engine::gate::Over;
use crate::input::Patience;
use crate::rt;
use std::rc::Rc;

/// Chunks that one look for what can leave memory tries in vain: there may be one for each of many tags.
const LOOKS: usize = 64;

impl InputState {
    /// Over the limit: what is open goes out at once, what is on the disk leaves memory; then the reader waits, or with
    /// `memrb` the oldest go.
    pub(in crate::engine) fn press(self: &Rc<Self>, core: &Rc<Core>) {
        self.flush(core, true);
        core.relieve();
        if self.spec.storage == StorageType::Memrb {
            self.drop_oldest(core);
        }
        let Some(over) = self.gate.over() else { return };
        if !self.paused.replace(true) {
            self.stats.pauses.add(1);
            self.say_paused(core, over);
        }
    }

    /// Whether only chunks that are not delivered soon go to the disk.
    pub(in crate::engine) fn is_lazy(&self) -> bool {
        self.spec.storage == StorageType::Filesystem && self.spec.patience == Patience::ReadsAgain
    }

    /// Whether chunks were made since the last call that are not on their way to the disk.
    pub(in crate::engine) fn take_unsaved(&self) -> bool {
        self.unsaved.take()
    }

    /// Lets chunks that are on the disk go from memory, the newest first: the oldest are sent next. Down to `most` bytes.
    /// A source that keeps what is not read can as well wait as long as outputs take what is there; only what was on the
    /// disk alone before goes back. Of very many chunks one call looks at the newest and at some of the others, and the next
    /// call at those before them.
    pub(in crate::engine) fn unload(&self, core: &Core, most: usize) {
        if self.gate.used() <= most || !(self.spec.storage == StorageType::Filesystem || self.spec.is_backlog) {
            return;
        }
        let waits = self.spec.patience > Patience::None && !core.outputs().iter().any(|out| out.is_stuck());
        let rest = self.unload_before(core, None, most, waits);
        let rest = rest.map(|newest| self.looked.get().map_or(newest, |at| at.min(newest)));
        self.looked.set(rest.and_then(|before| self.unload_before(core, Some(before), most, waits)));
    }

    /// Looks at chunks before the one of that number; answers the number at which it ended when there are more, and more is to
    /// go.
    fn unload_before(&self, core: &Core, mut before: Option<u64>, most: usize, waits: bool) -> Option<u64> {
        let mut in_vain = 0;
        while in_vain < LOOKS {
            let (number, chunk) = {
                let up = self.up.borrow();
                let next = up.range(..before.unwrap_or(u64::MAX)).next_back();
                next.map(|(&number, chunk)| (number, chunk.upgrade()))?
            };
            core.looks.set(core.looks.get() + 1);
            before = Some(number);
            if !chunk.is_some_and(|c| (!waits || c.was_down()) && c.unload()) {
                in_vain += 1;
            } else if self.gate.used() <= most {
                return None;
            }
        }
        before
    }

    /// Makes room in a ring: the oldest chunks that are not on the wire are dropped; the newest one stays.
    fn drop_oldest(&self, core: &Rc<Core>) {
        let mut from = 0;
        while self.gate.over().is_some() {
            let chunk = {
                let up = self.up.borrow();
                let mut rest = up.range(from..);
                let (Some((&number, chunk)), Some(_)) = (rest.next(), rest.next()) else { return };
                from = number + 1;
                chunk.upgrade()
            };
            core.looks.set(core.looks.get() + 1);
            if let Some(chunk) = chunk.filter(|c| !c.is_running()) {
                core.outputs()
                    .iter()
                    .for_each(|out| out.evict(&chunk, "the ring of storage.type memrb is full (Mem_Buf_Limit)"));
            }
        }
    }

    /// At the default limit a pause is the ordinary pace of a reader that is faster than its outputs; a limit that was
    /// asked for is worth a line, though not one for each of many short pauses.
    fn say_paused(&self, core: &Core, over: Over) {
        let (held, limit, key) = match over {
            Over::Own => (self.gate.used(), self.gate.limit(), "Mem_Buf_Limit"),
            Over::Process => (core.total.used(), core.total.limit(), "storage.mem_limit"),
        };
        if over == Over::Own && self.spec.limit_is_default {
            log::debug!(
                "[input] {} paused (mem buf overlimit - {held}B held, default limit {limit}B, Mem_Buf_Limit)",
                self.name
            );
        } else if let Some(unsaid) = self.complaints.borrow_mut().allow(b"paused", rt::now()) {
            self.pause_said.set(true);
            let more = if unsaid > 0 { format!("; {unsaid} short pauses were not logged") } else { String::new() };
            log::warn!(
                "[input] {} paused (mem buf overlimit - {held}B held exceed the limit of {limit}B set by {key}); it resumes when outputs take data{more}",
                self.name
            );
        }
    }

    /// Remembers a chunk that came into memory; answers its number there.
    pub(in crate::engine) fn enlist(&self, chunk: &Rc<Chunk>) -> u64 {
        let number = self.next_up.get();
        self.next_up.set(number + 1);
        self.up.borrow_mut().insert(number, Rc::downgrade(chunk));
        if chunk.file().is_none() {
            self.unsaved.set(true);
        }
        number
    }

    /// The chunk of this number left memory.
    pub(in crate::engine) fn delist(&self, number: u64) {
        self.up.borrow_mut().remove(&number);
    }
}
