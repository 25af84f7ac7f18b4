//! Chunks on a disk: many of them, damaged ones, disks that are full, restarts with failures.

use super::check::{LINE, Line, Tally};
use super::limits::mib;
use super::sink::{Cut, Reply, Sink};
use super::trial::{Again, Conf, Trial, memory, said};
use crate::lab::{Peer, Proc, is_native};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(30);

/// Chunks wait on the disk.
pub fn on_disk(conf: Conf) -> Conf {
    conf.service("storage.path chunks").input("storage.type filesystem")
}

/// Each file has a tag of its own, and so a chunk of its own.
pub fn scattered(port: u16) -> Conf {
    on_disk(Conf::es(port).input("Path d/*.log").input("Tag t.*").input("DB t.db"))
}

/// Writes so many files of two lines.
pub fn many_files(t: &Trial, files: usize) -> u32 {
    fs::create_dir_all(t.lab.path("d")).unwrap();
    for generation in 0..files as u32 {
        let mut text = Vec::new();
        for number in [2 * generation, 2 * generation + 1] {
            Line { generation, number }.write(&mut text);
        }
        fs::write(t.lab.path(&format!("d/{generation}.log")), text).unwrap();
    }
    2 * files as u32
}

/// The chunk files below a folder, and their sizes. Names that begin with a dot are the program's own: files that it keeps
/// for the next chunk.
pub fn chunks(root: &Path) -> Vec<(PathBuf, u64)> {
    let inputs = fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path());
    let inputs = inputs.filter(|p| p.is_dir() && !p.ends_with("quarantine"));
    let files = inputs.flat_map(|d| fs::read_dir(d).into_iter().flatten().flatten());
    let files = files.filter(|f| !f.file_name().as_encoded_bytes().starts_with(b"."));
    let mut all: Vec<_> = files.map(|f| (f.path(), f.metadata().map_or(0, |m| m.len()))).collect();
    all.sort();
    all
}

fn empty_bar(t: &mut Trial) {
    let folder = t.lab.path("chunks");
    t.until(Duration::from_secs(5), || chunks(&folder).is_empty());
    let left: Vec<_> =
        chunks(&folder).iter().filter_map(|(path, _)| path.file_name()?.to_str().map(str::to_owned)).collect();
    t.bar(left.is_empty(), format!("chunk files are left: {}", left.join(", ")));
}

/// A dead destination is asked once in a while, however much waits for it.
pub fn queued_chunks(t: &mut Trial) {
    let files = t.size(10_000, 500);
    let written = many_files(t, files);
    // It takes connections only to end them.
    let dead = Peer::hangs_up();
    let conf = scattered(dead.port()).service("scheduler.cap 3");
    let mut run = t.start(&conf);
    run.wait_stderr("retry in");
    let folder = t.lab.path("chunks");
    let all = t.until(STEP, || chunks(&folder).len() >= files);
    t.bar(all, format!("{} of {files} chunks are on the disk", chunks(&folder).len()));
    let (from, start) = (dead.connections(), Instant::now());
    std::thread::sleep(Duration::from_secs(t.size(30, 4)));
    let (made, time) = (dead.connections() - from, start.elapsed().as_secs_f64());
    t.note(format!("{made} connections in {time:.0} s with {files} chunks waiting"));
    t.bar((made as f64) < time, format!("{made} connections in {time:.1} s"));
    t.bar(made > 0, "it does not try again");
    t.end(run, Signal::TERM);
    let sink = t.sink();
    let run = t.start(&conf.output(&format!("Port {}", sink.port())));
    t.settle(written);
    empty_bar(t);
    t.end(run, Signal::TERM);
    t.check(written, Again::Never);
}

/// Open descriptors of the program.
fn descriptors(run: &Proc) -> usize {
    fs::read_dir(format!("/proc/{}/fd", run.pid())).map_or(0, Iterator::count)
}

/// What an earlier run left costs neither memory nor descriptors in proportion.
pub fn many_chunk_files(t: &mut Trial) {
    let files = t.size(50_000, 1_000);
    let written = many_files(t, files);
    let mut sink = t.sink();
    sink.down();
    let conf = scattered(sink.port());
    let run = t.start(&conf);
    let folder = t.lab.path("chunks");
    let all = t.until(Duration::from_secs(120), || chunks(&folder).len() >= files);
    t.bar(all, format!("{} of {files} chunks are on the disk", chunks(&folder).len()));
    t.end(run, Signal::KILL);
    t.row.rss = 0;
    fs::remove_dir_all(t.lab.path("d")).unwrap();
    // For a while nothing can be sent, then everything.
    let run = t.start(&conf);
    let (mut most, start) = (0, Instant::now());
    let mut up = false;
    t.until(Duration::from_secs(120), || {
        most = most.max(descriptors(&run));
        if !up && start.elapsed() > Duration::from_secs(t.size(5, 1)) {
            sink.up();
            up = true;
        }
        t.tally.count().lines >= written as usize
    });
    t.settle(written);
    empty_bar(t);
    let memory = memory(&run, "VmHWM");
    t.end(run, Signal::TERM);
    t.note(format!("At most {:.1} MiB and {most} descriptors with {files} files at the start", mib(memory)));
    if is_native() {
        t.bar(memory < 64 << 20, format!("{:.1} MiB of memory", mib(memory)));
    }
    t.bar(most < 256, format!("{most} descriptors"));
    t.check(written, Again::Keyed);
}

/// Ended and killed again and again while the destination has its moods: nothing is left behind.
pub fn restarts_with_failures(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    sink.behave(move |ask| match dice.at(ask.before) % 12 {
        0 => Reply::Status(503),
        1 => Reply::Status(429),
        2 => Reply::Broken { stored: true, cut: Cut::Reset },
        3 => Reply::Broken { stored: false, cut: Cut::Half },
        4 => Reply::Slow(Duration::from_millis(200)),
        _ => Reply::Store,
    });
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("Flush 0.02").service("Grace 1");
    let conf = on_disk(conf);
    let mut writer = t.writer();
    for round in 0..t.size(100, 8) {
        let run = t.start(&conf);
        for _ in 0..5 {
            writer.lines(200);
            std::thread::sleep(t.dice.time(Duration::from_millis(1), Duration::from_millis(100)));
        }
        if round % 3 == 0 {
            writer.rename();
        }
        let signal = [Signal::KILL, Signal::TERM][t.dice.below(2)];
        t.end(run, signal);
    }
    sink.behave(|_| Reply::Store);
    let run = t.start(&conf);
    t.settle(writer.written());
    empty_bar(t);
    t.end(run, Signal::TERM);
    let left = fs::read_dir(t.lab.path("chunks/tail.0")).into_iter().flatten().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    t.bar(left.is_empty(), format!("the end leaves {left:?}"));
    t.check(writer.written(), Again::Keyed);
}

/// A small disk of the test's own, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    /// `None` when that is not allowed.
    fn new(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size},mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).status();
        mount.is_ok_and(|s| s.success()).then_some(Self(at))
    }

    /// Leaves only so many bytes, in steps of a page.
    fn leave(&self, bytes: u64) {
        let ballast = self.0.join("ballast");
        let _ = fs::remove_file(&ballast);
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        let free = stat.f_bfree * stat.f_frsize;
        fs::write(&ballast, vec![0; free.saturating_sub(bytes) as usize]).unwrap();
    }

    fn free_all(&self) {
        let _ = fs::remove_file(self.0.join("ballast"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk of the chunks is full from a different point on in each round; some rounds end in a kill.
pub fn disk_full(t: &mut Trial) {
    if !rustix::process::geteuid().is_root() {
        t.row.skipped = Some("only root can mount a small disk".into());
        return;
    }
    let Some(disk) = Disk::new(t.lab.path("chunks"), "1m") else {
        t.row.skipped = Some("no tmpfs can be mounted".into());
        return;
    };
    let mut sink = t.sink();
    let mut writer = t.writer();
    let conf = on_disk(Conf::es(sink.port()).input("DB t.db").service("Flush 0.02").service("Grace 1"));
    let conf = conf.output("Generate_ID On");
    let (rounds, mut full) = (t.size(60, 6), 0);
    for round in 0..rounds {
        // From no page at all to more than is written.
        disk.leave((round * 300 / rounds) as u64 * 1024);
        sink.down();
        let mut run = t.start(&conf);
        for _ in 0..20 {
            writer.lines(100);
            std::thread::sleep(Duration::from_millis(5));
        }
        run.wait_for("a failed delivery", |p| p.stderr().contains("retry in"));
        if t.dice.below(3) == 0 {
            t.measure(&run);
            run.signal(Signal::KILL);
            let log = run.stderr();
            full += usize::from(log.contains("No space left"));
            drop(run);
            if t.dice.below(2) == 0 {
                disk.free_all();
            }
            run = t.start(&conf);
        }
        writer.lines(100);
        if t.dice.below(2) == 0 {
            disk.free_all();
        }
        sink.up();
        let written = writer.written();
        let came = t.until(STEP, || t.tally.count().lines == written as usize);
        t.bar(came, format!("round {round}: {} of {written} lines arrived", t.tally.count().lines));
        let done = t.end(run, Signal::TERM);
        full += usize::from(done.stderr.contains("No space left"));
        if !came {
            break;
        }
        if t.dice.below(4) == 0 {
            writer.rename();
        }
    }
    t.note(format!("The log said {full} times in {rounds} rounds that the disk is full"));
    t.bar(full > 0, "the disk was never full");
    disk.free_all();
    let run = t.start(&conf);
    t.settle(writer.written());
    empty_bar(t);
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Keyed);
}

/// Chunk files that were cut, or have a bit flipped. What is whole must arrive; what is not must be named. Without a
/// database each read is written at once: the files have many frames.
pub fn damaged_chunks(t: &mut Trial) {
    let mut down = t.sink();
    down.down();
    let conf = on_disk(Conf::es(down.port()).input("Path d/*.log").input("Tag t.*").service("Flush 0.5"));
    fs::create_dir_all(t.lab.path("d")).unwrap();
    let run = t.start(&conf);
    let folder = t.lab.path("chunks");
    let (files, steps, lines) = (6, 5, 10);
    let mut whole = BTreeSet::new();
    for step in 0..steps {
        for generation in 0..files {
            let mut text = Vec::new();
            for n in 0..lines {
                Line { generation, number: (generation * steps + step) * lines + n }.write(&mut text);
            }
            t.lab.append(&format!("d/{generation}.log"), text);
        }
        std::thread::sleep(Duration::from_millis(60));
        // A file that is cut where a frame ends is what it was at that time: nothing of it is damaged.
        whole.extend(chunks(&folder));
    }
    let written = (files * steps * lines) as usize;
    let whole_lines = |bytes: &[u8]| bytes.windows(LINE - 1).filter(|w| Line::read(w).is_some()).count();
    let read = || -> Vec<(PathBuf, Vec<u8>)> {
        chunks(&folder).into_iter().map(|(path, _)| (path.clone(), fs::read(path).unwrap_or_default())).collect()
    };
    let stored = || read().iter().map(|(_, bytes)| whole_lines(bytes)).sum::<usize>();
    let all = t.until(STEP, || stored() == written);
    t.bar(all, format!("{} of {written} lines are on the disk", stored()));
    t.end(run, Signal::KILL);
    let files = read();
    fs::remove_dir_all(t.lab.path("d")).unwrap();
    let (cases, mut lost, mut saved, mut unsaid) = (t.size(400, 10), 0, 0, 0);
    for case in 0..cases {
        let _ = fs::remove_dir_all(&folder);
        let (hurt, mut length) = (t.dice.below(files.len()), u64::MAX);
        for (at, (path, bytes)) in files.iter().enumerate() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut bytes = bytes.clone();
            if at == hurt {
                let place = t.dice.below(bytes.len());
                match case % 3 {
                    0 => {
                        bytes.truncate(place);
                        length = place as u64;
                    }
                    1 => bytes[place] ^= 1 << t.dice.below(8),
                    // What a power cut leaves: the length is there, the bytes are not.
                    _ => bytes[place..].fill(0),
                }
            }
            fs::write(path, bytes).unwrap();
        }
        let tally = Arc::<Tally>::default();
        let sink = Sink::new(&tally);
        let run = t.start(&conf.clone().output(&format!("Port {}", sink.port())));
        t.until(STEP, || chunks(&folder).is_empty());
        let done = t.end(run, Signal::TERM);
        let count = tally.count();
        let missing = written - count.lines;
        let name = files[hurt].0.file_name().unwrap().to_string_lossy().into_owned();
        let in_file = whole_lines(&files[hurt].1);
        t.bar(count.broken + count.again == 0, format!("case {case}: {count:?}"));
        t.bar(missing <= in_file, format!("case {case}: {missing} lines lost, {in_file} were in the damaged file"));
        t.bar(chunks(&folder).is_empty(), format!("case {case}: chunk files are left"));
        saved += usize::from(missing == 0);
        lost += missing;
        if missing > 0 && !whole.contains(&(files[hurt].0.clone(), length)) {
            t.bar(done.stderr.contains(&name), format!("case {case}: {missing} lines lost and {name} not named"));
            unsaid += missing.saturating_sub(said(&done.stderr));
        }
    }
    t.note(format!(
        "{cases} damaged files of {written} lines in {} files: nothing lost in {saved} cases, {lost} lines in the others, \
         {} of them counted in the log",
        files.len(),
        lost - unsaid
    ));
    t.check(0, Again::Never);
    (t.row.written, t.row.delivered) = (written * cases, written * cases - lost);
}
