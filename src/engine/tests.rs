//! The engine with scripted inputs, filters and outputs.

use super::core::{Core, FilterState, Parts, Terms};
use super::delivery::{Limits, OutputState};
use super::intake::{InputState, Spec};
use super::rejects::Rejects;
use super::route::{Routes, Rule};
use super::{Engine, Ready};
use crate::conf::storage::StorageType;
use crate::conf::{Section, StorageConf};
use crate::error::{Diags, Error};
use crate::event::{Batch, Key, Tag, View};
use crate::filter::{Emitter, Filter, FilterCx, Wake};
use crate::input::{Ack, Input, InputCx};
use crate::output::{Outcome, Output, Payload};
use crate::rt::{self, LocalFuture};
use crate::time::Time;
use crate::util::backoff::Backoff;
use crate::util::counters::OwnCounters;
use crate::util::wildcard::Wildcard;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Commits `count` numbered lines, `per` at a time, then asks for the end.
struct Lines {
    count: usize,
    per: usize,
    acked: Rc<Cell<usize>>,
    /// The same lines under each of these, written before any of them is committed.
    tags: Vec<Tag>,
    /// A peer waits for the acknowledgement of each commit.
    waits: bool,
    /// The tags are written and committed one after the other, each for a peer that waits.
    apart: bool,
}

impl Input for Lines {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            for from in (0..self.count).step_by(self.per) {
                let to = (from + self.per).min(self.count);
                for tag in self.tags.iter().filter(|_| self.apart) {
                    {
                        let mut b = cx.batch(tag);
                        let m = b.begin();
                        b.push_text(Key::of("log"), b"line");
                        b.finish(m, Time(0));
                    }
                    cx.commit_now(tag, None);
                    cx.hurry();
                    cx.wait_for_room().await;
                }
                if self.apart {
                    continue;
                }
                for tag in &self.tags {
                    let mut b = cx.batch(tag);
                    for n in from..to {
                        let m = b.begin();
                        b.push_text(Key::of("log"), format!("line {n}").as_bytes());
                        b.finish(m, Time(0));
                    }
                }
                let acked = self.acked.clone();
                let ack = Ack::new(move || acked.set(acked.get() + to - from));
                self.tags.iter().for_each(|tag| cx.commit_now(tag, Some(ack.clone())));
                drop(ack);
                if self.waits {
                    cx.hurry();
                    let acked = async {
                        while self.acked.get() < to {
                            rt::sleep(Duration::from_millis(1)).await;
                        }
                    };
                    rt::timeout(Duration::from_secs(10), acked).await.expect("acknowledged before the next flush");
                }
                rt::yield_now().await;
                cx.wait_for_room().await;
            }
            cx.exit(0);
            cx.drained().await;
            Ok(())
        })
    }
}

/// Keeps what it is given; answers from a script first.
#[derive(Default)]
struct Store {
    script: RefCell<VecDeque<Outcome>>,
    got: RefCell<Vec<String>>,
    slow: Option<Duration>,
}

impl Output for Rc<Store> {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        for r in view.records() {
            let Some(text) = r.body().find(Key::of("log")).and_then(|v| v.as_text()) else { continue };
            out.bytes.extend_from_slice(view.tag().as_bytes());
            out.bytes.push(b' ');
            out.bytes.extend_from_slice(&text.bytes());
            out.bytes.push(b'\n');
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, p: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async move {
            if let Some(t) = self.slow {
                rt::sleep(t).await;
            }
            let outcome = self.script.borrow_mut().pop_front().unwrap_or(Outcome::Done);
            let text = String::from_utf8_lossy(&p.bytes).into_owned();
            let lines = text.lines().map(str::to_owned);
            match &outcome {
                Outcome::Done => self.got.borrow_mut().extend(lines),
                Outcome::Part { retry, refused, .. } => self.got.borrow_mut().extend(
                    lines
                        .enumerate()
                        .filter(|(i, _)| !retry.contains(&(*i as u32)) && !refused.iter().any(|r| r.0 == *i as u32))
                        .map(|(_, l)| l),
                ),
                _ => {}
            }
            outcome
        })
    }
}

/// Drops lines that end in an odd digit; sends those that end in 4 away under another tag.
struct Odd;

impl Filter for Odd {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            let last =
                batch.body(i).find(Key::of("log")).and_then(|v| v.as_text()).and_then(|t| t.raw().last().copied());
            match last {
                Some(b'4') => {
                    cx.emit(&Tag::new("four"), &batch.record(i));
                    batch.drop_record(i);
                }
                Some(d) if d % 2 == 1 => batch.drop_record(i),
                _ => {}
            }
        }
    }

    fn emits(&self) -> Option<Emitter> {
        Some(Emitter {
            name: "emitter".into(),
            mem_buf_limit: 1 << 20,
            storage: StorageType::Memory,
            resumes: false,
            in_order: false,
        })
    }
}

/// Holds every record back for a while.
#[derive(Default)]
struct Later(VecDeque<(Instant, Batch, Vec<Ack>)>);

impl Filter for Later {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        let mut held = Batch::new(batch.tag().clone());
        for i in batch.fresh() {
            held.push_record(&batch.record(i));
            batch.drop_record(i);
        }
        self.0.push_back((rt::now() + Duration::from_millis(20), held, cx.acks().to_vec()));
    }

    fn emits(&self) -> Option<Emitter> {
        Some(Emitter {
            name: "later".into(),
            mem_buf_limit: 20 << 10,
            storage: StorageType::Memory,
            resumes: true,
            in_order: false,
        })
    }

    fn held(&self) -> usize {
        self.0.iter().map(|(_, b, _)| b.memory()).sum()
    }

    fn due(&self) -> Option<Instant> {
        self.0.front().map(|(due, ..)| *due)
    }

    fn release(&mut self, cx: &mut FilterCx, all: bool) {
        while let Some((due, ..)) = self.0.front()
            && (all || *due <= rt::now())
            && let Some((_, batch, acks)) = self.0.pop_front()
        {
            cx.give_back(batch, acks);
        }
    }
}

/// Holds records back until it has found out what it needs to know; then it gives back one batch at a time.
#[derive(Default)]
struct Asking {
    known: Rc<Cell<bool>>,
    held: VecDeque<(Batch, Vec<Ack>)>,
    counters: Rc<OwnCounters>,
    limit: usize,
}

impl Filter for Asking {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        if self.known.get() && self.held.is_empty() {
            return;
        }
        let mut held = Batch::new(batch.tag().clone());
        for i in batch.fresh() {
            held.push_record(&batch.record(i));
            batch.drop_record(i);
        }
        self.counters.add("held", held.len() as u64);
        self.held.push_back((held, cx.acks().to_vec()));
    }

    fn held(&self) -> usize {
        self.held.iter().map(|(b, _)| b.memory()).sum()
    }

    fn due(&self) -> Option<Instant> {
        (self.known.get() && !self.held.is_empty()).then(rt::now)
    }

    fn emits(&self) -> Option<Emitter> {
        let (name, mem_buf_limit) = ("asking".into(), self.limit);
        Some(Emitter { name, mem_buf_limit, storage: StorageType::Memory, resumes: true, in_order: true })
    }

    fn release(&mut self, cx: &mut FilterCx, all: bool) {
        let most = if all { usize::MAX } else { usize::from(self.known.get()) };
        let most = most.min(self.held.len());
        self.held.drain(..most).for_each(|(batch, acks)| cx.give_back(batch, acks));
    }

    fn background(&mut self, wake: Wake) -> Option<LocalFuture<'static, ()>> {
        let known = self.known.clone();
        Some(Box::pin(async move {
            // A few commits are made meanwhile.
            for _ in 0..4 {
                rt::yield_now().await;
            }
            known.set(true);
            wake();
        }))
    }

    fn counters(&self) -> Option<Rc<OwnCounters>> {
        Some(self.counters.clone())
    }
}

fn storage_conf() -> StorageConf {
    StorageConf::load(&Section::of("SERVICE", &[("storage.keep.rejected", "off")]), &mut Diags::new()).unwrap()
}

struct Run {
    acked: usize,
    got: Vec<String>,
    core: Rc<Core>,
}

fn run(count: usize, per: usize, limit: usize, filters: Vec<Box<dyn Filter>>, store: Store, retry: Option<u32>) -> Run {
    run_tags(&["t"], count, per, limit, filters, store, retry)
}

/// A pipeline whose flush does not come within the test: only [`InputCx::hurry`] sends anything.
fn run_hurried(count: usize, per: usize, filters: Vec<Box<dyn Filter>>) -> Run {
    let (limit, store) = (1 << 20, Store::default());
    run_with(Duration::from_secs(3600), &["t"], count, per, limit, filters, store, None)
}

fn run_tags(
    tags: &[&str],
    count: usize,
    per: usize,
    limit: usize,
    filters: Vec<Box<dyn Filter>>,
    store: Store,
    retry: Option<u32>,
) -> Run {
    run_with(Duration::from_millis(10), tags, count, per, limit, filters, store, retry)
}

#[expect(clippy::too_many_arguments, reason = "a script for one pipeline")]
fn run_with(
    flush: Duration,
    tags: &[&str],
    count: usize,
    per: usize,
    limit: usize,
    filters: Vec<Box<dyn Filter>>,
    store: Store,
    retry: Option<u32>,
) -> Run {
    let (waits, apart) = (flush > Duration::from_secs(60), tags.len() > 100);
    let any = || Rule { pattern: Some(Wildcard::new("*")), regex: None };
    let rules = filters.iter().map(|_| any()).collect();
    let backoff = Backoff { base_secs: 0, cap_secs: 0 };
    let routes = Routes::new(rules, vec![any()]);
    let terms = Terms {
        flush,
        grace: Duration::from_secs(5),
        flush_on_shutdown: false,
        backoff,
        mem_limit: usize::MAX,
        max_chunks_up: 128,
        show_storage: true,
        rejects: Rejects::new(&storage_conf()),
        is_replay: false,
        seed: 1,
    };
    let core = Rc::new(Core::new(terms, routes));
    let state = Rc::new(InputState::new(&core, Spec::new("lines.0", limit)));
    let store = Rc::new(store);
    let limits = Limits { retries: retry, disk: 0, eager: Duration::from_secs(1), quiet: false };
    let parts = Parts {
        backlog: None,
        inputs: vec![state.clone()],
        filters: filters
            .into_iter()
            .enumerate()
            .map(|(index, f)| {
                FilterState::new(&core, "f", f, |e| {
                    let behind = e.resumes.then_some(index);
                    Spec { is_emitter: true, behind, ..Spec::new(&e.name, e.mem_buf_limit) }
                })
            })
            .collect(),
        outputs: vec![Rc::new(OutputState::new("store.0", 0, Box::new(store.clone()), &limits))],
    };
    let _ = core.parts.set(parts);
    let acked = Rc::new(Cell::new(0));
    let input = Box::new(Lines {
        count,
        per,
        acked: acked.clone(),
        tags: tags.iter().map(|t| Tag::new(t)).collect(),
        waits,
        apart,
    });
    let ready = Ready { state, label: "input:lines:lines.0".into(), tag: Tag::new("t"), input };
    let engine =
        Engine { core: core.clone(), inputs: vec![ready], storage: storage_conf(), monitor: None, replay: None };
    assert_eq!(engine.run().unwrap(), 0);
    let got = store.got.borrow().clone();
    Run { acked: acked.get(), got, core }
}

#[test]
fn everything_arrives_once_and_is_acknowledged() {
    let r = run(1000, 7, 1 << 20, vec![], Store::default(), None);
    assert_eq!(r.got.len(), 1000);
    assert_eq!(r.got[999], "t line 999");
    assert_eq!(r.acked, 1000);
    assert_eq!(r.core.inputs()[0].gate.used(), 0, "all memory came back");
}

#[test]
fn what_a_peer_waits_for_does_not_wait_for_the_flush() {
    let r = run_hurried(60, 20, vec![]);
    assert_eq!((r.got.len(), r.acked), (60, 60));
    let r = run_hurried(60, 20, vec![Box::new(Odd)]);
    assert_eq!((r.got.len(), r.acked), (30, 60), "filters may have sent records away under another tag");
}

#[test]
fn what_a_filter_holds_back_comes_later_and_counts_as_memory() {
    // The first filter drops half of them, once: what is given back does not pass it again.
    let r = run(600, 20, 1 << 20, vec![Box::new(Odd), Box::new(Later::default())], Store::default(), None);
    let four = r.got.iter().filter(|l| l.starts_with("four ")).count();
    assert_eq!((r.got.len(), four, r.acked), (300, 60, 600));
    assert_eq!(r.core.filters()[0].stats.records.get(), 600, "what is given back does not pass it again");
    let later = r.core.filters()[1].emitter.as_ref().unwrap();
    assert_eq!((later.gate.used(), r.core.filters()[1].held.get()), (0, 0));
    assert!(r.core.inputs()[0].stats.pauses.get() > 0 || later.stats.records.get() == 300);
}

#[test]
fn what_waited_for_an_answer_keeps_its_place() {
    // With the small limit there is not always room for what is given back.
    for limit in [1 << 20, 8 << 10] {
        let asking = Asking { limit, ..Asking::default() };
        let counters = asking.counters.clone();
        let (count, store) = (400, Store { slow: Some(Duration::from_millis(1)), ..Store::default() });
        let r = run(count, 5, 2 * 1024, vec![Box::new(asking)], store, None);
        assert_eq!(r.got, (0..count).map(|n| format!("t line {n}")).collect::<Vec<_>>());
        assert_eq!(r.acked, count);
        assert!(counters.to_string().ends_with(" held"), "{counters}");
        assert_eq!(r.core.filters()[0].stats.own.to_string(), counters.to_string());
    }
}

#[test]
fn a_small_limit_holds_the_reader_back_and_loses_nothing() {
    let store = Store { slow: Some(Duration::from_millis(1)), ..Store::default() };
    let r = run(2000, 50, 8 * 1024, vec![], store, None);
    assert_eq!(r.got.len(), 2000);
    assert_eq!(r.acked, 2000);
    assert!(r.core.inputs()[0].stats.pauses.get() > 0);
}

#[test]
fn filters_drop_and_re_emit_and_acks_wait_for_both() {
    let r = run(100, 10, 1 << 20, vec![Box::new(Odd)], Store::default(), None);
    let away = r.got.iter().filter(|l| l.starts_with("four ")).count();
    assert_eq!((r.got.len(), away), (50, 10));
    assert_eq!(r.acked, 100);
    let f = &r.core.filters()[0].stats;
    assert_eq!((f.records.get(), f.drop_records.get(), f.add_records.get()), (100, 60, 10));
}

/// What an input has written and not committed yet is no business of the engine, however short memory is.
#[test]
fn a_commit_under_pressure_leaves_the_other_tags_alone() {
    let store = Store { slow: Some(Duration::from_millis(1)), ..Store::default() };
    let r = run_tags(&["t", "u", "v"], 2000, 50, 8 * 1024, vec![Box::new(Odd)], store, None);
    let odd = r.got.iter().filter(|l| l.ends_with(['1', '3', '5', '7', '9'])).count();
    assert_eq!((odd, r.got.len()), (0, 3 * 1000));
    assert_eq!((r.acked, r.core.inputs()[0].stats.records.get()), (2000, 6000));
}

/// A node has a tag for each of its containers: what a commit costs must not grow with their number.
#[test]
fn many_tags_cost_no_more_than_their_records() {
    let tags: Vec<String> = (0..600).map(|n| format!("kube.{n}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let store = Store { slow: Some(Duration::from_millis(1)), ..Store::default() };
    let (rounds, commits) = (4, 4 * 600);
    let r = run_tags(&tags, rounds, 1, 1 << 20, vec![], store, None);
    assert_eq!(r.got.len(), commits);
    let looks = r.core.looks.get();
    assert!(looks < 20 * commits as u64, "{looks} looks at batches and chunks for {commits} commits");
}

#[test]
fn only_failed_items_are_sent_again() {
    let part = Outcome::Part { retry: vec![1, 3], why: "busy".into(), refused: vec![(2, "bad".into())] };
    let store = Store { script: RefCell::new([part].into()), ..Store::default() };
    let r = run(5, 5, 1 << 20, vec![], store, None);
    assert_eq!(r.got, ["t line 0", "t line 4", "t line 1", "t line 3"]);
    let s = &r.core.outputs()[0].stats;
    assert_eq!((s.proc_records.get(), s.dropped_records.get(), s.retried_records.get()), (4, 1, 2));
    assert_eq!((s.routed_records.get(), s.undelivered()), (5, 0));
    assert_eq!(r.acked, 5);
}

#[test]
fn a_retry_limit_ends_in_a_counted_drop() {
    let script = (0..3).map(|_| Outcome::Retry("down".into())).collect();
    let r = run(5, 5, 1 << 20, vec![], Store { script: RefCell::new(script), ..Store::default() }, Some(1));
    let s = &r.core.outputs()[0].stats;
    assert!(r.got.is_empty());
    assert_eq!((s.retries.get(), s.retries_failed.get(), s.dropped_records.get()), (1, 1, 5));
    assert_eq!(r.acked, 5, "dropped by decision counts as settled");
}

#[test]
fn refused_data_is_dropped_and_counted() {
    let store = Store { script: RefCell::new([Outcome::Drop("bad".into())].into()), ..Store::default() };
    let r = run(5, 5, 1 << 20, vec![], store, None);
    let s = &r.core.outputs()[0].stats;
    assert_eq!((s.errors.get(), s.dropped_records.get(), s.proc_records.get()), (1, 5, 0));
}
