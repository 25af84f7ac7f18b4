//! A long run: tens of millions of records through filters into a bulk API, with rotations and outages, and nothing grows.

use super::sink::{Reply, Sink};
use super::trial::{Again, Conf, Trial, memory};
use super::writer::Writer;
use crate::lab::Proc;
use rustix::process::Signal;
use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Lines that are written at a time.
const STEP: usize = 5_000;
/// Lines that the reader may be behind while the destination is well.
const BEHIND: usize = 100_000;
/// How long the reader may take for them.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is looked at now and then: memory in bytes, open descriptors.
#[derive(Debug, Default)]
struct Looks(Vec<(u64, usize)>);

impl Looks {
    fn look(&mut self, run: &Proc) {
        let fds = fs::read_dir(format!("/proc/{}/fd", run.pid())).map_or(0, Iterator::count);
        self.0.push((memory(run, "VmRSS"), fds));
    }

    /// Mean memory, most memory, most descriptors.
    fn sum(&self) -> (u64, u64, usize) {
        let all = || self.0.iter().map(|l| l.0);
        (
            all().sum::<u64>() / self.0.len().max(1) as u64,
            all().max().unwrap_or(0),
            self.0.iter().map(|l| l.1).max().unwrap_or(0),
        )
    }
}

/// The run has parts, as a day has hours: each has an outage and ends with a rotation.
pub fn long_run(t: &mut Trial) {
    let (all, parts) = (t.size(50_000_000_usize, 120_000), t.size(24, 6));
    let hour = all.div_ceil(parts);
    let mut sink = t.sink();
    let mut writer = t.writer();
    let filters = [
        &["Name grep", "Match *", "Exclude log ^never"][..],
        &["Name modify", "Match *", "Add host board-7", "Rename stream source"],
        &["Name record_modifier", "Match *", "Record site north"],
    ];
    let conf = Conf::es(sink.port()).input("DB t.db").input("Mem_Buf_Limit 4M");
    let run = t.start(&filters.iter().fold(conf, |conf, keys| conf.filter(keys)));
    let mut hours = Vec::new();
    for n in 0..parts {
        let mut looks = Looks::default();
        // The first hour's outage is the last one's, too.
        let kind = n.min(parts - 1 - n) % 3;
        write(t, &mut writer, &run, &mut looks, 0..hour / 2);
        outage(t, &mut sink, &mut writer, kind);
        write(t, &mut writer, &run, &mut looks, hour / 2 + STEP..hour);
        writer.rename();
        // The one before is finished with.
        let _ = n.checked_sub(1).map(|n| fs::remove_file(t.lab.path(&format!("a.log.{n}"))));
        hours.push(looks.sum());
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
    let (first, last) = (hours[0], hours[parts - 1]);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    t.note(format!(
        "memory of the first hour {:.2} MiB (at most {:.2}), of the last {:.2} ({:.2}); at most {} and {} descriptors",
        mib(first.0),
        mib(first.1),
        mib(last.0),
        mib(last.1),
        first.2,
        last.2
    ));
    // The short form ends before the first rotated file is closed, and while caches still fill up.
    if t.is_full() {
        t.bar(last.0 <= first.0 + first.0 / 20, "memory grew by more than a twentieth");
        t.bar(last.2 <= first.2 + 1, "descriptors grew");
    }
}

/// Writes about as fast as it is read.
fn write(t: &mut Trial, writer: &mut Writer, run: &Proc, looks: &mut Looks, lines: Range<usize>) {
    for _ in lines.step_by(STEP) {
        writer.lines(STEP);
        let written = writer.written() as usize;
        let kept_up = t.until(PATIENCE, || t.tally.count().lines + BEHIND >= written);
        t.bar(kept_up, format!("{} of {written} lines came", t.tally.count().lines));
        looks.look(run);
    }
}

/// The destination is unwell while a step is written.
fn outage(t: &mut Trial, sink: &mut Sink, writer: &mut Writer, kind: usize) {
    let time = Duration::from_millis(t.size(5000, 200));
    match kind {
        0 => sink.behave(|_| Reply::Status(503)),
        1 => {
            let well = Instant::now() + time;
            sink.behave(move |_| Reply::Slow(well.saturating_duration_since(Instant::now())));
        }
        _ => {
            // An answer that is lost would bring its lines again.
            t.settle(writer.written());
            sink.down();
        }
    }
    writer.lines(STEP);
    std::thread::sleep(time);
    sink.behave(|_| Reply::Store);
    if kind == 2 {
        sink.up();
    }
}
