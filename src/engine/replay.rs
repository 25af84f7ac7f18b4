//! Sending a file of rejected records again: each record to the output that it was rejected by, past inputs and filters.

use super::Ready;
use super::build::DEFAULT_LIMIT;
use super::core::Core;
use super::delivery::OutputState;
use super::intake::{InputState, Spec};
use super::route::Route;
use crate::error::{Diags, Error, Place};
use crate::event::Tag;
use crate::input::{Ack, Input, InputCx};
use crate::rt::{LocalFuture, Notify, Workers, or};
use crate::store::rejected::{Done, Line, Replaying, Survey, survey};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Bytes and lines that are read at a time.
const BLOCK_BYTES: u64 = 256 << 10;
const BLOCK_LINES: usize = 512;
/// How it is called in log lines, and records whose input is not known.
const NAME: &str = "replay";

/// A file that is to be sent again; nothing is changed yet.
#[derive(Debug)]
pub struct Plan {
    file: PathBuf,
    found: Survey,
}

impl Plan {
    /// Looks through the file.
    ///
    /// # Errors
    /// One line for the user.
    pub fn new(file: &Path) -> Result<Self, String> {
        let found = survey(file).map_err(|e| format!("--replay-rejected: cannot read '{}': {e}", file.display()))?;
        Ok(Self { file: file.to_owned(), found })
    }

    /// Whether every record has its output, told by `outputs`; and says which lines cannot be read. `rejects` is where
    /// records go that are refused again.
    pub(super) fn check(&self, outputs: &[&str], rejects: Option<&Path>, diags: &mut Diags) {
        let file: Arc<str> = self.file.to_string_lossy().into();
        let place = Place::new(&file, 0, 0);
        let mut missing = BTreeMap::<_, u64>::new();
        for ((output, _), records) in &self.found.records {
            if !outputs.contains(&output.as_str()) {
                *missing.entry(output).or_default() += records;
            }
        }
        for (output, records) in missing {
            let what = format!("{records} record(s) are for output '{output}', which the configuration does not have");
            let help =
                format!("It has: {}. Name one with Alias, or change \"output\" in the file.", outputs.join(", "));
            diags.error_help(&place, what, help);
        }
        if rejects.is_some_and(|path| is_same(path, &Replaying::path_of(&self.file))) {
            diags.error_help(&place, "records that are refused again would go to this very file", "Rename it first.");
        }
        for (line, why) in &self.found.damaged {
            let place = Place::new(&file, u32::try_from(*line).unwrap_or(u32::MAX), 0);
            diags.warn(&place, format!("the line cannot be read and stays in the file: {why}"));
        }
        let more = self.found.damaged_count.saturating_sub(self.found.damaged.len() as u64);
        if more > 0 {
            diags.warn(&place, format!("{more} more lines cannot be read and stay in the file"));
        }
    }
}

/// Whether both are the same file, there or to be made.
fn is_same(a: &Path, b: &Path) -> bool {
    let full = |p: &Path| {
        let p = std::path::absolute(p).ok()?;
        let dir = p.parent()?.canonicalize().ok()?;
        Some(p.canonicalize().unwrap_or(dir.join(p.file_name()?)))
    };
    full(a).is_some_and(|a| full(b) == Some(a))
}

/// One output, for the records that one input had brought.
struct Lane {
    output: String,
    input: String,
    state: Rc<InputState>,
}

/// A file while it is sent again.
pub(super) struct Replay {
    file: PathBuf,
    lanes: Vec<Lane>,
    core: Weak<Core>,
    /// Once it has begun.
    replaying: RefCell<Option<Replaying>>,
    done: RefCell<Done>,
    /// Commits that are not settled yet.
    under_way: Cell<usize>,
    settled: Notify,
}

impl Replay {
    /// Makes an input for each pair of an output and an input that the file names.
    pub(super) fn new(plan: &Plan, core: &Rc<Core>, outputs: &[Rc<OutputState>]) -> Rc<Self> {
        let lane = |(output, input): &(String, String)| {
            let index = outputs.iter().position(|out| out.name == *output)?;
            let route = Rc::new(Route { filters: Vec::new(), outputs: vec![index] });
            let name = if input.is_empty() { NAME } else { input };
            let spec = Spec { route: Some(route), limit_is_default: true, ..Spec::new(name, DEFAULT_LIMIT) };
            let state = Rc::new(InputState::new(core, spec));
            Some(Lane { output: output.clone(), input: input.clone(), state })
        };
        Rc::new(Self {
            file: plan.file.clone(),
            lanes: plan.found.records.keys().filter_map(lane).collect(),
            core: Rc::downgrade(core),
            replaying: RefCell::default(),
            done: RefCell::default(),
            under_way: Cell::new(0),
            settled: Notify::default(),
        })
    }

    /// Its inputs, for the engine to flush and to show.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Rc<InputState>> {
        self.lanes.iter().map(|l| &l.state)
    }

    /// What the engine starts in place of inputs.
    pub(super) fn ready(self: &Rc<Self>, core: &Rc<Core>) -> Ready {
        let state = Rc::new(InputState::new(core, Spec::new(NAME, DEFAULT_LIMIT)));
        Ready { state, label: NAME.into(), tag: Tag::new(NAME), input: Box::new(Sender(self.clone())) }
    }

    /// Reads the file and hands its records on until the end, a shutdown, or an error.
    async fn send(self: &Rc<Self>, cx: &InputCx) -> io::Result<()> {
        let workers = Workers::new("replay", 1);
        let lost = || io::Error::other("no worker thread could be started");
        let file = self.file.clone();
        let begun = workers.run(move || Replaying::begin(&file)).await.ok_or_else(lost)??;
        let mut lines = begun.lines()?;
        self.replaying.replace(Some(begun));
        while !cx.is_stopping() {
            let read = workers.run(move || (block(&mut lines), lines)).await.ok_or_else(lost)?;
            lines = read.1;
            let block = read.0?;
            if block.is_empty() {
                break;
            }
            self.hand_on(block).await;
        }
        if let Some(core) = self.core.upgrade() {
            core.flush_all(true);
        }
        while self.under_way.get() > 0 && !cx.is_stopping() {
            or(self.settled.wait(), cx.stopping()).await;
        }
        Ok(())
    }

    /// Commits the records of a block, those of one output, input and tag that follow each other at once.
    async fn hand_on(self: &Rc<Self>, block: Vec<Line>) {
        let mut open: Option<(usize, InputCx, Flight)> = None;
        for line in block {
            let entry = match line.record {
                None => {
                    self.done.borrow_mut().set(line.number);
                    continue;
                }
                // Said already: these lines stay.
                Some(Err(_)) => continue,
                Some(Ok(entry)) => entry,
            };
            let found = self.lanes.iter().position(|l| l.output == entry.output && l.input == entry.input);
            let Some((at, lane)) = found.and_then(|at| Some((at, self.lanes.get(at)?))) else {
                // It came after the file was looked through.
                let (number, output) = (line.number, &entry.output);
                log::warn!("[replay] line {number}, for output '{output}', is new and stays in the file");
                continue;
            };
            let tag = entry.batch.tag();
            if open.as_ref().is_none_or(|(lane, cx, _)| *lane != at || cx.tag() != tag) {
                commit(open.take()).await;
                let cx = InputCx::new(Rc::new(lane.state.clone()), &lane.state.name, NAME, tag.clone());
                open = Some((at, cx, Flight::new(self)));
            }
            if let Some((_, cx, flight)) = &mut open {
                let mut batch = cx.batch(tag);
                entry.batch.records().for_each(|r| batch.push_record(&r));
                flight.lines.push(line.number);
            }
        }
        commit(open).await;
    }

    /// The end, when nothing runs any more: says what became of the records and answers the exit code.
    pub(super) fn finish(&self, core: &Core) -> u8 {
        let Some(replaying) = self.replaying.take() else { return 1 };
        let count =
            |of: fn(&super::stats::OutputStats) -> u64| core.outputs().iter().map(|o| of(&o.stats)).sum::<u64>();
        let delivered = count(|s| s.proc_records.get());
        let refused = count(|s| s.rejected_records.get() + s.dropped_records.get());
        let path = replaying.path().to_owned();
        let left = replaying.finish(&self.done.borrow());
        let see = match core.rejects.path().filter(|_| count(|s| s.rejected_records.get()) > 0) {
            Some(path) => format!(" (see {})", path.display()),
            None => String::new(),
        };
        crate::log::notice(&format!("[replay] {delivered} delivered, {refused} refused again{see}"));
        let path = path.display();
        match left {
            Ok(0) if refused == 0 => return 0,
            Ok(0) => {}
            Ok(n) => log::warn!("[replay] {n} line(s) are left in '{path}'; go on with --replay-rejected {path}"),
            Err(e) => log::error!(
                "[replay] '{path}' cannot be shortened to what is left, --replay-rejected {path} would send all of it again: {e}"
            ),
        }
        2
    }
}

/// Up to a block of lines; none at the end.
fn block(lines: &mut impl Iterator<Item = io::Result<Line>>) -> io::Result<Vec<Line>> {
    let mut block = Vec::new();
    let mut bytes = 0;
    while bytes < BLOCK_BYTES && block.len() < BLOCK_LINES {
        let Some(line) = lines.next().transpose()? else { break };
        bytes += line.len;
        block.push(line);
    }
    Ok(block)
}

async fn commit(open: Option<(usize, InputCx, Flight)>) {
    let Some((_, cx, flight)) = open else { return };
    let ack = Ack::new(move || flight.land());
    cx.commit(cx.tag(), Some(ack)).await;
}

/// Lines on their way. They are done when it lands, and stay in the file when it is dropped before.
struct Flight {
    replay: Rc<Replay>,
    lines: Vec<u64>,
}

impl Flight {
    fn new(replay: &Rc<Replay>) -> Self {
        replay.under_way.set(replay.under_way.get() + 1);
        Self { replay: replay.clone(), lines: Vec::new() }
    }

    fn land(self) {
        let mut done = self.replay.done.borrow_mut();
        self.lines.iter().for_each(|&n| done.set(n));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.replay.under_way.set(self.replay.under_way.get().saturating_sub(1));
        self.replay.settled.notify();
    }
}

/// The engine's handle on a replay: the only input.
struct Sender(Rc<Replay>);

impl Input for Sender {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            if let Err(e) = self.0.send(&cx).await {
                log::error!("[replay] cannot go on with '{}': {e}", self.0.file.display());
                cx.exit(1);
            }
            cx.exit(0);
            Ok(())
        })
    }
}
