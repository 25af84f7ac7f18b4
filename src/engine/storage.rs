//! The event thread's side of chunk files: what is to be written stands in one queue, a worker thread writes it.

use super::core::Core;
use crate::conf::StorageConf;
use crate::conf::storage::StorageSync;
use crate::error::Error;
use crate::event::{Batch, Tag};
use crate::input::Ack;
use crate::rt::{self, Notify, Workers};
use crate::store::{Files, Head, LockGuard, dir, frame};
use crate::util::ratelimit::RateLimit;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Bytes that may wait to be written before inputs are held back.
const QUEUE_BYTES: usize = 4 << 20;
/// Bytes and operations that one job of the worker takes.
const JOB_BYTES: usize = 1 << 20;
const JOB_OPS: usize = 256;
/// How long what is to be written is gathered: waking a thread for each commit, or a disk with `storage.sync full`, costs
/// more than writing.
const GATHER: Duration = Duration::from_millis(4);
/// Buffers that are kept, and the largest of them, in bytes.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 512 << 10;

/// The folder of chunk files.
pub(super) struct Storage {
    root: PathBuf,
    /// Those of inputs.
    folders: RefCell<Vec<Rc<Path>>>,
    sync: bool,
    delete_damaged: bool,
    ops: RefCell<VecDeque<Op>>,
    /// Those that the worker has.
    under_way: RefCell<Vec<Op>>,
    queued: Cell<usize>,
    spare: RefCell<Vec<Vec<u8>>>,
    wake: Notify,
    /// Notified when a job's worth of bytes waits.
    full: Notify,
    /// Notified when a job is done.
    done: Notify,
    files: Arc<Mutex<Files>>,
    workers: Workers,
    complaints: RefCell<RateLimit>,
    /// Chunk files there are, their bytes, and how many could not be written.
    pub(super) count: Cell<usize>,
    pub(super) bytes: Cell<u64>,
    pub(super) failures: Cell<usize>,
    pub(super) quarantined: Cell<usize>,
    _lock: LockGuard,
}

/// One change to a file, in the order of asking.
struct Op {
    file: Rc<ChunkFile>,
    what: What,
}

enum What {
    /// `bytes` are the worker's while it writes; `size` is their number.
    Append {
        at: u64,
        bytes: Vec<u8>,
        size: usize,
        acks: Vec<Ack>,
    },
    Remove,
    Quarantine,
}

/// A file that belongs to an open batch or a chunk.
pub(super) struct ChunkFile {
    storage: Rc<Storage>,
    folder: Rc<Path>,
    name: Rc<str>,
    /// Its first frame, until that is written with the next one.
    head: RefCell<Vec<u8>>,
    /// Its length when all that was asked for is written.
    len: Cell<u64>,
    pending: Cell<usize>,
    /// Something could not be written: what came after it is in memory only.
    broken: Cell<bool>,
    /// Acks of what could not be written: they fire when the outputs have it.
    stuck: RefCell<Vec<Ack>>,
    damaged: Cell<bool>,
}

impl Storage {
    /// Takes the folder into use.
    ///
    /// # Errors
    /// When it cannot be made, or another process uses it.
    pub(super) fn open(conf: &StorageConf, root: &Path) -> Result<Rc<Self>, Error> {
        let lock = dir::lock(root).map_err(|why| Error::Plugin("storage".into(), why))?;
        Ok(Rc::new(Self {
            root: root.to_owned(),
            folders: RefCell::default(),
            sync: conf.sync == StorageSync::Full,
            delete_damaged: conf.delete_irrecoverable_chunks,
            ops: RefCell::default(),
            under_way: RefCell::default(),
            queued: Cell::new(0),
            spare: RefCell::default(),
            wake: Notify::default(),
            full: Notify::default(),
            done: Notify::default(),
            files: Arc::default(),
            workers: Workers::new("storage", 1),
            complaints: RefCell::default(),
            count: Cell::new(0),
            bytes: Cell::new(0),
            failures: Cell::new(0),
            quarantined: Cell::new(0),
            _lock: lock,
        }))
    }

    /// The folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the disk keeps up.
    pub(super) fn has_room(&self) -> bool {
        self.queued.get() < QUEUE_BYTES
    }

    /// A new file for records of an input; nothing is written yet.
    pub(super) fn create(self: &Rc<Self>, input: &str, tag: &Tag, name: &Rc<str>) -> Rc<ChunkFile> {
        let mut head = Vec::new();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let about =
            Head { tag: tag.clone(), input: input.to_owned(), created: now.as_nanos() as u64, version: frame::VERSION };
        frame::write_head(&about, &mut head);
        self.file(&dir::chunk_path(&self.root, input, name), name.clone(), head, 0)
    }

    /// A file that is there.
    pub(super) fn adopt(self: &Rc<Self>, path: &Path, name: &Rc<str>, len: u64) -> Rc<ChunkFile> {
        self.count.set(self.count.get() + 1);
        self.bytes.set(self.bytes.get() + len);
        self.file(path, name.clone(), Vec::new(), len)
    }

    fn file(self: &Rc<Self>, path: &Path, name: Rc<str>, head: Vec<u8>, len: u64) -> Rc<ChunkFile> {
        Rc::new(ChunkFile {
            storage: self.clone(),
            folder: self.folder(path.parent().unwrap_or(&self.root)),
            name,
            head: RefCell::new(head),
            len: Cell::new(len),
            pending: Cell::new(0),
            broken: Cell::new(false),
            stuck: RefCell::default(),
            damaged: Cell::new(false),
        })
    }

    /// One copy of a folder's path for all its files: there may be very many.
    fn folder(&self, path: &Path) -> Rc<Path> {
        let mut folders = self.folders.borrow_mut();
        if let Some(known) = folders.iter().find(|f| &***f == path) {
            return known.clone();
        }
        let folder: Rc<Path> = path.into();
        folders.push(folder.clone());
        folder
    }

    /// Runs a call that blocks on the storage thread.
    pub(super) async fn blocking<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.workers.run(job).await
    }

    /// Writes what is asked for, for ever.
    pub(super) async fn run(self: Rc<Self>, core: Weak<Core>) {
        loop {
            if self.ops.borrow().is_empty() {
                self.wake.wait().await;
                rt::or(rt::sleep(GATHER), self.full.wait()).await;
                continue;
            }
            let mut ops = self.next_ops();
            let jobs: Vec<(PathBuf, Job)> = ops.iter_mut().map(|op| (op.file.path(), self.job(op))).collect();
            self.under_way.replace(ops);
            let (files, root, sync) = (self.files.clone(), self.root.clone(), self.sync);
            let results = self.workers.run(move || work(&files, &root, sync, jobs)).await;
            let mut results = results.unwrap_or_default().into_iter();
            for op in self.under_way.take() {
                let missing = || (Err(io::Error::other("no worker thread could be started")), Vec::new());
                let (result, buffer) = results.next().unwrap_or_else(missing);
                self.finish(op, result);
                self.give_back(buffer);
            }
            self.done.notify();
            if let Some(core) = core.upgrade() {
                core.relieve();
                core.eased();
            }
        }
    }

    /// Whether everything asked for is done.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.borrow().is_empty() && self.ops.borrow().is_empty()
    }

    /// Until everything asked for is done.
    pub(super) async fn settle(&self) {
        while !self.is_idle() {
            self.done.wait().await;
        }
    }

    /// [`Storage::settle`], and nothing that is kept for later chunks stays behind.
    pub(super) async fn close(&self) {
        loop {
            self.settle().await;
            let files = self.files.clone();
            self.workers.run(move || files.lock().unwrap_or_else(|e| e.into_inner()).clear()).await;
            // A delivery may have ended meanwhile.
            if self.is_idle() {
                return;
            }
        }
    }

    /// The disk does not answer and the program ends: what is not written must not be taken for safe.
    pub(super) fn abandon(&self) {
        for op in self.under_way.borrow().iter().chain(&*self.ops.borrow()) {
            if let What::Append { acks, .. } = &op.what {
                acks.iter().for_each(Ack::lose);
            }
        }
    }

    /// An empty buffer, with memory from the last ones: a new one each time costs more than what is written to it.
    fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && (4096..=SPARE_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    fn push(&self, op: Op) {
        if let What::Append { size, .. } = &op.what {
            self.queued.set(self.queued.get() + size);
            if self.queued.get() >= JOB_BYTES {
                self.full.notify();
            }
        }
        self.ops.borrow_mut().push_back(op);
        self.wake.notify();
    }

    fn next_ops(&self) -> Vec<Op> {
        let mut queue = self.ops.borrow_mut();
        let mut ops = Vec::new();
        let mut bytes = 0;
        while ops.len() < JOB_OPS && bytes < JOB_BYTES {
            let Some(op) = queue.pop_front() else { break };
            if let What::Append { size, .. } = &op.what {
                bytes += size;
            }
            ops.push(op);
        }
        ops
    }

    fn job(&self, op: &mut Op) -> Job {
        match &mut op.what {
            What::Append { .. } if op.file.broken.get() => Job::Nothing,
            What::Append { at, bytes, .. } => Job::Append(*at, std::mem::take(bytes)),
            What::Quarantine if !self.delete_damaged => Job::Quarantine,
            What::Remove | What::Quarantine => Job::Remove,
        }
    }

    fn finish(&self, op: Op, result: io::Result<()>) {
        let file = op.file;
        match op.what {
            What::Append { at, size, acks, .. } => {
                self.queued.set(self.queued.get().saturating_sub(size));
                file.pending.set(file.pending.get().saturating_sub(1));
                match result {
                    // The acks go here: the records are safe.
                    Ok(()) if !file.broken.get() => {
                        self.bytes.set(self.bytes.get() + size as u64);
                        if at == 0 {
                            self.count.set(self.count.get() + 1);
                        }
                    }
                    other => {
                        file.stuck.borrow_mut().extend(acks);
                        if let (Err(e), false) = (other, file.broken.replace(true)) {
                            self.failed(&file, &e);
                        }
                    }
                }
            }
            What::Remove | What::Quarantine => {
                if matches!(op.what, What::Quarantine) {
                    self.quarantined.set(self.quarantined.get() + 1);
                }
                self.count.set(self.count.get().saturating_sub(1));
                self.bytes.set(self.bytes.get().saturating_sub(file.len.get()));
                if let Err(e) = result {
                    self.say(
                        &e,
                        &format!(
                            "chunk file '{}' cannot be removed, it will be sent again at the next start",
                            file.path().display()
                        ),
                    );
                }
            }
        }
    }

    fn failed(&self, file: &ChunkFile, e: &io::Error) {
        self.failures.set(self.failures.get() + 1);
        let what = format!(
            "cannot write to '{}'; records stay in memory until they are delivered, and inputs wait at their memory limit",
            file.folder.display()
        );
        self.say(e, &what);
    }

    fn say(&self, e: &io::Error, what: &str) {
        if let Some(n) = self.complaints.borrow_mut().allow(what.as_bytes(), rt::now()) {
            let more = if n > 0 { format!(" ({n} more times)") } else { String::new() };
            log::error!("[storage] {what}: {e}{more}");
        }
    }
}

enum Job {
    Append(u64, Vec<u8>),
    Remove,
    Quarantine,
    Nothing,
}

/// On the worker thread.
fn work(files: &Mutex<Files>, root: &Path, sync: bool, jobs: Vec<(PathBuf, Job)>) -> Vec<(io::Result<()>, Vec<u8>)> {
    let mut files = files.lock().unwrap_or_else(|e| e.into_inner());
    let mut broken: Vec<PathBuf> = Vec::new();
    let mut results = Vec::with_capacity(jobs.len());
    for (path, job) in jobs {
        let mut buffer = Vec::new();
        let result = match job {
            // Behind a hole nothing can be written.
            Job::Append(..) if broken.contains(&path) => Err(io::Error::other("what came before could not be written")),
            Job::Append(at, bytes) => {
                let result = files.append(&path, at, &bytes, sync).inspect_err(|_| broken.push(path));
                buffer = bytes;
                result
            }
            Job::Remove => files.remove(&path),
            Job::Quarantine => {
                files.close(&path);
                dir::quarantine(root, &path).map(|to| {
                    log::error!("[storage] damaged chunk file '{}' was moved to '{}'", path.display(), to.display());
                })
            }
            Job::Nothing => Err(io::Error::other("what came before could not be written")),
        };
        results.push((result, buffer));
    }
    results
}

impl ChunkFile {
    /// Appends records of a batch; the acks go when they are on the disk, or when they are delivered if that fails.
    pub(super) fn append(self: &Rc<Self>, batch: &Batch, range: Range<usize>, acks: Vec<Ack>) {
        if self.broken.get() {
            self.stuck.borrow_mut().extend(acks);
            return;
        }
        self.write(acks, |out| {
            frame::write_records(batch, range, out);
        });
    }

    /// Notes that an output has taken the whole chunk.
    pub(super) fn note_done(self: &Rc<Self>, output: &str) {
        self.note(|out| frame::write_done(output, out));
    }

    /// Notes what is left of the chunk for an output.
    pub(super) fn note_left(self: &Rc<Self>, output: &str, records: &[u32]) {
        self.note(|out| frame::write_left(output, records, out));
    }

    fn note(self: &Rc<Self>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.broken.get() && self.len.get() > 0 {
            self.write(Vec::new(), write);
        }
    }

    fn write(self: &Rc<Self>, acks: Vec<Ack>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.storage.buffer();
        bytes.append(&mut *self.head.borrow_mut());
        write(&mut bytes);
        let (at, size) = (self.len.get(), bytes.len());
        self.len.set(at + size as u64);
        self.pending.set(self.pending.get() + 1);
        self.storage.push(Op { file: self.clone(), what: What::Append { at, bytes, size, acks } });
    }

    /// Whether all that was given to it is on the disk.
    pub(super) fn is_complete(&self) -> bool {
        self.pending.get() == 0 && !self.broken.get() && self.len.get() > 0
    }

    /// Whether something could not be written.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The acks of what could not be written.
    pub(super) fn take_stuck(&self) -> Vec<Ack> {
        self.stuck.take()
    }

    /// Its length in bytes, with what is about to be written.
    pub(super) fn len(&self) -> u64 {
        self.len.get()
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&*self.name)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn read(&self) -> io::Result<Vec<u8>> {
        let path = self.path();
        let read = self.storage.workers.run(move || Files::read(&path)).await;
        read.unwrap_or_else(|| Err(io::Error::other("no worker thread could be started")))
    }

    /// A part of it could not be read: at its end it is set aside.
    pub(super) fn set_damaged(&self) {
        self.damaged.set(true);
    }

    /// The chunk is delivered, or `lost` to this run: then the file stays for the next one.
    pub(super) fn end(self: &Rc<Self>, lost: bool) {
        let stuck = self.stuck.take();
        if lost {
            stuck.iter().for_each(Ack::lose);
        } else if self.len.get() > 0 {
            let what = if self.damaged.get() { What::Quarantine } else { What::Remove };
            self.storage.push(Op { file: self.clone(), what });
        }
    }
}

impl fmt::Debug for ChunkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkFile").field("path", &self.path()).field("len", &self.len.get()).finish_non_exhaustive()
    }
}
