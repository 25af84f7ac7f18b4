//! Lines into records of several lines.

use super::def::{Def, Kind, MultilineDef};
use super::group::Group;
use super::rules::Step;
use crate::event::{Batch, Cells, Key, Source, Span, Value};
use crate::parse::{Parsed, Parser};
use crate::time::Time;
use std::time::{Duration, Instant};

/// Records that one stream may have open; with more of them the oldest is taken as complete.
const OPEN: usize = 32;
/// Emptied groups that are kept for the next records.
const SPARE: usize = 4;

/// Applies definitions, in the order given, to the lines of many streams.
pub struct Joiner<K> {
    choices: Vec<Choice>,
    /// The longest text of a record, in bytes.
    limit: usize,
    /// The field that is joined, and how long a record waits, whatever definitions say.
    of_records: Option<(Key, Duration)>,
    spare: Vec<Group<K>>,
    scratch: Vec<u8>,
}

struct Choice {
    def: MultilineDef,
    parser: Option<Box<dyn Parser>>,
    others: Vec<Box<dyn Parser>>,
}

impl Choice {
    /// Whether the parser for first lines takes a line of a Docker file.
    fn takes_first(&mut self, batch: &mut Batch, text: Span, time: Time) -> bool {
        let (Kind::Docker { .. }, Some(parser)) = (&self.def.def().kind, self.others.first_mut()) else { return false };
        let mark = batch.begin();
        let hit = matches!(parser.parse(batch, text, time), Parsed::Hit(_));
        batch.abandon(mark);
        hit
    }
}

/// What one stream has begun and not ended.
#[derive(Debug)]
pub struct Open<K> {
    /// In the order in which they began.
    groups: Vec<Group<K>>,
    /// The definition that took the last line is tried first.
    winner: usize,
}

impl<K> Default for Open<K> {
    fn default() -> Self {
        Self { groups: Vec::new(), winner: 0 }
    }
}

impl<K> Open<K> {
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The open records, oldest first.
    pub fn groups(&self) -> &[Group<K>] {
        &self.groups
    }

    /// The same, to change what their reader keeps with them.
    pub fn groups_mut(&mut self) -> &mut [Group<K>] {
        &mut self.groups
    }
}

/// A line, or a record that is to be joined with others.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Its time, where it holds none itself.
    pub time: Time,
    /// The file, and where it begins there.
    pub source: Source,
    /// The same in bytes.
    pub offset: u64,
    /// The clock's time.
    pub now: Instant,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is a record as it stands: its cells are on the tape, for the caller to finish. The time is its own, if it has one.
    Whole(Option<Time>),
    /// It is part of an open record, or of one that was completed.
    Taken,
    /// No definition knows it: it is a record of its own.
    Alone,
}

impl<K: Default> Joiner<K> {
    /// `limit` is the longest text of a record, in bytes.
    pub fn new(defs: Vec<MultilineDef>, limit: usize) -> Self {
        let choice = |def: MultilineDef| {
            let parser = def.def().parser.as_ref().map(|p| p.make());
            let others = match &def.def().kind {
                Kind::First { others } => others.iter().map(|p| p.make()).collect(),
                Kind::Docker { first } => vec![first.make()],
                _ => Vec::new(),
            };
            Choice { def, parser, others }
        };
        let choices = defs.into_iter().map(choice).collect();
        Self { choices, limit, of_records: None, spare: Vec::new(), scratch: Vec::new() }
    }

    /// A joiner for [`Self::record`]: `key` is the field that is joined, `flush` how long a record waits for more.
    pub fn of_records(defs: Vec<MultilineDef>, limit: usize, key: Key, flush: Duration) -> Self {
        Self { of_records: Some((key, flush)), ..Self::new(defs, limit) }
    }

    /// Takes record `i` of `batch`, as it stands: no parser is asked. What it completes goes to `done`, in order; those come
    /// before the record itself where that is not [`Placed::Taken`].
    pub fn record(
        &mut self,
        open: &mut Open<K>,
        batch: &Batch,
        i: usize,
        now: Instant,
        done: &mut Vec<Group<K>>,
    ) -> Placed {
        let position = batch.position(i);
        let line = Line { time: batch.record(i).time(), source: position.source, offset: position.offset, now };
        let first = open.winner;
        let others = (0..self.choices.len()).filter(|&c| c != first);
        for choice in std::iter::once(first).chain(others) {
            let before = open.groups.len();
            let placed = self.place(choice, open, (batch.body(i), b"", false), &line, done);
            if placed == Placed::Alone {
                continue;
            }
            if open.groups.len() > before
                && !batch.meta(i).is_empty()
                && let Some(group) = open.groups.last_mut()
            {
                group.set_meta(batch.meta(i));
            }
            open.winner = choice;
            return placed;
        }
        done.append(&mut open.groups);
        Placed::Alone
    }

    /// Takes the line that stands at `text`. What it completes goes to `done`, in order; those come before the line itself where
    /// that is [`Placed::Whole`] or [`Placed::Alone`].
    pub fn line(
        &mut self,
        open: &mut Open<K>,
        batch: &mut Batch,
        text: Span,
        line: &Line,
        done: &mut Vec<Group<K>>,
    ) -> Placed {
        let first = open.winner;
        let others = (0..self.choices.len()).filter(|&i| i != first);
        for i in std::iter::once(first).chain(others) {
            let placed = self.try_line(i, open, batch, text, line, done);
            if placed != Placed::Alone {
                open.winner = i;
                return placed;
            }
        }
        done.append(&mut open.groups);
        Placed::Alone
    }

    fn try_line(
        &mut self,
        i: usize,
        open: &mut Open<K>,
        batch: &mut Batch,
        text: Span,
        line: &Line,
        done: &mut Vec<Group<K>>,
    ) -> Placed {
        let Some(choice) = self.choices.get_mut(i) else { return Placed::Alone };
        let is_first = choice.takes_first(batch, text, line.time);
        let mark = batch.begin();
        let mut time = None;
        if let Some(parser) = &mut choice.parser {
            match parser.parse(batch, text, line.time) {
                Parsed::Hit(own) => time = own,
                Parsed::Miss => return self.rest(i, open, batch, text, line, done),
            }
        }
        let line = Line { time: time.unwrap_or(line.time), ..*line };
        let placed = self.place(i, open, (batch.since(mark), batch.arena().get(text), is_first), &line, done);
        match placed {
            Placed::Whole(_) => Placed::Whole(time),
            other => {
                batch.abandon(mark);
                other
            }
        }
    }

    /// A line that the parser of the first line does not take, for the older way.
    fn rest(
        &mut self,
        i: usize,
        open: &mut Open<K>,
        batch: &mut Batch,
        text: Span,
        line: &Line,
        done: &mut Vec<Group<K>>,
    ) -> Placed {
        let Some(choice) = self.choices.get_mut(i) else { return Placed::Alone };
        if !matches!(choice.def.def().kind, Kind::First { .. }) {
            return Placed::Alone;
        }
        let Some(at) = open.groups.iter().position(|g| g.choice == i) else { return Placed::Alone };
        let mark = batch.begin();
        let hit = choice.others.iter_mut().any(|p| matches!(p.parse(batch, text, line.time), Parsed::Hit(_)));
        let Some(group) = open.groups.get_mut(at) else { return Placed::Alone };
        group.touched = line.now;
        if hit {
            let more = group.head.reopen(0);
            for (name, value) in batch.since(mark) {
                let name = group.head.adopt_key(name, batch);
                group.head.push_value(name, &value);
            }
            group.head.replace_body(0, more);
            batch.abandon(mark);
            return Placed::Taken;
        }
        group.content.push(b'\n');
        group.content.extend_from_slice(batch.arena().get(text));
        if group.content.len() >= self.limit {
            group.cut = true;
            done.push(open.groups.remove(at));
        }
        Placed::Taken
    }

    /// Takes a record, whose fields are `cells`, as definition `i` has it.
    fn place(
        &mut self,
        i: usize,
        open: &mut Open<K>,
        (cells, raw, is_first): (Cells<'_>, &[u8], bool),
        line: &Line,
        done: &mut Vec<Group<K>>,
    ) -> Placed {
        let Some(def) = self.choices.get(i).map(|c| c.def.clone()) else { return Placed::Alone };
        let def = def.def();
        let (key, is_field) = match self.of_records {
            Some(_) if !def.concerns(cells) => return Placed::Whole(None),
            Some((key, _)) => (Some(key).filter(|&k| matches!(cells.find(k), Some(Value::Str(_)))), true),
            None => content_of(def, cells),
        };
        if is_field && key.is_none() {
            // There is nothing to join.
            return Placed::Whole(None);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let text = match key.and_then(|key| cells.find(key)) {
            Some(Value::Str(text)) => text.meant(&mut scratch),
            _ => raw,
        };
        let name = match &def.kind {
            Kind::Pieces(keys) => Some(keys.id),
            _ => def.group,
        };
        let name = name.and_then(|k| cells.find(k)).and_then(|v| v.as_text()).map_or(&b""[..], |t| t.raw());
        let placed = self.decide(
            def,
            open,
            &Entry { choice: i, cells, key, name, text, line, is_first, is_piece: matches!(def.kind, Kind::Pieces(_)) },
            done,
        );
        self.scratch = scratch;
        placed
    }

    fn decide(&mut self, def: &Def, open: &mut Open<K>, entry: &Entry<'_>, done: &mut Vec<Group<K>>) -> Placed {
        let place = |open: &Open<K>| open.groups.iter().position(|g| entry.is_of(g));
        let last = place(open).and_then(|at| open.groups.get(at)).and_then(|g| g.rule);
        let (goes_on, ends, rule) = match &def.kind {
            Kind::Rules(rules) => match rules.step(last, entry.text) {
                Step::GoesOn(rule) => (true, rules.ends(rule), Some(rule)),
                Step::Begins(rule) => (false, rules.ends(rule), Some(rule)),
                Step::Neither => return Placed::Alone,
            },
            Kind::Last { text, whole, negate } => {
                let found = |seen: &[u8]| if *whole { seen == &text[..] } else { seen.ends_with(text) };
                let found = match def.pattern.filter(|&p| Some(p) != entry.key).and_then(|p| entry.cells.find(p)) {
                    Some(Value::Str(seen)) => found(&seen.bytes()),
                    _ => found(entry.text),
                };
                (true, found != *negate, None)
            }
            Kind::First { .. } => (false, false, None),
            Kind::Docker { .. } => {
                let held = place(open).and_then(|at| open.groups.get(at));
                let is_whole = held.is_some_and(|g| g.content.ends_with(b"\n"));
                (!(is_whole && entry.is_first), false, None)
            }
            Kind::Pieces(keys) => (true, is_true(entry.cells.find(keys.last)), None),
        };
        // Lines of another kind stand between: what that kind had open is over.
        if open.groups.iter().any(|g| g.choice != entry.choice) {
            done.extend(open.groups.extract_if(.., |g| g.choice != entry.choice));
        }
        let mut at = place(open);
        if let Some(old) = at {
            let full = open.groups.get(old).is_some_and(|g| g.content.len() + entry.text.len() >= self.limit);
            if full || !goes_on {
                let mut group = open.groups.remove(old);
                group.cut = full && goes_on;
                done.push(group);
                at = None;
            }
        }
        if at.is_none() {
            if ends && done.is_empty() && entry.key.is_some() && !matches!(def.kind, Kind::Pieces(_)) {
                return Placed::Whole(None);
            }
            self.begin(open, entry, done);
            at = place(open);
        }
        let Some(at) = at else { return Placed::Taken };
        if let Some(group) = open.groups.get_mut(at) {
            append(group, def, entry.text);
            (group.rule, group.touched) = (rule, entry.line.now);
        }
        if ends {
            done.push(open.groups.remove(at));
        }
        Placed::Taken
    }

    fn begin(&mut self, open: &mut Open<K>, entry: &Entry<'_>, done: &mut Vec<Group<K>>) {
        let line = entry.line;
        if open.groups.len() >= OPEN {
            done.push(open.groups.remove(0));
        }
        let mut group = self.spare.pop().unwrap_or_else(|| Group::new(line.now));
        (group.choice, group.key) = (entry.choice, entry.key);
        group.name.extend_from_slice(entry.name);
        (group.time, group.source, group.offset) = (line.time, line.source, line.offset);
        if entry.key.is_some() {
            let mark = group.head.begin();
            let of_pieces = |name: &[u8]| name.starts_with(b"partial_");
            let is_piece = entry.is_piece;
            for (name, value) in entry.cells.filter(|(name, _)| !is_piece || !of_pieces(entry.cells.name(*name))) {
                let name = group.head.key(entry.cells.name(name));
                group.head.push_value(name, &value);
            }
            group.head.finish(mark, line.time);
        }
        open.groups.push(group);
    }

    /// Takes what was not continued in time as complete.
    pub fn expire(&self, open: &mut Open<K>, now: Instant, done: &mut Vec<Group<K>>) {
        done.extend(open.groups.extract_if(.., |g| now >= self.due_of(g)));
    }

    /// Takes everything that is open as complete.
    pub fn close(&self, open: &mut Open<K>, done: &mut Vec<Group<K>>) {
        done.append(&mut open.groups);
    }

    /// When the next open record is complete unless lines come.
    pub fn due(&self, open: &Open<K>) -> Option<Instant> {
        open.groups.iter().map(|g| self.due_of(g)).min()
    }

    fn due_of(&self, group: &Group<K>) -> Instant {
        let of_def = || self.choices.get(group.choice).map_or_else(Default::default, |c| c.def.def().flush);
        group.touched + self.of_records.map_or_else(of_def, |(_, flush)| flush)
    }

    /// Takes a written record's memory back.
    pub fn recycle(&mut self, mut group: Group<K>) {
        if self.spare.len() < SPARE {
            group.recycle();
            self.spare.push(group);
        }
    }

    /// Whether lines of no definition get a line end, as those of definitions without a parser do.
    pub fn ends_lines(&self) -> bool {
        self.choices.iter().any(|c| c.parser.is_none())
    }
}

/// One line, taken apart as a definition has it.
struct Entry<'a> {
    choice: usize,
    cells: Cells<'a>,
    /// The field that is joined.
    key: Option<Key>,
    /// The stream among those that are mixed.
    name: &'a [u8],
    text: &'a [u8],
    line: &'a Line,
    /// The definition's own parser for first lines takes it.
    is_first: bool,
    /// A piece of a message that Docker cut.
    is_piece: bool,
}

impl Entry<'_> {
    fn is_of<K>(&self, group: &Group<K>) -> bool {
        group.choice == self.choice && group.name == self.name
    }
}

/// What Docker's log drivers write for true.
pub(super) fn is_true(value: Option<Value<'_>>) -> bool {
    match value {
        Some(Value::Bool(v)) => v,
        Some(Value::Str(text)) => text.bytes().eq_ignore_ascii_case(b"true"),
        _ => false,
    }
}

/// The field whose texts are joined, and whether there is to be one.
fn content_of(def: &Def, cells: Cells<'_>) -> (Option<Key>, bool) {
    match (&def.kind, def.content) {
        (Kind::First { .. }, _) => {
            let texts = cells.filter(|(_, v)| matches!(v, Value::Str(_)));
            (texts.last().map(|(k, _)| k), true)
        }
        (_, Some(key)) if def.parser.is_some() => {
            (Some(key).filter(|&k| matches!(cells.find(k), Some(Value::Str(_)))), true)
        }
        _ => (None, false),
    }
}

/// Adds a text to what is joined.
fn append<K>(group: &mut Group<K>, def: &Def, text: &[u8]) {
    let content = &mut group.content;
    let broken = content.last().is_some_and(|&b| b != b'\n');
    match (&def.kind, group.key) {
        // The text of a line as a whole ends as lines do.
        (Kind::Rules(_), None) => {
            content.extend_from_slice(text);
            if text.last() != Some(&b'\n') {
                content.push(b'\n');
            }
        }
        (Kind::Rules(_), Some(_)) => {
            if broken {
                content.push(b'\n');
            }
            content.extend_from_slice(text);
            if text.is_empty() {
                content.push(b'\n');
            }
        }
        (Kind::Last { .. }, None) => {
            if broken {
                content.push(b'\n');
            }
            content.extend_from_slice(text);
        }
        (Kind::Last { .. } | Kind::First { .. } | Kind::Docker { .. } | Kind::Pieces(_), _) => {
            content.extend_from_slice(text)
        }
    }
}

impl<K> std::fmt::Debug for Joiner<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joiner")
            .field("choices", &self.choices.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
