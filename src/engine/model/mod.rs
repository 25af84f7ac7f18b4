//! The whole engine under a leaping clock: inputs, a filter and outputs do what chance says, a million times, and what
//! users rely on is checked at each step. A seed that fails, fails again.
//!
//! (a) nobody waits while there is room; (b) nothing is acknowledged before it is delivered or on the disk; (c) every
//! acknowledgement comes; (d) every record arrives once, and the counters fit; (e) memory comes back; (f) usage stays near
//! the limits; (g) order is kept; (h) what is down is left alone; (i) no file stays.

mod actors;
mod plan;
mod world;

use super::core::{Core, FilterState, Parts, Terms};
use super::delivery::{Limits, OutputState};
use super::intake::{InputState, Spec};
use super::rejects::Rejects;
use super::route::{Routes, Rule};
use super::{Engine, Ready};
use crate::conf::storage::StorageType;
use crate::conf::{Section, StorageConf};
use crate::error::Diags;
use crate::event::Tag;
use crate::filter::Filter;
use crate::rt;
use crate::util::backoff::Backoff;
use crate::util::wildcard::Wildcard;
use actors::{Sieve, Sink, Source};
use plan::{End, Plan, Theme};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use world::{Facts, World};

/// One process, from its start to its end.
fn run(plan: Plan, facts: Facts, root: Option<PathBuf>) -> Facts {
    let world = Rc::new(World::new(plan, facts, root.clone()));
    rt::leap::begin(world.clone());
    let plan = &world.plan;
    let engine = engine(&world, root.as_deref());
    let core = engine.core.clone();
    let first = world.facts.borrow().runs == 0;
    let mut tasks: Vec<_> = (0..plan.outputs.len()).map(|i| rt::spawn(actors::outages(world.clone(), i))).collect();
    if plan.flushes {
        tasks.push(rt::spawn(actors::flushes(world.clone())));
    }
    for (i, input) in plan.inputs.iter().enumerate() {
        if let (Some(root), Some(time), true) = (&root, input.no_disk, first) {
            let path = root.join(format!("in.{i}"));
            std::fs::write(&path, "in the way").unwrap();
            tasks.push(rt::spawn(async move {
                rt::sleep(time).await;
                std::fs::remove_file(&path).unwrap();
            }));
        }
    }
    let main = engine.main();
    if let Some(root) = &root {
        // The process before may have been killed; its lock went with it.
        let _ = std::fs::remove_file(root.join(".lock"));
    }
    let code = match plan.end {
        End::Killed(time) if first => rt::run(rt::or(
            async {
                main.await.unwrap();
            },
            async {
                rt::sleep(time).await;
                world.dead.set(true);
            },
        )),
        End::Stopped(time) if first => rt::run(rt::or(
            async {
                main.await.unwrap();
            },
            async {
                rt::sleep(time).await;
                core.state.ask(0);
                std::future::pending::<()>().await
            },
        )),
        _ => rt::run(async {
            main.await.unwrap();
            world.check_end();
            rt::sleep(Duration::from_millis(1)).await;
        }),
    };
    code.unwrap();
    world.dead.set(true);
    let slack = match plan.end {
        // What stands in the queue of the disk is gone.
        End::Killed(_) => 20 * plan.job_time + Duration::from_millis(50),
        _ => Duration::ZERO,
    };
    world.leave(slack)
}

fn engine(world: &Rc<World>, root: Option<&Path>) -> Engine {
    let plan = &world.plan;
    let path = root.map(|p| p.to_str().unwrap().to_owned());
    let mut keys = vec![("storage.keep.rejected", "off")];
    keys.extend(path.as_deref().map(|p| ("storage.path", p)));
    let conf = StorageConf::load(&Section::of("SERVICE", &keys), &mut Diags::new()).unwrap();
    let rule = |p: &str| Rule { pattern: Some(Wildcard::new(p)), regex: None };
    let routes = Routes::new(
        plan.sieve.iter().map(|_| rule("*")).collect(),
        plan.outputs.iter().map(|o| rule(o.pattern)).collect(),
    );
    let terms = Terms {
        flush: plan.flush,
        grace: plan.grace,
        flush_on_shutdown: plan.flush_on_shutdown,
        backoff: Backoff { base_secs: plan.base, cap_secs: plan.cap },
        mem_limit: plan.mem_limit,
        max_chunks_up: plan.max_chunks_up,
        show_storage: true,
        rejects: Rejects::new(&conf),
        is_replay: false,
        seed: plan.seed,
    };
    let core = Rc::new(Core::new(terms, routes));
    let spec = |i: usize| {
        let p = &plan.inputs[i];
        Spec {
            storage: p.storage,
            patience: p.patience,
            pause_on_chunks: p.pause_on_chunks,
            ..Spec::new(&format!("in.{i}"), p.limit)
        }
    };
    let inputs: Vec<_> = (0..plan.inputs.len()).map(|i| Rc::new(InputState::new(&core, spec(i)))).collect();
    let filters = plan.sieve.iter().map(|&(storage, limit)| {
        let spec = Spec { is_emitter: true, storage, ..Spec::new("emitter", limit) };
        let filter: Box<dyn Filter> = Box::new(Sieve { storage, limit });
        FilterState::new(&core, "sieve", filter, |_| spec)
    });
    let outputs = plan.outputs.iter().enumerate().map(|(index, o)| {
        let eager = Duration::from_secs(plan.base + 1);
        let limits = Limits { retries: o.retries, disk: o.disk_limit, eager, quiet: false };
        let sink = Box::new(Sink { world: world.clone(), index });
        Rc::new(OutputState::new(&format!("out.{index}"), index, sink, &limits))
    });
    let backlog = root.map(|_| {
        let spec = Spec {
            storage: StorageType::Filesystem,
            is_backlog: true,
            ..Spec::new("storage_backlog.0", plan.backlog_limit)
        };
        Rc::new(InputState::new(&core, spec))
    });
    let parts = Parts { inputs: inputs.clone(), filters: filters.collect(), outputs: outputs.collect(), backlog };
    let _ = core.parts.set(parts);
    let _ = world.core.set(Rc::downgrade(&core));
    let ready = inputs.into_iter().enumerate().map(|(index, state)| {
        let input = Box::new(Source { world: world.clone(), index });
        Ready { label: format!("input:model:{}", state.name), tag: Tag::new("t"), state, input }
    });
    Engine { core, inputs: ready.collect(), storage: conf, monitor: None, replay: None }
}

/// A run and, when it leaves something behind, the one after it; each in a thread of its own.
fn play(theme: Theme, seed: u64, events: usize) -> Facts {
    let plan = Plan::new(seed, theme, events);
    let root = plan.disk.then(|| {
        let root = std::env::temp_dir().join(format!("model-{}-{theme:?}-{seed}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        root
    });
    let mut facts = Facts::default();
    let runs = if plan.end == End::Delivered { 1 } else { 2 };
    for _ in 0..runs {
        let (p, r, before) = (plan.clone(), root.clone(), facts);
        facts = match thread::spawn(move || run(p, before, r)).join() {
            Ok(facts) => facts,
            Err(why) => {
                eprintln!("failed: play(Theme::{theme:?}, {seed}, {events}): {plan:#?}");
                resume_unwind(why);
            }
        };
    }
    if let Some(root) = root {
        let _ = std::fs::remove_dir_all(root);
    }
    facts
}

fn play_all(theme: Theme, seeds: std::ops::Range<u64>, events: usize) {
    // `MODEL_SEEDS=17..18` plays the one that failed.
    let asked = std::env::var("MODEL_SEEDS").ok();
    let asked = asked.as_deref().and_then(|s| s.split_once("..")).map(|(a, b)| a.parse().unwrap()..b.parse().unwrap());
    let seeds = asked.unwrap_or(seeds);
    let (mut total, mut pauses, mut read_back) = (0, 0, 0);
    for seed in seeds {
        let begun = std::time::Instant::now();
        let facts = play(theme, seed, events);
        if std::env::var("MODEL_SHOW").is_ok() {
            println!(
                "{theme:?} {seed}: {} events, {} commits, {} ms, read back {}",
                facts.events,
                facts.commits.len(),
                begun.elapsed().as_millis(),
                facts.read_back
            );
        }
        total += facts.events;
        pauses += facts.pauses;
        read_back += facts.read_back;
    }
    println!("{theme:?}: {total} events, {pauses} pauses, the disk read back {read_back} times");
}

#[test]
fn in_memory() {
    play_all(Theme::Memory, 0..100, 3000);
}

#[test]
fn on_the_disk() {
    play_all(Theme::Disk, 0..100, 3000);
}

#[test]
fn in_a_ring() {
    play_all(Theme::Ring, 0..50, 3000);
}

#[test]
fn mixed() {
    play_all(Theme::Mixed, 0..100, 3000);
}
