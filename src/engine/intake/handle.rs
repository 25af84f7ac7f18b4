//! What an input sees of the engine.

use super::{InputState, Stream};
use crate::conf::storage::StorageType;
use crate::engine::monitor;
use crate::event::{Batch, Tag};
use crate::fmt::prometheus::Family;
use crate::input::{Ack, Intake};
use crate::rt::{self, Notify};
use std::cell::RefMut;
use std::rc::Rc;
use std::time::Duration;

impl Intake for Rc<InputState> {
    fn open(&self, tag: &Tag) -> RefMut<'_, Batch> {
        let mut streams = self.streams.borrow_mut();
        if !streams.contains_key(tag) {
            let batch = self.core.upgrade().map_or_else(|| Batch::new(tag.clone()), |c| c.batch(tag));
            let memory = batch.memory();
            self.gate.resize_open(0, memory);
            streams.insert(tag.clone(), Stream::new(batch, memory));
        }
        RefMut::map(streams, |s| {
            &mut s.entry(tag.clone()).or_insert_with(|| Stream::new(Batch::new(tag.clone()), 0)).batch
        })
    }

    fn commit(&self, tag: &Tag, ack: Option<Ack>) {
        if let Some(core) = self.core.upgrade() {
            self.ingest(&core, tag, ack.into_iter().collect());
        }
    }

    fn hurry(&self) {
        // What goes to a file is acknowledged from there.
        if self.storage_type() == StorageType::Filesystem && !self.is_lazy() {
            return;
        }
        let Some(core) = self.core.upgrade() else { return };
        if self.is_lazy() && core.is_any_down() {
            self.save_open(&core, Duration::ZERO);
        }
        // What filters sent away under other tags carries the same acknowledgement.
        let mut held = self.flush_touched(&core);
        core.emitters().for_each(|emitter| held |= emitter.flush_touched(&core));
        if held {
            core.held.set(true);
        }
    }

    fn has_room(&self) -> bool {
        if self.spec.storage == StorageType::Memrb {
            return true;
        }
        let Some(core) = self.core.upgrade() else { return true };
        let emitters_have_room = || core.emitters().all(|e| e.gate.over().is_none());
        let disk_has_room = || self.spec.storage != StorageType::Filesystem || core.storage_has_room();
        self.gate.over().is_none()
            && (self.spec.is_emitter || emitters_have_room())
            && disk_has_room()
            && !(self.spec.pause_on_chunks && core.chunks_up.get() >= core.max_chunks_up)
    }

    fn room(&self) -> &Notify {
        &self.room
    }

    fn is_stopping(&self) -> bool {
        self.shutdown.stopping.get()
    }

    fn stop_signal(&self) -> &Notify {
        &self.shutdown.stop
    }

    fn is_drained(&self) -> bool {
        self.shutdown.drained.get()
    }

    fn drain_signal(&self) -> &Notify {
        &self.shutdown.drain
    }

    fn exit(&self, code: u8) {
        self.shutdown.ask(code);
    }

    fn lost(&self, records: u64, why: &str) {
        self.stats.lost.add(records as usize);
        if let Some(held) = self.complaints.borrow_mut().allow(why.as_bytes(), rt::now()) {
            let more =
                if held > 0 { format!(" ({held} more of these messages were held back)") } else { String::new() };
            match records {
                0 => log::warn!("[input] {}: {why}{more}", self.name),
                _ => log::warn!("[input] {}: {records} record(s) lost: {why}{more}", self.name),
            }
        }
    }

    fn count(&self, what: &'static str, n: u64) {
        self.stats.own.add(what, n);
    }

    fn metrics(&self) -> Vec<Family> {
        self.core.upgrade().map_or_else(Vec::new, |core| monitor::metrics(&core))
    }

    fn delay_end(&self, more: bool) {
        let held = self.shutdown.held.get();
        self.shutdown.held.set(if more { held + 1 } else { held.saturating_sub(1) });
        self.shutdown.released.notify();
    }
}
