//! `disk`: how much is read from disks and written to them.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{Disk, DiskWork, disks, grown, is_partition, is_virtual};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "disk",
        doc: "Bytes read from disks and written to them since the interval before: read_size, write_size. Each byte counts \
              once: a partition does not count beside its disk, nor do devices that keep their data on others or in memory \
              (loop, dm-, md, zram …), unless Dev_Name fits nothing else.",
        keys: DiskConf::KEYS,
        unserved: DiskConf::UNSERVED,
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `disk`.
    pub struct DiskConf {
        /// The device (`mmcblk0`, `sda2`), or a part of the names of some; all disks when it is not given.
        dev_name: Option<String> => "Dev_Name",
    }
}

struct DiskIo {
    interval: IntervalConf,
    gauge: DiskGauge,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = DiskConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    Some(Box::new(DiskIo { interval, gauge: DiskGauge::new(conf.dev_name, &proc) }))
}

impl Input for DiskIo {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { watch(&cx, self.interval.period(), self.gauge).await })
    }
}

/// The kernel counts in sectors of so many bytes.
const SECTOR: u64 = 512;

struct Device {
    name: Vec<u8>,
    done: DiskWork,
    seen: bool,
}

struct DiskGauge {
    file: TextFile,
    wanted: Option<String>,
    devices: Vec<Device>,
    /// Bytes read and written; unknown at the first look.
    moved: Option<(u64, u64)>,
    begun: bool,
}

impl DiskGauge {
    fn new(wanted: Option<String>, proc: &ProcConf) -> Self {
        let file = TextFile::new(proc.file("diskstats"));
        Self { file, wanted, devices: Vec::new(), moved: None, begun: false }
    }
}

/// The devices that count.
fn chosen<'a>(all: &[Disk<'a>], wanted: Option<&str>) -> Vec<Disk<'a>> {
    let fits = |d: &&Disk<'a>| match wanted {
        Some(part) => memchr::memmem::find(d.name, part.as_bytes()).is_some(),
        None => true,
    };
    let exact = |d: &&Disk<'a>| wanted.is_some_and(|w| d.name == w.as_bytes());
    if let Some(one) = all.iter().find(exact) {
        return vec![*one];
    }
    let fitting: Vec<_> = all.iter().filter(fits).copied().collect();
    let real: Vec<_> = fitting.iter().filter(|d| !is_virtual(d.name)).copied().collect();
    let of = if real.is_empty() && wanted.is_some() { fitting } else { real };
    of.iter().filter(|d| !of.iter().any(|whole| is_partition(d.name, whole.name))).copied().collect()
}

impl Gauge for DiskGauge {
    fn read(&mut self) -> Result<(), Fault> {
        self.moved = None;
        let all: Vec<_> = disks(self.file.read()?).collect();
        let chosen = chosen(&all, self.wanted.as_deref());
        if chosen.is_empty() {
            let what = self.wanted.as_ref().map_or("a disk".into(), |w| format!("a device with '{w}' in its name"));
            self.devices.clear();
            return Err(self.file.lacks(&what));
        }
        let (mut read, mut written) = (0u64, 0u64);
        for disk in chosen {
            let at = self.devices.iter().position(|d| d.name == disk.name);
            let now = disk.done;
            let before = match at.and_then(|at| self.devices.get_mut(at)) {
                Some(known) => {
                    known.seen = true;
                    std::mem::replace(&mut known.done, now)
                }
                None => {
                    self.devices.push(Device { name: disk.name.to_vec(), done: now, seen: true });
                    // The counters of what is plugged in now began at zero.
                    if self.begun { DiskWork::default() } else { now }
                }
            };
            let anew = now.reads < before.reads || now.writes < before.writes;
            read = read.saturating_add(grown(before.read, now.read, anew));
            written = written.saturating_add(grown(before.written, now.written, anew));
        }
        self.devices.retain_mut(|d| std::mem::take(&mut d.seen));
        let begun = std::mem::replace(&mut self.begun, true);
        self.moved = begun.then(|| (read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)));
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Some((read, written)) = self.moved else { return };
        let mark = batch.begin();
        batch.push(Cell::uint(Key::of("read_size"), read));
        batch.push(Cell::uint(Key::of("write_size"), written));
        batch.finish(mark, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::gauge::testing::{Root, look};

    fn stats(lines: &[(&str, u64, u64)]) -> String {
        lines.iter().map(|(name, r, w)| format!(" 179 0 {name} {r} 2 {r} 4 {w} 6 {w} 8 9 10 11 0 0 0 0\n")).collect()
    }

    #[test]
    fn devices_are_counted_once() {
        let root = Root::new();
        let mut disk = DiskGauge::new(None, &root.conf());
        let card = |n: u64| {
            [("loop0", n, n), ("zram0", n, n), ("mmcblk0", n, 2 * n), ("mmcblk0p1", n, 0), ("mmcblk0p2", 0, n)]
        };
        root.write("diskstats", stats(&card(100)));
        assert_eq!(look(&mut disk), "");
        root.write("diskstats", stats(&card(110)));
        assert_eq!(look(&mut disk), r#"{"read_size":5120,"write_size":10240}"#);
        // A stick is plugged in: what was read of it since counts.
        let with = |r, w| stats(&[("mmcblk0", 110, 220), ("sda", r, w), ("sda1", r, w)]);
        root.write("diskstats", with(4, 1));
        assert_eq!(look(&mut disk), r#"{"read_size":2048,"write_size":512}"#);
        // Pulled out and in again between two looks: all of what was read and written since counts, however much it was before.
        root.write("diskstats", with(2, 3));
        assert_eq!(look(&mut disk), r#"{"read_size":1024,"write_size":1536}"#);
        root.write("diskstats", with(4_000_000_000, 3));
        look(&mut disk);
        root.write("diskstats", with(1, 4));
        assert_eq!(look(&mut disk), r#"{"read_size":512,"write_size":2048}"#);
        root.write("diskstats", stats(&card(110)));
        assert_eq!(look(&mut disk), r#"{"read_size":0,"write_size":0}"#);
        root.write("diskstats", "");
        assert!(look(&mut disk).ends_with("diskstats does not tell a disk"));
    }

    #[test]
    fn names() {
        let text = stats(&[("sda", 1, 0), ("sda1", 2, 0), ("sdb1", 3, 0), ("dm-0", 4, 0), ("loop1", 5, 0)]);
        let all: Vec<_> = disks(text.as_bytes()).collect();
        let names = |wanted: Option<&str>| {
            let names =
                chosen(&all, wanted).iter().map(|d| String::from_utf8_lossy(d.name).into_owned()).collect::<Vec<_>>();
            names.join(" ")
        };
        assert_eq!(names(None), "sda sdb1");
        assert_eq!(
            (names(Some("sda")), names(Some("sda1")), names(Some("sd"))),
            ("sda".into(), "sda1".into(), "sda sdb1".into())
        );
        assert_eq!(
            (names(Some("dm-0")), names(Some("loop")), names(Some("nvme"))),
            ("dm-0".into(), "loop1".into(), "".into())
        );
    }
}
