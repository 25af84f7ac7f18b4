//! The engine: builds the pipeline of a configuration and runs it on one thread until a signal or an input ends it.

mod backlog;
mod build;
mod chunk;
mod core;
mod delivery;
mod dump;
mod gate;
mod held;
mod intake;
#[cfg(test)]
mod model;
#[cfg(feature = "monitor")]
mod monitor;
#[cfg(not(feature = "monitor"))]
#[path = "monitor/off.rs"]
mod monitor;
mod queue;
mod rejects;
mod replay;
pub mod route;
mod saver;
mod shutdown;
pub mod stats;
mod storage;
#[cfg(test)]
mod tests;

pub use build::{Setting, build};
pub use replay::Plan;

use self::core::Core;
use crate::conf::StorageConf;
use crate::error::Error;
use crate::event::Tag;
use crate::input::{Input, InputCx};
use crate::rt::{self, Signal, Signals, Task};
use intake::InputState;
use monitor::Monitor;
use replay::Replay;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use storage::Storage;

/// A pipeline that is ready to run.
pub struct Engine {
    core: Rc<Core>,
    inputs: Vec<Ready>,
    storage: StorageConf,
    /// The HTTP server that tells how it goes.
    monitor: Option<Monitor>,
    /// What is sent instead of what inputs would read.
    replay: Option<Rc<Replay>>,
}

/// An input that is ready to run.
struct Ready {
    state: Rc<InputState>,
    label: String,
    tag: Tag,
    input: Box<dyn Input>,
}

impl Engine {
    /// Runs until a signal, or until an input asks for the end; answers the exit code.
    ///
    /// # Errors
    /// When an output cannot start or the system refuses the event loop.
    pub fn run(self) -> Result<u8, Error> {
        let replay = self.replay.clone().map(|replay| (replay, self.core.clone()));
        let code = rt::run(self.main()).map_err(Error::io("event loop"))??;
        Ok(replay.map_or(code, |(replay, core)| replay.finish(&core)))
    }

    async fn main(self) -> Result<u8, Error> {
        let core = self.core;
        let signals = Signals::new().map_err(Error::io("signal handlers"))?;
        rt::adopt_orphans().map_err(Error::io("signal handlers"))?;
        let mut writer = None;
        if let Some(path) = &self.storage.path {
            let storage = Storage::open(&self.storage, Path::new(path))?;
            let save = saver::run(core.clone());
            writer = Some((rt::spawn(storage.clone().run(Rc::downgrade(&core))), rt::spawn(save)));
            // Set once, here.
            let _ = core.storage.set(storage);
        }
        let monitor = match self.monitor {
            Some(monitor) => Some(monitor.start(&core)?),
            None => None,
        };
        for out in core.outputs() {
            out.output.start()?;
        }
        let mut inputs = self.inputs;
        for ready in &mut inputs {
            ready.input.start()?;
        }
        backlog::adopt(&core).await;
        let background = held::start_background(&core);
        let failed = Rc::new(Cell::new(0));
        let total = inputs.len();
        let tasks: Vec<Task<()>> = inputs.into_iter().map(|r| start_input(&core, r, failed.clone(), total)).collect();
        let flusher = (rt::spawn(flush_forever(core.clone())), rt::spawn(held::release_in_time(core.clone())));
        let code = rt::or(wait_for_signal(&core, &signals), wait_for_exit(&core)).await;
        shutdown::run(&core, tasks).await;
        drop((background, flusher, writer, monitor));
        Ok(code)
    }
}

/// Starts one input; when every input has failed the program ends.
fn start_input(core: &Rc<Core>, ready: Ready, failed: Rc<Cell<usize>>, total: usize) -> Task<()> {
    let Ready { state, label, tag, input } = ready;
    let cx = InputCx::new(Rc::new(state.clone()), &state.name, &label, tag);
    let core = core.clone();
    rt::spawn(async move {
        if let Err(e) = input.run(cx).await {
            let why = match &e {
                Error::Plugin(_, why) => why.clone(),
                other => other.to_string(),
            };
            log::error!("[{label}] stopped: {why}; what it had read goes on to the outputs");
            failed.set(failed.get() + 1);
            if failed.get() == total && !core.state.stopping.get() {
                log::error!("[engine] every input has failed; nothing is left to do");
                core.state.ask(1);
            }
        }
    })
}

/// Closes open batches `flush` after their first record, and those that were held as soon as an output waits for more;
/// sleeps for good while there is nothing.
async fn flush_forever(core: Rc<Core>) {
    loop {
        if !core.armed.get() {
            rt::or(core.dirty.wait(), core.hungry.wait()).await;
        }
        if core.armed.get() {
            rt::or(rt::sleep(core.flush), core.hungry.wait()).await;
        }
        core.armed.set(false);
        core.flush_all(false);
    }
}

async fn wait_for_signal(core: &Rc<Core>, signals: &Signals) -> u8 {
    loop {
        match signals.next().await {
            Ok(s @ (Signal::Term | Signal::Int | Signal::Quit)) => {
                crate::log::notice(&format!("[engine] caught signal ({})", s.name()));
                return 0;
            }
            Ok(Signal::Hup) => {
                log::warn!(
                    "[engine] caught signal (SIGHUP): a reload is not served by this version; the pipeline goes on"
                );
            }
            Ok(Signal::Cont) => dump::write(core),
            Err(e) => {
                log::error!("[engine] signals can no longer be read: {e}");
                return 1;
            }
        }
    }
}

async fn wait_for_exit(core: &Rc<Core>) -> u8 {
    loop {
        if let Some(code) = core.state.exit.get() {
            return code;
        }
        core.state.exit_asked.wait().await;
    }
}
