//! Values that are looked at on every interval: what cpu, mem, disk, netif, uptime, thermal and proc have in common.
//!
//! The kernel makes most texts of /proc up while they are read: no disk and no other process is waited for, so that they are
//! read on the event thread ([`watch`]). Where that is not so a worker reads ([`watch_apart`]).

use super::InputCx;
use super::interval::{Ticker, period};
use crate::error::Error;
use crate::event::Batch;
use crate::rt::{Workers, or};
use crate::time::Time;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

crate::config! {
    /// How often values are looked at.
    pub struct IntervalConf {
        /// Seconds between records.
        interval_sec: u64 => "Interval_Sec" = "1",
        /// Nanoseconds between records, added to the seconds. Both 0: a second.
        interval_nsec: u64 => "Interval_NSec" = "0",
    }
}

impl IntervalConf {
    /// The time between two looks.
    pub fn period(&self) -> Duration {
        match (self.interval_sec, self.interval_nsec) {
            (0, 0) => Duration::from_secs(1),
            (sec, nsec) => period(sec, nsec),
        }
    }
}

crate::config! {
    /// Where the kernel's files are.
    pub struct ProcConf {
        /// Where proc(5) is mounted. In a container that has its host's: /host/proc, and for `netif` /host/proc/1.
        path: String => "path.procfs" = "/proc",
    }
}

impl ProcConf {
    /// A file below it.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.path).join(name)
    }
}

/// What went wrong in a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    why: String,
    partial: bool,
}

impl Fault {
    /// Something could not be read; the rest is there.
    pub fn partly(why: String) -> Self {
        Self { why, partial: true }
    }
}

/// Nothing could be read.
impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, partial: false }
    }
}

/// What is looked at.
pub trait Gauge {
    /// Reads the values anew.
    ///
    /// # Errors
    /// What could not be read, for the log.
    fn read(&mut self) -> Result<(), Fault>;

    /// Reads the values anew when that takes no time, for what a worker reads else; `None` when it may.
    fn read_at_once(&mut self) -> Option<Result<(), Fault>> {
        None
    }

    /// Makes records of the last reading, where there is something to tell.
    fn write(&mut self, batch: &mut Batch, now: Time);
}

/// Looks at the start, for what needs two looks, and then on every interval, until the shutdown.
pub async fn watch(cx: &InputCx, every: Duration, mut gauge: impl Gauge) -> Result<(), Error> {
    let mut trouble = Trouble::default();
    trouble.judge(cx, gauge.read());
    let mut ticker = Ticker::new(every);
    while ticker.tick(cx).await {
        if trouble.judge(cx, gauge.read()) {
            tell(cx, &mut gauge).await;
        }
    }
    Ok(())
}

/// Commits what there is to tell. A look that tells nothing does not wake anybody later on.
async fn tell(cx: &InputCx, gauge: &mut impl Gauge) {
    let told = {
        let mut batch = cx.batch(cx.tag());
        let before = batch.len();
        gauge.write(&mut batch, cx.now());
        batch.len() > before
    };
    if told {
        cx.commit(cx.tag(), None).await;
    }
}

/// [`watch`] for what may keep its reader waiting: a worker reads. A reading that never ends holds up nobody else, nor the
/// shutdown.
pub async fn watch_apart(cx: &InputCx, every: Duration, mut gauge: impl Gauge + Send + 'static) -> Result<(), Error> {
    let mut trouble = Trouble::default();
    let workers = Workers::new(cx.name(), 1);
    let mut ticker = Ticker::new(every);
    while ticker.tick(cx).await {
        let read = match gauge.read_at_once() {
            Some(read) => read,
            None => {
                let job = workers.run(move || {
                    let read = gauge.read();
                    (gauge, read)
                });
                let done = or(async { Some(job.await) }, async {
                    cx.stopping().await;
                    None
                });
                let read;
                (gauge, read) = match done.await {
                    None => return Ok(()),
                    Some(None) => {
                        return Err(Error::Plugin(cx.label().to_owned(), "its thread could not be started".into()));
                    }
                    Some(Some(done)) => done,
                };
                read
            }
        };
        if trouble.judge(cx, read) {
            tell(cx, &mut gauge).await;
        }
    }
    Ok(())
}

/// When a device that is not there is tried again.
pub const AGAIN: Duration = Duration::from_secs(2);

/// Says once what is wrong, not at every interval.
#[derive(Debug, Default)]
pub struct Trouble(Option<String>);

impl Trouble {
    /// Says what is new in the outcome of a reading; whether there is something to write.
    pub fn judge(&mut self, cx: &InputCx, read: Result<(), Fault>) -> bool {
        let Err(fault) = read else {
            if self.0.take().is_some() {
                log::debug!("[{}] everything can be read again", cx.label());
            }
            return true;
        };
        if self.0.as_deref() != Some(&fault.why) {
            cx.lost(0, &fault.why);
            self.0 = Some(fault.why);
        }
        fault.partial
    }
}

/// A file that is read whole, again and again.
#[derive(Debug)]
pub struct TextFile {
    path: PathBuf,
    text: Vec<u8>,
}

/// No text of /proc is longer: /proc/stat of a machine with thousands of processors and interrupts has some hundred KiB.
const MAX_TEXT: u64 = 4 << 20;

impl TextFile {
    /// A file; it need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, text: Vec::new() }
    }

    /// What it holds now.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn read(&mut self) -> Result<&[u8], String> {
        self.text.clear();
        self.text.reserve(4096);
        let read = File::open(&self.path).and_then(|f| f.take(MAX_TEXT).read_to_end(&mut self.text));
        match read {
            Ok(_) => Ok(&self.text),
            Err(e) => Err(format!("cannot read {}: {e}", self.path.display())),
        }
    }

    /// What is wrong with its text.
    pub fn lacks(&self, what: &str) -> Fault {
        format!("{} does not tell {what}", self.path.display()).into()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Readings of texts in a folder, and the records they make.

    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A folder in place of /proc or /sys.
    pub(crate) struct Root(PathBuf);

    impl Root {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let unique = format!("collector-gauge-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let dir = std::env::temp_dir().join(unique);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        pub(crate) fn conf(&self) -> ProcConf {
            ProcConf { path: self.0.to_str().unwrap().into() }
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }

        pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(crate) fn remove(&self, name: &str) {
            let path = self.0.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Reads and answers the records as JSON, one behind the other, or what is wrong behind them.
    pub(crate) fn look(gauge: &mut impl Gauge) -> String {
        let read = gauge.read();
        let mut out = Vec::new();
        if read.as_ref().map_or_else(|f| f.partial, |()| true) {
            let mut batch = Batch::new(Tag::new("t"));
            gauge.write(&mut batch, Time(1));
            batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
        }
        let why = read.err().map_or(String::new(), |f| f.why);
        String::from_utf8(out).unwrap() + &why
    }
}
