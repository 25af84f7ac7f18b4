//! The map `kubernetes` of records: made once for a container, placed once in a batch, then a handful of cells for each record.

use super::names::Names;
use super::pod::{ContainerOf, Pod};
use super::rules::Rules;
use crate::event::{Batch, Cell, Key, Span};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_str};
use std::rc::Rc;

/// What records of one container get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// JSON of an object with `kubernetes` and perhaps `kubernetes_namespace`; the entries of the pod are to stand at `split`.
    own: Box<[u8]>,
    split: usize,
    pod: Option<Rc<Pod>>,
    /// What the pod's annotations ask for.
    pub rules: Rules,
    /// The API could not tell of the pod: only what the tag says is there.
    pub is_unavailable: bool,
    has_space: bool,
}

/// What a map is made of.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// What the tag says.
    pub names: &'a Names,
    /// What the API says; `None` for what the tag says alone.
    pub pod: Option<&'a Rc<Pod>>,
    /// JSON of the map `kubernetes_namespace`.
    pub space: Option<&'a str>,
    /// With `Namespace_Metadata_Only` there is no map `kubernetes`.
    pub space_only: bool,
    /// `Set_Platform`
    pub platform: Option<&'a str>,
    /// The API could not tell of the pod.
    pub is_unavailable: bool,
}

impl Map {
    /// Makes the map.
    pub fn new(made: &Made<'_>, rules: Rules) -> Self {
        let mut text = Text(vec![b'{']);
        let mut split = 1;
        if !made.space_only {
            text.0.extend_from_slice(b"\"kubernetes\":{");
            text.entry("pod_name", &made.names.pod);
            text.entry("namespace_name", &made.names.space);
            text.entry("aws_entity_platform", made.platform.unwrap_or_default());
            split = text.0.len();
            let container = made.pod.and_then(|pod| container(pod, made.names));
            let found = container.unwrap_or_default();
            for (key, own, found) in [
                ("container_name", &*made.names.container, found.name),
                ("docker_id", &made.names.id, found.id),
                ("container_hash", &made.names.hash, found.hash),
                ("container_image", "", found.image),
            ] {
                text.entry(key, if own.is_empty() { found } else { own });
            }
            if made.is_unavailable {
                text.entry("meta", "unavailable");
            }
            text.0.push(b'}');
        }
        if let Some(space) = made.space {
            text.0.extend_from_slice(if made.space_only { b"" } else { b"," });
            text.0.extend_from_slice(b"\"kubernetes_namespace\":");
            text.0.extend_from_slice(space.as_bytes());
        }
        text.0.push(b'}');
        let pod = made.pod.filter(|_| !made.space_only).cloned();
        let (has_space, is_unavailable) = (made.space.is_some(), made.is_unavailable);
        Self { own: text.0.into(), split, pod, rules, is_unavailable, has_space }
    }

    /// Whether it was made of this pod, and of nothing else that may change.
    pub fn is_of(&self, pod: &Rc<Pod>) -> bool {
        !self.has_space && self.pod.as_ref().is_some_and(|p| Rc::ptr_eq(p, pod))
    }

    fn write(&self, batch: &mut Batch) -> Span {
        let (head, tail) = self.own.split_at_checked(self.split).unwrap_or((&self.own, b""));
        let arena = batch.arena_mut();
        let start = arena.push(head);
        if let Some(pod) = &self.pod {
            arena.push(pod.entries().as_bytes());
        }
        let end = arena.push(tail);
        Span::between(start.at as usize, (end.at + end.len) as usize)
    }
}

/// The container that names mean.
pub fn container<'a>(pod: &'a Pod, names: &Names) -> Option<ContainerOf<'a>> {
    pod.container_of_id(&names.id).or_else(|| pod.container_of_name(&names.container))
}

/// JSON being written.
struct Text(Vec<u8>);

impl Text {
    /// Adds an entry unless it is empty.
    fn entry(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        write_str(name.as_bytes(), JsonOpts::default(), &mut self.0);
        self.0.push(b':');
        write_str(value.as_bytes(), JsonOpts::default(), &mut self.0);
    }
}

/// Where a map stands in a batch: the batch's number, and the text.
pub type Placed = Option<(u64, Span)>;

/// Puts maps into batches.
pub struct Placer {
    reader: JsonReader,
    /// Of the map at hand, as they are to stand in each record.
    cells: Vec<Cell>,
    kubernetes: Key,
    space: Key,
}

impl Default for Placer {
    fn default() -> Self {
        let (kubernetes, space) = (Key::of("kubernetes"), Key::of("kubernetes_namespace"));
        Self { reader: JsonReader::default(), cells: Vec::new(), kubernetes, space }
    }
}

impl Placer {
    /// Takes up a map for records of this batch. `placed` is where it stands, if it stands anywhere.
    pub fn take(&mut self, map: &Map, placed: &mut Placed, batch: &mut Batch) {
        let span = match *placed {
            Some((number, span)) if number == batch.number() => span,
            _ => map.write(batch),
        };
        *placed = Some((batch.number(), span));
        let mark = batch.begin();
        // What the API sent was read before: it is JSON.
        let _ = self.reader.object(batch, span);
        self.cells.clear();
        self.cells.extend_from_slice(batch.since(mark).run());
        batch.abandon(mark);
    }

    /// Adds the map to the cells of a record that stand at the end of the tape from `from` on. What was there under its name goes.
    #[inline]
    pub fn add(&self, batch: &mut Batch, from: usize) {
        let (_, tape) = batch.parts_mut();
        let named = |c: &Cell| c.key == self.kubernetes || c.key == self.space;
        if tape.get(from..).unwrap_or_default().iter().any(named) {
            self.clear(tape, from);
        }
        tape.extend_from_slice(&self.cells);
    }

    #[cold]
    fn clear(&self, tape: &mut Vec<Cell>, from: usize) {
        let mut at = from;
        while let Some(cell) = tape.get(at) {
            let end = (at + cell.width()).min(tape.len());
            // A namespace's map is there only if ours has one.
            if self.cells.iter().any(|c| c.key == cell.key) && (cell.key == self.kubernetes || cell.key == self.space) {
                tape.drain(at..end);
            } else {
                at = end;
            }
        }
    }
}
