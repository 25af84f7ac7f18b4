//! Unix signals as events of the reactor.

use super::Source;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level::pipe};
use std::io::{Read, Result};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A signal that the program acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks for a shutdown.
    Term,
    /// Ctrl-C: asks for a shutdown.
    Int,
    /// Asks for a shutdown.
    Quit,
    /// Asks for a reload.
    Hup,
    /// Asks for a dump of the state.
    Cont,
}

const ALL: [(Signal, i32); 5] = [
    (Signal::Term, SIGTERM),
    (Signal::Int, SIGINT),
    (Signal::Quit, SIGQUIT),
    (Signal::Hup, SIGHUP),
    (Signal::Cont, SIGCONT),
];

impl Signal {
    /// Its name, such as `SIGTERM`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Cont => "SIGCONT",
        }
    }
}

/// The process's signals, caught for as long as this lives and after.
#[derive(Debug)]
pub struct Signals {
    pipe: Source<UnixStream>,
    flags: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// Starts catching.
    ///
    /// # Errors
    /// When the system refuses a handler or a descriptor.
    pub fn new() -> Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let mut flags = Vec::new();
        // A limit on the size of files is then answered by write(2), where it can be handled, and does not end the process.
        flag::register(SIGXFSZ, Arc::default())?;
        for (signal, number) in ALL {
            let caught = Arc::new(AtomicBool::new(false));
            // The flag is set before the pipe wakes the reader: actions run in the order of registration.
            flag::register(number, caught.clone())?;
            pipe::register(number, write.try_clone()?)?;
            flags.push((signal, caught));
        }
        Ok(Self { pipe: Source::new(read)?, flags })
    }

    /// The next signal.
    ///
    /// # Errors
    /// When the internal pipe fails.
    pub async fn next(&self) -> Result<Signal> {
        loop {
            for (signal, caught) in &self.flags {
                if caught.swap(false, Ordering::AcqRel) {
                    return Ok(*signal);
                }
            }
            let mut buf = [0; 64];
            self.pipe.read(|mut s| s.read(&mut buf)).await?;
        }
    }
}
