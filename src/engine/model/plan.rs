//! What a run is made of: everything follows from its seed.

use crate::conf::storage::StorageType;
use crate::input::Patience;
use crate::util::rng::Rng;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// When everything is delivered: the outputs answer Done in the end.
    Delivered,
    /// By a signal, at this time; what is left goes out in a second run.
    Stopped(Duration),
    /// Between two moments, at this time; what is on the disk goes out in a second run.
    Killed(Duration),
}

#[derive(Debug, Clone)]
pub(super) struct InPlan {
    pub(super) storage: StorageType,
    pub(super) limit: usize,
    pub(super) patience: Patience,
    pub(super) pause_on_chunks: bool,
    /// Commits that it makes.
    pub(super) commits: usize,
    /// Tags it spreads them over.
    pub(super) tags: u64,
    /// Records of a commit.
    pub(super) records: u64,
    /// Bytes of a record.
    pub(super) bytes: u64,
    /// The longest pause between two commits, and how many of 100 commits are followed by one.
    pub(super) pause: Duration,
    pub(super) pauses: u64,
    /// Its folder cannot be made before this time.
    pub(super) no_disk: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct OutPlan {
    pub(super) pattern: &'static str,
    pub(super) concurrency: usize,
    pub(super) retries: Option<u32>,
    pub(super) disk_limit: u64,
    /// The longest delivery.
    pub(super) time: Duration,
    /// Of 100 deliveries outside of outages: how many end so.
    pub(super) down: u64,
    pub(super) retry: u64,
    pub(super) drop: u64,
    pub(super) part: u64,
    /// Outages: the more, the shorter the pauses between them; and the longest.
    pub(super) outages: u64,
    pub(super) outage: Duration,
}

impl OutPlan {
    /// Whether it takes its records in order.
    pub(super) fn is_ordered(&self) -> bool {
        self.concurrency == 1 && self.retry + self.part == 0 && self.retries.is_none()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) events: usize,
    pub(super) inputs: Vec<InPlan>,
    pub(super) outputs: Vec<OutPlan>,
    /// A filter that drops, moves and copies records: where those it re-emits wait, and in how many bytes.
    pub(super) sieve: Option<(StorageType, usize)>,
    pub(super) mem_limit: usize,
    pub(super) backlog_limit: usize,
    pub(super) max_chunks_up: usize,
    pub(super) flush: Duration,
    pub(super) grace: Duration,
    pub(super) flush_on_shutdown: bool,
    pub(super) base: u64,
    pub(super) cap: u64,
    /// A folder is set.
    pub(super) disk: bool,
    pub(super) job_time: Duration,
    /// Flushes by hand, now and then.
    pub(super) flushes: bool,
    pub(super) end: End,
}

/// What the inputs of a run are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Memory,
    Disk,
    Ring,
    Mixed,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One of a few.
fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.between(0, of.len() as u64 - 1) as usize].clone()
}

fn range(rng: &mut Rng, r: RangeInclusive<u64>) -> u64 {
    rng.between(*r.start(), *r.end())
}

impl Plan {
    pub(super) fn new(seed: u64, theme: Theme, events: usize) -> Self {
        let rng = &mut Rng::new(seed.wrapping_mul(0x9e37_79b9) ^ theme as u64);
        let n = pick(rng, &[1, 1, 2, 3]);
        let inputs: Vec<_> = (0..n).map(|_| input(rng, theme, events / 2 / n)).collect();
        let outputs: Vec<_> = (0..pick(rng, &[1, 2, 2, 3])).map(|_| output(rng)).collect();
        let needs_disk = inputs.iter().any(|i| i.storage == StorageType::Filesystem);
        let kept = if needs_disk { StorageType::Filesystem } else { StorageType::Memory };
        let sieve = pick(rng, &[None, Some(StorageType::Memory), Some(kept)]);
        let second = ms(range(rng, 1..=2000) * 100);
        let end = match theme {
            Theme::Disk | Theme::Mixed => {
                pick(rng, &[End::Delivered, End::Delivered, End::Stopped(second), End::Killed(second)])
            }
            _ => pick(rng, &[End::Delivered, End::Delivered, End::Stopped(second)]),
        };
        let is_unlimited = outputs.iter().all(|o| o.retries.is_none() && o.disk_limit == 0);
        Self {
            seed,
            events,
            sieve: sieve.map(|s| (s, pick(rng, &[2 << 10, 32 << 10]))),
            mem_limit: pick(rng, &[usize::MAX, 24 << 10, 64 << 10]),
            backlog_limit: pick(rng, &[1, 8 << 10, 64 << 10]),
            max_chunks_up: pick(rng, &[1, 3, 10, 128]),
            flush: pick(rng, &[ms(10), ms(200), ms(1000)]),
            grace: pick(rng, &[ms(0), ms(3000), ms(30_000)]),
            flush_on_shutdown: pick(rng, &[true, false]),
            base: pick(rng, &[1, 5]),
            cap: pick(rng, &[1, 60, 2000]),
            disk: needs_disk || (theme != Theme::Ring && is_unlimited && pick(rng, &[true, false])),
            job_time: pick(rng, &[ms(0), ms(2), ms(300)]),
            flushes: pick(rng, &[true, false, false]),
            inputs,
            outputs,
            end,
        }
    }
}

fn input(rng: &mut Rng, theme: Theme, commits: usize) -> InPlan {
    let storage = match theme {
        Theme::Memory => StorageType::Memory,
        Theme::Disk => StorageType::Filesystem,
        Theme::Ring => StorageType::Memrb,
        Theme::Mixed => pick(rng, &[StorageType::Memory, StorageType::Filesystem]),
    };
    InPlan {
        storage,
        limit: pick(rng, &[3 << 10, 12 << 10, 48 << 10, 1 << 20]),
        patience: pick(rng, &[Patience::None, Patience::Waits, Patience::ReadsAgain]),
        pause_on_chunks: storage == StorageType::Filesystem && pick(rng, &[true, false, false]),
        commits,
        tags: range(rng, 1..=4),
        records: pick(rng, &[1, 3, 8]),
        bytes: pick(rng, &[10, 80, 600]),
        pause: pick(rng, &[ms(5), ms(100), ms(2000)]),
        pauses: pick(rng, &[5, 30, 100]),
        no_disk: (storage == StorageType::Filesystem).then(|| pick(rng, &[None, None, Some(ms(20_000))])).flatten(),
    }
}

fn output(rng: &mut Rng) -> OutPlan {
    let calm = pick(rng, &[true, false]);
    let percent = |rng: &mut Rng, n: u64| if calm { 0 } else { range(rng, 0..=n) };
    OutPlan {
        pattern: pick(rng, &["*", "*", "a*", "*1"]),
        concurrency: pick(rng, &[1, 1, 2, 4]),
        retries: pick(rng, &[None, None, None, Some(0), Some(1), Some(3)]),
        disk_limit: pick(rng, &[0, 0, 0, 20_000]),
        time: pick(rng, &[ms(0), ms(3), ms(50), ms(700)]),
        down: pick(rng, &[0, 1, 10]),
        retry: percent(rng, 10),
        drop: percent(rng, 4),
        part: percent(rng, 20),
        outages: pick(rng, &[0, 0, 10, 100]),
        outage: pick(rng, &[ms(1000), ms(60_000), ms(1_000_000)]),
    }
}
