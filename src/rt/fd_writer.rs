//! Writing to descriptors shared with other processes, without blocking and without touching their flags.
//!
//! `O_NONBLOCK` belongs to the open file description, so setting it on an inherited stdout would set it for the shell
//! as well. Pipes and terminals are therefore opened anew through `/proc/self/fd`; where that is refused, each write is
//! preceded by poll(2) and kept so small that a writable pipe takes it whole. Sockets have a flag per call. What the
//! reactor cannot watch (regular files, `/dev/null`) never waits long and is written in bounded steps.

use super::{LocalFuture, Notify, Source, Task, spawn, yield_now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

/// Up to this many bytes a pipe takes all or nothing, and not at all mixed with another process's (`PIPE_BUF`, pipe(7)).
const PIECE: usize = 4096;
/// The step for what cannot be watched.
const STEP: usize = 64 * 1024;
/// Other tasks get their turn after this many bytes.
const TURN: usize = 256 * 1024;

/// How the descriptor is kept from blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Our own non-blocking description of the same pipe or terminal.
    Own,
    /// `send(2)` with `MSG_DONTWAIT`.
    Socket,
    /// poll(2) before each write.
    Polled,
    /// Not watchable: plain writes.
    Direct,
}

/// A descriptor shared with others, written from the event thread. Whole lines are kept together where they fit into
/// 4096 bytes.
#[derive(Debug)]
pub struct FdWriter {
    fd: Rc<OwnedFd>,
    way: Way,
    source: Option<Source<Rc<OwnedFd>>>,
    busy: Cell<bool>,
    free: Notify,
    queue: RefCell<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    task: Option<Task<()>>,
    failed: Option<ErrorKind>,
}

thread_local! {
    static STDOUT: RefCell<Weak<FdWriter>> = const { RefCell::new(Weak::new()) };
}

impl FdWriter {
    /// The process's standard output; all callers share one writer and so never mix their records.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn stdout() -> Result<Rc<Self>> {
        if let Some(open) = STDOUT.with_borrow(Weak::upgrade) {
            return Ok(open);
        }
        let made = Rc::new(Self::new(std::io::stdout().as_fd())?);
        STDOUT.set(Rc::downgrade(&made));
        Ok(made)
    }

    /// The writer of standard output, when something writes there.
    pub fn open_stdout() -> Option<Rc<Self>> {
        STDOUT.with_borrow(Weak::upgrade)
    }

    /// A writer on a duplicate of `fd`, whose flags stay as they are.
    ///
    /// # Errors
    /// When `fd` is closed or descriptors have run out.
    pub fn new(fd: BorrowedFd<'_>) -> Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode as _);
        let (fd, way) = match (kind, reopen(fd)) {
            (FileType::Socket, _) => (fd.try_clone_to_owned()?, Way::Socket),
            (FileType::Fifo | FileType::CharacterDevice, Ok(own)) => (own, Way::Own),
            (FileType::Fifo | FileType::CharacterDevice, Err(_)) => (fd.try_clone_to_owned()?, Way::Polled),
            _ => (fd.try_clone_to_owned()?, Way::Direct),
        };
        Ok(Self::with(fd, way))
    }

    fn with(fd: OwnedFd, way: Way) -> Self {
        let fd = Rc::new(fd);
        let source = if way == Way::Direct { None } else { Source::new(fd.clone()).ok() };
        let way = if source.is_some() { way } else { Way::Direct };
        let queue = RefCell::default();
        Self { fd, way, source, busy: Cell::new(false), free: Notify::default(), queue }
    }

    /// Writes all of `bytes`, waiting where the reader is slow; `written` says how far it came, also after an error.
    ///
    /// # Errors
    /// `BrokenPipe` when the reader is gone, `StorageFull` when the disk is, and whatever else write(2) answers.
    pub async fn write_all(&self, bytes: &[u8], written: &mut usize) -> Result<()> {
        let _turn = self.turn().await;
        let mut since = 0;
        while let Some(rest) = bytes.get(*written..).filter(|r| !r.is_empty()) {
            let n = match &self.source {
                Some(source) => source.write(|_| self.attempt(rest)).await?,
                None => self.attempt(rest)?,
            };
            *written += n;
            since += n;
            if since >= TURN || (self.way == Way::Direct && since >= STEP) {
                since = 0;
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes from code that cannot wait: what does not go out at once is queued and follows in the background.
    /// `false` when more than `limit` bytes would be waiting, or the descriptor failed ([`Self::failed`] says how): the
    /// rest of `bytes` is not taken then. A reader that went away stays away; a full disk is tried again.
    pub fn post(self: &Rc<Self>, bytes: &[u8], limit: usize) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.failed == Some(ErrorKind::BrokenPipe) || (queue.bytes > 0 && queue.bytes + bytes.len() > limit) {
            return false;
        }
        let mut rest = bytes;
        if queue.bytes == 0 && !self.busy.get() {
            while !rest.is_empty() {
                match self.attempt(rest) {
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => {
                        queue.failed = Some(e.kind());
                        return false;
                    }
                }
            }
            queue.failed = None;
            if rest.is_empty() {
                return true;
            }
        }
        queue.bytes += rest.len();
        queue.waiting.push_back(rest.to_vec());
        if queue.task.is_none() {
            queue.task = Some(spawn(Self::drain(Rc::downgrade(self))));
        }
        true
    }

    /// How the last [`Self::post`] failed, if it did.
    pub fn failed(&self) -> Option<ErrorKind> {
        self.queue.borrow().failed
    }

    /// Waits until everything posted is written or has failed: to be called, with a time limit, at the end.
    pub async fn settle(&self) {
        while self.queue.borrow().task.is_some() {
            self.free.wait().await;
        }
    }

    fn drain(this: Weak<Self>) -> LocalFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let Some(w) = this.upgrade() else { return };
                let Some(next) = w.queue.borrow_mut().waiting.pop_front() else { return w.end_drain(None) };
                let mut written = 0;
                let done = w.write_all(&next, &mut written).await;
                w.queue.borrow_mut().bytes -= next.len();
                if let Err(e) = done {
                    return w.end_drain(Some(e.kind()));
                }
            }
        })
    }

    fn end_drain(&self, failed: Option<ErrorKind>) {
        let task = {
            let mut queue = self.queue.borrow_mut();
            if failed.is_some() {
                queue.failed = failed;
                queue.waiting.clear();
                queue.bytes = 0;
            }
            queue.task.take()
        };
        // The task that runs this ends by itself: cancelling it here would be cancelling the caller.
        if let Some(task) = task {
            task.detach();
        }
        self.free.notify();
    }

    /// One write that does not wait: `WouldBlock` when there is no room.
    fn attempt(&self, bytes: &[u8]) -> Result<usize> {
        let done = match self.way {
            Way::Own => rustix::io::write(&self.fd, piece(bytes)),
            Way::Socket => rustix::net::send(&self.fd, piece(bytes), SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Polled => writable(&self.fd).and_then(|()| rustix::io::write(&self.fd, piece(bytes))),
            Way::Direct => rustix::io::write(&self.fd, bytes.get(..STEP).unwrap_or(bytes)),
        };
        match done {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(n) => Ok(n),
            Err(e) => Err(Error::from(e)),
        }
    }

    /// Waits until no one else is in the middle of a record.
    async fn turn(&self) -> Turn<'_> {
        while self.busy.get() {
            self.free.wait().await;
        }
        self.busy.set(true);
        Turn(self)
    }
}

struct Turn<'a>(&'a FdWriter);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.free.notify();
    }
}

/// A second, non-blocking description of the pipe or terminal behind `fd`.
fn reopen(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Asks without waiting whether a write would go through; an error or hang-up counts as yes, so that the write tells.
fn writable(fd: impl AsFd) -> std::result::Result<(), Errno> {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
        0 => Err(Errno::AGAIN),
        _ => Ok(()),
    }
}

/// The first piece to write: whole lines when at least one fits.
fn piece(bytes: &[u8]) -> &[u8] {
    let Some(head) = bytes.get(..PIECE) else { return bytes };
    match memchr::memrchr(b'\n', head) {
        Some(end) => head.get(..=end).unwrap_or(head),
        None => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{run, sleep, timeout};
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn lines(n: usize) -> Vec<u8> {
        (0..n).flat_map(|i| format!("line {i} of many\n").into_bytes()).collect()
    }

    /// Everything arrives although the reader is slow, a timer still fires meanwhile, and flags stay untouched.
    fn check(read: OwnedFd, write: OwnedFd, way: Way) {
        let sent = lines(40_000);
        let want = sent.clone();
        let reader = std::thread::spawn(move || {
            let (mut got, mut buf, mut file) = (Vec::new(), [0; 8192], File::from(read));
            std::thread::sleep(Duration::from_millis(30));
            while let Ok(n @ 1..) = file.read(&mut buf) {
                got.extend_from_slice(&buf[..n]);
            }
            got
        });
        let before = rustix::fs::fcntl_getfl(&write).unwrap();
        run(async {
            let w = match way {
                Way::Polled => FdWriter::with(write.try_clone().unwrap(), way),
                _ => FdWriter::new(write.as_fd()).unwrap(),
            };
            assert_eq!(w.way, way);
            let ticks = Rc::new(Cell::new(0));
            let t = ticks.clone();
            let _ticker = spawn(async move {
                loop {
                    sleep(Duration::from_millis(2)).await;
                    t.set(t.get() + 1);
                }
            });
            let mut written = 0;
            w.write_all(&sent, &mut written).await.unwrap();
            assert_eq!(written, sent.len());
            assert!(ticks.get() >= 5, "{way:?}: the event thread was blocked ({} ticks)", ticks.get());
        })
        .unwrap();
        assert_eq!(rustix::fs::fcntl_getfl(&write).unwrap(), before);
        drop(write);
        assert!(reader.join().unwrap() == want, "{way:?}: other bytes arrived");
    }

    #[test]
    fn pipes_and_sockets_wait_without_blocking() {
        for way in [Way::Own, Way::Polled] {
            let (r, w) = rustix::pipe::pipe().unwrap();
            check(r, w, way);
        }
        let (r, w) = UnixStream::pair().unwrap();
        check(r.into(), w.into(), Way::Socket);
    }

    #[test]
    fn a_reader_that_went_away_and_a_full_disk_are_told_apart() {
        let fails = |fd: OwnedFd| {
            run(async move {
                let mut written = 0;
                let w = FdWriter::new(fd.as_fd()).unwrap();
                w.write_all(b"x\n", &mut written).await.unwrap_err().kind()
            })
            .unwrap()
        };
        let (r, w) = rustix::pipe::pipe().unwrap();
        drop(r);
        assert_eq!(fails(w), ErrorKind::BrokenPipe);
        let (r, w) = UnixStream::pair().unwrap();
        drop(r);
        assert_eq!(fails(w.into()), ErrorKind::BrokenPipe);
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(fails(full.into()), ErrorKind::StorageFull);
    }

    #[test]
    fn a_reader_that_leaves_while_we_wait_ends_the_wait() {
        let (r, w) = rustix::pipe::pipe().unwrap();
        let kind = run(async move {
            let w = Rc::new(FdWriter::new(w.as_fd()).unwrap());
            let writing = spawn(async move {
                let mut written = 0;
                w.write_all(&lines(20_000), &mut written).await.unwrap_err().kind()
            });
            sleep(Duration::from_millis(20)).await;
            drop(r);
            timeout(Duration::from_secs(5), writing).await
        })
        .unwrap();
        assert_eq!(kind, Some(ErrorKind::BrokenPipe));
    }

    #[test]
    fn two_writers_do_not_mix_their_records() {
        let (r, w) = rustix::pipe::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            let mut got = String::new();
            File::from(r).read_to_string(&mut got).unwrap();
            got
        });
        run(async move {
            let w = Rc::new(FdWriter::new(w.as_fd()).unwrap());
            let write = |c: char| {
                let w = w.clone();
                spawn(async move {
                    let long = c.to_string().repeat(200_000) + "\n";
                    w.write_all(long.as_bytes(), &mut 0).await.unwrap();
                })
            };
            let (a, b) = (write('a'), write('b'));
            a.await;
            b.await;
        })
        .unwrap();
        let got = reader.join().unwrap();
        assert_eq!(got.lines().count(), 2);
        assert!(got.lines().all(|l| l.len() == 200_000 && l.bytes().all(|b| b == l.as_bytes()[0])));
    }

    #[test]
    fn posting_is_bounded_and_in_order() {
        let (r, w) = rustix::pipe::pipe().unwrap();
        run(async move {
            let inherited = w;
            let w = Rc::new(FdWriter::new(inherited.as_fd()).unwrap());
            drop(inherited);
            let mut sent = Vec::new();
            let block = lines(1000);
            // A pipe holds 64 KiB; then 100 kB may wait.
            while w.post(&block, 100_000) {
                sent.extend_from_slice(&block);
            }
            assert!((100_000..300_000).contains(&sent.len()), "{}", sent.len());
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                File::from(r).read_to_end(&mut got).unwrap();
                got
            });
            timeout(Duration::from_secs(5), w.settle()).await.expect("written");
            assert!(w.post(b"end\n", 100_000));
            drop(w);
            sent.extend_from_slice(b"end\n");
            assert!(reader.join().unwrap() == sent);
        })
        .unwrap();
    }

    #[test]
    fn pieces_end_with_a_line_where_one_fits() {
        assert_eq!(piece(b"a\nb"), b"a\nb");
        let long = [vec![b'x'; 4000], b"\n".to_vec(), vec![b'y'; 4000]].concat();
        assert_eq!(piece(&long).len(), 4001);
        assert_eq!(piece(&[b'z'; 5000]).len(), 4096);
    }
}
