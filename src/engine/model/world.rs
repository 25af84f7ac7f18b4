//! What happened so far, and what must hold at each moment of it.

use super::super::core::Core;
use super::plan::Plan;
use crate::conf::storage::StorageType;
use crate::event::{Batch, Key, Tag, Value};
use crate::rt;
use crate::rt::leap::Leaps;
use crate::store::{self, dir};
use crate::util::rng::Rng;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// What fails in a task of the engine ends the run.
macro_rules! ensure {
    ($world:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            $world.fail(format!($($what)+));
        }
    };
}

macro_rules! ensure_eq {
    ($world:expr, $a:expr, $b:expr, $($what:tt)+) => {
        match ($a, $b) {
            (a, b) if a == b => {}
            (a, b) => $world.fail(format!("{}: {a:?} is not {b:?}", format!($($what)+))),
        }
    };
}

mod judge;

pub(super) const OUTPUTS: usize = 3;
/// The key of a record's number.
pub(super) const NUMBER: &str = "n";

/// A record, or the copy of it that the filter re-emitted: one bit per output.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unit {
    pub(super) commit: u32,
    /// It is on its way there.
    pub(super) expected: u8,
    pub(super) done: u8,
    pub(super) refused: u8,
    /// Acknowledged all the same: given up, or pushed out.
    excused: u8,
    /// Done or refused in this run.
    settled_now: u8,
    /// When it was so in the run before, in ms.
    settled_at: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Commit {
    input: usize,
    records: std::ops::Range<usize>,
    acked: bool,
}

/// What is known of one output.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) routed: usize,
    pub(super) done: usize,
    pub(super) refused: usize,
    excused: usize,
    /// Records that went there a second time, after a restart.
    pub(super) again: usize,
    /// Counted by the runs before.
    dropped_before: usize,
}

/// What outlives a run.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Unit 2n is record n, 2n + 1 the copy of it that was re-emitted.
    pub(super) units: Vec<Unit>,
    pub(super) commits: Vec<Commit>,
    pub(super) outputs: [Seen; OUTPUTS],
    pub(super) events: usize,
    pub(super) runs: u32,
    pub(super) pauses: u64,
    pub(super) read_back: usize,
    /// What was Done after this moment of the last run may be sent again.
    grace: u64,
}

/// What an output is doing.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) running: Cell<usize>,
    /// In an outage.
    pub(super) out: Cell<bool>,
    /// Since this Down there was no other answer.
    last_down: Cell<Option<Instant>>,
    pub(super) downs: Cell<u32>,
    unordered: Cell<bool>,
    last: RefCell<FxHashMap<Tag, u64>>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: RefCell<Rng>,
    pub(super) facts: RefCell<Facts>,
    pub(super) core: OnceCell<Weak<Core>>,
    pub(super) root: Option<PathBuf>,
    pub(super) busy: [Busy; OUTPUTS],
    /// The inputs that wait for room.
    pub(super) waiting: Vec<Cell<bool>>,
    pub(super) writing: Cell<usize>,
    /// From now on every output takes everything.
    pub(super) calm: Cell<bool>,
    /// The process is gone.
    pub(super) dead: Cell<bool>,
    largest_commit: Cell<usize>,
    largest_chunk: Cell<usize>,
    begun: Instant,
    failure: RefCell<Option<String>>,
    looks: Cell<u32>,
}

impl World {
    pub(super) fn new(plan: Plan, facts: Facts, root: Option<PathBuf>) -> Self {
        Self {
            rng: RefCell::new(Rng::new(plan.seed ^ u64::from(facts.runs) << 40)),
            waiting: plan.inputs.iter().map(|_| Cell::new(false)).collect(),
            writing: Cell::new(plan.inputs.len()),
            plan,
            facts: RefCell::new(facts),
            core: OnceCell::new(),
            root,
            busy: Default::default(),
            calm: Cell::new(false),
            dead: Cell::new(false),
            largest_commit: Cell::new(0),
            largest_chunk: Cell::new(0),
            begun: rt::now(),
            failure: RefCell::default(),
            looks: Cell::new(0),
        }
    }

    pub(super) fn core(&self) -> Rc<Core> {
        self.core.get().and_then(Weak::upgrade).expect("the pipeline is running")
    }

    pub(super) fn draw(&self, low: u64, high: u64) -> u64 {
        self.rng.borrow_mut().between(low, high)
    }

    /// Up to `most`, in steps of 100 µs.
    pub(super) fn some(&self, most: Duration) -> Duration {
        Duration::from_micros(self.draw(0, most.as_micros() as u64 / 100) * 100)
    }

    pub(super) fn event(&self) {
        self.facts.borrow_mut().events += 1;
    }

    /// Something does not hold: the first such thing ends the run at the next leap of the clock.
    pub(super) fn fail(&self, what: String) {
        if !self.dead.get() {
            let at = rt::now().saturating_duration_since(self.begun);
            self.failure.borrow_mut().get_or_insert_with(|| format!("after {at:?}: {what}"));
        }
    }

    /// Long outages must not make a run endless.
    pub(super) fn is_late(&self) -> bool {
        self.facts.borrow().events > 2 * self.plan.events
    }

    fn ms(&self) -> u64 {
        rt::now().saturating_duration_since(self.begun).as_millis() as u64
    }

    fn is_stopping(&self) -> bool {
        self.core().state.stopping.get()
    }

    /// The name of the input, hidden or not, whose chunk holds a unit.
    fn holder(&self, unit: usize) -> StorageType {
        let input = self.facts.borrow().commits[self.facts.borrow().units[unit].commit as usize].input;
        match self.plan.sieve {
            Some((storage, _)) if unit % 2 == 1 => storage,
            _ => self.plan.inputs[input].storage,
        }
    }

    /// An input commits records: `tag` is theirs. Answers the commit's number.
    pub(super) fn commit(&self, input: usize, tag: &Tag, records: usize) -> usize {
        let core = self.core();
        let facts = &mut *self.facts.borrow_mut();
        facts.events += 1;
        let commit = facts.commits.len();
        let first = facts.units.len() / 2;
        let mask = |tag: &Tag| core.routes.of(tag).outputs.iter().fold(0u8, |m, i| m | 1 << i);
        let away = mask(&away(tag));
        let here = mask(tag);
        for n in first..first + records {
            let fate = if self.plan.sieve.is_some() { Fate::of(n as u64) } else { Fate::Stays };
            for expected in [if fate.stays() { here } else { 0 }, if fate.leaves() { away } else { 0 }] {
                facts.units.push(Unit { commit: commit as u32, expected, ..Unit::default() });
                (0..OUTPUTS).filter(|i| expected >> i & 1 == 1).for_each(|i| facts.outputs[i].routed += 1);
            }
        }
        facts.commits.push(Commit { input, records: first..first + records, acked: false });
        commit
    }

    /// How much an input's memory grew by a commit.
    pub(super) fn grew(&self, by: usize) {
        self.largest_commit.set(self.largest_commit.get().max(by));
    }

    /// (b) An acknowledgement says that every output said Done or Drop, or that the records are on the disk.
    pub(super) fn acked(&self, commit: usize) {
        if self.dead.get() {
            return;
        }
        let records = {
            let facts = &mut *self.facts.borrow_mut();
            let c = &mut facts.commits[commit];
            ensure!(self, !std::mem::replace(&mut c.acked, true), "commit {commit} was acknowledged twice");
            c.records.clone()
        };
        let mut on_disk = None;
        let core = self.core();
        for unit in records.start * 2..records.end * 2 {
            let open = {
                let u = self.facts.borrow().units[unit];
                u.expected & !(u.done | u.refused)
            };
            if open == 0 {
                continue;
            }
            if self.root.is_some() && self.may_be_stored(unit) {
                // Reading everything each time would take hours.
                let files = core.storage.get().map_or(0, |s| s.count.get());
                let times = self.facts.borrow().read_back;
                if on_disk.is_none() && self.draw(0, 10_000) > 10_000 * 40 / (1 + files * times) as u64 {
                    return;
                }
                let stored = on_disk.get_or_insert_with(|| self.read_back());
                let missing = (0..OUTPUTS as u8).filter(|i| open >> i & 1 == 1 && !stored.contains(&(unit as u64, *i)));
                missing.for_each(|i| self.excuse(unit, i, "acknowledged, but neither delivered nor on the disk"));
            } else {
                let left = (0..OUTPUTS as u8).filter(|i| open >> i & 1 == 1);
                left.for_each(|i| self.excuse(unit, i, "acknowledged, but not delivered"));
            }
        }
    }

    fn may_be_stored(&self, unit: usize) -> bool {
        self.holder(unit) == StorageType::Filesystem || self.is_stopping()
    }

    /// Some records may be given up or pushed out: as many as were counted.
    fn excuse(&self, unit: usize, output: u8, what: &str) {
        let core = self.core();
        let i = usize::from(output);
        let dropped = core.outputs()[i].stats.dropped_records.get() as usize;
        let facts = &mut *self.facts.borrow_mut();
        facts.units[unit].excused |= 1 << output;
        let seen = &mut facts.outputs[i];
        seen.excused += 1;
        let excuses = (dropped + seen.dropped_before).saturating_sub(seen.refused);
        ensure!(
            self,
            seen.excused <= excuses,
            "record {} for output {i}: {what}; {} such, {dropped} counted as dropped, {} refused",
            unit / 2,
            seen.excused,
            seen.refused
        );
    }

    /// What is on the disk at this moment: units, and the outputs that still get them.
    fn read_back(&self) -> FxHashSet<(u64, u8)> {
        let mut stored = FxHashSet::default();
        let Some(root) = &self.root else { return stored };
        self.facts.borrow_mut().read_back += 1;
        for found in dir::scan(root).0 {
            let bytes = std::fs::read(found.path()).unwrap();
            let mut batch = Batch::new(Tag::new(""));
            // One that is being begun has no head yet.
            let Ok(loaded) = store::load(&bytes, &mut batch) else { continue };
            for (at, r) in batch.records().enumerate() {
                let Some(Value::Int(n)) = r.body().find(Key::of(NUMBER)) else { panic!("a record without number") };
                let unit = n as u64 * 2 + u64::from(is_away(&loaded.tag));
                for i in 0..OUTPUTS as u8 {
                    let name = format!("out.{i}");
                    let left = loaded.left.iter().find(|(o, _)| *o == name);
                    if !loaded.done.contains(&name) && left.is_none_or(|(_, l)| l.contains(&(at as u32))) {
                        stored.insert((unit, i));
                    }
                }
            }
        }
        stored
    }

    /// An output begins to send records: (d) none twice, (g) in order, (h) one at a time and not too soon while it is down.
    pub(super) fn begin(&self, i: usize, tag: &Tag, units: &[u64]) {
        if self.dead.get() {
            return;
        }
        let (core, plan, busy) = (self.core(), &self.plan.outputs[i], &self.busy[i]);
        busy.running.set(busy.running.get() + 1);
        ensure!(self, busy.running.get() <= plan.concurrency, "more deliveries at once than allowed");
        let queue = core.outputs()[i].queue.borrow();
        // Others were on their way when the first found out.
        let begun_before = queue.is_down() && queue.probe_at().is_some();
        if queue.is_down() && !begun_before {
            ensure_eq!(self, queue.running(), 1, "more than one delivery to what is down");
        }
        if let Some(last) = busy.last_down.get().filter(|_| !begun_before && !core.state.stopping.get()) {
            let waited = rt::now().saturating_duration_since(last);
            let wait = Duration::from_secs(self.plan.base.min(self.plan.cap) + 1);
            ensure!(self, waited >= wait && busy.running.get() == 1, "output {i} is down and tried after {waited:?}");
        }
        let facts = &mut *self.facts.borrow_mut();
        facts.events += 1;
        let mut before = busy.last.borrow().get(tag).copied();
        for &unit in units {
            let u = &facts.units[unit as usize];
            ensure!(self, u.expected >> i & 1 == 1, "record {} does not go to output {i}", unit / 2);
            if (u.done | u.refused) >> i & 1 == 1 {
                let may_come_again = facts.runs > 0 && u.settled_at >= facts.grace && u.settled_now >> i & 1 == 0;
                ensure!(
                    self,
                    may_come_again,
                    "record {} of {tag} went to output {i} before: {u:?}, what came after {} ms may come again",
                    unit / 2,
                    facts.grace
                );
                facts.outputs[i].again += 1;
            }
            if plan.is_ordered() && facts.runs == 0 && !busy.unordered.get() {
                ensure!(self, before.is_none_or(|b| b < unit), "record {} of {tag} comes after {before:?}", unit / 2);
            }
            before = Some(unit);
        }
    }

    /// A delivery is over: these were taken, those refused; `down` when the output was not there.
    pub(super) fn end(&self, i: usize, tag: &Tag, done: &[u64], refused: &[u64], down: bool) {
        if self.dead.get() {
            return;
        }
        let busy = &self.busy[i];
        busy.running.set(busy.running.get() - 1);
        let is_known = self.core().outputs()[i].queue.borrow().probe_at().is_some();
        if !down || !is_known {
            busy.last_down.set(down.then(rt::now));
        }
        busy.downs.set(if down { busy.downs.get() + 1 } else { 0 });
        if busy.downs.get() >= 8 {
            // Another chunk may be tried then.
            busy.unordered.set(true);
        }
        let now = self.ms();
        let facts = &mut *self.facts.borrow_mut();
        for &unit in done.iter().chain(refused) {
            let u = &mut facts.units[unit as usize];
            u.settled_now |= 1 << i;
            if facts.runs == 0 {
                u.settled_at = now;
            }
        }
        for &unit in done {
            let u = &mut facts.units[unit as usize];
            if u.done >> i & 1 == 0 {
                facts.outputs[i].done += 1;
            }
            u.done |= 1 << i;
        }
        for &unit in refused {
            facts.units[unit as usize].refused |= 1 << i;
            facts.outputs[i].refused += 1;
        }
        if let Some(&last) = done.last() {
            busy.last.borrow_mut().insert(tag.clone(), last);
        }
    }

    /// Whether everything is delivered and written.
    pub(super) fn is_quiet(&self) -> bool {
        let core = self.core();
        core.chunks.get() == 0
            && core.all_inputs().all(|i| i.open_batches() == 0)
            && core.storage.get().is_none_or(|s| s.is_idle())
    }

    /// The process ends with data left: what the next one inherits.
    pub(super) fn leave(&self, slack: Duration) -> Facts {
        let mut facts = std::mem::take(&mut *self.facts.borrow_mut());
        for (seen, out) in facts.outputs.iter_mut().zip(self.core().outputs()) {
            seen.dropped_before += out.stats.dropped_records.get() as usize;
        }
        facts.pauses += self.core().inputs().iter().map(|i| i.stats.pauses.get()).sum::<u64>();
        facts.grace = self.ms().saturating_sub(slack.as_millis() as u64);
        facts.units.iter_mut().for_each(|u| u.settled_now = 0);
        facts.runs += 1;
        facts
    }
}

impl Leaps for World {
    fn idle(&self) {
        if let Some(what) = self.failure.take() {
            self.dead.set(true);
            panic!("{what}");
        }
        self.look();
    }

    fn job_time(&self) -> Duration {
        self.event();
        self.some(self.plan.job_time)
    }
}

/// What the filter does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Dropped,
    Moved,
    Copied,
}

impl Fate {
    pub(super) fn of(number: u64) -> Self {
        match number % 10 {
            0 => Self::Dropped,
            1 => Self::Moved,
            2 => Self::Copied,
            _ => Self::Stays,
        }
    }

    pub(super) fn stays(self) -> bool {
        matches!(self, Self::Stays | Self::Copied)
    }

    pub(super) fn leaves(self) -> bool {
        matches!(self, Self::Moved | Self::Copied)
    }
}

/// The tag under which the filter re-emits records of a tag.
pub(super) fn away(tag: &Tag) -> Tag {
    Tag::new(&format!("{}e.{}", &tag[..1], &tag[tag.len() - 1..]))
}

pub(super) fn is_away(tag: &str) -> bool {
    tag.as_bytes().get(1) == Some(&b'e')
}
