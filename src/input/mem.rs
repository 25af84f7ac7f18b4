//! `mem`: how much memory the system, or also one process, uses.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{Memory, SIZES, human, sizes};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "mem",
        doc: "Memory of the system at each interval, in kilobytes of 1,024 bytes: Mem.total, Mem.used (all but what nothing \
              uses, caches included), Mem.free (what programs could get, caches given up for them), Swap.total, Swap.used, \
              Swap.free; with PID also what a process holds: proc_bytes, and proc_hr for people.",
        keys: MemConf::KEYS,
        unserved: MemConf::UNSERVED,
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `mem`.
    pub struct MemConf {
        /// The process to measure as well; 0 is none.
        pid: u32 => "PID" = "0",
    }
}

struct Mem {
    interval: IntervalConf,
    gauge: MemGauge,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = MemConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    Some(Box::new(Mem { interval, gauge: MemGauge::new(conf.pid, &proc) }))
}

impl Input for Mem {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { watch(&cx, self.interval.period(), self.gauge).await })
    }
}

struct MemGauge {
    file: TextFile,
    process: Option<TextFile>,
    keys: [Key; 6],
    memory: Memory,
    /// Bytes that the process holds.
    held: Option<u64>,
}

impl MemGauge {
    fn new(pid: u32, proc: &ProcConf) -> Self {
        let keys = ["Mem.total", "Mem.used", "Mem.free", "Swap.total", "Swap.used", "Swap.free"];
        Self {
            file: TextFile::new(proc.file("meminfo")),
            process: (pid > 0).then(|| TextFile::new(proc.file(&format!("{pid}/status")))),
            keys: keys.map(Key::of),
            memory: Memory::default(),
            held: None,
        }
    }
}

impl Gauge for MemGauge {
    fn read(&mut self) -> Result<(), Fault> {
        self.held = None;
        self.memory = Memory::read(self.file.read()?).ok_or_else(|| self.file.lacks("how much memory there is"))?;
        if let Some(process) = &mut self.process {
            let sizes = sizes(process.read().map_err(Fault::partly)?);
            let resident = SIZES.iter().zip(sizes).find(|(name, _)| **name == "VmRSS");
            self.held = resident.map(|(_, kib)| kib.saturating_mul(1024));
        }
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Memory { total, free, available, swap_total, swap_free } = self.memory;
        let used = [total.saturating_sub(free), swap_total.saturating_sub(swap_free)];
        let mark = batch.begin();
        for (key, kib) in self.keys.iter().zip([total, used[0], available, swap_total, used[1], swap_free]) {
            batch.push(Cell::uint(*key, kib));
        }
        if let Some(bytes) = self.held {
            batch.push(Cell::uint(Key::of("proc_bytes"), bytes));
            batch.push_text(Key::of("proc_hr"), human(bytes).as_bytes());
        }
        batch.finish(mark, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::gauge::testing::{Root, look};

    const ZERO: &str =
        "MemTotal: 443504 kB\nMemFree: 31200 kB\nMemAvailable: 301000 kB\nSwapTotal: 102396 kB\nSwapFree: 101884 kB\n";
    const RECORD: &str = r#"{"Mem.total":443504,"Mem.used":412304,"Mem.free":301000,"Swap.total":102396,"Swap.used":512,"Swap.free":101884"#;

    #[test]
    fn of_the_system() {
        let root = Root::new();
        let mut mem = MemGauge::new(0, &root.conf());
        assert!(look(&mut mem).starts_with("cannot read "), "not there yet");
        root.write("meminfo", ZERO);
        assert_eq!(look(&mut mem), format!("{RECORD}}}"));
        root.write("meminfo", "nonsense");
        assert!(look(&mut mem).ends_with("meminfo does not tell how much memory there is"));
    }

    #[test]
    fn of_a_process() {
        let root = Root::new();
        root.write("meminfo", ZERO);
        root.write("77/status", "Name:\tx\nVmRSS:\t   12060 kB\n");
        let mut mem = MemGauge::new(77, &root.conf());
        assert_eq!(look(&mut mem), format!("{RECORD},\"proc_bytes\":12349440,\"proc_hr\":\"11.78M\"}}"));
        root.remove("77");
        let gone = look(&mut mem);
        assert!(gone.starts_with(&format!("{RECORD}}}cannot read ")), "{gone}");
    }
}
