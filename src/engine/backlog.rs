//! Chunks that wait on the disk: those of an earlier run are taken over at the start, and each is read when its turn comes.

use super::chunk::Chunk;
use super::core::Core;
use super::delivery::{Delivery, OutputState};
use super::storage::Storage;
use crate::input::Intake;
use crate::output::Why;
use crate::store::chunk_file::{self, Summary};
use crate::store::dir::{self, Found};
use std::io;
use std::rc::Rc;

/// Files looked at together at the start.
const AT_ONCE: usize = 256;

/// Takes the chunk files of an earlier run over: every output that still needs one has it in its queue, before anything
/// new.
pub(super) async fn adopt(core: &Rc<Core>) {
    let Some(storage) = core.storage.get() else { return };
    let root = storage.root().to_owned();
    let Some((found, problems)) = storage.blocking(move || dir::scan(&root)).await else { return };
    for problem in problems {
        log::warn!("[storage] {problem}");
    }
    let (mut chunks, mut bytes, mut homeless) = (0usize, 0, 0usize);
    let mut found = found.into_iter();
    loop {
        let some: Vec<Found> = found.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let read = move || some.into_iter().map(|f| (chunk_file::summary(&f.path()), f)).collect::<Vec<_>>();
        for (summary, found) in storage.blocking(read).await.unwrap_or_default() {
            match take_over(core, storage, summary, &found) {
                Taken::Queued => (chunks, bytes) = (chunks + 1, bytes + found.size),
                Taken::Homeless => homeless += 1,
                Taken::No => {}
            }
        }
    }
    if chunks > 0 {
        log::info!(
            "[storage] {chunks} chunk(s) with {bytes} bytes of an earlier run wait in '{}'",
            storage.root().display()
        );
    }
    if homeless > 0 {
        log::warn!(
            "[storage] {homeless} chunk(s) in '{}' have tags that no output matches: they stay there",
            storage.root().display()
        );
    }
}

enum Taken {
    Queued,
    /// No output matches its tag.
    Homeless,
    No,
}

fn take_over(
    core: &Rc<Core>,
    storage: &Rc<Storage>,
    summary: io::Result<Result<Summary, crate::store::Damage>>,
    found: &Found,
) -> Taken {
    let Some(input) = core.backlog() else { return Taken::No };
    let path = found.path();
    let summary = match summary {
        Ok(Ok(summary)) => summary,
        Ok(Err(_)) if found.size == 0 => {
            // Made, but killed before the first write.
            storage.adopt(&path, &found.name().into(), 1).end(false);
            return Taken::No;
        }
        Ok(Err(damage)) => {
            log::error!("[storage] nothing can be read of chunk file '{}': {damage}", path.display());
            input.lost(0, "chunk files that cannot be read were set aside");
            let file = storage.adopt(&path, &found.name().into(), found.size);
            file.set_damaged();
            file.end(false);
            return Taken::No;
        }
        Err(e) => {
            log::error!("[storage] cannot read chunk file '{}': {e}; it stays there", path.display());
            return Taken::No;
        }
    };
    let route = core.routes.of(&summary.tag);
    if route.outputs.is_empty() {
        return Taken::Homeless;
    }
    let outputs = route.outputs.iter().filter_map(|&i| core.outputs().get(i));
    let needed: Vec<_> = outputs.filter(|out| !summary.done.iter().any(|name| *name == out.name)).collect();
    let name: Rc<str> = found.name().into();
    let file = storage.adopt(&path, &name, summary.len);
    if needed.is_empty() {
        file.end(false);
        return Taken::No;
    }
    let chunk = Chunk::stored(core, input, name, core.routes.tag(summary.tag), summary.records, file);
    input.stats.records.add(summary.records);
    for out in needed {
        out.push(core, chunk.clone());
    }
    Taken::Queued
}

/// Sees to it that the records of a delivery are in memory.
///
/// # Errors
/// When they cannot be read now; then the delivery is tried again later.
pub(super) async fn load(core: &Rc<Core>, out: &OutputState, task: &mut Delivery) -> Result<(), Why> {
    let chunk = task.chunk.clone();
    if chunk.is_up() {
        return Ok(());
    }
    let input = &chunk.input;
    // Those that are in memory are being sent, so that there will be room.
    while input.is_backlog() && input.gate.over().is_some() && input.gate.used() > 0 {
        input.room().wait().await;
    }
    let Some(file) = chunk.file() else { return Err("its file is not known".into()) };
    let bytes = match file.read().await {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            input.lost(chunk.records() as u64, &format!("chunk file '{}' is gone", file.path().display()));
            Vec::new()
        }
        Err(e) => return Err(format!("cannot read chunk file '{}': {e}", file.path().display()).into()),
    };
    if !chunk.is_up() {
        let mut batch = core.batch(&chunk.tag);
        let mut left = Vec::new();
        match crate::store::load(&bytes, &mut batch) {
            Ok(loaded) => {
                if let Some(problem) = loaded.problem() {
                    let path = file.path();
                    let path = path.display();
                    log::error!("[storage] chunk file '{path}': {problem}; {} record(s) of it were read", batch.len());
                }
                if loaded.is_damaged() {
                    file.set_damaged();
                }
                left = loaded.left;
            }
            Err(_) if bytes.is_empty() => {}
            Err(damage) => {
                log::error!("[storage] nothing can be read of chunk file '{}': {damage}", file.path().display());
                file.set_damaged();
            }
        }
        batch.settle();
        let missing = chunk.records().saturating_sub(batch.len());
        if missing > 0 && !bytes.is_empty() {
            input.lost(missing as u64, "a chunk file is damaged");
        }
        chunk.load(batch, left);
        chunk.enlist();
        if input.gate.over().is_some() {
            core.relieve();
        }
    }
    if task.only.is_none() {
        task.only = chunk.left_for(&out.name);
    }
    Ok(())
}
