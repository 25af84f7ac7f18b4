//! Settings made from files: read again when the files change, at the next handshake. Nothing wakes up for that.

use super::Problem;
use crate::util::sort;
use rustls::pki_types::UnixTime;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The files are looked at no more often than this.
const EVERY: Duration = Duration::from_secs(2);
/// Who writes a certificate writes its key as well: so long after the last change they are taken to be complete.
const SETTLED: i64 = 1;
/// Files of a directory that are looked at.
const FILES: usize = 1024;

/// What a configuration is made from.
pub(super) trait Settings {
    /// What is made.
    type Config: Clone;
    /// Reads the files and makes it.
    fn build(&self) -> Result<Self::Config, Problem>;
    /// Names it to operators: the files by their keys.
    fn name(&self) -> String;
    /// The files, and directories of files.
    fn files(&self) -> Vec<PathBuf>;
}

/// A configuration that follows its files.
pub(super) struct Renewed<S: Settings> {
    pub(super) settings: S,
    state: Mutex<State<S::Config>>,
}

struct State<T> {
    current: Arc<T>,
    seen: Vec<Stamp>,
    looked: Instant,
}

/// By which a changed file is known: its number, size and time of change in seconds and nanoseconds. `None` when it is
/// not there.
pub(super) type Stamp = Option<(u64, u64, i64, i64)>;

impl<S: Settings> Renewed<S> {
    /// Reads the files for the first time.
    pub(super) fn new(settings: S) -> Result<Self, Problem> {
        // Before they are read: a change meanwhile is seen later.
        let seen = stamps(&settings.files());
        let current = Arc::new(settings.build()?);
        Ok(Self { settings, state: Mutex::new(State { current, seen, looked: Instant::now() }) })
    }

    /// Other settings over the same files; `change` adapts what was made from them already.
    pub(super) fn adapted(&self, settings: S, change: impl FnOnce(&mut S::Config)) -> Self {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let mut current = S::Config::clone(&state.current);
        change(&mut current);
        let (seen, looked) = (state.seen.clone(), state.looked);
        Self { settings, state: Mutex::new(State { current: Arc::new(current), seen, looked }) }
    }

    /// What the files say now, or what they said when they last were right.
    pub(super) fn get(&self) -> Arc<S::Config> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.looked.elapsed() >= EVERY {
            state.looked = Instant::now();
            let now = stamps(&self.settings.files());
            if now != state.seen && settled(&now) {
                state.seen = now;
                match self.settings.build() {
                    Ok(new) => {
                        state.current = Arc::new(new);
                        log::info!("[tls] {} changed: new connections use them as they are now", self.settings.name());
                    }
                    Err(p) => log::warn!(
                        "[tls] {} changed, but {} {}: connections go on with what was read before. {}",
                        self.settings.name(),
                        p.key,
                        p.why,
                        p.help
                    ),
                }
            }
        }
        state.current.clone()
    }

    /// Lets the next handshake look at the files.
    #[cfg(test)]
    pub(super) fn look(&self) {
        if let Some(then) = Instant::now().checked_sub(EVERY) {
            self.state.lock().unwrap_or_else(|e| e.into_inner()).looked = then;
        }
    }
}

impl<S: Settings> fmt::Debug for Renewed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("name", &self.settings.name()).finish_non_exhaustive()
    }
}

/// The stamps of files; of directories also those of the files in them.
pub(super) fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let mut all = Vec::new();
    for path in paths {
        let found = fs::metadata(path);
        let is_dir = found.as_ref().is_ok_and(fs::Metadata::is_dir);
        all.push(found.ok().map(stamp));
        if is_dir {
            let mut inside: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
            sort::ascending(&mut inside);
            all.extend(
                inside.iter().take(FILES).map(|p| fs::metadata(p).ok().filter(fs::Metadata::is_file).map(stamp)),
            );
        }
    }
    all
}

fn stamp(m: fs::Metadata) -> (u64, u64, i64, i64) {
    (m.ino(), m.len(), m.mtime(), m.mtime_nsec())
}

/// Whether the last change is a while ago; a time in the future says nothing.
fn settled(stamps: &[Stamp]) -> bool {
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    !stamps.iter().flatten().any(|(_, _, changed, _)| (now - SETTLED..=now).contains(changed))
}
