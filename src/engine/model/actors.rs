//! Inputs, a filter and outputs that do what chance says.

use super::plan::{End, InPlan};
use super::world::{Fate, NUMBER, World, away, is_away};
use crate::conf::storage::StorageType;
use crate::error::Error;
use crate::event::{Batch, Cell, Key, Tag, Value, View};
use crate::filter::{Emitter, Filter, FilterCx};
use crate::input::{Ack, Input, InputCx};
use crate::output::{Outcome, Output, Payload};
use crate::rt::{self, LocalFuture};
use crate::time::Time;
use std::rc::Rc;
use std::time::Duration;

/// Commits records of random tags, numbers and sizes.
pub(super) struct Source {
    pub(super) world: Rc<World>,
    pub(super) index: usize,
}

impl Input for Source {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let (world, plan) = (&self.world, &self.world.plan.inputs[self.index]);
            if world.facts.borrow().runs == 0 {
                for _ in 0..plan.commits {
                    if cx.is_stopping() {
                        break;
                    }
                    self.commit(&cx, plan).await;
                    if world.draw(0, 99) < plan.pauses {
                        rt::sleep(world.some(plan.pause)).await;
                    }
                }
            }
            world.writing.set(world.writing.get() - 1);
            if world.writing.get() == 0 && (world.plan.end == End::Delivered || world.facts.borrow().runs > 0) {
                world.calm.set(true);
                wait_for_the_end(world).await;
                cx.exit(0);
            }
            cx.drained().await;
            Ok(())
        })
    }
}

impl Source {
    async fn commit(&self, cx: &InputCx, plan: &InPlan) {
        let world = &self.world;
        let t = world.draw(0, plan.tags - 1);
        let tag = Tag::new(&format!("{}{t}.{}", ["a", "b"][t as usize % 2], self.index));
        let records = world.draw(0, plan.records) as usize;
        let first = world.facts.borrow().units.len() / 2;
        let core = world.core();
        let before = core.inputs()[self.index].gate.used();
        let commit = world.commit(self.index, &tag, records);
        {
            let mut batch = cx.batch(&tag);
            for n in first..first + records {
                let mark = batch.begin();
                batch.push(Cell::int(Key::of(NUMBER), n as i64));
                batch.push_text(Key::of("text"), &[b'x'; 1000][..world.draw(0, plan.bytes) as usize]);
                batch.finish(mark, Time(0));
            }
        }
        world.grew(
            core.inputs()[self.index].gate.used().max(before) - before + 2 * records * (plan.bytes as usize + 200),
        );
        let w = world.clone();
        cx.commit_now(&tag, Some(Ack::new(move || w.acked(commit))));
        rt::yield_now().await;
        world.waiting[self.index].set(true);
        cx.wait_for_room().await;
        world.waiting[self.index].set(false);
    }
}

/// Everything goes through in the end, and nobody has to help.
async fn wait_for_the_end(world: &World) {
    for _ in 0..20_000 {
        if world.is_quiet() {
            return;
        }
        rt::sleep(Duration::from_secs(20)).await;
    }
    super::super::dump::write(&world.core());
    world.fail("not everything is delivered after days".to_owned());
}

/// Drops, moves and copies records by their numbers.
pub(super) struct Sieve {
    pub(super) storage: StorageType,
    pub(super) limit: usize,
}

impl Filter for Sieve {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            let fate = Fate::of(number(&batch.record(i)) as u64);
            if fate.leaves() {
                cx.emit(&away(batch.tag()), &batch.record(i));
            }
            if !fate.stays() {
                batch.drop_record(i);
            }
        }
    }

    fn emits(&self) -> Option<Emitter> {
        Some(Emitter {
            name: "emitter".into(),
            mem_buf_limit: self.limit,
            storage: self.storage,
            resumes: false,
            in_order: false,
        })
    }
}

fn number(record: &crate::event::Record<'_>) -> i64 {
    match record.body().find(Key::of(NUMBER)) {
        Some(Value::Int(n)) => n,
        other => panic!("a record without number: {other:?}"),
    }
}

/// Answers by chance, after a while.
pub(super) struct Sink {
    pub(super) world: Rc<World>,
    pub(super) index: usize,
}

impl Output for Sink {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        for r in view.records() {
            let unit = number(&r) as u64 * 2 + u64::from(is_away(view.tag()));
            out.bytes.extend_from_slice(&unit.to_le_bytes());
            out.items.push((out.bytes.len() as u32, r.index() as u32));
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async move {
            let units: Vec<u64> =
                payload.bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
            let world = &self.world;
            world.begin(self.index, &payload.tag, &units);
            let time = world.some(world.plan.outputs[self.index].time);
            if !time.is_zero() {
                rt::sleep(time).await;
            }
            let outcome = self.outcome(payload);
            let tag = &payload.tag;
            match &outcome {
                Outcome::Done => world.end(self.index, tag, &units, &[], false),
                Outcome::Down(_) => world.end(self.index, tag, &[], &[], true),
                Outcome::Retry(_) => world.end(self.index, tag, &[], &[], false),
                Outcome::Drop(_) => world.end(self.index, tag, &[], &units, false),
                Outcome::Part { retry, refused, .. } => {
                    let mut sorted = [Vec::new(), Vec::new()];
                    for ((_, record), unit) in payload.items.iter().zip(&units) {
                        if refused.iter().any(|(r, _)| r == record) {
                            sorted[1].push(*unit);
                        } else if !retry.contains(record) {
                            sorted[0].push(*unit);
                        }
                    }
                    world.end(self.index, tag, &sorted[0], &sorted[1], false);
                }
            }
            outcome
        })
    }

    fn concurrency(&self) -> usize {
        self.world.plan.outputs[self.index].concurrency
    }
}

impl Sink {
    fn outcome(&self, payload: &Payload) -> Outcome {
        let (world, plan) = (&self.world, &self.world.plan.outputs[self.index]);
        if world.calm.get() || world.is_late() {
            return Outcome::Done;
        }
        if world.busy[self.index].out.get() {
            return Outcome::Down("an outage".into());
        }
        let mut dice = world.draw(0, 99);
        let mut hits = |n: u64| {
            let hit = dice < n;
            dice = dice.saturating_sub(n);
            if !hit && n > 0 { (false, dice) } else { (hit, dice) }.0
        };
        if hits(plan.down) {
            // Fewer than eight in a row keep the order.
            return if world.busy[self.index].downs.get() < 7 { Outcome::Down("down".into()) } else { Outcome::Done };
        }
        if hits(plan.retry) {
            return Outcome::Retry("busy".into());
        }
        if hits(plan.drop) {
            return Outcome::Drop("bad".into());
        }
        if hits(plan.part) {
            let (mut retry, mut refused) = (Vec::new(), Vec::new());
            for (_, record) in &payload.items {
                match world.draw(0, 3) {
                    0 => retry.push(*record),
                    1 if plan.drop > 0 => refused.push((*record, "bad".into())),
                    _ => {}
                }
            }
            return Outcome::Part { retry, why: "busy".into(), refused };
        }
        Outcome::Done
    }
}

/// Outages of one output, one after the other.
pub(super) async fn outages(world: Rc<World>, index: usize) {
    let plan = world.plan.outputs[index].clone();
    if plan.outages == 0 {
        return;
    }
    while !world.calm.get() {
        let pause = plan.outage * u32::try_from(200 / plan.outages).unwrap();
        rt::sleep(Duration::from_millis(1) + world.some(pause)).await;
        world.busy[index].out.set(true);
        rt::sleep(world.some(plan.outage)).await;
        world.busy[index].out.set(false);
    }
}

/// Flushes that nobody needs.
pub(super) async fn flushes(world: Rc<World>) {
    while !world.calm.get() {
        rt::sleep(world.some(Duration::from_secs(5))).await;
        if world.dead.get() {
            return;
        }
        world.event();
        world.core().flush_all(world.draw(0, 1) == 0);
    }
}
