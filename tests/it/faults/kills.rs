//! kill -9 at random instants, and databases that do not come back as they were.

use super::check::{LINE, SAME};
use super::sink::Reply;
use super::storage::{chunks, on_disk};
use super::trial::{Again, Conf, Trial};
use super::writer::Writer;
use crate::lab::under_runner;
use rusqlite::Connection;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What arrived so long before a kill is written down as delivered.
const SOON: Duration = Duration::from_millis(300);

/// A writer that writes and renames on a thread of its own until it is told to stop.
struct Busy {
    writer: Arc<Mutex<Writer>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Busy {
    /// Ten lines about every 5 ms; a new file after each `per_file`. A file that comes and goes while the program starts is
    /// nobody's to find, and an emulated start takes long.
    fn new(writer: Writer, per_file: u32) -> Self {
        let pause = Duration::from_millis(if under_runner() { 50 } else { 5 });
        let (writer, stop) = (Arc::new(Mutex::new(writer)), Arc::new(AtomicBool::new(false)));
        let (shared, end) = (writer.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut in_file = 0;
            while !end.load(Ordering::Relaxed) {
                {
                    let mut writer = shared.lock().unwrap();
                    let cut = writer.written() as usize;
                    writer.lines(9);
                    writer.torn_line(cut);
                    in_file += 10;
                    if in_file >= per_file {
                        writer.rename();
                        in_file = 0;
                    }
                }
                std::thread::sleep(pause);
            }
        });
        Self { writer, stop, thread: Some(thread) }
    }

    /// The inode and the first number of every file so far, and how many lines are written.
    fn files(&self) -> (Vec<(u64, u32)>, u32) {
        let writer = self.writer.lock().unwrap();
        (writer.files().collect(), writer.written())
    }

    /// Stops it; how many lines it has written.
    fn stop(&mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.writer.lock().unwrap().written()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// With memory storage what was not delivered is read again.
pub fn kills_with_memory_storage(t: &mut Trial) {
    let sink = t.sink();
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("Flush 0.02");
    kills(t, &conf);
}

/// With chunk files what was not delivered is there. The destination is often overloaded: else nothing would be written.
pub fn kills_with_filesystem_storage(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    sink.behave(move |ask| match dice.at(ask.before) % 5 {
        0 | 1 => Reply::Status(503),
        _ => Reply::Store,
    });
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("Flush 0.02");
    kills(t, &on_disk(conf));
    let left = chunks(&t.lab.path("chunks")).len();
    t.bar(left == 0, format!("{left} chunk files are left"));
}

fn kills(t: &mut Trial, conf: &Conf) {
    let kills = t.size(500, 25);
    let mut busy = Busy::new(t.writer(), 2_000);
    let (mut most, mut open, mut safe, mut stored) = (0, 0, Vec::new(), 0);
    for kill in 0..kills {
        let before = t.tally.count();
        let run = t.start(conf);
        let life = t.dice.time(Duration::from_millis(3), Duration::from_millis(1_000));
        let last = life.min(SOON);
        std::thread::sleep(life - last);
        let arrived = t.tally.count().lines;
        std::thread::sleep(last);
        t.end(run, Signal::KILL);
        // What is on the wire still arrives.
        std::thread::sleep(Duration::from_millis(10));
        let again = t.tally.count().again - before.again;
        most = most.max(again);
        t.bar(again <= open, format!("after kill {kill}: {again} lines came again, {open} were not settled"));
        open = unsettled(t, &busy, &mut safe);
        let (written, waiting) = (busy.files().1 as usize, !chunks(&t.lab.path("chunks")).is_empty());
        // A short life may not even repeat what the one before did not settle.
        let late = if life > 2 * SOON { open.saturating_sub(written - arrived) } else { 0 };
        stored += usize::from(waiting);
        t.bar(waiting || late == 0, format!("kill {kill}: {late} lines arrived {SOON:?} before were not settled"));
    }
    let written = busy.stop();
    let run = t.start(conf);
    t.settle(written);
    t.end(run, Signal::TERM);
    t.note(format!("{:.0} lines came again per kill, {most} at most", t.tally.count().again as f64 / kills as f64));
    if conf.text().contains("storage.path") {
        t.note(format!("{stored} of {kills} kills left chunk files"));
        t.bar(stored > 0, "there were no chunk files");
    }
    t.check(written, Again::Keyed);
}

/// How many lines a killed program may send again: those that its database does not hold for delivered, and those in its
/// chunk files. Without chunk files, what the database holds for delivered must not come again. The database is read
/// from a copy: opening it may change it.
fn unsettled(t: &Trial, busy: &Busy, safe: &mut Vec<u32>) -> usize {
    for (name, copy) in [("t.db", "copy.db"), ("t.db-wal", "copy.db-wal")] {
        let _ = fs::remove_file(t.lab.path(copy));
        let _ = fs::copy(t.lab.path(name), t.lab.path(copy));
    }
    let waiting: u64 = chunks(&t.lab.path("chunks")).iter().map(|(_, size)| size).sum();
    let (files, written) = busy.files();
    let ends = files.iter().skip(1).map(|(_, begin)| *begin).chain([written]);
    let mut open = waiting as usize / LINE;
    let rows = rows(&t.lab.path("copy.db"));
    safe.resize(files.len(), 0);
    for (generation, (&(inode, begin), end)) in files.iter().zip(ends).enumerate() {
        // All files are kept: an inode belongs to one of them. A row that goes was that of a file read to its end.
        let safe = &mut safe[generation];
        *safe = match rows.iter().find(|(known, _)| *known == inode as i64) {
            Some((_, offset)) => begin + (*offset as usize / LINE) as u32,
            None if *safe > 0 && !rows.is_empty() => end,
            None => *safe,
        };
        open += end.saturating_sub(begin.max(*safe)) as usize;
        if waiting == 0 {
            t.tally.settle(generation as u32, *safe);
        }
    }
    open
}

/// Inode and offset of each file that a database knows; nothing while there is no database.
fn rows(path: &Path) -> Vec<(i64, i64)> {
    let Ok(db) = Connection::open(path) else { return Vec::new() };
    let Ok(mut rows) = db.prepare("SELECT inode, offset FROM in_tail_files") else { return Vec::new() };
    let found = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    found.map_or_else(|_| Vec::new(), |rows| rows.flatten().collect())
}

/// Lines that are the same to the last byte are still different documents, and each is one.
pub fn equal_lines(t: &mut Trial) {
    let sink = t.sink();
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("Flush 0.02");
    let (lines, rounds) = (t.size(1_000, 200), t.size(50, 5));
    let part = [SAME, b"\n"].concat().repeat(lines);
    for _ in 0..rounds {
        t.lab.append("a.log", &part);
        let run = t.start(&conf);
        std::thread::sleep(t.dice.time(Duration::from_millis(3), Duration::from_millis(200)));
        t.end(run, Signal::KILL);
    }
    let run = t.start(&conf);
    let all = lines * rounds;
    t.until(Duration::from_secs(20), || t.tally.ids() >= all);
    t.settle(0);
    t.end(run, Signal::TERM);
    t.check(0, Again::Keyed);
    (t.row.written, t.row.delivered) = (all, t.tally.ids());
    t.bar(t.tally.ids() == all, format!("{} documents for {all} equal lines", t.tally.ids()));
}

/// A database that is gone or damaged costs repetition, never lines, and never the start. When it is damaged, files are
/// read from their heads although that is not asked for; when it is gone, nobody can tell this start from the first one.
pub fn database_damaged(t: &mut Trial) {
    let sink = t.sink();
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("Flush 0.02");
    let mut writer = t.writer();
    let (rounds, mut aside) = (t.size(60, 12), 0);
    for round in 0..rounds {
        let path = t.lab.path("t.db");
        let mut bytes = fs::read(&path).unwrap_or_default();
        let place = t.dice.below(bytes.len().max(1));
        match round % 4 {
            _ if round == 0 => {}
            0 => fs::remove_file(&path).unwrap(),
            // Cut, not to nothing: an empty file is a new database.
            1 => fs::write(&path, &bytes[..place.max(1)]).unwrap(),
            2 => {
                for _ in 0..20 {
                    let at = t.dice.below(bytes.len());
                    bytes[at] ^= 1 << t.dice.below(8);
                }
                fs::write(&path, bytes).unwrap();
            }
            // What a power cut leaves.
            _ => {
                bytes[place..].fill(0);
                fs::write(&path, bytes).unwrap();
            }
        }
        // Written while nobody looks.
        writer.lines(50);
        let run = t.start(&conf.clone().input(["Read_from_Head on", "Read_from_Head off"][(round % 4).min(1)]));
        writer.lines(200);
        let written = writer.written();
        let came = t.until(Duration::from_secs(20), || t.tally.count().lines == written as usize);
        let done = t.end(run, Signal::TERM);
        if !came {
            let last = done.stderr.lines().find(|l| l.contains("[error]")).unwrap_or_default();
            t.bar(false, format!("round {round}: {} of {written} lines arrived; {last}", t.tally.count().lines));
            break;
        }
        aside += usize::from(done.stderr.contains("'t.db' is damaged"));
    }
    t.note(format!("{aside} of {} damaged databases were put aside, the others could still be read", rounds * 3 / 4));
    t.check(writer.written(), Again::Keyed);
}
