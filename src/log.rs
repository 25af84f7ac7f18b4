//! The `log` backend: Fluent Bit's line format, to standard error or a file.
//!
//! ```text
//! [2026/11/21 12:04:11.123] [ warn] [output:es:es.0] text
//! ```
//!
//! Times are local. A line is one write of at most 4096 bytes, so that a pipe shared with standard output keeps it whole.
//! A reader that stalls costs the program a tenth of a second once; lines are then dropped and counted until it goes on.

use crate::error::Error;
use crate::time::civil::Civil;
use crate::time::zone::Zone;
use crate::time::{Time, local};
use log::{Level, LevelFilter, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// The longest line, its newline included: what a pipe takes in one piece.
const LINE: usize = 4096;
/// How long a stalled reader is waited for, once, in nanoseconds.
const PATIENCE_NS: i64 = 100_000_000;
/// How often a log file is looked for under its name: it may have been rotated away.
const LOOK: Duration = Duration::from_secs(1);

/// What is logged, and where.
#[derive(Debug)]
pub struct Setup {
    /// The level of everything that has no level of its own.
    pub level: LevelFilter,
    /// A file to append to; standard error when `None`.
    pub file: Option<PathBuf>,
    /// Levels of single instances, by label (`input:tail:tail.0`): their lines begin with that in brackets.
    pub instances: Vec<(String, LevelFilter)>,
}

impl Setup {
    /// Everything up to `level`, to standard error.
    pub fn level(level: LevelFilter) -> Self {
        Self { level, file: None, instances: Vec::new() }
    }
}

/// Starts logging, or changes how it is done.
///
/// # Errors
/// When the log file cannot be opened; nothing has changed then.
pub fn init(setup: Setup) -> Result<(), Error> {
    let out = match &setup.file {
        Some(path) => Out::file(path).map_err(Error::io(format!("cannot open the log file '{}'", path.display())))?,
        None => Out::stderr(),
    };
    let zone = local::system_zone();
    let most = setup.instances.iter().map(|(_, level)| *level).fold(setup.level, Ord::max);
    {
        let mut state = lock();
        state.out = out;
        state.level = setup.level;
        state.instances = setup.instances;
        state.zone = zone.as_ref().cloned().unwrap_or_default();
    }
    // A second call finds the logger in place.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(most);
    if let Err(why) = zone {
        log::warn!("[log] times are in UTC: {why}");
    }
    Ok(())
}

/// Lines logged so far at error, warn, info, debug and trace level, those included that a stalled reader lost.
pub fn counts() -> [usize; 5] {
    LOGGER.counts.each_ref().map(|c| c.load(Ordering::Relaxed))
}

/// Writes a line without a level or milliseconds, whatever the level is: for signals.
pub fn notice(text: &str) {
    lock().line(None, text, now());
}

struct Logger {
    state: Mutex<State>,
    counts: [AtomicUsize; 5],
}

static LOGGER: Logger = Logger { state: Mutex::new(State::new()), counts: [const { AtomicUsize::new(0) }; 5] };

fn lock() -> MutexGuard<'static, State> {
    LOGGER.state.lock().unwrap_or_else(|e| e.into_inner())
}

fn now() -> Time {
    Time::from_system(SystemTime::now())
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // Other crates speak to developers; their errors reach us as values.
        if !record.target().starts_with(env!("CARGO_PKG_NAME")) && record.level() > Level::Warn {
            return;
        }
        let text = record.args().to_string();
        let mut state = lock();
        if !state.wants(record.level(), &text) {
            return;
        }
        if let Some(count) = self.counts.get(record.level() as usize - 1) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        state.line(Some(record.level()), &text, now());
    }

    fn flush(&self) {}
}

struct State {
    out: Out,
    level: LevelFilter,
    instances: Vec<(String, LevelFilter)>,
    zone: Zone,
    line: String,
    stalled: bool,
    lost: u64,
}

impl State {
    const fn new() -> Self {
        Self {
            out: Out::stderr_plain(),
            level: LevelFilter::Info,
            instances: Vec::new(),
            zone: Zone::UTC,
            line: String::new(),
            stalled: false,
            lost: 0,
        }
    }

    fn wants(&self, level: Level, text: &str) -> bool {
        let own = |label: &str| text.strip_prefix('[').and_then(|t| t.strip_prefix(label)?.strip_prefix(']')).is_some();
        let limit = self.instances.iter().find(|(label, _)| own(label)).map_or(self.level, |(_, level)| *level);
        level <= limit
    }

    fn line(&mut self, level: Option<Level>, text: &str, at: Time) {
        if self.lost > 0 {
            let lost = format!("[log] {} lines were lost because nobody read them", self.lost);
            self.compose(Some(Level::Warn), &lost, at);
            if !self.put() {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        self.compose(level, text, at);
        if !self.put() {
            self.lost += 1;
        }
    }

    /// Makes the line: time, level, text with control characters escaped, cut where it gets too long.
    fn compose(&mut self, level: Option<Level>, text: &str, at: Time) {
        let secs = at.secs();
        let Civil { year, month, day, hour, minute, second } =
            Civil::from_secs(secs + i64::from(self.zone.offset_at(secs)));
        let line = &mut self.line;
        line.clear();
        // Writing into a String cannot fail.
        let _ = write!(line, "[{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}");
        match level {
            Some(level) => {
                let _ = write!(line, ".{:03}] ", at.subsec_nanos() / 1_000_000);
                let (colour, word) = words(level);
                match self.out.colours {
                    true => _ = write!(line, "[\x1b[{colour}m{word}\x1b[0m] "),
                    false => _ = write!(line, "[{word}] "),
                }
            }
            None => line.push_str("] "),
        }
        for c in text.chars() {
            if line.len() + 8 > LINE {
                line.push_str("...");
                break;
            }
            match c {
                '\n' | '\t' => line.push(c),
                // Data from the network may be quoted in a message: it must not steer a terminal.
                c if c.is_control() => _ = write!(line, "\\x{:02x}", u32::from(c)),
                c => line.push(c),
            }
        }
        line.push('\n');
    }

    /// Writes the line; `false` when nobody took it in time.
    fn put(&mut self) -> bool {
        self.out.follow();
        let mut rest = self.line.as_bytes();
        while !rest.is_empty() {
            let wait = if self.stalled { 0 } else { PATIENCE_NS };
            if !self.out.writable(wait) {
                self.stalled = true;
                return false;
            }
            match self.out.write(rest) {
                Ok(n @ 1..) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled = true;
                    return false;
                }
                // Nowhere is left to report it.
                _ => return false,
            }
        }
        self.stalled = false;
        true
    }
}

fn words(level: Level) -> (u8, &'static str) {
    match level {
        Level::Error => (91, "error"),
        Level::Warn => (93, " warn"),
        Level::Info => (92, " info"),
        Level::Debug => (95, "debug"),
        Level::Trace => (94, "trace"),
    }
}

/// Where lines go.
struct Out {
    file: Option<(File, PathBuf)>,
    looked: Option<Instant>,
    colours: bool,
}

impl Out {
    const fn stderr_plain() -> Self {
        Self { file: None, looked: None, colours: false }
    }

    fn stderr() -> Self {
        Self { colours: io::stderr().is_terminal(), ..Self::stderr_plain() }
    }

    fn file(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        let colours = file.is_terminal();
        Ok(Self { file: Some((file, path.to_owned())), looked: None, colours })
    }

    /// Opens the file anew when its name no longer leads to it.
    fn follow(&mut self) {
        let Some((file, path)) = &mut self.file else { return };
        let now = Instant::now();
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < LOOK) {
            return;
        }
        self.looked = Some(now);
        let identity = |m: io::Result<std::fs::Metadata>| m.ok().map(|m| (m.dev(), m.ino()));
        if identity(std::fs::metadata(&*path)) != identity(file.metadata())
            && let Ok(fresh) = File::options().append(true).create(true).open(&*path)
        {
            *file = fresh;
        }
    }

    /// Whether a write would go through, asked for at most `wait_ns` nanoseconds.
    fn writable(&self, wait_ns: i64) -> bool {
        let ask = |fd: BorrowedFd<'_>| {
            let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: wait_ns as _ })).is_ok_and(|n| n > 0)
        };
        match &self.file {
            Some((file, _)) => ask(file.as_fd()),
            None => ask(io::stderr().as_fd()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some((file, _)) => file.write(bytes),
            None => io::stderr().write(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn state(out: Out) -> State {
        State { out, zone: Zone::Fixed(3600), ..State::new() }
    }

    fn composed(level: Option<Level>, text: &str, colours: bool) -> String {
        let mut s = state(Out { colours, ..Out::stderr_plain() });
        s.compose(level, text, Time(1_795_262_651_123_999_999));
        s.line
    }

    #[test]
    fn lines_look_like_fluent_bit_s() {
        let table = [
            (Some(Level::Info), "text", "[2026/11/21 13:04:11.123] [ info] text\n"),
            (Some(Level::Warn), "[input:tail:tail.0] x", "[2026/11/21 13:04:11.123] [ warn] [input:tail:tail.0] x\n"),
            (Some(Level::Error), "é", "[2026/11/21 13:04:11.123] [error] é\n"),
            (Some(Level::Debug), "", "[2026/11/21 13:04:11.123] [debug] \n"),
            (Some(Level::Trace), "a\tb\x1b[2J\r", "[2026/11/21 13:04:11.123] [trace] a\tb\\x1b[2J\\x0d\n"),
            (None, "[engine] caught signal (SIGTERM)", "[2026/11/21 13:04:11] [engine] caught signal (SIGTERM)\n"),
        ];
        for (level, text, want) in table {
            assert_eq!(composed(level, text, false), want);
        }
        assert_eq!(composed(Some(Level::Warn), "t", true), "[2026/11/21 13:04:11.123] [\x1b[93m warn\x1b[0m] t\n");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        for text in ["x".repeat(10_000), "é".repeat(10_000), "\x01".repeat(10_000)] {
            let line = composed(Some(Level::Info), &text, false);
            assert!(line.len() <= LINE && line.len() > LINE - 16, "{}", line.len());
            assert!(line.ends_with("...\n"));
        }
        let fits = "x".repeat(4000);
        assert!(composed(Some(Level::Info), &fits, false).ends_with("x\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_text_makes_a_line_too_long_or_steers_a_terminal(text in "(\\PC|[\\x00-\\x9f]){0,200}", times in 1usize..60) {
            let line = composed(Some(Level::Info), &text.repeat(times), false);
            prop_assert!(line.len() <= LINE && line.ends_with('\n'));
            prop_assert!(line.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        }
    }

    #[test]
    fn instances_have_levels_of_their_own() {
        let mut s = state(Out::stderr_plain());
        s.instances = vec![
            ("input:tail:tail.0".into(), LevelFilter::Debug),
            ("output:es:es.0".into(), LevelFilter::Off),
            ("input:tail:tail.1".into(), LevelFilter::Error),
        ];
        let table = [
            (Level::Debug, "[input:tail:tail.0] x", true),
            (Level::Trace, "[input:tail:tail.0] x", false),
            (Level::Warn, "[input:tail:tail.1] x", false),
            (Level::Error, "[output:es:es.0] x", false),
            (Level::Debug, "[input:tail:tail.00] x", false),
            (Level::Info, "[engine] x", true),
            (Level::Debug, "input:tail:tail.0", false),
        ];
        for (level, text, want) in table {
            assert_eq!(s.wants(level, text), want, "{level} {text}");
        }
    }

    #[test]
    fn a_stalled_reader_costs_little_and_is_told_what_it_missed() {
        let (read, write): (OwnedFd, OwnedFd) = rustix::pipe::pipe().unwrap();
        let out = Out { file: Some((File::from(write), "/proc/self/fd/none".into())), ..Out::stderr_plain() };
        let mut s = state(out);
        s.out.looked = Some(Instant::now() + Duration::from_secs(60));
        let start = Instant::now();
        let text = "y".repeat(1000);
        for _ in 0..200 {
            s.line(Some(Level::Info), &text, Time(0));
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let lost = s.lost;
        assert!((100..190).contains(&lost), "{lost}");
        let mut reader = File::from(read);
        let mut buf = vec![0; 64 * 1024];
        let n = reader.read(&mut buf).unwrap();
        assert!(n > 32 * 1024);
        s.line(Some(Level::Info), "after", Time(0));
        drop(s);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let last: Vec<_> = rest.lines().rev().take(2).collect();
        assert!(last[0].ends_with("[ info] after"), "{last:?}");
        assert!(
            last[1].ends_with(&format!("[ warn] [log] {lost} lines were lost because nobody read them")),
            "{last:?}"
        );
    }

    #[test]
    fn a_rotated_log_file_is_followed() {
        let dir = std::env::temp_dir().join(format!("collector-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("c.log");
        let mut s = state(Out::file(&path).unwrap());
        s.line(Some(Level::Info), "one", Time(0));
        std::fs::rename(&path, dir.join("c.log.1")).unwrap();
        s.out.looked = None;
        s.line(Some(Level::Info), "two", Time(0));
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        assert!(read("c.log.1").ends_with("] one\n"));
        assert!(read("c.log").ends_with("] two\n"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
