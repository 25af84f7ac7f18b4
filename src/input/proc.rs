//! `proc`: whether a program runs, and what it takes.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch_apart};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{Process, SIZES, sizes};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use crate::util::sort;
use std::fs::{self, File};
use std::io::Read;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "proc",
        doc: "Whether a program runs, at each interval: alive, proc_name, pid (-1 when it does not run), its sizes mem.VmPeak \
              … mem.VmSwap (the kernel's kB times 1,000, as Fluent Bit has them; 0 when it does not run) and fd, the number of \
              its open descriptors.",
        keys: ProcessConf::KEYS,
        unserved: ProcessConf::UNSERVED,
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `proc`.
    pub struct ProcessConf {
        /// The program: the last part of the path that it was started by. Where no process was started so, the name that
        /// the kernel knows (15 bytes). Of several processes the one with the lowest number is told of, as long as it runs.
        proc_name: String => "Proc_Name" required,
        /// Records only while it does not run.
        alert: bool => "Alert" = "off",
        /// Add its sizes.
        mem: bool => "Mem" = "on",
        /// Add the number of its open descriptors.
        fd: bool => "Fd" = "on",
    }
}

struct Watched {
    interval: IntervalConf,
    gauge: ProcessGauge,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = ProcessConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    if conf.proc_name.is_empty() || conf.proc_name.contains('/') {
        return cx.refuse("Proc_Name", "Proc_Name is a name without a path", "Give for example: Proc_Name sshd");
    }
    Some(Box::new(Watched { interval, gauge: ProcessGauge::new(conf, proc) }))
}

impl Input for Watched {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { watch_apart(&cx, self.interval.period(), self.gauge).await })
    }
}

/// The most that is read of a command line.
const MAX_COMMAND: u64 = 4096;

/// The process that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    pid: u32,
    begun: u64,
    name: Vec<u8>,
}

/// Descriptors that are counted without a worker.
const FEW: u64 = 1000;

/// What a look told.
struct Look {
    pid: Option<u32>,
    sizes: [u64; 11],
    /// Unknown when they could not be counted.
    descriptors: Option<u64>,
}

/// There is no process.
impl Default for Look {
    fn default() -> Self {
        Self { pid: None, sizes: [0; 11], descriptors: Some(0) }
    }
}

struct ProcessGauge {
    conf: ProcessConf,
    proc: ProcConf,
    known: Option<Known>,
    look: Look,
    /// The names of its sizes.
    keys: [Key; 11],
}

impl ProcessGauge {
    fn new(conf: ProcessConf, proc: ProcConf) -> Self {
        let keys = SIZES.map(|name| Key::of(&format!("mem.{name}")));
        Self { conf, proc, known: None, look: Look::default(), keys }
    }

    /// The process as it is now; `None` when there is none or a dead one.
    fn process(&self, pid: u32) -> Option<Known> {
        let mut file = TextFile::new(self.proc.file(&format!("{pid}/stat")));
        let process = Process::read(file.read().ok()?).filter(Process::is_alive)?;
        Some(Known { pid, begun: process.begun, name: process.name.to_vec() })
    }

    /// Looks through all processes.
    fn search(&self) -> Result<Option<Known>, String> {
        let root = self.proc.file("");
        let entries = fs::read_dir(&root).map_err(|e| format!("cannot read {}: {e}", root.display()))?;
        let mut pids: Vec<u32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        sort::ascending(&mut pids);
        let wanted = self.conf.proc_name.as_bytes();
        let mut command = Vec::new();
        for pid in &pids {
            command.clear();
            let read = File::open(self.proc.file(&format!("{pid}/cmdline")));
            // It may have ended meanwhile.
            let read = read.and_then(|f| f.take(MAX_COMMAND).read_to_end(&mut command));
            if read.is_ok()
                && base_name(&command) == wanted
                && let Some(known) = self.process(*pid)
            {
                return Ok(Some(known));
            }
        }
        Ok(pids.iter().find_map(|pid| self.process(*pid).filter(|p| p.name == wanted)))
    }
}

/// The last part of a program's path; of a command line whose words stand behind NULs, or of a title that the process gave
/// itself.
fn base_name(command: &[u8]) -> &[u8] {
    let first = command.split(|b| *b == 0).next().unwrap_or_default();
    let end = first.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let path = first.get(..end).unwrap_or_default();
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

impl ProcessGauge {
    /// Whether the process that is known lives on under its name.
    fn is_same(&self) -> bool {
        self.known.as_ref().is_some_and(|known| self.process(known.pid).as_ref() == Some(known))
    }

    /// Looks at the process that is known.
    fn measure(&mut self) -> Result<(), Fault> {
        self.look = Look::default();
        let Some(pid) = self.known.as_ref().map(|known| known.pid) else { return Ok(()) };
        self.look.pid = Some(pid);
        if self.conf.alert {
            return Ok(());
        }
        let mut trouble = None;
        if self.conf.mem {
            match TextFile::new(self.proc.file(&format!("{pid}/status"))).read() {
                Ok(status) => self.look.sizes = sizes(status),
                Err(why) => trouble = Some(why),
            }
        }
        if self.conf.fd {
            match fs::read_dir(self.proc.file(&format!("{pid}/fd"))) {
                Ok(entries) => self.look.descriptors = Some(entries.count() as u64),
                Err(e) => {
                    self.look.descriptors = None;
                    let help = "it needs the user of the process, or CAP_SYS_PTRACE";
                    trouble = Some(format!("cannot count what {} has open: {e} ({help})", self.conf.proc_name));
                }
            }
        }
        let Some(why) = trouble else { return Ok(()) };
        if self.process(pid).is_none() {
            // It has ended meanwhile.
            (self.known, self.look) = (None, Look::default());
            return Ok(());
        }
        Err(Fault::partly(why))
    }
}

impl Gauge for ProcessGauge {
    fn read(&mut self) -> Result<(), Fault> {
        // While it lives nothing else is looked at.
        if !self.is_same() {
            self.known = None;
            self.known = self.search()?;
        }
        self.measure()
    }

    /// What the kernel tells of a process that is known comes from its own tables. A command line is read from the memory of
    /// its process, and waits while that is busy with it.
    fn read_at_once(&mut self) -> Option<Result<(), Fault>> {
        let few = self.look.descriptors.is_none_or(|n| n < FEW);
        (few && self.is_same()).then(|| self.measure())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let look = &self.look;
        if self.conf.alert && look.pid.is_some() {
            return;
        }
        let mark = batch.begin();
        batch.push(Cell::bool(Key::of("alive"), look.pid.is_some()));
        batch.push_text(Key::of("proc_name"), self.conf.proc_name.as_bytes());
        batch.push(Cell::int(Key::of("pid"), look.pid.map_or(-1, i64::from)));
        if self.conf.mem {
            for (key, size) in self.keys.iter().zip(look.sizes) {
                batch.push(Cell::uint(*key, size.saturating_mul(1000)));
            }
        }
        if let (true, Some(n)) = (self.conf.fd, look.descriptors) {
            batch.push(Cell::uint(Key::of("fd"), n));
        }
        batch.finish(mark, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::input::gauge::testing::{Root, look};
    use crate::plugin::judged;

    fn gauge(root: &Root, name: &str, mem: bool, fd: bool, alert: bool) -> ProcessGauge {
        let conf = ProcessConf { proc_name: name.into(), alert, mem, fd };
        ProcessGauge::new(conf, root.conf())
    }

    fn process(root: &Root, pid: u32, name: &str, state: char, begun: u32, command: &str) {
        let stat = format!("{pid} ({name}) {state} 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {begun} 99 5 0\n");
        root.write(&format!("{pid}/stat"), stat);
        root.write(&format!("{pid}/cmdline"), command);
        root.write(&format!("{pid}/status"), "VmPeak:\t  14740 kB\nVmRSS:\t 5000 kB\n");
        root.write(&format!("{pid}/fd/0"), "");
        root.write(&format!("{pid}/fd/17"), "");
    }

    #[test]
    fn a_program_ends_and_begins() {
        let root = Root::new();
        process(&root, 1, "init", 'S', 1, "/sbin/init\0splash\0");
        process(&root, 300, "python3", 'S', 30, "/usr/bin/python3\0/opt/meter.py\0");
        process(&root, 1200, "meter", 'S', 30, "/opt/bin/meter\0");
        let mut meter = gauge(&root, "meter", true, true, false);
        let alive = |pid: u32| {
            format!(
                "{{\"alive\":true,\"proc_name\":\"meter\",\"pid\":{pid},\"mem.VmPeak\":14740000,\"mem.VmSize\":0,\"mem.VmLck\":0,\
                 \"mem.VmHWM\":0,\"mem.VmRSS\":5000000,\"mem.VmData\":0,\"mem.VmStk\":0,\"mem.VmExe\":0,\"mem.VmLib\":0,\
                 \"mem.VmPTE\":0,\"mem.VmSwap\":0,\"fd\":2}}"
            )
        };
        assert_eq!(look(&mut meter), alive(1200));
        process(&root, 40, "meter", 'S', 31, "meter\0");
        assert_eq!(look(&mut meter), alive(1200), "the one that is known");
        assert!(meter.read_at_once().is_some(), "it takes no worker");
        // The number now stands for another program.
        process(&root, 1200, "sh", 'S', 99, "/bin/sh\0");
        assert!(meter.read_at_once().is_none(), "who bears the name now is for a worker to find");
        assert_eq!(look(&mut meter), alive(40));
        process(&root, 40, "meter", 'Z', 31, "");
        let dead = look(&mut meter);
        assert!(dead.starts_with(r#"{"alive":false,"proc_name":"meter","pid":-1,"mem.VmPeak":0,"#), "{dead}");
        assert!(dead.ends_with("\"mem.VmSwap\":0,\"fd\":0}"), "{dead}");
        process(&root, 41, "meter", 'S', 200, "meter: worker\0");
        assert_eq!(look(&mut meter), alive(41), "by the kernel's name");
        root.remove("41/fd");
        let text = look(&mut meter);
        assert!(!text.contains("\"fd\"") && text.contains("cannot count what meter has open: "), "{text}");
    }

    #[test]
    fn alerts() {
        let root = Root::new();
        process(&root, 9, "cron", 'S', 1, "/usr/sbin/cron\0-f\0");
        assert_eq!(look(&mut gauge(&root, "cron", true, true, true)), "");
        let gone = look(&mut gauge(&root, "ntpd", false, false, true));
        assert_eq!(gone, r#"{"alive":false,"proc_name":"ntpd","pid":-1}"#);
        let mut none = gauge(&root, "x", true, true, false);
        none.proc.path = root.path().join("none").to_str().unwrap().into();
        assert!(look(&mut none).starts_with("cannot read "));
    }

    #[test]
    fn names_of_command_lines() {
        for (command, name) in [
            ("/usr/bin/python3\0/opt/x.py\0", "python3"),
            ("nginx: master process /usr/sbin/nginx\0", "nginx"),
            ("-bash\0", "-bash"),
            ("/opt/tool//\0", "tool"),
            ("", ""),
            ("///", ""),
        ] {
            assert_eq!(base_name(command.as_bytes()), name.as_bytes(), "{command:?}");
        }
    }

    #[test]
    fn what_is_refused() {
        let said = |conf: &[(&str, &str)], said| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&[("proc_name", "sshd"), ("fd", "off")], "");
        said(&[], "'Proc_Name' is required");
        said(&[("proc_name", "/usr/sbin/sshd")], "without a path");
    }
}
