//! Packets of files, one file after the other.

use super::conf::PcapConf;
use super::pace::Pace;
use super::sieve::Sieve;
use super::sources::File;
use super::work::Work;
use crate::error::Error;
use crate::fmt::capture::{CaptureReader, Packet};
use crate::input::InputCx;
use crate::input::reader::Reader;
use crate::rt;
use crate::time::Time;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Packets between two turns of the other tasks: two milliseconds or so. What they made is handed on then.
const TURN: u32 = 1024;
/// While a capture pauses, the analysis is told the time so often.
const TICK: Duration = Duration::from_millis(250);
/// Between the last packet of a round and the first one of the next.
const BETWEEN_ROUNDS: i64 = 1_000_000_000;

/// Names of counters in the account.
const PACKETS: &str = "packets";
const FILTERED: &str = "left out by the filter";
const DAMAGED: &str = "damaged files";

/// Reads all files, then ends the program if that is wanted.
pub async fn run(conf: PcapConf, files: Vec<File>, work: Work, cx: InputCx) -> Result<(), Error> {
    // What waits in the analysis is written when the shutdown begins.
    let hold = cx.hold();
    cx.count(PACKETS, 0);
    let mut reading = Reading {
        pace: conf.realtime.then(Pace::default),
        sieve: conf.bpf_filter.as_deref().map(Sieve::new),
        unusable: 0,
        work,
        cx: cx.clone(),
        span: None,
        shift: 0,
        turn: 0,
        filtered: 0,
        damaged: 0,
    };
    let mut round = 0;
    while !cx.is_stopping() && (conf.rounds == 0 || round < conf.rounds) {
        for file in files.iter().filter(|f| round == 0 || **f != File::Stdin) {
            reading.file(file).await;
        }
        reading.end_of_round().await;
        round = round.saturating_add(1);
        if reading.span.is_none() {
            log::warn!("[{}] no packets were read", cx.label());
            break;
        }
        cx.wait_for_room().await;
    }
    drop(hold);
    if !cx.is_stopping() && conf.exit_on_eof {
        cx.exit(u8::from(reading.damaged > 0));
    }
    Ok(())
}

/// The state of reading.
struct Reading {
    cx: InputCx,
    work: Work,
    sieve: Option<Sieve>,
    /// Packets whose link type the filter does not know.
    unusable: u64,
    pace: Option<Pace>,
    /// The earliest and the latest time in the files.
    span: Option<(Time, Time)>,
    /// Nanoseconds added to the times of this round.
    shift: i64,
    /// Packets of this turn.
    turn: u32,
    filtered: u64,
    /// Files that were not read to their end.
    damaged: u64,
}

impl Reading {
    /// Reads a file as far as it is whole. What is wrong with it is said and counted.
    async fn file(&mut self, file: &File) {
        let (reader, name) = match file {
            File::Stdin => (rustix::io::dup(rustix::stdio::stdin()).map(Reader::new), "the standard input".into()),
            File::At(path) => (open(path), format!("'{}'", path.display())),
        };
        let mut packets = 0;
        let end = match reader {
            Ok(reader) => self.packets(&reader, &name, &mut packets).await,
            Err(e) => Err(io::Error::from(e).to_string()),
        };
        self.hand_on();
        let label = self.cx.label();
        match end {
            Ok(()) if self.cx.is_stopping() => log::info!("[{label}] {name}: stopped after {packets} packets"),
            Ok(()) => log::info!("[{label}] {name} was read: {packets} packets"),
            Err(why) => {
                self.damaged += 1;
                self.cx.count(DAMAGED, 1);
                let kept =
                    if packets > 0 { format!("; the {packets} packets before that are kept") } else { String::new() };
                log::error!("[{label}] {name}: {why}{kept}");
            }
        }
    }

    /// Reads packets to the end of a file, or to the shutdown.
    async fn packets(&mut self, reader: &Reader, name: &str, count: &mut u64) -> Result<(), String> {
        let cx = self.cx.clone();
        let (mut capture, mut ended) = (CaptureReader::new(), false);
        loop {
            match capture.packet() {
                Ok(Some(packet)) => {
                    let time = self.time(packet.time);
                    if self.pace.is_some() {
                        self.pause(time).await;
                        if cx.is_stopping() {
                            return Ok(());
                        }
                    }
                    *count += 1;
                    while self.work.tick_some(time) {
                        self.rest().await;
                    }
                    self.packet(&Packet { time, ..packet });
                    if self.turn >= TURN {
                        self.rest().await;
                    }
                }
                Ok(None) if ended => break,
                Ok(None) => {
                    self.rest().await;
                    let read = async { Some(reader.read(capture.space()).await) };
                    let stop = async {
                        cx.stopping().await;
                        None
                    };
                    match rt::or(read, stop).await {
                        None => return Ok(()),
                        Some(Ok(0)) => {
                            capture.end();
                            ended = true;
                        }
                        Some(Ok(n)) => capture.filled(n),
                        Some(Err(e)) => return Err(e.to_string()),
                    }
                }
                Err(damage) => return Err(damage.to_string()),
            }
            if cx.is_stopping() {
                return Ok(());
            }
        }
        let drops = capture.drops();
        if drops > 0 {
            log::warn!("[{}] {name} lacks {drops} packets, which were dropped while it was made", cx.label());
        }
        Ok(())
    }

    /// The time of a packet in this round.
    fn time(&mut self, time: Time) -> Time {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        Time(time.0.saturating_add(self.shift))
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        self.turn += 1;
        if self.is_wanted(packet) {
            self.work.packet(packet);
        }
    }

    /// Asks the filter.
    fn is_wanted(&mut self, packet: &Packet<'_>) -> bool {
        let Some(sieve) = &mut self.sieve else { return true };
        let takes = sieve.takes(packet).unwrap_or_else(|why| {
            if self.unusable == 0 {
                log::error!("[{}] BPF_Filter: no packet of {} passes: {why}", self.cx.label(), packet.link);
            }
            self.unusable += 1;
            false
        });
        self.filtered += u64::from(!takes);
        takes
    }

    /// Waits for the time of the next packet.
    async fn pause(&mut self, next: Time) {
        let now = rt::now();
        let wait = self.pace.as_mut().map_or(Duration::ZERO, |pace| pace.wait(next, now));
        if wait.is_zero() {
            return;
        }
        let end = now + wait;
        self.hand_on();
        loop {
            let left = end.saturating_duration_since(rt::now());
            if left.is_zero() || !self.cx.sleep(left.min(TICK)).await {
                return;
            }
            let left = end.saturating_duration_since(rt::now());
            while self.work.tick_some(next.before(left)) {
                self.rest().await;
            }
            self.hand_on();
        }
    }

    /// Hands on what was made, and lets the others work; waits while the records find no room.
    async fn rest(&mut self) {
        self.hand_on();
        rt::yield_now().await;
        self.cx.wait_for_room().await;
    }

    fn hand_on(&mut self) {
        self.work.commit();
        self.cx.count(PACKETS, u64::from(std::mem::take(&mut self.turn)));
        if self.filtered > 0 {
            self.cx.count(FILTERED, std::mem::take(&mut self.filtered));
        }
    }

    /// The capture is over: what waits is written. The next round begins a second later.
    async fn end_of_round(&mut self) {
        while self.work.finish_some() {
            self.rest().await;
        }
        if let Some((first, last)) = self.span {
            let round = last.0.saturating_sub(first.0).saturating_add(BETWEEN_ROUNDS);
            self.shift = self.shift.saturating_add(round);
        }
    }
}

/// Opens a file. A named pipe is not waited for here, but when it is read.
fn open(path: &Path) -> rustix::io::Result<Reader> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).map(Reader::new)
}
