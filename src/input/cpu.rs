//! `cpu`: how much processors, or one process, work.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{Process, Ticks, processors};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, now};
use crate::time::Time;
use crate::util::sort;
use std::time::{Duration, Instant};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "cpu",
        doc: "Work of the processors since the interval before, in percent: cpu_p, user_p (with processes of a niceness), \
              system_p of all together, and of each one that is on cpu0.p_cpu, cpu0.p_user, cpu0.p_system; with PID cpu_p, \
              user_p and system_p of one process, where 100 is one processor.",
        keys: CpuConf::KEYS,
        unserved: CpuConf::UNSERVED,
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `cpu`.
    pub struct CpuConf {
        /// A process instead of the processors; -1 is none.
        pid: i32 => "PID" = "-1",
    }
}

struct Cpu {
    interval: IntervalConf,
    pid: Option<u32>,
    proc: ProcConf,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = CpuConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    if conf.pid == 0 {
        return cx.refuse("PID", "there is no process 0", "Give the number of a process, or leave PID out.");
    }
    Some(Box::new(Cpu { interval, pid: u32::try_from(conf.pid).ok(), proc }))
}

impl Input for Cpu {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let every = self.interval.period();
            match self.pid {
                Some(pid) => watch(&cx, every, OneProcess::new(pid, &self.proc)).await,
                None => watch(&cx, every, Processors::new(&self.proc)).await,
            }
        })
    }
}

/// Ticks in a second: `USER_HZ` of every architecture that the program is built for.
const HZ: f64 = 100.0;

/// The time between two looks in whole ticks: the counters do not show less.
fn ticks(time: Duration) -> f64 {
    (time.as_secs_f64() * HZ).round().max(1.0)
}

/// Together, in user mode and in the kernel, in percent of `of` ticks.
fn percent(ticks: Ticks, of: f64) -> [f64; 3] {
    [ticks.user.saturating_add(ticks.system), ticks.user, ticks.system].map(|t| t as f64 * 100.0 / of)
}

/// A processor that is on.
struct Core {
    number: u32,
    keys: [Key; 3],
    ticks: Ticks,
    /// What it did; unknown at the first look.
    work: Option<[f64; 3]>,
    seen: bool,
}

struct Processors {
    file: TextFile,
    keys: [Key; 3],
    before: Option<(Instant, Ticks)>,
    work: Option<[f64; 3]>,
    cores: Vec<Core>,
}

impl Processors {
    fn new(proc: &ProcConf) -> Self {
        let keys = ["cpu_p", "user_p", "system_p"].map(Key::of);
        Self { file: TextFile::new(proc.file("stat")), keys, before: None, work: None, cores: Vec::new() }
    }

    fn read_at(&mut self, at: Instant) -> Result<(), Fault> {
        self.work = None;
        let elapsed = self.before.map(|(before, _)| ticks(at.saturating_duration_since(before)));
        let (mut all, mut more) = (None, false);
        for (number, now) in processors(self.file.read()?) {
            let Some(number) = number else {
                all = Some(now);
                continue;
            };
            match self.cores.iter_mut().find(|c| c.number == number) {
                Some(core) => {
                    core.work = elapsed.map(|of| percent(now.since(core.ticks), of));
                    (core.ticks, core.seen) = (now, true);
                }
                None => {
                    let keys = ["cpu", "user", "system"].map(|what| Key::of(&format!("cpu{number}.p_{what}")));
                    more = true;
                    self.cores.push(Core { number, keys, ticks: now, work: None, seen: true });
                }
            }
        }
        self.cores.retain_mut(|core| std::mem::take(&mut core.seen));
        if more {
            sort::by_key(&mut self.cores, |core| core.number);
        }
        let Some(all) = all else { return Err(self.file.lacks("what processors did")) };
        let cores = self.cores.len().max(1) as f64;
        self.work = elapsed.zip(self.before).map(|(of, (_, before))| percent(all.since(before), of * cores));
        self.before = Some((at, all));
        Ok(())
    }
}

impl Gauge for Processors {
    fn read(&mut self) -> Result<(), Fault> {
        self.read_at(now())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Some(work) = self.work else { return };
        let mark = batch.begin();
        let cores = self.cores.iter().filter_map(|core| Some((core.keys, core.work?)));
        for (keys, work) in std::iter::once((self.keys, work)).chain(cores) {
            keys.iter().zip(work).for_each(|(key, percent)| batch.push(Cell::float(*key, percent)));
        }
        batch.finish(mark, now);
    }
}

struct OneProcess {
    file: TextFile,
    keys: [Key; 3],
    /// When it was looked at, when that process began, and the time it had used.
    before: Option<(Instant, u64, Ticks)>,
    work: Option<[f64; 3]>,
}

impl OneProcess {
    fn new(pid: u32, proc: &ProcConf) -> Self {
        let keys = ["cpu_p", "user_p", "system_p"].map(Key::of);
        Self { file: TextFile::new(proc.file(&format!("{pid}/stat"))), keys, before: None, work: None }
    }

    fn read_at(&mut self, at: Instant) -> Result<(), Fault> {
        let before = self.before.take();
        self.work = None;
        let process = Process::read(self.file.read()?).map(|p| (p.begun, p.ticks));
        let Some((begun, ticks_now)) = process else { return Err(self.file.lacks("what the process did")) };
        // Another process with the same number begins anew.
        self.work = before.filter(|(_, b, _)| *b == begun).map(|(then, _, ticks_then)| {
            percent(ticks_now.since(ticks_then), ticks(at.saturating_duration_since(then)))
        });
        self.before = Some((at, begun, ticks_now));
        Ok(())
    }
}

impl Gauge for OneProcess {
    fn read(&mut self) -> Result<(), Fault> {
        self.read_at(now())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Some(work) = self.work else { return };
        let mark = batch.begin();
        self.keys.iter().zip(work).for_each(|(key, percent)| batch.push(Cell::float(*key, percent)));
        batch.finish(mark, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::input::gauge::testing::Root;
    use crate::plugin::judged;

    fn record(gauge: &mut impl Gauge) -> String {
        let mut batch = Batch::new(Tag::new("t"));
        gauge.write(&mut batch, Time(1));
        let mut out = Vec::new();
        batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
        String::from_utf8(out).unwrap()
    }

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn processors_come_and_go() {
        let (root, start) = (Root::new(), Instant::now());
        let mut cpu = Processors::new(&root.conf());
        let mut look = |millis, text: &str| {
            root.write("stat", text);
            cpu.read_at(at(start, millis)).map(|()| record(&mut cpu)).unwrap_or_else(|f| format!("{f:?}"))
        };
        assert_eq!(look(0, "cpu  10 0 10 0\ncpu0 5 0 5 0\ncpu1 5 0 5 0\nbtime 1\n"), "");
        // A little late: a tick is the least that can be seen.
        let got = look(1003, "cpu  90 10 35 0\ncpu0 60 10 20 0\ncpu1 30 0 15 0\n");
        let want = "{\"cpu_p\":57.5,\"user_p\":45.0,\"system_p\":12.5,\"cpu0.p_cpu\":80.0,\"cpu0.p_user\":65.0,\"cpu0.p_system\":15.0,\
            \"cpu1.p_cpu\":35.0,\"cpu1.p_user\":25.0,\"cpu1.p_system\":10.0}";
        assert_eq!(got, want);
        // Twice the time: half the work. cpu0 is switched off, cpu2 on.
        let got = look(3003, "cpu  190 10 35 0\ncpu1 130 0 15 0\ncpu2 7 0 7 0\n");
        let want = "{\"cpu_p\":25.0,\"user_p\":25.0,\"system_p\":0.0,\"cpu1.p_cpu\":50.0,\"cpu1.p_user\":50.0,\"cpu1.p_system\":0.0}";
        assert_eq!(got, want);
        let got = look(4003, "cpu  100 10 35 0\ncpu0 9 0 9 0\ncpu1 10 0 25 0\ncpu2 7 0 8 0\n");
        assert!(got.starts_with("{\"cpu_p\":0.0,\"user_p\":0.0,\"system_p\":0.0,\"cpu1.p_cpu\":10.0,"), "{got}");
        assert!(
            !got.contains("cpu0") && got.ends_with("\"cpu2.p_cpu\":1.0,\"cpu2.p_user\":0.0,\"cpu2.p_system\":1.0}"),
            "{got}"
        );
        assert!(look(5003, "").contains("does not tell what processors did"));
    }

    #[test]
    fn a_process() {
        let (root, start) = (Root::new(), Instant::now());
        let mut cpu = OneProcess::new(7, &root.conf());
        let mut look = |millis, begun: u32, user: u32, system: u32| {
            let text = format!("7 (x y) S 1 7 7 0 -1 0 0 0 0 0 {user} {system} 0 0 20 0 1 0 {begun} 99 5 0\n");
            root.write("7/stat", text);
            cpu.read_at(at(start, millis)).unwrap();
            record(&mut cpu)
        };
        assert_eq!(look(0, 100, 5, 5), "");
        assert_eq!(look(2000, 100, 105, 55), "{\"cpu_p\":75.0,\"user_p\":50.0,\"system_p\":25.0}");
        assert_eq!(look(4000, 900, 1, 1), "", "another one");
        root.remove("7");
        assert!(cpu.read_at(at(start, 5000)).is_err());
        assert_eq!(record(&mut cpu), "");
    }

    #[test]
    fn what_is_refused() {
        let said = |conf: &[(&str, &str)], said| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&[("interval_sec", "5"), ("pid", "-1"), ("path.procfs", "/host/proc")], "");
        said(&[("pid", "0")], "there is no process 0");
        said(&[("pid", "init")], "is not an integer");
    }
}
