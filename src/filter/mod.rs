//! Filters: edit or drop records. One file per plugin, one line in [`PLUGINS`].

pub mod expect;
pub mod grep;
mod keys;
pub mod kubernetes;
pub mod modify;
pub mod nest;
pub mod parser;
pub mod record_modifier;
pub mod rewrite_tag;
pub mod stdout;
pub mod sysinfo;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod type_converter;
mod words;

use crate::conf::PluginInfo;
use crate::conf::storage::StorageType;
use crate::event::{Batch, Record, Tag};
use crate::plugin::MakeCx;
use crate::time::Time;
use rustc_hash::FxHashMap;

/// A step between input and outputs. It sees each record once, in the order of the configuration.
pub trait Filter {
    /// Works on the fresh records of the batch (`batch.fresh()`) in place. Dropped records stay visible to nobody: the
    /// engine sweeps them out before the next filter.
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx);

    /// Whether the filter may call [`FilterCx::emit`]; the engine then gives it an emitter with this memory limit in bytes.
    fn emits(&self) -> Option<Emitter> {
        None
    }
}

/// The hidden input through which a filter re-emits records.
#[derive(Debug, Clone)]
pub struct Emitter {
    /// Its name in logs and counters.
    pub name: String,
    /// Its memory limit, in bytes.
    pub mem_buf_limit: usize,
    /// Where its records wait.
    pub storage: StorageType,
}

/// What a filter may use while it works on a batch.
#[derive(Debug)]
pub struct FilterCx {
    /// The wall clock at the start of this batch.
    pub now: Time,
    /// Set to ask the engine to drain and to exit with this code.
    pub exit: Option<u8>,
    emitted: Vec<Batch>,
    /// Where the batch of a tag is: tags made of data may be many.
    index: FxHashMap<Tag, usize>,
}

impl FilterCx {
    /// A context for one run over one batch.
    pub fn new(now: Time) -> Self {
        Self { now, exit: None, emitted: Vec::new(), index: FxHashMap::default() }
    }

    /// Sends a copy of a record to the head of the pipeline under another tag.
    pub fn emit(&mut self, tag: &str, record: &Record<'_>) {
        let at = match self.index.get(tag) {
            Some(&at) => at,
            None => {
                let tag = Tag::new(tag);
                self.emitted.push(Batch::new(tag.clone()));
                self.index.insert(tag, self.emitted.len() - 1);
                self.emitted.len() - 1
            }
        };
        if let Some(b) = self.emitted.get_mut(at) {
            b.push_record(record);
        }
    }

    /// What was emitted, one batch per tag.
    pub fn take_emitted(&mut self) -> Vec<Batch> {
        self.index.clear();
        std::mem::take(&mut self.emitted)
    }
}

/// A filter plugin of the table.
pub struct FilterPlugin {
    /// Name, keys and documentation.
    pub info: PluginInfo,
    /// Checks the section and makes an instance; what is wrong goes to `cx.diags`.
    pub make: fn(&mut MakeCx<'_>) -> Option<Box<dyn Filter>>,
}

/// Every filter, by name.
pub static PLUGINS: &[&FilterPlugin] = &[
    &expect::PLUGIN,
    &grep::PLUGIN,
    &kubernetes::PLUGIN,
    &modify::PLUGIN,
    &nest::PLUGIN,
    &parser::PLUGIN,
    &record_modifier::PLUGIN,
    &rewrite_tag::PLUGIN,
    &stdout::PLUGIN,
    &sysinfo::PLUGIN,
    &throttle::PLUGIN,
    &type_converter::PLUGIN,
];
