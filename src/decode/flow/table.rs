//! All flows: found by their key, kept in slots.

use super::{Flow, FlowKey, Wheel};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use std::hash::{Hash, Hasher};

/// Flows looked at for the one to give up: the least recently seen of so many.
const SAMPLE: usize = 16;

/// The flows of an analyzer.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Flow>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Their deadlines.
    pub wheel: Wheel,
    seed: u64,
    hand: usize,
}

impl Table {
    /// What one flow takes at least, in bytes.
    pub const PER_FLOW: usize = size_of::<Flow>() + Wheel::PER_SLOT + 2 * size_of::<u32>();

    /// An empty table. `seed` should not be known to those who send packets.
    pub fn new(seed: u64) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), index: HashTable::new(), wheel: Wheel::default(), seed, hand: 0 }
    }

    /// Number of flows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The slot of a flow.
    #[inline]
    pub fn find(&self, key: &FlowKey) -> Option<u32> {
        let slots = &self.slots;
        self.index.find(hash(self.seed, key), |&s| slots.get(s as usize).is_some_and(|f| f.info.key == *key)).copied()
    }

    /// Adds a flow, whose key is not there yet.
    pub fn insert(&mut self, flow: Flow) -> u32 {
        let (seed, hashed) = (self.seed, hash(self.seed, &flow.info.key));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = flow;
                slot
            }
            None => {
                self.slots.push(flow);
                self.slots.len() as u32 - 1
            }
        };
        let slots = &self.slots;
        let rehash = |&s: &u32| slots.get(s as usize).map_or(0, |f| hash(seed, &f.info.key));
        self.index.insert_unique(hashed, slot, rehash);
        slot
    }

    /// The flow in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Flow> {
        self.slots.get_mut(slot as usize).filter(|f| f.is_live)
    }

    /// Removes the flow in a slot.
    pub fn remove(&mut self, slot: u32) {
        self.wheel.disarm(slot);
        let Some(flow) = self.slots.get_mut(slot as usize).filter(|f| f.is_live) else { return };
        flow.is_live = false;
        flow.app = Default::default();
        flow.tcp = None;
        let hashed = hash(self.seed, &flow.info.key);
        if let Ok(entry) = self.index.find_entry(hashed, |&s| s == slot) {
            entry.remove();
        }
        self.free.push(slot);
    }

    /// The slots in use from one on, in their order.
    pub fn live(&self, from: u32) -> impl Iterator<Item = u32> {
        (from..self.slots.len() as u32).filter(|&s| self.slots[s as usize].is_live)
    }

    /// The flow to give up when memory is short: the least recently seen of a few, the next few at the next call.
    pub fn oldest(&mut self) -> Option<u32> {
        let mut best: Option<u32> = None;
        let mut seen = 0;
        for _ in 0..self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let flow = &self.slots[self.hand];
            if flow.is_live {
                if best.is_none_or(|b| flow.last < self.slots[b as usize].last) {
                    best = Some(self.hand as u32);
                }
                seen += 1;
                if seen == SAMPLE {
                    break;
                }
            }
        }
        best
    }
}

#[inline]
fn hash(seed: u64, key: &FlowKey) -> u64 {
    let mut hasher = FoldHasher::with_seed(seed, SharedSeed::global_fixed());
    key.hash(&mut hasher);
    hasher.finish()
}
