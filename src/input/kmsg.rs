//! `kmsg`: the kernel's log.
//!
//! One read of `/dev/kmsg` gives one record. A reader that is too slow finds the ring buffer overwritten (`EPIPE`): the sequence
//! number of the next record tells how many are lost.

use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::kmsg::{Kmsg, unescape};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, Source, or};
use crate::time::Time;
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "kmsg",
        doc: "Reads the kernel's log: first what its ring buffer holds, then what comes.",
        keys: KmsgConf::KEYS,
        unserved: KmsgConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `kmsg`.
    pub struct KmsgConf {
        /// Records with a higher priority number are left out: 0 is emergency, 7 debug.
        prio_level: u8 => "Prio_Level" = "8",
        /// The device.
        path: String => "Path" = "/dev/kmsg",
    }
}

/// The longest record with all its fields, in bytes (the kernel's own limit is 8192).
const MAX_RECORD: usize = 16 << 10;
/// So many bytes are read between two commits.
const TURN: usize = 256 << 10;

struct KernelLog {
    conf: KmsgConf,
    device: Option<OwnedFd>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = KmsgConf::load(cx.section, cx.diags)?;
    if conf.prio_level > 8 {
        return cx.refuse("Prio_Level", "Prio_Level is more than 8", "Give 0 (only emergencies) to 7 (all).");
    }
    Some(Box::new(KernelLog { conf, device: None }))
}

impl Input for KernelLog {
    fn start(&mut self) -> Result<(), Error> {
        let path = &self.conf.path;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
        match opened {
            Ok(device) => self.device = Some(device),
            Err(e) => {
                let help = match e.kind() {
                    ErrorKind::PermissionDenied => " (it needs the capability CAP_SYSLOG, or kernel.dmesg_restrict 0)",
                    ErrorKind::NotFound => " (is there a kernel log in this container?)",
                    _ => "",
                };
                return Err(Error::Config(format!("kmsg: cannot open {path}: {e}{help}")));
            }
        }
        Ok(())
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let Some(device) = self.device else { return Ok(()) };
            let device = Source::new(device).map_err(Error::io(self.conf.path.as_str()))?;
            let mut log = Log { prio_level: self.conf.prio_level, ..Log::new() };
            let mut buffer = vec![0; MAX_RECORD];
            loop {
                let turn = or(async { Some(device.read(|fd| log.turn(fd, &mut buffer, &cx)).await) }, async {
                    cx.stopping().await;
                    None
                });
                match turn.await {
                    None => return Ok(()),
                    Some(Ok(Turn::End)) => {
                        cx.commit(cx.tag(), None).await;
                        return Ok(());
                    }
                    Some(Ok(Turn::More)) => cx.commit(cx.tag(), None).await,
                    Some(Err(e)) => return Err(Error::io("read the kernel's log")(e)),
                }
                if cx.is_stopping() {
                    return Ok(());
                }
            }
        })
    }
}

/// How a turn of reading ended.
enum Turn {
    /// There may be more.
    More,
    /// There will be no more: it is a pipe whose writers are gone.
    End,
}

/// What is known of the log.
struct Log {
    prio_level: u8,
    /// The number of the record that comes next.
    next: Option<u64>,
    /// Records were overwritten before they were read.
    overrun: bool,
    text: Vec<u8>,
}

impl Log {
    fn new() -> Self {
        Self { prio_level: 8, next: None, overrun: false, text: Vec::new() }
    }

    /// Reads what there is, but not for ever.
    fn turn(&mut self, fd: &OwnedFd, buffer: &mut [u8], cx: &InputCx) -> io::Result<Turn> {
        let mut read = 0;
        while read < TURN {
            match rustix::io::read(fd, &mut *buffer) {
                Ok(0) => return Ok(Turn::End),
                Ok(n) => {
                    read += n;
                    self.records(buffer.get(..n).unwrap_or_default(), cx);
                }
                Err(rustix::io::Errno::PIPE) => self.overrun = true,
                // Commits what was read; the next turn waits, or finds the error again.
                Err(_) if read > 0 => return Ok(Turn::More),
                Err(rustix::io::Errno::INVAL) => {
                    return Err(io::Error::other(format!("a record is longer than {MAX_RECORD} bytes")));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Turn::More)
    }

    fn records(&mut self, mut bytes: &[u8], cx: &InputCx) {
        let epoch = since_epoch(cx.now());
        let mut batch = cx.batch(cx.tag());
        let (mut broken, mut overwritten) = (0, 0);
        while !bytes.is_empty() {
            let len = match Kmsg::read(bytes) {
                Ok((record, len)) => {
                    if let Some(lost) = self.account(record.sequence) {
                        overwritten += lost;
                    }
                    if record.priority <= self.prio_level {
                        self.write(&record, epoch, &mut batch);
                    }
                    len
                }
                Err(len) => {
                    broken += 1;
                    len
                }
            };
            bytes = bytes.get(len..).unwrap_or_default();
        }
        drop(batch);
        if overwritten > 0 {
            cx.lost(overwritten, "the kernel's ring buffer ran over before it was read (enlarge it: log_buf_len)");
        }
        if broken > 0 {
            cx.lost(broken, "what was read is no record of a kernel's log");
        }
    }

    /// How many records an overrun took before the one with this number.
    fn account(&mut self, sequence: u64) -> Option<u64> {
        let next = self.next.replace(sequence.wrapping_add(1));
        // Without an overrun numbers may be left out, too: parts of a line share a record.
        let overrun = std::mem::take(&mut self.overrun);
        overrun.then(|| next.map_or(0, |next| sequence.saturating_sub(next)))
    }

    fn write(&mut self, record: &Kmsg<'_>, epoch: Time, batch: &mut Batch) {
        let mark = batch.begin();
        batch.push(Cell::uint(Key::of("priority"), u64::from(record.priority)));
        batch.push(Cell::uint(Key::of("sequence"), record.sequence));
        batch.push(Cell::uint(Key::of("sec"), record.usec / 1_000_000));
        batch.push(Cell::uint(Key::of("usec"), record.usec % 1_000_000));
        let mut text = |key: Key, value: &[u8], batch: &mut Batch| {
            self.text.clear();
            unescape(value, &mut self.text);
            batch.push_text(key, &self.text);
        };
        text(Key::of("msg"), record.message, batch);
        for (name, value) in record.fields() {
            let key = batch.key(name);
            text(key, value, batch);
        }
        batch.finish(mark, epoch.after(Duration::from_micros(record.usec)));
    }
}

/// When the monotonic clock stood at zero.
fn since_epoch(now: Time) -> Time {
    let up = clock_gettime(ClockId::Monotonic);
    let up = Duration::new(u64::try_from(up.tv_sec).unwrap_or(0), u32::try_from(up.tv_nsec).unwrap_or(0));
    now.before(up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};

    #[test]
    fn overruns_are_counted_by_sequence_numbers() {
        let mut log = Log::new();
        assert_eq!((log.account(5), log.account(6), log.account(9)), (None, None, None));
        log.overrun = true;
        assert_eq!((log.account(25), log.account(26)), (Some(15), None));
        let mut fresh = Log { overrun: true, ..Log::new() };
        assert_eq!(fresh.account(7), Some(0));
    }

    #[test]
    fn fields() {
        let text = b"30,160,1424069,-;a \\x5c b\n SUBSYSTEM=acpi\n";
        let mut batch = Batch::new(Tag::new("t"));
        let (record, _) = Kmsg::read(text).unwrap();
        Log::new().write(&record, Time(1_000_000_000), &mut batch);
        let mut out = Vec::new();
        write_map(batch.body(0), JsonOpts::default(), &mut out);
        let want = r#"{"priority":6,"sequence":160,"sec":1,"usec":424069,"msg":"a \\ b","SUBSYSTEM":"acpi"}"#;
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert_eq!(batch.record(0).time(), Time(2_424_069_000));
    }

    #[test]
    fn what_is_refused() {
        let made = |pairs| crate::plugin::made(Kind::Input, &PLUGIN.info, PLUGIN.make, pairs);
        assert!(made(&[("prio_level", "9")]).1.contains("Prio_Level is more than 8"));
        assert!(made(&[("prio_level", "x")]).1.contains("not an integer"));
        assert!(made(&[("prio_level", "4")]).0.is_some());
    }
}
