//! Worker threads: calls that block (HTTP requests, name look-ups, SQLite) run here behind a bounded queue.

use super::Notify;
use heapless::Deque;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait for a free thread; further callers wait on the event thread.
const QUEUE: usize = 16;
/// Worker stacks, in bytes: TLS and HTTP need well under this.
const STACK: usize = 512 * 1024;

/// Up to `max` named threads, each made when first needed; they end when this is dropped.
#[derive(Clone)]
pub struct Workers(Rc<Inner>);

struct Inner {
    name: String,
    max: usize,
    started: Cell<usize>,
    busy: Cell<usize>,
    room: Notify,
    /// When the last job under a leaping clock ends.
    #[cfg(test)]
    ends: Cell<Option<std::time::Instant>>,
    shared: Arc<Shared>,
    handles: RefCell<Vec<thread::JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: Deque<Job, QUEUE>,
    closed: bool,
}

impl Workers {
    /// At most `max` threads (at least one) named `name`.
    pub fn new(name: &str, max: usize) -> Self {
        Self(Rc::new(Inner {
            name: name.chars().take(15).collect(),
            max: max.max(1),
            started: Cell::new(0),
            busy: Cell::new(0),
            room: Notify::default(),
            #[cfg(test)]
            ends: Cell::default(),
            shared: Arc::default(),
            handles: RefCell::default(),
        }))
    }

    /// Runs `job` on a worker; `None` when no thread could be started or the job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let inner = &*self.0;
        #[cfg(test)]
        if let Some(time) = super::leap::job_time() {
            let begin = inner.ends.get().map_or_else(super::now, |end| end.max(super::now()));
            inner.ends.set(Some(begin + time));
            super::sleep_until(begin + time).await;
            return Some(job());
        }
        while inner.busy.get() >= inner.max + QUEUE {
            inner.room.wait().await;
        }
        inner.busy.set(inner.busy.get() + 1);
        let _leave = Leave(inner);
        if inner.busy.get() > inner.started.get() && inner.started.get() < inner.max {
            self.start();
        }
        if inner.started.get() == 0 {
            return None;
        }
        let answer = Arc::new(Mutex::new(Answer { value: None, waker: None, lost: false }));
        let promise = Promise(answer.clone());
        let boxed: Job = Box::new(move || promise.keep(job));
        let pushed = lock(&inner.shared.queue).jobs.push_back(boxed);
        if pushed.is_err() {
            return None;
        }
        inner.shared.filled.notify_one();
        poll_fn(|cx| {
            let mut a = lock(&answer);
            if a.value.is_some() || a.lost {
                return Poll::Ready(a.value.take());
            }
            a.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn start(&self) {
        let inner = &*self.0;
        let shared = inner.shared.clone();
        match thread::Builder::new().name(inner.name.clone()).stack_size(STACK).spawn(move || work(&shared)) {
            Ok(handle) => {
                inner.started.set(inner.started.get() + 1);
                inner.handles.borrow_mut().push(handle);
            }
            Err(e) => log::error!("[worker] cannot start thread '{}': {e}", inner.name),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.filled.notify_all();
    }
}

/// Counts a caller out, however its future ends.
struct Leave<'a>(&'a Inner);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.room.notify();
    }
}

struct Answer<T> {
    value: Option<T>,
    waker: Option<Waker>,
    lost: bool,
}

/// Tells the caller when the job is done, and also when it went without an answer.
struct Promise<T>(Arc<Mutex<Answer<T>>>);

impl<T> Promise<T> {
    fn keep(self, job: impl FnOnce() -> T) {
        let value = job();
        lock(&self.0).value = Some(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let waker = {
            let mut a = lock(&self.0);
            a.lost = a.value.is_none();
            a.waker.take()
        };
        if let Some(w) = waker {
            w.wake();
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let mut queue = lock(&shared.queue);
        let job = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.closed {
                return;
            }
            queue = shared.filled.wait(queue).unwrap_or_else(|e| e.into_inner());
        };
        drop(queue);
        job();
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}
