//! The runtime: one event thread, a reactor over `polling`, timers, and named worker threads for calls that block.
//!
//! Everything here belongs to the thread that called [`run`]; tasks need not be `Send`.

mod child;
mod clock;
mod fd_writer;
#[cfg(feature = "boards")]
pub mod gpio;
mod image;
mod io;
#[cfg(test)]
pub mod leap;
#[cfg(feature = "pcap")]
pub mod libpcap;
mod notify;
mod reactor;
#[cfg(feature = "boards")]
#[cfg(feature = "boards")]
pub mod serial;
mod signal;
mod timer;
mod unsent;
mod worker;

pub use child::{Child, adopt_orphans};
pub use clock::now;
pub use fd_writer::FdWriter;
pub use io::Source;
pub use notify::Notify;
pub use signal::{Signal, Signals};
pub use smol::Task;
pub use smol::future::{or, yield_now};
pub use timer::{Sleep, sleep, sleep_until, timeout};
pub use unsent::unsent;
pub use worker::Workers;

use smol::LocalExecutor;
use std::future::Future;
use std::io::Result;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

/// A boxed future of the event thread: one allocation per batch or connection, never per record.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

thread_local! {
    static EXECUTOR: Rc<LocalExecutor<'static>> = Rc::new(LocalExecutor::new());
}

/// Runs `main` and every task spawned meanwhile until `main` is done.
///
/// # Errors
/// When the system's poller cannot be made or waited on.
pub fn run<T>(main: impl Future<Output = T>) -> Result<T> {
    let poller = reactor::poller()?;
    let alarm = Arc::new(Alarm { rung: AtomicBool::new(true), home: thread::current().id(), poller });
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    let executor = EXECUTOR.with(Rc::clone);
    let mut all = pin!(executor.run(main));
    loop {
        alarm.rung.store(false, Ordering::Relaxed);
        if let Poll::Ready(v) = all.as_mut().poll(&mut cx) {
            return Ok(v);
        }
        reactor::turn(|| alarm.rung.load(Ordering::Acquire))?;
    }
}

/// Starts a task on the event thread; dropping the handle cancels it, `detach` lets it go.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    EXECUTOR.with(|e| e.spawn(future))
}

/// Fills `bytes` with random numbers of the system, good for secrets.
///
/// # Errors
/// When the system has none.
pub fn random(bytes: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

/// Wakes the executor; from another thread it also interrupts the poller.
struct Alarm {
    rung: AtomicBool,
    home: ThreadId,
    poller: Arc<polling::Poller>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) && thread::current().id() != self.home {
            // A failure here means that the event thread is gone.
            let _ = self.poller.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    #[test]
    fn tasks_timers_and_workers_share_one_thread() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = seen.clone();
        run(async move {
            let other = log.clone();
            let task = spawn(async move {
                sleep(Duration::from_millis(20)).await;
                other.borrow_mut().push("slept");
            });
            log.borrow_mut().push("first");
            let workers = Workers::new("t", 1);
            let n = workers.run(|| 6 * 7).await;
            assert_eq!(n, Some(42));
            log.borrow_mut().push("worked");
            task.await;
        })
        .unwrap();
        assert_eq!(*seen.borrow(), ["first", "worked", "slept"]);
    }

    #[test]
    fn sources_wait_for_readiness() {
        let (a, mut b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        let got = run(async move {
            let reader = Source::new(a).unwrap();
            let writer = spawn(async move {
                sleep(Duration::from_millis(5)).await;
                b.write_all(b"hello").unwrap();
                b
            });
            let mut buf = [0; 16];
            let n = reader.read(|mut s: &UnixStream| s.read(&mut buf)).await.unwrap();
            writer.await;
            buf[..n].to_vec()
        })
        .unwrap();
        assert_eq!(got, b"hello");
    }

    #[test]
    fn timeouts_end_what_never_ends() {
        let start = Instant::now();
        let r = run(timeout(Duration::from_millis(30), std::future::pending::<()>())).unwrap();
        assert!(r.is_none());
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn notify_wakes_all_listeners() {
        let done = run(async {
            let n = Rc::new(Notify::default());
            let (a, b) = (n.clone(), n.clone());
            let t1 = spawn(async move { a.wait().await });
            let t2 = spawn(async move { b.wait().await });
            yield_now().await;
            n.notify();
            t1.await;
            t2.await;
            true
        })
        .unwrap();
        assert!(done);
    }
}
