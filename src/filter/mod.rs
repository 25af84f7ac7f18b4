//! Filters: edit or drop records. One file per plugin, one line in [`PLUGINS`].

#[cfg(feature = "tools")]
pub mod expect;
pub mod grep;
mod keys;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod modify;
#[cfg(feature = "filters")]
pub mod multiline;
pub mod nest;
pub mod parser;
#[cfg(feature = "filters")]
pub mod record_modifier;
#[cfg(feature = "filters")]
pub mod rewrite_tag;
#[cfg(feature = "tools")]
pub mod stdout;
#[cfg(feature = "filters")]
pub mod sysinfo;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(feature = "filters")]
pub mod throttle;
#[cfg(feature = "filters")]
pub mod type_converter;
mod words;

use crate::conf::storage::StorageType;
use crate::conf::{PluginInfo, table};
use crate::event::{Batch, Record, Tag};
use crate::input::Ack;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use crate::util::counters::OwnCounters;
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::time::Instant;

/// A step between input and outputs. It sees each record once, in the order of the configuration.
pub trait Filter {
    /// Works on the fresh records of the batch (`batch.fresh()`) in place. Dropped records stay visible to nobody: the
    /// engine sweeps them out before the next filter.
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx);

    /// Whether the filter may call [`FilterCx::emit`], or hold records back; the engine then gives it an emitter with this
    /// memory limit in bytes.
    fn emits(&self) -> Option<Emitter> {
        None
    }

    /// Memory of the records that it holds back, in bytes. Over the emitter's limit inputs are paused.
    fn held(&self) -> usize {
        0
    }

    /// When it gives records back that it holds, at the latest.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Gives records back with [`FilterCx::give_back`]: those that are due, or all at the end.
    fn release(&mut self, cx: &mut FilterCx, all: bool) {
        let _ = (cx, all);
    }

    /// Work of its own beside the records: looking up what they lack. The engine runs it from the start of the inputs to
    /// the end of the program; `wake` makes the engine call [`Filter::release`] at its next turn.
    fn background(&mut self, wake: Wake) -> Option<LocalFuture<'static, ()>> {
        let _ = wake;
        None
    }

    /// What it counts beside records, for its account and the metrics.
    fn counters(&self) -> Option<Rc<OwnCounters>> {
        None
    }
}

/// Asks the engine to have a filter give back what it can: [`Filter::background`].
pub type Wake = Rc<dyn Fn()>;

/// The hidden input through which a filter re-emits records.
#[derive(Debug, Clone)]
pub struct Emitter {
    /// Its name in logs and counters.
    pub name: String,
    /// Its memory limit, in bytes.
    pub mem_buf_limit: usize,
    /// Where its records wait.
    pub storage: StorageType,
    /// Its records go on behind the filter, not at the head of the pipeline.
    pub resumes: bool,
    /// What is given back is older than what the filter lets pass from then on: its chunks are closed at once, so that
    /// they keep their place.
    pub in_order: bool,
}

/// What a filter may use while it works on a batch.
#[derive(Debug)]
pub struct FilterCx {
    /// The wall clock at the start of this batch.
    pub now: Time,
    /// Set to ask the engine to drain and to exit with this code.
    pub exit: Option<u8>,
    /// Of the records in the batch.
    acks: Vec<Ack>,
    /// Of records that were held back and are in the batch now.
    more: Vec<Ack>,
    emitted: Vec<Emitted>,
    /// Where the batch of a tag is: tags made of data may be many.
    index: FxHashMap<Tag, usize>,
}

/// Records for a filter's emitter.
#[derive(Debug)]
pub struct Emitted {
    /// The records.
    pub batch: Batch,
    /// Their acknowledgements; those of the batch at hand when `None`.
    pub acks: Option<Vec<Ack>>,
}

impl FilterCx {
    /// A context for one run over one batch.
    pub fn new(now: Time) -> Self {
        Self::with_acks(now, Vec::new())
    }

    /// The same over a batch that somebody waits for.
    pub fn with_acks(now: Time, acks: Vec<Ack>) -> Self {
        Self { now, exit: None, acks, more: Vec::new(), emitted: Vec::new(), index: FxHashMap::default() }
    }

    /// The acknowledgements of the batch's fresh records: to keep with those that are held back.
    pub fn acks(&self) -> &[Ack] {
        &self.acks
    }

    /// A record that was held back is in the batch now: these fire with it.
    pub fn join(&mut self, acks: Vec<Ack>) {
        self.more.extend(acks);
    }

    /// Sends on what was held back, behind this filter.
    pub fn give_back(&mut self, batch: Batch, acks: Vec<Ack>) {
        self.emitted.push(Emitted { batch, acks: Some(acks) });
    }

    /// Sends a copy of a record to the head of the pipeline under another tag.
    pub fn emit(&mut self, tag: &str, record: &Record<'_>) {
        let at = match self.index.get(tag) {
            Some(&at) => at,
            None => {
                let tag = Tag::new(tag);
                self.emitted.push(Emitted { batch: Batch::new(tag.clone()), acks: None });
                self.index.insert(tag, self.emitted.len() - 1);
                self.emitted.len() - 1
            }
        };
        if let Some(e) = self.emitted.get_mut(at) {
            e.batch.push_record(record);
        }
    }

    /// What was emitted, one batch per tag, and what was given back.
    pub fn take_emitted(&mut self) -> Vec<Emitted> {
        self.index.clear();
        std::mem::take(&mut self.emitted)
    }

    /// What [`Self::join`] was given.
    pub fn take_joined(&mut self) -> Vec<Ack> {
        std::mem::take(&mut self.more)
    }
}

/// A filter plugin of the table.
pub struct FilterPlugin {
    /// Name, keys and documentation.
    pub info: PluginInfo,
    /// Checks the section and makes an instance; what is wrong goes to `cx.diags`.
    pub make: fn(&mut MakeCx<'_>) -> Option<Box<dyn Filter>>,
}

table! {
    /// Every filter, by name.
    PLUGINS: FilterPlugin =
    #[cfg(feature = "tools")]
    &expect::PLUGIN,
    &grep::PLUGIN,
    #[cfg(feature = "kubernetes")]
    &kubernetes::PLUGIN,
    &modify::PLUGIN,
    #[cfg(feature = "filters")]
    &multiline::PLUGIN,
    &nest::PLUGIN,
    &parser::PLUGIN,
    #[cfg(feature = "filters")]
    &record_modifier::PLUGIN,
    #[cfg(feature = "filters")]
    &rewrite_tag::PLUGIN,
    #[cfg(feature = "tools")]
    &stdout::PLUGIN,
    #[cfg(feature = "filters")]
    &sysinfo::PLUGIN,
    #[cfg(feature = "filters")]
    &throttle::PLUGIN,
    #[cfg(feature = "filters")]
    &type_converter::PLUGIN,
}
