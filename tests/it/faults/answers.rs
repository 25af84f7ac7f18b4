//! Destinations that are away, answer late, wrongly, half or never.

use super::check::Line;
use super::limits::{idle, memory_bar};
use super::sink::{Cut, Reply};
use super::trial::{Again, Conf, Trial};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Refused connections for a while; the writer does not care.
pub fn sink_down(t: &mut Trial) {
    let (lines, away) = (t.size(200_000, 20_000), Duration::from_secs(t.size(60, 2)));
    let mut sink = t.sink();
    let mut writer = t.writer();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db").service("scheduler.cap 5"));
    for part in 0..10 {
        writer.lines(lines / 10);
        if part == 4 {
            t.settle(writer.written());
            sink.down();
            let down = Instant::now();
            // Written to all the time.
            for _ in 0..lines / 10 / 100 {
                writer.lines(100);
                std::thread::sleep(away / (lines / 10 / 100) as u32);
            }
            std::thread::sleep(away.saturating_sub(down.elapsed()));
            sink.up();
        }
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// Requests are taken and not answered for a while.
pub fn sink_blocked(t: &mut Trial) {
    let sink = t.sink();
    let mut writer = t.writer();
    let run = t.start(&Conf::es(sink.port()).input("DB t.db"));
    writer.lines(100);
    t.settle(writer.written());
    let time = Duration::from_secs(t.size(60, 2));
    let open = Instant::now() + time;
    sink.behave(move |_| Reply::Slow(open.saturating_duration_since(Instant::now())));
    for _ in 0..12 {
        writer.lines(t.size(100_000, 3_000));
        writer.rename();
        std::thread::sleep(time / 20);
    }
    t.bar(Instant::now() < open && t.tally.count().lines == 100, "the sink was not blocked");
    std::thread::sleep(open.saturating_duration_since(Instant::now()));
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// Writes in steps, so that there are many requests; then waits for all.
fn pour(t: &mut Trial, conf: &Conf, steps: usize, lines: usize) -> u32 {
    let mut writer = t.writer();
    let run = t.start(conf);
    for _ in 0..steps {
        writer.lines(lines);
        std::thread::sleep(Duration::from_millis(15));
    }
    t.settle(writer.written());
    t.end(run, Signal::TERM);
    writer.written()
}

/// Statuses that say: not now. Nothing is stored then, so nothing may come twice.
pub fn statuses(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    sink.behave(move |ask| match dice.at(ask.before) % 16 {
        0 => Reply::Status(429),
        1 => Reply::Status(500),
        2 => Reply::Status(503),
        3 => Reply::Status(408),
        _ => Reply::Store,
    });
    let conf = Conf::es(sink.port()).service("Flush 0.01").service("scheduler.cap 1").input("DB t.db");
    let written = pour(t, &conf, t.size(1_000, 60), t.size(200, 50));
    t.note(format!("{} requests", sink.requests()));
    t.check(written, Again::Never);
}

/// Answers that do not tell what became of the documents: ids must.
pub fn broken_answers(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    sink.behave(move |ask| {
        let roll = dice.at(ask.before);
        let stored = roll & 1 == 0;
        match (roll >> 8) % 40 {
            0 | 1 => Reply::Broken { stored, cut: Cut::Reset },
            2 | 3 => Reply::Broken { stored, cut: Cut::Half },
            4 => Reply::Broken { stored, cut: Cut::Silence },
            _ => Reply::Store,
        }
    });
    let conf = Conf::es(sink.port()).service("Flush 0.01").service("scheduler.cap 1").input("DB t.db");
    let conf = conf.output("Generate_ID On").output("net.io_timeout 1s");
    let written = pour(t, &conf, t.size(1_000, 60), t.size(200, 50));
    t.note(format!("{} requests", sink.requests()));
    t.check(written, Again::Keyed);
}

/// Of an answer only what is judged is kept.
pub fn huge_answers(t: &mut Trial) {
    let sink = t.sink();
    sink.behave(|ask| if ask.before % 4 == 3 { Reply::Huge } else { Reply::Store });
    let conf = Conf::es(sink.port()).input("Mem_Buf_Limit 1M").input("DB t.db");
    let mut writer = t.writer();
    let run = t.start(&conf);
    let rest = idle(t, &run);
    for _ in 0..t.size(40, 6) {
        writer.lines(1_000);
        t.settle(writer.written());
    }
    memory_bar(t, &run, rest);
    t.end(run, Signal::TERM);
    t.check(writer.written(), Again::Never);
}

/// Only what was not taken comes again.
pub fn partial_bulks(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    sink.behave(move |ask| {
        let mut dice = dice.clone();
        dice.0 = dice.at(ask.before);
        Reply::Items(Box::new(move |place, _| match dice.at(place) % 10 {
            0 => 429,
            1 => 503,
            _ => 201,
        }))
    });
    let conf = Conf::es(sink.port()).service("scheduler.cap 1").input("DB t.db");
    let written = pour(t, &conf, t.size(100, 10), t.size(200, 100));
    t.note(format!("{} requests", sink.requests()));
    t.check(written, Again::Never);
}

/// Documents that the server will never take are kept with its reason, and sent again when they are asked for.
pub fn refused_documents(t: &mut Trial) {
    let sink = t.sink();
    let dice = t.dice.clone();
    let is_refused = |number: u32| number % 7 == 3;
    sink.behave(move |ask| {
        let mut dice = dice.clone();
        dice.0 = dice.at(ask.before);
        Reply::Items(Box::new(move |place, log| match Line::read(log) {
            Some(line) if is_refused(line.number) => 400,
            _ if dice.at(place).is_multiple_of(10) => 429,
            _ => 201,
        }))
    });
    let conf = Conf::es(sink.port()).input("DB t.db").output("Generate_ID On").service("scheduler.cap 1");
    let mut writer = t.writer();
    let mut run = t.start(&conf);
    let steps = t.size(100, 20);
    for step in 0..steps {
        writer.lines(t.size(1_000, 100));
        std::thread::sleep(Duration::from_millis(15));
        if step % (steps / 4) == 3 {
            t.end(run, Signal::KILL);
            run = t.start(&conf);
        }
    }
    let written = writer.written();
    let refused: BTreeSet<u32> = (0..written).filter(|n| is_refused(*n)).collect();
    let kept = |t: &Trial| -> Vec<u32> {
        let text = t.lab.read("rejected.ndjson");
        let line = |l: &str| -> Option<u32> {
            let entry: Value = serde_json::from_str(l).ok()?;
            let is_whole = entry["reason"].as_str()?.contains("mapper_parsing_exception");
            Line::read(entry["record"]["log"].as_str()?.as_bytes()).filter(|_| is_whole).map(|l| l.number)
        };
        text.lines().map(|l| line(l).unwrap_or(u32::MAX)).collect()
    };
    t.until(Duration::from_secs(30), || {
        t.tally.count().lines + refused.len() >= written as usize && kept(t).len() >= refused.len()
    });
    t.end(run, Signal::TERM);
    let kept = kept(t);
    let twice = kept.len().saturating_sub(refused.len());
    t.note(format!("{} documents refused; the file held {} lines, {twice} of them twice", refused.len(), kept.len()));
    t.bar(kept.iter().copied().collect::<BTreeSet<_>>() == refused, "the file does not hold what was refused");
    t.bar(t.tally.count().lines == written as usize - refused.len(), "something else was refused");
    // The server is mended.
    sink.behave(|_| Reply::Store);
    let replay = t.lab.spawn(&["-c", "collector.conf", "--replay-rejected", "rejected.ndjson"]).wait();
    t.bar(replay.status.success(), format!("sending them again ended with {}", replay.status));
    t.settle(written);
    t.check(written, Again::Keyed);
}
