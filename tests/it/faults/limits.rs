//! Memory, time and the end: what happens when nothing moves, everything is slow, or the clock lies.

use super::sink::{LineSink, Reply};
use super::trial::{Again, Conf, Trial, memory};
use crate::lab::{Proc, free_port, is_native};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(20);
/// What the program may use beyond its limit.
const SLACK: u64 = 8 << 20;
/// `Mem_Buf_Limit 1M`.
const LIMIT: u64 = 1_000_000;

/// The program stands still, the writer does not.
pub fn stopped_for_a_while(t: &mut Trial) {
    let sink = t.sink();
    let mut writer = t.writer();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db"));
    writer.lines(1_000);
    t.until(STEP, || t.tally.count().lines > 0);
    run.signal(Signal::STOP);
    let (steps, pause) = (30, t.size(Duration::from_secs(1), Duration::from_millis(60)));
    for _ in 0..steps {
        writer.lines(t.size(3_000, 300));
        writer.rename();
        std::thread::sleep(pause);
    }
    run.signal(Signal::CONT);
    writer.lines(1_000);
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// The most memory that a program has held which has nothing to do yet: what it hands back then it may take again.
pub fn idle(t: &Trial, run: &Proc) -> u64 {
    let mut seen = 0;
    t.until(STEP, || {
        std::thread::sleep(Duration::from_millis(100));
        let now = memory(run, "VmRSS");
        std::mem::replace(&mut seen, now) == now && now > 0
    });
    memory(run, "VmHWM")
}

/// How far the program grew beyond that, and whether it may.
pub fn memory_bar(t: &mut Trial, run: &Proc, idle: u64) {
    let grown = memory(run, "VmHWM").saturating_sub(idle);
    t.note(format!("Memory grew by {:.1} MiB beyond the idle {:.1} MiB", mib(grown), mib(idle)));
    if is_native() {
        t.bar(grown <= LIMIT + SLACK, format!("memory grew by {:.1} MiB", mib(grown)));
    }
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A slow destination, first one that answers late, then one that reads slowly and shows the order.
pub fn memory_limit(t: &mut Trial) {
    let lines = t.size(200_000, 15_000);
    let sink = t.sink();
    sink.behave(|_| Reply::Slow(Duration::from_millis(20)));
    let mut writer = t.writer();
    let conf = Conf::es(sink.port()).input("DB t.db").input("Mem_Buf_Limit 1M");
    let run = t.start(&conf);
    let rest = idle(t, &run);
    writer.lines(lines);
    t.settle(writer.written());
    memory_bar(t, &run, rest);
    t.end(run, Signal::TERM);
    // The same file goes on into the other destination.
    let slow = LineSink::new(&t.tally, Duration::from_millis(1));
    let before = t.tally.count().disorder;
    let run = t.start(&Conf::tcp(slow.port()).input("DB t.db").input("Mem_Buf_Limit 1M"));
    let rest = idle(t, &run);
    writer.lines(lines);
    for _ in 0..3 {
        writer.rename();
        writer.lines(lines / 10);
    }
    t.settle(writer.written());
    memory_bar(t, &run, rest);
    t.end(run, Signal::TERM);
    let disorder = t.tally.count().disorder - before;
    t.bar(disorder == 0, format!("{disorder} lines out of order through one connection"));
    t.check(writer.written(), Again::Never);
}

/// What waited arrives as it was written, file by file.
pub fn order(t: &mut Trial) {
    let port = free_port();
    let mut writer = t.writer();
    let mut run = t.start(&Conf::tcp(port).input("DB t.db"));
    writer.lines(1);
    run.wait_stderr("retry in");
    for _ in 0..5 {
        writer.lines(t.size(20_000, 2_000));
        writer.rename();
        std::thread::sleep(Duration::from_millis(150));
    }
    let _sink = LineSink::at(port, &t.tally, Duration::ZERO);
    writer.lines(t.size(20_000, 2_000));
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
    let disorder = t.tally.count().disorder;
    t.bar(disorder == 0, format!("{disorder} lines out of order"));
}

/// Many small flushes and nowhere to put them.
pub fn trickle(t: &mut Trial) {
    let mut sink = t.sink();
    sink.down();
    let mut writer = t.writer();
    let conf = Conf::es(sink.port()).input("DB t.db").input("Mem_Buf_Limit 1M").service("Flush 0.001");
    let run = t.start(&conf);
    let rest = idle(t, &run);
    let flushes = t.size(20_000, 1_500);
    for n in 0..flushes {
        writer.lines(1 + n % 2);
        std::thread::sleep(Duration::from_millis(1));
    }
    memory_bar(t, &run, rest);
    sink.up();
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// The grace period ends with everything undelivered.
pub fn end_with_the_sink_down(t: &mut Trial) {
    let mut sink = t.sink();
    let mut writer = t.writer();
    let conf = Conf::es(sink.port()).input("DB t.db").service("Grace 1");
    let mut run = t.start(&conf);
    for _ in 0..t.size(5, 2) {
        writer.lines(t.size(10_000, 1_000));
        t.settle(writer.written());
        sink.down();
        writer.lines(t.size(20_000, 2_000));
        run.wait_stderr("retry in");
        let done = t.end(run, Signal::TERM);
        t.bar(done.stderr.contains("were not delivered"), "what is left was not said");
        writer.rename();
        writer.lines(100);
        sink.up();
        run = t.start(&conf);
        t.settle(writer.written());
    }
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// The wall clock jumps; the monotonic clock does not, as when an administrator or NTP sets the time.
pub fn clock_jumps(t: &mut Trial) {
    if let Err(why) = t.lab.fake_clock() {
        t.row.skipped = Some(why.into());
        return;
    }
    let mut sink = t.sink();
    let mut writer = t.writer();
    let mut run = t.start(&Conf::es(sink.port()).input("DB t.db").service("Grace 1"));
    let mut slowest = Duration::ZERO;
    for (round, jump) in ["+3600", "-3600", "+0", "-3600", "+3600", "+0"].iter().cycle().take(t.size(24, 6)).enumerate()
    {
        writer.lines(500);
        if round % 3 == 0 {
            // A retry waits when the clock jumps.
            sink.down();
            writer.lines(500);
            run.wait_for("a failed delivery", |p| p.stderr().matches("retry in").count() > round / 3);
        }
        t.lab.set_clock(jump);
        let start = Instant::now();
        if round % 3 == 0 {
            sink.up();
        }
        writer.lines(500);
        writer.rename();
        writer.lines(500);
        let written = writer.written();
        let came = t.until(STEP, || t.tally.count().lines == written as usize);
        t.bar(came, format!("round {round}: {} of {written} lines arrived", t.tally.count().lines));
        slowest = slowest.max(start.elapsed());
        if !came {
            break;
        }
    }
    t.note(format!("After a jump everything was there within {:.1} s", slowest.as_secs_f64()));
    t.settle(writer.written());
    let done = t.end(run, Signal::TERM);
    t.bar(done.stderr.lines().any(|l| !l.contains(&today())), "the program did not see another clock");
    t.check(writer.written(), Again::Never);
}

/// The hour of now, as log lines begin.
fn today() -> String {
    jiff::Timestamp::now().strftime("[%Y/%m/%d %H:").to_string()
}
