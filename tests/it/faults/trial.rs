//! One scenario while it runs: its folder, the program, what is measured and what must hold.

use super::check::{Tally, ranges};
use super::sink::Sink;
use super::writer::Writer;
use crate::lab::{Done, Lab, Proc, under_runner};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long nothing may arrive before the rest counts as lost.
const SILENCE: Duration = Duration::from_secs(90);

/// How long nothing may arrive before it is believed that nothing comes twice.
const MOMENT: Duration = Duration::from_millis(100);

/// What a scenario found.
#[derive(Debug, Default, Clone)]
pub struct Row {
    /// Lines written.
    pub written: usize,
    /// Different lines that arrived.
    pub delivered: usize,
    /// Lines that arrived more than once, counted once for each further arrival.
    pub again: usize,
    /// Lines that the destination holds more than once.
    pub twice: usize,
    /// First arrivals behind a later line of their file; `None` where arrivals cannot be seen.
    pub disorder: Option<usize>,
    /// Records that the program said it had lost or dropped.
    pub said: usize,
    /// The most memory the program used, in bytes.
    pub rss: u64,
    /// How long it took.
    pub time: Duration,
    /// When lines were allowed to arrive again.
    pub rule: Option<Again>,
    /// Further figures.
    pub notes: Vec<String>,
    /// Bars that did not hold.
    pub failed: Vec<String>,
    /// Why it was not run.
    pub skipped: Option<String>,
}

/// A scenario while it runs.
pub struct Trial {
    /// Its folder.
    pub lab: Lab,
    /// What arrived.
    pub tally: Arc<Tally>,
    /// Numbers from its seed.
    pub dice: Dice,
    /// What it found.
    pub row: Row,
    full: bool,
    start: Instant,
}

impl Trial {
    /// Begins.
    pub fn new(name: &str, seed: u64, full: bool) -> Self {
        Self {
            lab: Lab::new(&format!("faults-{name}")),
            tally: Arc::default(),
            dice: Dice(seed),
            row: Row::default(),
            full,
            start: Instant::now(),
        }
    }

    /// Whether it runs at full scale.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The size for the full form, or for the short one.
    pub fn size<T>(&self, full: T, short: T) -> T {
        if self.full { full } else { short }
    }

    /// A bulk API that tells the tally.
    pub fn sink(&self) -> Sink {
        Sink::new(&self.tally)
    }

    /// A writer of `a.log`.
    pub fn writer(&self) -> Writer {
        Writer::new(self.lab.path("a.log"))
    }

    /// Starts the program.
    pub fn start(&self, conf: &Conf) -> Proc {
        let run = self.lab.start(&conf.text());
        if under_runner() {
            // An emulated start takes longer than some of these processes and files live.
            self.until(Duration::from_secs(5), || watches(&run, &self.lab.path("a.log")));
        }
        run
    }

    /// Something that must hold.
    pub fn bar(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.row.failed.push(what.into());
        }
    }

    /// A figure for the report.
    pub fn note(&mut self, text: impl Into<String>) {
        self.row.notes.push(text.into());
    }

    /// Waits until all lines arrived, or nothing more does; then until nothing comes for a moment.
    pub fn settle(&self, written: u32) {
        let begin = Instant::now();
        loop {
            let all = self.tally.count().lines >= written as usize;
            let quiet = self.tally.last().map_or(begin, |t| t.max(begin)).elapsed();
            if quiet > if all { MOMENT } else { SILENCE } {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for something; whether it came.
    pub fn until(&self, limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if condition() {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Measures, ends the program with a signal, and counts what it says it lost.
    pub fn end(&mut self, proc: Proc, signal: Signal) -> Done {
        self.measure(&proc);
        let done = match signal {
            Signal::KILL => proc.kill(),
            _ => {
                let done = proc.term();
                self.bar(done.status.success(), format!("it ended with {}", done.status));
                done
            }
        };
        self.row.said += said(&done.stderr);
        self.bar(!done.stderr.contains("panicked"), "it panicked");
        done
    }

    /// Notes the most memory that the program used until now.
    pub fn measure(&mut self, proc: &Proc) {
        self.row.rss = self.row.rss.max(memory(proc, "VmHWM"));
    }

    /// Compares what was written with what arrived. Every scenario ends with it.
    pub fn check(&mut self, written: u32, again: Again) {
        self.check_except(written, again, |_| false);
    }

    /// The same where it is certain that nobody can deliver some lines. They count as lost, but no bar fails.
    pub fn check_except(&mut self, written: u32, again: Again, is_gone: impl Fn(u32) -> bool) {
        let count = self.tally.count();
        let row = &mut self.row;
        (row.written, row.rule) = (written as usize, Some(again));
        (row.delivered, row.again, row.twice) = (count.lines, count.again, count.twice);
        row.disorder = Some(count.disorder);
        row.time = self.start.elapsed();
        let mut missing = self.tally.missing(written);
        missing.retain(|n| !is_gone(*n));
        self.bar(missing.is_empty(), format!("lost: {}", ranges(&missing)));
        self.bar(count.lines <= written as usize, "more lines than were written");
        let broken = self.tally.first_broken().unwrap_or_default();
        self.bar(count.broken == 0, format!("{} documents are no line of the writer: '{broken}'", count.broken));
        match again {
            Again::Never => self.bar(count.again == 0, format!("{} lines arrived again", count.again)),
            Again::Keyed => self.bar(count.twice == 0, format!("{} lines are stored twice", count.twice)),
        }
        let settled = count.settled_again;
        self.bar(settled == 0, format!("{settled} lines arrived again although they were written down as delivered"));
    }
}

/// When a line may arrive again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nobody was killed and no answer was lost.
    Never,
    /// As often as need be, but under the same id.
    Keyed,
}

/// Records that the program says it lost or put aside: the account at its end, or its lines when there is none.
pub fn said(log: &str) -> usize {
    let before = |text: &str| -> usize {
        let found = log.lines().filter_map(|l| l.split_once(text)).filter_map(|(head, _)| head.rsplit(' ').next());
        found.filter_map(|n| n.parse::<usize>().ok()).sum()
    };
    match log.contains("[engine] service has stopped") {
        true => before(" lost, ") + before(" rejected, ") + before(" dropped, "),
        false => before(" record(s) lost: ") + before(" record(s) rejected") + before(" record(s) dropped"),
    }
}

/// Whether a program has found a file: it watches it.
fn watches(proc: &Proc, path: &Path) -> bool {
    let Ok(inode) = fs::metadata(path).map(|m| format!(" ino:{:x} ", m.ino())) else { return true };
    let all = fs::read_dir(format!("/proc/{}/fdinfo", proc.pid())).into_iter().flatten().flatten();
    all.filter_map(|fd| fs::read_to_string(fd.path()).ok()).any(|text| text.contains(&inode))
}

/// A field of /proc/PID/status, in bytes; 0 once the program has ended.
pub fn memory(proc: &Proc, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", proc.pid())).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A pipeline from `tail` to one output. Waits are short: what is at stake is not how long they are.
#[derive(Debug, Clone)]
pub struct Conf {
    service: Vec<String>,
    input: Vec<String>,
    filters: Vec<Vec<String>>,
    output: Vec<String>,
}

impl Conf {
    /// The live file into a bulk API.
    pub fn es(port: u16) -> Self {
        Self::new(&["Name es", "Match *", "Host 127.0.0.1", &format!("Port {port}")])
    }

    /// The live file into a TCP listener.
    pub fn tcp(port: u16) -> Self {
        let port = format!("Port {port}");
        Self::new(&["Name tcp", "Match *", "Host 127.0.0.1", &port, "Format json_lines", "Json_Date_Key false"])
    }

    fn new(output: &[&str]) -> Self {
        let list = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
        Self {
            service: list(&["Flush 0.1", "Grace 2", "scheduler.base 1", "scheduler.cap 2"]),
            input: list(&["Name tail", "Tag t", "Path a.log", "Read_from_Head on", "Refresh_Interval 1"]),
            filters: Vec::new(),
            output: list(output),
        }
    }

    /// A key of `[SERVICE]`; it wins over one of the same name.
    pub fn service(mut self, key: &str) -> Self {
        set(&mut self.service, key);
        self
    }

    /// A key of the input.
    pub fn input(mut self, key: &str) -> Self {
        set(&mut self.input, key);
        self
    }

    /// One more filter.
    pub fn filter(mut self, keys: &[&str]) -> Self {
        self.filters.push(keys.iter().map(|k| (*k).to_owned()).collect());
        self
    }

    /// A key of the output.
    pub fn output(mut self, key: &str) -> Self {
        set(&mut self.output, key);
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let section = |name: &str, keys: &[String]| {
            let keys: String = keys.iter().map(|k| format!("    {k}\n")).collect();
            format!("[{name}]\n{keys}")
        };
        let filters: String = self.filters.iter().map(|keys| section("FILTER", keys)).collect();
        section("SERVICE", &self.service) + &section("INPUT", &self.input) + &filters + &section("OUTPUT", &self.output)
    }
}

fn set(keys: &mut Vec<String>, key: &str) {
    let name = |k: &str| k.split(' ').next().map(str::to_ascii_lowercase);
    keys.retain(|k| name(k) != name(key));
    keys.push(key.to_owned());
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    /// The number that belongs to a place, whatever was rolled before.
    pub fn at(&self, place: usize) -> u64 {
        Self(self.0 ^ (place as u64).wrapping_mul(0xd134_2543_de82_ef95)).roll()
    }

    /// A time between two, each order of magnitude as likely as another.
    pub fn time(&mut self, from: Duration, to: Duration) -> Duration {
        let part = (self.roll() >> 11) as f64 / (1u64 << 53) as f64;
        from.mul_f64((to.as_secs_f64() / from.as_secs_f64()).powf(part))
    }
}

#[test]
fn losses_are_read_from_the_log() {
    let line = "[2026/01/01 00:00:00] [ warn] [input] tail.0: 7 record(s) lost: why\n";
    assert_eq!(said(line), 7);
    let end = "[ info] [engine] input tail.0: 100 records, 5 bytes, 9 lost, 0 without an output\n\
               [ info] [engine] output es.0: 91 records, 5 bytes, 0 errors, 0 retries, 0 retries failed, 2 rejected, 1 dropped, 0 not delivered\n\
               [ info] [engine] service has stopped (0 pending tasks)\n";
    assert_eq!(said(&(line.to_owned() + end)), 12);
    assert_eq!(said("[error] [engine] chunk 'x': 3 record(s) dropped: 400 no\n"), 3);
    assert_eq!(said("[error] [engine] chunk 'x': 2 record(s) rejected: 400 no; kept in 'r'\n"), 2);
}
