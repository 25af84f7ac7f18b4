//! Where records come from: a container as its tag (or the journal) names it, with what is known of it and what waits.

use super::map::{Map, Placed};
use super::names::Names;
use crate::event::{Batch, Tag};
use crate::input::Ack;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Instant;

/// Records that wait are given back in portions of this size, in bytes.
const PORTION: usize = 256 << 10;
/// Origins that are remembered; with more of them those that were not heard of for longest go.
const MOST: usize = 4096;

/// One origin.
#[derive(Default)]
pub struct Origin {
    /// What its name says; `None` when that has another form.
    pub names: Option<Names>,
    /// What its records get, once that is known.
    pub map: Option<Map>,
    /// Where that stands.
    pub placed: Placed,
    /// What was known when the map was made.
    pub version: u64,
    /// When to ask again, after an answer that did not help.
    pub again: Option<Instant>,
    /// Since when its records wait.
    pub since: Option<Instant>,
    /// Its files were looked at.
    pub is_preloaded: bool,
    /// Records that wait, in portions, each of one tag.
    pub held: VecDeque<Held>,
    used: u64,
}

/// Records that wait.
pub struct Held {
    /// The records.
    pub batch: Batch,
    /// Their acknowledgements.
    pub acks: Vec<Ack>,
}

impl Origin {
    /// Keeps a record; answers by how much more memory is held.
    pub fn hold(&mut self, batch: &Batch, i: usize, acks: &[Ack]) -> usize {
        let last = self.held.back().filter(|h| h.batch.tag() == batch.tag() && h.batch.used() < PORTION);
        let before = last.map_or(0, Held::memory);
        if last.is_none() {
            self.held.push_back(Held { batch: Batch::new(batch.tag().clone()), acks: Vec::new() });
        }
        let Some(held) = self.held.back_mut() else { return 0 };
        held.batch.push_record(&batch.record(i));
        for ack in acks {
            // Those of one commit come together.
            let from = held.acks.len().saturating_sub(acks.len());
            if !held.acks.iter().skip(from).any(|a| a.is(ack)) {
                held.acks.push(ack.clone());
            }
        }
        held.memory() - before
    }

    /// Gives up the records that their inputs read again at the next start; answers how many, and the memory that was held of them.
    pub fn leave(&mut self) -> (usize, usize) {
        let (mut records, mut memory) = (0, 0);
        self.held.retain(|portion| {
            let stays = portion.acks.is_empty() || !portion.acks.iter().all(Ack::repeats);
            if !stays {
                portion.acks.iter().for_each(Ack::lose);
                records += portion.batch.len();
                memory += portion.memory();
            }
            stays
        });
        (records, memory)
    }
}

impl Held {
    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.batch.memory() + self.acks.capacity() * size_of::<Ack>()
    }
}

/// All origins.
#[derive(Default)]
pub struct Origins {
    all: FxHashMap<Tag, Origin>,
    /// Those whose records wait, in the order in which that began.
    pub waiting: VecDeque<Tag>,
    turn: u64,
}

impl Origins {
    /// The origin of this name; `make` takes a new one's name apart.
    pub fn get(&mut self, name: &str, make: impl FnOnce() -> Option<Names>) -> Option<&mut Origin> {
        self.turn += 1;
        if !self.all.contains_key(name) {
            if self.all.len() >= MOST {
                self.forget();
            }
            self.all.insert(Tag::new(name), Origin { names: make(), ..Origin::default() });
        }
        let origin = self.all.get_mut(name)?;
        origin.used = self.turn;
        Some(origin)
    }

    /// One that is known.
    pub fn known(&self, name: &Tag) -> Option<&Origin> {
        self.all.get(name)
    }

    /// The same, to change it.
    pub fn known_mut(&mut self, name: &Tag) -> Option<&mut Origin> {
        self.all.get_mut(name)
    }

    /// Forgets half of those that do not wait, the longest unheard of first.
    fn forget(&mut self) {
        let mut used: Vec<u64> = self.all.values().filter(|o| o.held.is_empty()).map(|o| o.used).collect();
        used.sort_unstable();
        if let Some(&oldest) = used.get(used.len() / 2) {
            self.all.retain(|_, o| !o.held.is_empty() || o.used > oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_not_remembered_for_ever_unless_records_wait() {
        let mut o = Origins::default();
        let mut batch = Batch::new(Tag::new("t"));
        let mark = batch.begin();
        batch.finish(mark, crate::time::Time(0));
        assert!(o.get("first", || None).unwrap().hold(&batch, 0, &[]) > 0);
        for n in 0..3 * MOST {
            let name = format!("t{n}");
            o.get(&name, || Some(Names::default()));
            o.get("second", || None).unwrap().is_preloaded = true;
        }
        assert!(!o.get("first", || None).unwrap().held.is_empty());
        assert!(o.get("second", || None).unwrap().is_preloaded);
        assert!(o.get("t0", || None).unwrap().names.is_none(), "it was forgotten");
        assert!(o.all.len() <= MOST);
    }
}
