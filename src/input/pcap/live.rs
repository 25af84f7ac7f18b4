//! Live capture: one task per interface feeds the analysis, another one lets time pass on a quiet line.

use super::drops::Drops;
use super::interfaces::ANY;
use super::libpcap::{self, BLOCK_AGE, Handle, Refusal, Terms, Turn};
use super::work::Work;
use crate::fmt::capture::Packet;
use crate::input::InputCx;
use crate::rt::{self, Notify};
use crate::time::Time;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often the kernel is asked for its counters, and the analysis told the time, while there is something to tell.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const TICK_EVERY: Duration = Duration::from_secs(1);
const MAX_TICK: Duration = Duration::from_secs(30);
/// How often an interface that is down, or may be, is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait between two attempts to open an interface that has gone.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Packets of the ring that are older than a block are all there; a margin for a busy kernel.
const LAG: Duration = Duration::from_millis(2 * BLOCK_AGE.as_millis() as u64);
/// How often the end looks whether records have found room.
const ROOM_EVERY: Duration = Duration::from_millis(10);
/// The end: time to analyse what the ring still holds; what is left then is counted.
const DRAIN: Duration = Duration::from_secs(3);

/// What the tasks of an input share. No borrow crosses an await.
struct Shared {
    cx: InputCx,
    work: RefCell<Work>,
    terms: Terms,
    /// Captures that have not read their ring to its end.
    busy: Cell<usize>,
    /// Notified when packets came.
    fed: Notify,
    fed_at: Cell<Instant>,
}

impl Shared {
    /// A step of letting time pass; whether there is another one to take.
    fn tick(&self, now: Time) -> bool {
        let mut work = self.work.borrow_mut();
        let more = work.tick_some(now);
        work.commit();
        more
    }
}

/// Captures until the shutdown; then what the kernel holds is read, and the analysis ends.
pub async fn run(interfaces: Vec<(String, Option<Handle>)>, terms: Terms, work: Work, cx: InputCx) {
    // The last packets are still in the kernel when the shutdown begins.
    let hold = cx.hold();
    for counter in [PACKETS, KERNEL, DRIVER, LOST] {
        cx.count(counter, 0);
    }
    let shared = Rc::new(Shared {
        cx: cx.clone(),
        work: RefCell::new(work),
        terms,
        busy: Cell::new(0),
        fed: Notify::default(),
        fed_at: Cell::new(rt::now()),
    });
    let clock = rt::spawn(pass_time(shared.clone()));
    let tasks: Vec<_> =
        interfaces.into_iter().map(|(name, handle)| rt::spawn(follow(shared.clone(), name, handle))).collect();
    for task in tasks {
        task.await;
    }
    drop(clock);
    let begin = rt::now();
    while shared.work.borrow_mut().finish_some() {
        rt::yield_now().await;
        // Many flows end at once: their records wait for room, but not for ever.
        while !cx.has_room() && begin.elapsed() < DRAIN {
            rt::sleep(ROOM_EVERY).await;
        }
    }
    drop(hold);
}

/// Names of counters in the account.
const PACKETS: &str = "packets";
const KERNEL: &str = "dropped by the kernel";
const DRIVER: &str = "dropped by interfaces";
const LOST: &str = "interfaces lost";
const LATE: &str = "not analysed at the end";

/// Why a capture ended.
enum End {
    Stopping,
    /// The interface is gone; libpcap's words.
    Gone(String),
}

/// Captures from one interface, as often as it comes back.
async fn follow(shared: Rc<Shared>, name: String, mut handle: Option<Handle>) {
    let (cx, label) = (&shared.cx, shared.cx.label());
    if handle.is_none() {
        log::warn!("[{label}] '{name}' is down: waiting until it is up (ip link set {name} up)");
    }
    loop {
        if let Some(open) = handle.take() {
            log::info!("[{label}] capturing from '{name}' ({})", open.link());
            let mut live = Live::new(&shared, &name, open);
            let end = live.run().await;
            live.drain().await;
            live.count();
            match end {
                End::Stopping => return,
                End::Gone(why) => {
                    cx.count(LOST, 1);
                    log::warn!("[{label}] '{name}' is gone ({why}): waiting until it is back");
                }
            }
        }
        match come_back(&shared, &name).await {
            Some(open) => handle = Some(open),
            None => return,
        }
    }
}

/// Opens an interface as soon as it can be; `None` when the shutdown came first.
async fn come_back(shared: &Shared, name: &str) -> Option<Handle> {
    let mut wait = LOOK_EVERY;
    let mut said = None;
    loop {
        if !shared.cx.sleep(wait).await {
            return None;
        }
        wait = MAX_WAIT.min(wait * 2);
        match Handle::open(name, &shared.terms) {
            Ok(handle) => return Some(handle),
            Err(Refusal::Missing | Refusal::Down) => {}
            Err(other) if said.as_ref() == Some(&other) => {}
            Err(other) => {
                log::warn!("[{}] '{name}' cannot be opened yet: {other}", shared.cx.label());
                said = Some(other);
            }
        }
    }
}

/// An open capture.
struct Live<'a> {
    shared: &'a Shared,
    name: &'a str,
    handle: Handle,
    drops: Drops,
    /// When to ask for the counters: set while packets have come since the last time.
    count_at: Option<Instant>,
    /// When to look whether the interface is still up: soon after the last packet, since libpcap takes the news for
    /// itself when packets come with it.
    look_at: Option<Instant>,
    looked: Option<Instant>,
    is_down: bool,
    /// Not so with libpcap's pseudo-devices.
    is_ever_up: bool,
}

impl<'a> Live<'a> {
    fn new(shared: &'a Shared, name: &'a str, handle: Handle) -> Self {
        Self {
            shared,
            name,
            handle,
            drops: Drops::default(),
            count_at: None,
            look_at: None,
            looked: None,
            is_down: false,
            is_ever_up: libpcap::interfaces().is_ok_and(|all| all.iter().any(|i| i.name == name && i.is_up)),
        }
    }

    async fn run(&mut self) -> End {
        let shared = self.shared;
        let cx = &shared.cx;
        while !cx.is_stopping() {
            let timer = [self.count_at, self.look_at].into_iter().flatten().min();
            let read = async { Event::Read(self.handle.read(|p| shared.work.borrow_mut().packet(p)).await) };
            let time = async {
                match timer {
                    Some(at) => rt::sleep_until(at).await,
                    None => std::future::pending().await,
                }
                Event::Timer
            };
            let stop = async {
                cx.stopping().await;
                Event::Stop
            };
            match rt::or(read, rt::or(stop, time)).await {
                Event::Read(Ok(Turn::Packets(n))) => {
                    self.took(n);
                    self.pause().await;
                }
                Event::Read(Ok(Turn::Nothing)) => {
                    let soonest = self.looked.map_or_else(rt::now, |at| at + LOOK_EVERY);
                    self.look_at.get_or_insert(soonest);
                }
                Event::Read(Err(why)) => return End::Gone(why),
                Event::Stop => break,
                Event::Timer => {}
            }
            let now = rt::now();
            if self.count_at.is_some_and(|at| at <= now) {
                self.count();
            }
            if self.look_at.is_some_and(|at| at <= now)
                && let Some(end) = self.look()
            {
                return end;
            }
        }
        End::Stopping
    }

    /// After a turn that brought packets: hands the records on.
    fn took(&mut self, n: usize) {
        self.shared.cx.count(PACKETS, n as u64);
        self.shared.work.borrow_mut().commit();
        self.shared.fed.notify();
        let now = rt::now();
        self.shared.fed_at.set(now);
        self.count_at.get_or_insert(now + COUNT_EVERY);
        // Packets of an interface that was down say that it is up.
        self.look_at = Some(if self.is_down { now } else { now + LOOK_EVERY });
    }

    /// Between two turns: the others work, and the records so far find room.
    async fn pause(&self) {
        let shared = self.shared;
        shared.busy.set(shared.busy.get() + 1);
        rt::yield_now().await;
        if !shared.cx.has_room() {
            // Packets wait in the ring; those that find no room there are counted by the kernel.
            shared.cx.wait_for_room().await;
        }
        shared.busy.set(shared.busy.get() - 1);
    }

    /// Reads what was captured before now: the kernel keeps the youngest packets for [`BLOCK_AGE`], those of an interface
    /// that is gone, too.
    async fn drain(&mut self) {
        let shared = self.shared;
        shared.busy.set(shared.busy.get() + 1);
        let (last, begin) = (shared.cx.now(), rt::now());
        let (mut past, mut late) = (false, 0);
        while !past && begin.elapsed() < 2 * DRAIN {
            let in_time = begin.elapsed() < DRAIN;
            let mut count = 0;
            let each = |p: &Packet<'_>| {
                if p.time > last {
                    past = true;
                } else if in_time {
                    count += 1;
                    shared.work.borrow_mut().packet(p);
                } else {
                    late += 1;
                }
            };
            // An error says what is known: that no more will come.
            if self.handle.read_now(each).unwrap_or(0) > 0 {
                self.took(count);
                rt::yield_now().await;
                continue;
            }
            let rest = LAG.saturating_sub(begin.elapsed());
            if rest.is_zero() {
                break;
            }
            rt::sleep(rest.min(BLOCK_AGE / 4)).await;
        }
        if late > 0 {
            shared.cx.count(LATE, late);
            let why = format!(
                "packets of '{}' could not be analysed in the {} s that the end has",
                self.name,
                DRAIN.as_secs()
            );
            shared.cx.lost(late, &why);
        }
        shared.busy.set(shared.busy.get() - 1);
    }

    /// Asks the kernel for its counters and says what was dropped.
    fn count(&mut self) {
        self.count_at = None;
        let Ok(counts) = self.handle.counts() else { return };
        let new = self.drops.since(counts);
        let cx = &self.shared.cx;
        log::debug!("[{}] '{}': {new:?}", cx.label(), self.name);
        if new.dropped > 0 {
            cx.count(KERNEL, u64::from(new.dropped));
            let why = format!(
                "packets of '{}' came faster than they were read (a larger Buffer_Size bridges peaks, a BPF_Filter \
                 leaves out what is not needed)",
                self.name
            );
            cx.lost(u64::from(new.dropped), &why);
        }
        if new.if_dropped > 0 {
            cx.count(DRIVER, u64::from(new.if_dropped));
            cx.lost(u64::from(new.if_dropped), &format!("packets that the interface '{}' dropped itself", self.name));
        }
    }

    /// Looks whether the interface is there and up. A packet socket survives that its interface goes down and up again,
    /// but not that it is deleted, even when another one gets the same name at once.
    fn look(&mut self) -> Option<End> {
        self.look_at = None;
        self.looked = Some(rt::now());
        if self.name == ANY {
            return None;
        }
        let shared = self.shared;
        // Reading is how libpcap finds out that the device of its socket is gone.
        match self.handle.read_now(|p| shared.work.borrow_mut().packet(p)) {
            Ok(0) => {}
            Ok(n) => self.took(n),
            Err(why) => return Some(End::Gone(why)),
        }
        let all = libpcap::interfaces().ok()?;
        let Some(found) = all.iter().find(|i| i.name == self.name) else {
            return Some(End::Gone("it does not exist any more".into()));
        };
        let label = shared.cx.label();
        match (found.is_up, self.is_down) {
            (false, false) if self.is_ever_up => {
                self.is_down = true;
                shared.cx.count(LOST, 1);
                log::warn!("[{label}] '{}' went down: waiting until it is up again", self.name);
            }
            (true, true) => {
                self.is_down = false;
                log::info!("[{label}] '{}' is up again", self.name);
            }
            _ => {}
        }
        if self.is_down {
            self.look_at = Some(rt::now() + LOOK_EVERY);
        }
        None
    }
}

enum Event {
    Read(Result<Turn, String>),
    Timer,
    Stop,
}

/// Tells the analysis the time while it waits for something and no packets do, on a quiet line ever more rarely; sleeps for
/// good when nothing waits.
async fn pass_time(shared: Rc<Shared>) {
    loop {
        while shared.work.borrow().waits() {
            // What is due after a silence is late by a sixteenth of it at most.
            let quiet = shared.fed_at.get().elapsed();
            rt::sleep((quiet / 16).clamp(TICK_EVERY, MAX_TICK)).await;
            if shared.busy.get() == 0 {
                // What was captured later than this may still be in the ring.
                let now = shared.cx.now().before(LAG);
                while shared.tick(now) {
                    rt::yield_now().await;
                    shared.cx.wait_for_room().await;
                }
            }
        }
        shared.fed.wait().await;
    }
}
