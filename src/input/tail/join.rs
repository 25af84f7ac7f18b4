//! Lines that belong together, file by file: `Multiline.Parser` and the older keys for the same.
//!
//! A file keeps what it has begun and not ended, and the position that is remembered for it stays before that: what is not
//! complete at a restart is read again. Where a file was rotated in the middle, its successor takes over what is open.

use super::conf::TailConf;
use super::ledger::Ledger;
use super::lines::Lines;
use super::read::Reader;
use crate::event::{Batch, Cell, Key, Source, Span};
use crate::parse::multiline::{Around, Group, Joiner, Line, MultilineDef, Placed};
use crate::plugin::MakeCx;
use crate::time::Time;
use std::ops::DerefMut;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a file has begun and not ended.
pub type Open = crate::parse::multiline::Open<Kept>;
/// Set for a record that began in another file.
pub type Kept = Option<Elsewhere>;

/// The entries of a record in the ledgers of the files that hold its beginning, where they have some.
#[derive(Debug, Default)]
pub struct Elsewhere(pub Vec<Entry>);
/// A ledger, and the number of an entry.
pub type Entry = (Rc<Ledger>, u64);

/// Joins the lines of the file whose turn it is.
#[derive(Debug)]
pub struct Join {
    joiner: Joiner<Kept>,
    /// Of the file whose turn it is.
    open: Open,
    /// Where its lines come from now.
    source: Source,
    /// Complete, and not written to a batch yet.
    done: Vec<Group<Kept>>,
    /// Entries of other files' ledgers whose records were written since the last commit.
    inherited: Vec<Entry>,
}

/// How a line stands in the batch, and what goes around it.
pub struct Place {
    pub text: Span,
    pub offset: u64,
    pub path: Option<Cell>,
    pub now: Time,
}

/// Which of a file's open records are taken as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All: no line of theirs will come.
    All,
    /// Those for which no line came in time.
    Due,
}

impl Join {
    fn new(defs: Vec<MultilineDef>, limit: usize) -> Self {
        Self {
            joiner: Joiner::new(defs, limit),
            open: Open::default(),
            source: Source::default(),
            done: Vec::new(),
            inherited: Vec::new(),
        }
    }

    /// The join that the keys ask for; `Some(None)` when none does.
    pub fn of_conf(conf: &TailConf, cx: &mut MakeCx<'_>) -> Option<Option<Self>> {
        if conf.multiline && conf.docker_mode {
            return cx.refuse("Docker_Mode", "Docker_Mode and Multiline exclude each other", "Keep one of them.");
        }
        let defs = if !conf.multiline_parser.is_empty() {
            by_name(conf, cx)?
        } else if conf.multiline {
            vec![by_first_line(conf, cx)?]
        } else if conf.docker_mode {
            vec![by_docker_mode(conf, cx)?]
        } else {
            return Some(None);
        };
        Some(Some(Self::new(defs, cx.multiline_limit)))
    }

    /// The lines that follow come from here.
    pub fn set_source(&mut self, source: Source) {
        self.source = source;
    }

    /// Takes a line; answers how many records it made.
    pub fn line(&mut self, batch: &mut Batch, place: &Place, key: Key, offset_key: Option<Key>) -> u64 {
        let around = Around { path: place.path, offset_key };
        let mut made = self.write(batch, key, around);
        let now = Instant::now();
        let line = Line { time: place.now, source: self.source, offset: place.offset, now };
        let mark = batch.begin();
        let placed = self.joiner.line(&mut self.open, batch, place.text, &line, &mut self.done);
        if let Placed::Whole(time) = placed {
            around.push(batch, place.offset);
            batch.finish_at(mark, time.unwrap_or(place.now), place.offset);
            return made + 1;
        }
        made += self.write(batch, key, around);
        if placed == Placed::Alone {
            let mark = batch.begin();
            around.push(batch, place.offset);
            let text = if self.joiner.ends_lines() { with_line_end(batch, place.text) } else { place.text };
            batch.push_span(key, text);
            batch.finish_at(mark, place.now, place.offset);
            made += 1;
        }
        made
    }

    /// Writes what is complete; answers how many records that were.
    fn write(&mut self, batch: &mut Batch, key: Key, around: Around) -> u64 {
        let made = self.done.len() as u64;
        for mut group in self.done.drain(..) {
            group.write(batch, key, around);
            self.inherited.extend(group.kept.take().into_iter().flat_map(|elsewhere| elsewhere.0));
            self.joiner.recycle(group);
        }
        if made > 0 {
            batch.set_source(self.source);
        }
        made
    }

    /// Whether the file whose turn it is has begun records.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Begins a file's turn, or ends it: the same call for both.
    pub fn swap(&mut self, open: &mut Open) {
        std::mem::swap(&mut self.open, open);
    }

    /// Entries of other files' ledgers whose records were written since the last call.
    pub fn take_inherited(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.inherited)
    }
}

/// A line and its line end; where that does not follow it in the arena, both are written there anew.
fn with_line_end(batch: &mut Batch, text: Span) -> Span {
    let end = (text.at + text.len) as usize;
    if batch.arena().as_slice().get(end) != Some(&b'\n') {
        let line = batch.arena().get(text).to_vec();
        let start = batch.arena_mut().push(&line).at as usize;
        batch.arena_mut().push(b"\n");
        return Span::between(start, batch.arena().len());
    }
    Span { len: text.len + 1, ..text }
}

impl Reader {
    /// Writes open records of a file as complete ones, and what was complete before, to the batch that `batch` gives; answers
    /// how many.
    pub fn complete<B: DerefMut<Target = Batch>>(
        &mut self,
        open: &mut Open,
        path: &Path,
        which: Which,
        batch: impl FnOnce() -> B,
    ) -> u64 {
        let Lines { join: Some(join), path_key, offset_key, key, .. } = &mut self.lines else { return 0 };
        match which {
            Which::All => join.joiner.close(open, &mut join.done),
            Which::Due => join.joiner.expire(open, Instant::now(), &mut join.done),
        }
        if join.done.is_empty() {
            return 0;
        }
        let mut batch = batch();
        let path = path_key.map(|key| Cell::str(key, batch.arena_mut().push(path.as_os_str().as_bytes()), 0));
        join.write(&mut batch, *key, Around { path, offset_key: *offset_key })
    }

    /// Lends a file's open records to the join, or gives them back.
    pub fn swap(&mut self, open: &mut Open) {
        if let Some(join) = &mut self.lines.join {
            join.swap(open);
        }
    }

    /// Entries of other files' ledgers whose records were written since the last call.
    pub fn take_inherited(&mut self) -> Vec<Entry> {
        self.lines.join.as_mut().map_or_else(Vec::new, Join::take_inherited)
    }

    /// When the next open record of a file is complete unless a line comes.
    pub fn due(&self, open: &Open) -> Option<Instant> {
        self.lines.join.as_ref().and_then(|join| join.joiner.due(open))
    }
}

/// Where a file's oldest open record begins: at the head, when that is in another file.
pub fn begun_at(open: &Open) -> Option<u64> {
    open.groups().iter().map(|g| if g.kept.is_some() { 0 } else { g.offset() }).min()
}

fn by_name(conf: &TailConf, cx: &mut MakeCx<'_>) -> Option<Vec<MultilineDef>> {
    if conf.multiline || conf.docker_mode {
        let what = "Multiline.Parser excludes Multiline and Docker_Mode";
        return cx.refuse("Multiline.Parser", what, "Keep Multiline.Parser: it is the newer way.");
    }
    if let (Some(_), Some(entry)) = (&conf.parser, cx.section.get("Parser")) {
        let what = format!("{} Parser has no effect beside Multiline.Parser", cx.section.who());
        cx.diags.warn_help(&entry.place, what, "Use the filter parser for what the joined record holds.");
    }
    let mut defs = Vec::new();
    for item in &conf.multiline_parser.0 {
        for name in &item.value.0 {
            defs.push(cx.parsers.require_multiline(name, &cx.section.who(), &item.place, cx.diags)?);
        }
    }
    Some(defs)
}

/// `Parser` is for the lines of the file; it must leave their text under `log`.
fn by_docker_mode(conf: &TailConf, cx: &mut MakeCx<'_>) -> Option<MultilineDef> {
    let parser = match &conf.parser {
        Some(name) => cx.parser_def("Parser", name)?,
        None => {
            let place = cx.section.get("Docker_Mode").map_or(&cx.section.place, |e| &e.value_place);
            cx.parsers.require("_ml_docker", &cx.section.who(), place, cx.diags)?
        }
    };
    let first = match &conf.docker_mode_parser {
        Some(name) => Some(cx.parser_def("Docker_Mode_Parser", name)?),
        None => None,
    };
    let flush = conf.docker_mode_flush.max(Duration::from_millis(1));
    Some(MultilineDef::of_docker(parser, first, flush))
}

fn by_first_line(conf: &TailConf, cx: &mut MakeCx<'_>) -> Option<MultilineDef> {
    let Some(first) = &conf.parser_firstline else {
        return cx.refuse("Multiline", "Multiline needs Parser_Firstline", "Name the parser of first lines.");
    };
    let first = cx.parser_def("Parser_Firstline", first)?;
    let mut others = Vec::new();
    for item in conf.parser_n.0.iter().filter(|item| !item.key.eq_ignore_ascii_case("Parser_Firstline")) {
        let number = item.key.get("parser_".len()..).unwrap_or_default();
        if number.parse::<u32>().is_err() {
            let what = format!("unknown configuration property '{}'", item.key);
            return cx.refuse_at(&item.place, what, "Write Parser_1, Parser_2 and so on.");
        }
        others.push(cx.parsers.require(&item.value, &cx.section.who(), &item.place, cx.diags)?);
    }
    Some(MultilineDef::of_first_line(first, others, conf.multiline_flush.max(Duration::from_millis(1))))
}
