//! `uptime`: how long the system runs, and how busy it is.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{Load, uptime};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "uptime",
        doc: "How long the system runs and how busy it is, at each interval: uptime (seconds, with a fraction), load1, load5, \
              load15 (tasks that run, wait to run or wait for a disk: averages of as many minutes), running and tasks (threads \
              that run now, and all). Fluent Bit has no such input.",
        keys: &[],
        unserved: &[],
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

struct Uptime {
    interval: IntervalConf,
    gauge: UptimeGauge,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    Some(Box::new(Uptime { interval, gauge: UptimeGauge::new(&proc) }))
}

impl Input for Uptime {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { watch(&cx, self.interval.period(), self.gauge).await })
    }
}

struct UptimeGauge {
    uptime: TextFile,
    load: TextFile,
    read: Option<(f64, Load)>,
}

impl UptimeGauge {
    fn new(proc: &ProcConf) -> Self {
        Self { uptime: TextFile::new(proc.file("uptime")), load: TextFile::new(proc.file("loadavg")), read: None }
    }
}

impl Gauge for UptimeGauge {
    fn read(&mut self) -> Result<(), Fault> {
        let seconds = uptime(self.uptime.read()?).ok_or_else(|| self.uptime.lacks("how long the system runs"))?;
        let load = Load::read(self.load.read()?).ok_or_else(|| self.load.lacks("the load"))?;
        self.read = Some((seconds, load));
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Some((seconds, load)) = &self.read else { return };
        let mark = batch.begin();
        batch.push(Cell::float(Key::of("uptime"), *seconds));
        for (name, average) in ["load1", "load5", "load15"].iter().zip(load.averages) {
            batch.push(Cell::float(Key::of(name), average));
        }
        batch.push(Cell::uint(Key::of("running"), load.running));
        batch.push(Cell::uint(Key::of("tasks"), load.tasks));
        batch.finish(mark, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::gauge::testing::{Root, look};

    #[test]
    fn records() {
        let root = Root::new();
        root.write("uptime", "351735.47 234388.90\n");
        let mut gauge = UptimeGauge::new(&root.conf());
        assert!(look(&mut gauge).contains("loadavg: "));
        root.write("loadavg", "0.20 1.05 11.50 3/189 26776\n");
        let want = r#"{"uptime":351735.47,"load1":0.2,"load5":1.05,"load15":11.5,"running":3,"tasks":189}"#;
        assert_eq!(look(&mut gauge), want);
        root.write("loadavg", "\n");
        assert!(look(&mut gauge).ends_with("loadavg does not tell the load"));
    }
}
