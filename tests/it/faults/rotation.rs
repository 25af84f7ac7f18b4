//! Files that are renamed, copied, cut, replaced and re-linked while they are read.

use super::check::Line;
use super::trial::{Again, Conf, Trial};
use super::writer::Writer;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a scenario waits for one step. Far more than it needs.
const STEP: Duration = Duration::from_secs(20);

/// Rotated without pause: the reader meets files it has never seen under the live name.
pub fn rename_burst(t: &mut Trial) {
    burst(t, Writer::rename);
}

/// The same with a copy.
pub fn copytruncate_burst(t: &mut Trial) {
    burst(t, Writer::copy_truncate);
}

fn burst(t: &mut Trial, rotate: fn(&mut Writer)) {
    let (files, lines) = (10, t.size(20_000, 2_000));
    let sink = t.sink();
    let mut writer = t.writer();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db"));
    writer.lines(1);
    t.until(STEP, || t.tally.count().lines == 1);
    for file in 0..files {
        writer.lines(lines - usize::from(file == 0));
        if file + 1 < files {
            rotate(&mut writer);
        }
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// Copied and cut by somebody else while the writer writes: what comes between the two is in no file any more.
pub fn copytruncate_race(t: &mut Trial) {
    let sink = t.sink();
    let mut writer = t.writer();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db"));
    writer.lines(1);
    t.until(STEP, || t.tally.count().lines == 1);
    let (live, rounds) = (t.lab.path("a.log"), t.size(200, 20));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..rounds {
                std::thread::sleep(Duration::from_millis(25));
                fs::copy(&live, t.lab.path(&format!("a.log.{n}"))).unwrap();
                fs::File::options().write(true).open(&live).unwrap().set_len(0).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            writer.lines(20);
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    writer.lines(100);
    let copies = (0..rounds).map(|n| t.lab.bytes(&format!("a.log.{n}")));
    let bytes: Vec<Vec<u8>> = copies.chain([t.lab.bytes("a.log")]).collect();
    let there: BTreeSet<u32> = bytes.iter().flat_map(|b| b.split(|b| *b == b'\n')).filter_map(number).collect();
    let gone = |n: u32| !there.contains(&n);
    let is_there = || t.tally.missing(writer.written()).into_iter().all(gone);
    t.until(STEP, is_there);
    t.settle(t.tally.count().lines as u32);
    let done = t.end(run, Signal::TERM);
    let (lost, destroyed) = (t.tally.missing(writer.written()).len(), writer.written() as usize - there.len());
    t.note(format!(
        "{destroyed} lines were in no file in the end; {} of them were read in time",
        destroyed - lost.min(destroyed)
    ));
    t.bar(lost == 0 || done.stderr.contains("cannot be known"), "nothing was said of what was cut away");
    t.check_except(writer.written(), Again::Never, gone);
}

fn number(line: &[u8]) -> Option<u32> {
    Line::read(line).map(|l| l.number)
}

/// What is cut away was delivered: whatever is written next must arrive, once.
pub fn truncate(t: &mut Trial) {
    let sink = t.sink();
    let mut writer = t.writer();
    let conf = Conf::es(sink.port()).input("DB t.db").service("Flush 0.02");
    let mut run = t.start(&conf);
    for round in 0..t.size(100, 12) {
        // Every other time the file is past its old size before anybody can look.
        writer.lines(if round % 2 == 0 { 1_000 } else { 1_100 });
        let written = writer.written();
        let came = t.until(STEP, || t.tally.count().lines == written as usize);
        t.bar(came, format!("round {round}: {} of {written} lines arrived", t.tally.count().lines));
        if !came {
            break;
        }
        if round % 10 == 5 {
            // Cut while nobody looks.
            t.end(run, Signal::TERM);
            writer.truncate();
            writer.lines(10);
            run = t.start(&conf);
        } else {
            writer.truncate();
        }
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// A file is not known by its inode alone.
pub fn inode_reuse(t: &mut Trial) {
    let sink = t.sink();
    let mut writer = t.writer();
    let conf = Conf::es(sink.port()).input("DB t.db").service("Flush 0.01").input("Rotate_Wait 1");
    let mut run = t.start(&conf);
    let (rounds, mut back) = (t.size(1_000, 40), 0);
    for round in 0..rounds {
        // Of equal size, shorter, longer than the one before.
        let lines = [20, 20, 5, 50][t.dice.below(4)];
        writer.lines(lines);
        let written = writer.written();
        let came = t.until(STEP, || t.tally.count().lines == written as usize);
        t.bar(came, format!("round {round}: {} of {written} lines arrived", t.tally.count().lines));
        if !came {
            break;
        }
        let restart = round % (rounds / 10).max(1) == 3;
        if restart {
            t.end(run, Signal::TERM);
            writer.replace();
            // As long as its predecessor, and there before anybody looks.
            writer.lines(lines);
            run = t.start(&conf);
        } else {
            writer.replace();
        }
        back += usize::from(writer.inode_came_back());
    }
    t.note(format!("The inode came back {back} times"));
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
    if back == 0 {
        t.row.skipped = Some("this file system does not give inodes again".into());
    }
}

/// `a.log` leads to `pods/0.log`, `pods/1.log` and so on. The link is replaced in one step once its target is being read;
/// the old target still gets lines then. Behind the link files are renamed too, as the kubelet does.
pub fn symlink_swap(t: &mut Trial) {
    let sink = t.sink();
    let place = |t: &Trial, n: usize| t.lab.path(&format!("pods/{n}.log"));
    let mut writer = Writer::new(place(t, 0));
    std::os::unix::fs::symlink("pods/0.log", t.lab.path("a.log")).unwrap();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db").service("Flush 0.01"));
    for n in 1..t.size(200, 20) {
        writer.lines(100);
        let seen = writer.written();
        t.until(STEP, || t.tally.count().lines == seen as usize);
        if n % 2 == 0 {
            for _ in 0..3 {
                writer.lines(100);
                writer.rename();
            }
            writer.lines(100);
        }
        let written = writer.written();
        let came = t.until(STEP, || t.tally.count().lines == written as usize);
        t.bar(came, format!("swap {n}: {} of {written} lines arrived", t.tally.count().lines));
        if !came {
            break;
        }
        let (link, new) = (t.lab.path("link"), place(t, n));
        // The new target is there before the link leads to it.
        fs::write(&new, "").unwrap();
        std::os::unix::fs::symlink(new, &link).unwrap();
        fs::rename(&link, t.lab.path("a.log")).unwrap();
        writer.lines(100);
        writer.move_to(place(t, n));
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}
