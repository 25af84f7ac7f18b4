//! Writing to descriptors shared with other processes, without blocking and without touching their flags.
//!
//! `O_NONBLOCK` belongs to the open file description, so setting it on an inherited stdout would set it for the shell
//! as well. Pipes and terminals are therefore opened anew through `/proc/self/fd`; where that is refused, each write is
//! preceded by poll(2) and kept so small that a writable pipe takes it whole. Sockets have a flag per call. What the
//! reactor cannot watch (regular files, `/dev/null`) never waits long and is written in bounded steps; what a full disk
//! left of a record in a file is taken back.

use super::{LocalFuture, Notify, Source, Task, spawn, yield_now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::{Rc, Weak};

/// Up to this many bytes a pipe takes all or nothing, and not at all mixed with another process's (`PIPE_BUF`, pipe(7)).
const PIECE: usize = 4096;
/// The step for what cannot be watched.
const STEP: usize = 256 * 1024;
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
    regular: bool,
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
        let kind = kind(fd)?;
        let (fd, way) = match (kind, reopen(fd)) {
            (FileType::Socket, _) => (fd.try_clone_to_owned()?, Way::Socket),
            (FileType::Fifo | FileType::CharacterDevice, Ok(own)) => (own, Way::Own),
            (FileType::Fifo | FileType::CharacterDevice, Err(_)) => (fd.try_clone_to_owned()?, Way::Polled),
            _ => (fd.try_clone_to_owned()?, Way::Direct),
        };
        Ok(Self::with(fd, kind, way))
    }

    /// Opens `path` for appending; makes the file when there is none.
    ///
    /// # Errors
    /// What open(2) answers; `NotConnected` for a named pipe that nobody reads.
    pub fn append(path: &Path) -> Result<Self> {
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::NXIO) => return Err(Error::new(ErrorKind::NotConnected, "nobody reads this pipe")),
            opened => opened?,
        };
        let kind = kind(fd.as_fd())?;
        let way = if kind == FileType::RegularFile { Way::Direct } else { Way::Own };
        Ok(Self::with(fd, kind, way))
    }

    fn with(fd: OwnedFd, kind: FileType, way: Way) -> Self {
        let fd = Rc::new(fd);
        let source = if way == Way::Direct { None } else { Source::new(fd.clone()).ok() };
        let way = if source.is_some() { way } else { Way::Direct };
        let (regular, queue) = (kind == FileType::RegularFile, RefCell::default());
        Self { fd, way, regular, source, busy: Cell::new(false), free: Notify::default(), queue }
    }

    /// The descriptor, to ask for its state.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Writes all of `bytes`, waiting where the reader is slow. `written` says how far it came, also after an error; a
    /// file that could not take everything is cut back to where it was, if nobody else appended meanwhile.
    ///
    /// # Errors
    /// `BrokenPipe` when the reader is gone, `StorageFull` when the disk is, and whatever else write(2) answers.
    pub async fn write_all(&self, bytes: &[u8], written: &mut usize) -> Result<()> {
        let _turn = self.turn().await;
        let (before, start) = (self.end(), *written);
        let done = self.write_turn(bytes, written).await;
        if let (Err(_), Some(before)) = (&done, before)
            && *written > start
            && self.cut_back(before, (*written - start) as u64)
        {
            *written = start;
        }
        done
    }

    async fn write_turn(&self, bytes: &[u8], written: &mut usize) -> Result<()> {
        let mut since = 0;
        while let Some(rest) = bytes.get(*written..).filter(|r| !r.is_empty()) {
            let n = match &self.source {
                Some(source) => source.write(|_| self.attempt(rest)).await?,
                None => match self.attempt(rest) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => 0,
                    done => done?,
                },
            };
            *written += n;
            since += n;
            if since >= TURN {
                since = 0;
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Where the next byte goes, when that is the end of a regular file.
    fn end(&self) -> Option<u64> {
        if !self.regular {
            return None;
        }
        let size = rustix::fs::fstat(&self.fd).ok()?.st_size as u64;
        let appends = rustix::fs::fcntl_getfl(&self.fd).ok()?.contains(OFlags::APPEND);
        (appends || rustix::fs::tell(&self.fd).ok()? == size).then_some(size)
    }

    fn cut_back(&self, before: u64, wrote: u64) -> bool {
        self.end() == Some(before + wrote)
            && rustix::fs::ftruncate(&self.fd, before).is_ok()
            && rustix::fs::seek(&self.fd, SeekFrom::Start(before)).is_ok()
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

fn kind(fd: BorrowedFd<'_>) -> Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode as _))
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
mod tests;
