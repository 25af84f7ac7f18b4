//! The reactor: waits for file descriptors and timers, and wakes their tasks.

use super::{clock, image};
use polling::{Event, Events, PollMode, Poller};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// One direction of a registered descriptor: edge-triggered, so readiness is remembered until an operation would block.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    pub(super) waker: Option<Waker>,
}

/// A registered descriptor: `[read, write]`.
pub(super) type Slot = [Readiness; 2];

#[derive(Default)]
struct Reactor {
    poller: Option<Arc<Poller>>,
    /// Kept between turns: its buffer is 12 KiB.
    events: Option<Events>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    timers: BTreeMap<(Instant, u64), Waker>,
    next_timer: u64,
    /// The program has been idle.
    rested: bool,
}

/// Who waits for so long has nothing to do.
const IDLE: Duration = Duration::from_secs(1);

thread_local! {
    static REACTOR: RefCell<Reactor> = RefCell::default();
}

/// This thread's poller, made at the first call.
pub(super) fn poller() -> Result<Arc<Poller>> {
    REACTOR.with_borrow_mut(|r| match &r.poller {
        Some(p) => Ok(p.clone()),
        None => {
            let p = Arc::new(Poller::new()?);
            r.poller = Some(p.clone());
            Ok(p)
        }
    })
}

/// Registers a descriptor for both directions and returns its slot number.
#[allow(unsafe_code)]
pub(super) fn add(fd: &impl AsFd) -> Result<usize> {
    let poller = poller()?;
    REACTOR.with_borrow_mut(|r| {
        let key = r.free.pop().unwrap_or(r.slots.len());
        // SAFETY: `Source` owns the descriptor and removes it from the poller before closing it.
        let added = unsafe { poller.add_with_mode(fd.as_fd().as_raw_fd(), Event::all(key), PollMode::Edge) };
        if let Err(e) = added {
            r.free.push(key);
            return Err(e);
        }
        if r.slots.len() <= key {
            r.slots.resize_with(key + 1, || None);
        }
        // Assume readiness: the first operation is tried at once.
        let ready = || Readiness { ready: true, waker: None };
        r.slots[key] = Some([ready(), ready()]);
        Ok(key)
    })
}

/// Takes a descriptor out again.
pub(super) fn remove(key: usize, fd: &impl AsFd) {
    if let Ok(poller) = poller() {
        let _ = poller.delete(fd.as_fd());
    }
    REACTOR.with_borrow_mut(|r| {
        if let Some(slot) = r.slots.get_mut(key) {
            *slot = None;
            r.free.push(key);
        }
    });
}

/// Access to one direction of a slot; `None` once it is removed.
pub(super) fn with_slot<T>(key: usize, direction: usize, f: impl FnOnce(&mut Readiness) -> T) -> Option<T> {
    REACTOR.with_borrow_mut(|r| r.slots.get_mut(key)?.as_mut()?.get_mut(direction).map(f))
}

/// Sets or renews a timer.
pub(super) fn set_timer(id: Option<(Instant, u64)>, at: Instant, waker: &Waker) -> (Instant, u64) {
    REACTOR.with_borrow_mut(|r| {
        let id = id.unwrap_or_else(|| {
            r.next_timer += 1;
            (at, r.next_timer)
        });
        r.timers.insert(id, waker.clone());
        id
    })
}

/// Cancels a timer.
pub(super) fn clear_timer(id: (Instant, u64)) {
    REACTOR.with_borrow_mut(|r| r.timers.remove(&id));
}

/// Waits for the next event or timer and wakes the tasks concerned; does not wait when `busy` says that a task can run.
pub(super) fn turn(busy: impl Fn() -> bool) -> Result<()> {
    let poller = poller()?;
    let wait = if busy() {
        Some(Duration::ZERO)
    } else {
        REACTOR.with_borrow(|r| r.timers.first_key_value().map(|((at, _), _)| *at)).map(clock::until)
    };
    if wait.is_none_or(|wait| wait >= IDLE) && !REACTOR.with_borrow_mut(|r| std::mem::replace(&mut r.rested, true)) {
        image::hand_back();
    }
    let mut events = REACTOR.with_borrow_mut(|r| r.events.take()).unwrap_or_default();
    events.clear();
    match poller.wait(&mut events, wait) {
        Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(Error::other(format!("poll: {e}"))),
        _ => {}
    }
    let mut wakers = Vec::new();
    REACTOR.with_borrow_mut(|r| {
        for ev in events.iter() {
            let Some(Some(slot)) = r.slots.get_mut(ev.key) else { continue };
            for (direction, hit) in [ev.readable, ev.writable].into_iter().enumerate() {
                if hit {
                    slot[direction].ready = true;
                    wakers.extend(slot[direction].waker.take());
                }
            }
        }
        r.events = Some(events);
        if r.timers.is_empty() {
            return;
        }
        let now = clock::now();
        while let Some(entry) = r.timers.first_entry()
            && entry.key().0 <= now
        {
            wakers.push(entry.remove());
        }
    });
    wakers.into_iter().for_each(Waker::wake);
    Ok(())
}
