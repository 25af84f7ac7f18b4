//! The engine: builds the pipeline of a configuration and runs it on one thread until a signal or an input ends it.

mod build;
mod chunk;
mod core;
mod delivery;
mod dump;
mod intake;
pub mod route;
pub mod stats;
#[cfg(test)]
mod tests;

pub use build::{Setting, build};

use self::core::Core;
use crate::error::Error;
use crate::event::Tag;
use crate::input::{Input, InputCx};
use crate::rt::{self, Signal, Signals, Task};
use intake::InputState;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Time that inputs and outputs have for their last words when everything is drained.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Silence after which no input is about to commit anything more during a shutdown.
const SETTLE: Duration = Duration::from_millis(20);

/// A pipeline that is ready to run.
pub struct Engine {
    core: Rc<Core>,
    inputs: Vec<Ready>,
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
        rt::run(self.main()).map_err(Error::io("event loop"))?
    }

    async fn main(self) -> Result<u8, Error> {
        let core = self.core;
        let signals = Signals::new().map_err(Error::io("signal handlers"))?;
        for out in core.outputs() {
            out.output.start()?;
        }
        let failed = Rc::new(Cell::new(0));
        let total = self.inputs.len();
        let tasks: Vec<Task<()>> =
            self.inputs.into_iter().map(|r| start_input(&core, r, failed.clone(), total)).collect();
        let flusher = rt::spawn(flush_forever(core.clone()));
        let code = rt::or(wait_for_signal(&core, &signals), wait_for_exit(&core)).await;
        shutdown(&core, tasks).await;
        drop(flusher);
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

/// Closes open batches `flush` after their first record; sleeps for good while there is nothing.
async fn flush_forever(core: Rc<Core>) {
    loop {
        if !core.armed.get() {
            core.dirty.wait().await;
        }
        rt::sleep(core.flush).await;
        core.armed.set(false);
        core.flush_all();
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

/// Stops the inputs, delivers what there is within the grace period, then lets everybody say their last words.
async fn shutdown(core: &Rc<Core>, inputs: Vec<Task<()>>) {
    let grace = core.grace;
    match grace {
        build::FOREVER => log::warn!("[engine] service will shutdown when all remaining tasks are flushed"),
        _ => log::warn!("[engine] service will shutdown in max {} seconds", grace.as_secs()),
    }
    log::info!("[engine] pausing all inputs..");
    core.state.stopping.set(true);
    core.state.stop.notify();
    for input in core.all_inputs() {
        log::info!("[input] pausing {}", input.name);
    }
    if rt::timeout(grace, drain(core)).await.is_none() {
        dump::lost(core);
    }
    core.state.drained.set(true);
    core.state.drain.notify();
    let rest = async {
        for task in inputs {
            task.await;
        }
    };
    if rt::timeout(LAST_WORDS, rest).await.is_none() {
        log::warn!("[engine] an input did not end in time");
    }
    for out in core.outputs() {
        if rt::timeout(LAST_WORDS, out.output.stop()).await.is_none() {
            log::warn!("[engine] output {} did not end in time", out.name);
        }
    }
    if let Some(screen) = rt::FdWriter::open_stdout() {
        // What filters have shown may still wait for a slow reader.
        rt::timeout(LAST_WORDS, screen.settle()).await;
    }
    dump::summary(core);
    log::info!("[engine] service has stopped ({} pending tasks)", core.chunks.get());
}

/// Until every record is delivered and no input commits anything more.
async fn drain(core: &Rc<Core>) {
    rt::sleep(SETTLE).await;
    loop {
        core.flush_all();
        if core.chunks.get() > 0 {
            core.chunk_done.wait().await;
            continue;
        }
        rt::sleep(SETTLE).await;
        if core.chunks.get() == 0 && core.all_inputs().all(|i| i.open_batches() == 0) {
            return;
        }
    }
}
