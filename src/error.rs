//! What went wrong and where: diagnostics with a place in a file, and the errors of a running pipeline.

use crate::util::sort;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// Where something was written: a file with 1-based line and column (in characters), or the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path as the user wrote it.
    pub file: Arc<str>,
    /// 1-based; 0 where lines mean nothing (the command line).
    pub line: u32,
    /// 1-based, in characters; 0 for a whole line.
    pub col: u32,
}

impl Place {
    /// A place in a file.
    pub fn new(file: &Arc<str>, line: u32, col: u32) -> Self {
        Self { file: Arc::clone(file), line, col }
    }

    /// The place of everything given as a flag.
    pub fn command_line() -> Self {
        Self { file: "command line".into(), line: 0, col: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.col > 0 {
                write!(f, ":{}", self.col)?;
            }
        }
        Ok(())
    }
}

/// How bad a finding is: an `Error` keeps the program from starting, a `Warn` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing is started.
    Error,
    /// The program starts and says this first.
    Warn,
}

/// One finding about a configuration. Shown as `place: msg`, the help on an indented line below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diag {
    /// Error or warning.
    pub level: Level,
    /// Where it was written, when that is known.
    pub place: Option<Place>,
    /// What is wrong.
    pub msg: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if self.level == Level::Warn {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.msg)?;
        if let Some(help) = &self.help {
            write!(f, "\n    {help}")?;
        }
        Ok(())
    }
}

/// Collects every finding of a load, so that all of them are reported at once.
#[derive(Debug, Default)]
pub struct Diags {
    list: Vec<Diag>,
    /// How many of `list` are errors.
    errors: usize,
    /// How many findings came after [`MAX_SHOWN`] of their level.
    more: usize,
}

/// Findings kept of each level: a file that is no configuration at all must not fill the memory.
const MAX_SHOWN: usize = 500;

impl Diags {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding; the very same finding is kept once.
    pub fn push(&mut self, diag: Diag) {
        let is_error = diag.level == Level::Error;
        let of_level = if is_error { self.errors } else { self.list.len() - self.errors };
        if of_level >= MAX_SHOWN {
            self.more += 1;
        } else if !self.list.contains(&diag) {
            self.errors += usize::from(is_error);
            self.list.push(diag);
        }
    }

    /// Adds an error at a place.
    pub fn error(&mut self, place: &Place, msg: impl Into<String>) {
        self.push(Diag { level: Level::Error, place: Some(place.clone()), msg: msg.into(), help: None });
    }

    /// Adds an error at a place with its remedy.
    pub fn error_help(&mut self, place: &Place, msg: impl Into<String>, help: impl Into<String>) {
        let help = Some(help.into());
        self.push(Diag { level: Level::Error, place: Some(place.clone()), msg: msg.into(), help });
    }

    /// Adds an error that belongs to no single place; shown after the others.
    pub fn error_nowhere(&mut self, msg: impl Into<String>) {
        self.push(Diag { level: Level::Error, place: None, msg: msg.into(), help: None });
    }

    /// Adds a warning that belongs to no single place; shown after the others.
    pub fn warn_nowhere(&mut self, msg: impl Into<String>) {
        self.push(Diag { level: Level::Warn, place: None, msg: msg.into(), help: None });
    }

    /// Adds a warning at a place.
    pub fn warn(&mut self, place: &Place, msg: impl Into<String>) {
        self.push(Diag { level: Level::Warn, place: Some(place.clone()), msg: msg.into(), help: None });
    }

    /// Adds a warning at a place with its remedy.
    pub fn warn_help(&mut self, place: &Place, msg: impl Into<String>, help: impl Into<String>) {
        let help = Some(help.into());
        self.push(Diag { level: Level::Warn, place: Some(place.clone()), msg: msg.into(), help });
    }

    /// Whether anything found keeps the program from starting.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of errors kept so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Everything found, by place: files in the order they were first mentioned, what has no place at the end.
    pub fn sorted(&self) -> Vec<&Diag> {
        let mut files: Vec<&str> = Vec::new();
        for place in self.list.iter().filter_map(|d| d.place.as_ref()) {
            if !files.contains(&&*place.file) {
                files.push(&place.file);
            }
        }
        let mut all: Vec<&Diag> = self.list.iter().collect();
        sort::by_key(&mut all, |d| match &d.place {
            Some(p) => (files.iter().position(|f| *f == &*p.file).unwrap_or(usize::MAX), p.line, p.col),
            None => (usize::MAX, u32::MAX, u32::MAX),
        });
        all
    }

    /// Writes everything found, one finding after the other, sorted by place.
    pub fn report(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{self}")
    }

    /// Hands everything found to the log at its level: for warnings of a configuration that was accepted.
    pub fn log(&self) {
        for d in self.sorted() {
            let place = d.place.as_ref().map(|p| format!("{p}: ")).unwrap_or_default();
            let stop = if d.msg.ends_with(['.', '?']) { "" } else { "." };
            let help = d.help.as_ref().map(|h| format!("{stop} {h}")).unwrap_or_default();
            match d.level {
                Level::Error => log::error!("{place}{}{help}", d.msg),
                Level::Warn => log::warn!("{place}{}{help}", d.msg),
            }
        }
    }
}

impl fmt::Display for Diags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sorted().into_iter().try_for_each(|d| writeln!(f, "{d}"))?;
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "{more} further findings are not shown"),
        }
    }
}

/// Why a part of the running program failed.
#[derive(Debug)]
pub enum Error {
    /// The system refused something: what was tried, and its answer.
    Io(String, io::Error),
    /// The configuration cannot be honoured (found after loading, for instance when a plugin is made).
    Config(String),
    /// A plugin instance cannot go on: its label (`input:tail:tail.0`) and the reason.
    Plugin(String, String),
}

impl Error {
    /// For `map_err`: keeps what was being tried beside the system's answer.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |e| Self::Io(what, e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, e) => write!(f, "{what}: {e}"),
            Self::Config(why) => f.write_str(why),
            Self::Plugin(label, why) => write!(f, "[{label}] {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, e) => Some(e),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Self::Io("input/output".into(), e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_print_like_a_compiler() {
        let file: Arc<str> = "a.conf".into();
        assert_eq!(Place::new(&file, 12, 5).to_string(), "a.conf:12:5");
        assert_eq!(Place::new(&file, 12, 0).to_string(), "a.conf:12");
        assert_eq!(Place::command_line().to_string(), "command line");
    }

    #[test]
    fn report_is_sorted_by_place_without_repeats() {
        let (main, other): (Arc<str>, Arc<str>) = ("z.conf".into(), "a.conf".into());
        let mut d = Diags::new();
        d.error_nowhere("last");
        d.error_help(&Place::new(&main, 9, 1), "third", "do this");
        d.error(&Place::new(&other, 1, 1), "fourth");
        d.warn(&Place::new(&main, 2, 7), "second");
        d.error(&Place::new(&main, 2, 3), "first");
        d.error(&Place::new(&main, 2, 3), "first");
        assert!(d.has_errors());
        assert_eq!(d.errors(), 4);
        let want = "z.conf:2:3: first\nz.conf:2:7: warning: second\nz.conf:9:1: third\n    do this\na.conf:1:1: fourth\nlast\n";
        assert_eq!(d.to_string(), want);
    }

    #[test]
    fn a_flood_is_counted_and_hides_no_error() {
        let mut d = Diags::new();
        for i in 0..MAX_SHOWN + 7 {
            d.warn_nowhere(i.to_string());
        }
        d.error_nowhere("e");
        assert!(d.has_errors());
        assert!(d.to_string().ends_with("\ne\n7 further findings are not shown\n"), "{d}");
    }

    #[test]
    fn warnings_alone_are_no_errors() {
        let mut d = Diags::new();
        assert!(d.is_empty());
        d.warn(&Place::command_line(), "w");
        assert!(!d.has_errors() && !d.is_empty());
    }
}
