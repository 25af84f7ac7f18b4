//! What the tests of this input share: a directory of its own, and an engine that only takes notes.

use crate::conf::Section;
use crate::error::{Diags, Error, Place};
use crate::event::{Batch, Key, Position, Tag, Value};
use crate::fmt::json_write::JsonOpts;
use crate::input::{Ack, Input, InputCx, Intake};
use crate::parse::ParserSet;
use crate::plugin::MakeCx;
use crate::rt::{Notify, Task, sleep, spawn};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A directory that is removed at the end.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tail-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a file anew.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds to a file.
    pub fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    /// How many files the inputs of this thread may have open.
    pub static BUDGET: Cell<Option<usize>> = const { Cell::new(None) };
}

/// An engine that takes notes: every record as `tag key=value …`, acknowledged at once or when told.
pub struct Notes {
    batches: RefCell<FxHashMap<Tag, Batch>>,
    pub records: RefCell<Vec<String>>,
    /// Where each of them came from.
    pub positions: RefCell<Vec<Position>>,
    pub held: RefCell<Vec<Ack>>,
    pub hold: Cell<bool>,
    pub room: Cell<bool>,
    roomy: Notify,
    stopping: Cell<bool>,
    stop: Notify,
    drained: Cell<bool>,
    drain: Notify,
    pub code: Cell<Option<u8>>,
    pub lost: Cell<u64>,
    /// What was said about losses.
    pub complaints: RefCell<Vec<String>>,
}

impl Intake for Notes {
    fn open(&self, tag: &Tag) -> RefMut<'_, Batch> {
        RefMut::map(self.batches.borrow_mut(), |all| all.entry(tag.clone()).or_insert_with(|| Batch::new(tag.clone())))
    }

    fn commit(&self, tag: &Tag, ack: Option<Ack>) {
        let mut batch = self.open(tag);
        let show = |v: Value<'_>| match v {
            Value::Str(t) => String::from_utf8_lossy(&t.bytes()).into_owned(),
            Value::Int(n) => n.to_string(),
            other => format!("{other:?}"),
        };
        for r in batch.records() {
            let entry =
                |(k, v): (Key, Value<'_>)| format!(" {}={}", String::from_utf8_lossy(batch.key_name(k)), show(v));
            self.positions.borrow_mut().push(r.position());
            self.records.borrow_mut().push(format!("{tag}{}", r.body().map(entry).collect::<String>()));
        }
        batch.recycle(tag.clone(), 0);
        drop(batch);
        if let Some(ack) = ack
            && self.hold.get()
        {
            self.held.borrow_mut().push(ack);
        }
    }

    fn hurry(&self) {}

    fn has_room(&self) -> bool {
        self.room.get()
    }

    fn room(&self) -> &Notify {
        &self.roomy
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn stop_signal(&self) -> &Notify {
        &self.stop
    }

    fn is_drained(&self) -> bool {
        self.drained.get()
    }

    fn drain_signal(&self) -> &Notify {
        &self.drain
    }

    fn exit(&self, code: u8) {
        self.code.set(Some(code));
    }

    fn lost(&self, records: u64, why: &str) {
        self.lost.set(self.lost.get() + records);
        self.complaints.borrow_mut().push(why.to_owned());
    }

    fn count(&self, _what: &'static str, _n: u64) {}

    fn delay_end(&self, _more: bool) {}
}

/// A running tail input on a directory.
pub struct Lab {
    pub notes: Rc<Notes>,
    task: Option<Task<Result<(), Error>>>,
}

impl Lab {
    /// A tail input that is configured with these keys; `{}` in a value is the directory.
    pub fn start(dir: &TempDir, keys: &[(&str, &str)]) -> Self {
        let notes = Rc::new(Notes {
            batches: RefCell::default(),
            records: RefCell::default(),
            positions: RefCell::default(),
            held: RefCell::default(),
            hold: Cell::new(false),
            room: Cell::new(true),
            roomy: Notify::default(),
            stopping: Cell::new(false),
            stop: Notify::default(),
            drained: Cell::new(false),
            drain: Notify::default(),
            code: Cell::new(None),
            lost: Cell::new(0),
            complaints: RefCell::default(),
        });
        let (input, said) = make(dir, keys);
        let input = input.unwrap_or_else(|| panic!("{said}"));
        let tag = keys.iter().find(|(k, _)| *k == "tag").map_or("t", |(_, v)| v);
        let cx = InputCx::new(notes.clone(), "tail.0", "input:tail:tail.0", Tag::new(tag));
        Self { notes, task: Some(spawn(input.run(cx))) }
    }

    /// Waits until the records are these, then a little more for those that should not come.
    pub async fn expect(&self, records: &[&str]) {
        self.expect_count(records.len()).await;
        assert_eq!(*self.notes.records.borrow(), records);
    }

    /// Waits until there are so many records, then a little more for those that should not come.
    pub async fn expect_count(&self, n: usize) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.notes.records.borrow().len() < n && Instant::now() < end {
            sleep(Duration::from_millis(2)).await;
        }
        sleep(Duration::from_millis(30)).await;
        assert_eq!(self.notes.records.borrow().len(), n, "{:?}", self.notes.records.borrow());
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !holds() {
            assert!(Instant::now() < end, "never: {what}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// The position of each record, by its text. No text may come twice.
    pub fn positions(&self) -> BTreeMap<String, Position> {
        let (records, positions) = (self.notes.records.borrow(), self.notes.positions.borrow());
        let all: BTreeMap<_, _> = records.iter().cloned().zip(positions.iter().copied()).collect();
        assert_eq!(all.len(), records.len(), "a record came twice");
        all
    }

    pub fn resume(&self) {
        self.notes.room.set(true);
        self.notes.roomy.notify();
    }

    /// Shuts the input down; acknowledgements still held are lost.
    pub async fn stop(mut self) -> Vec<String> {
        self.notes.stopping.set(true);
        self.notes.stop.notify();
        sleep(Duration::from_millis(5)).await;
        self.notes.held.borrow().iter().for_each(Ack::lose);
        self.notes.held.borrow_mut().clear();
        self.notes.drained.set(true);
        self.notes.drain.notify();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
        self.notes.records.borrow().clone()
    }

    /// How the input ended by itself.
    pub async fn end(mut self) -> Result<(), Error> {
        self.task.take().unwrap().await
    }
}

/// Beside the built-in ones.
const PARSERS: &str = r#"[PARSER]
    Name    dated
    Format  regex
    Regex   ^(?<day>\d+) (?<text>.*)$
[MULTILINE_PARSER]
    name           quick
    type           regex
    flush_timeout  150
    rule           "start_state" "/^\d/" "more"
    rule           "more" "/^ /" "more"
[MULTILINE_PARSER]
    name           patient
    type           regex
    rule           "start_state" "/^\d/" "more"
    rule           "more" "/^ /" "more"
"#;

/// Makes the input of these keys; and what was said about them.
pub fn make(dir: &TempDir, keys: &[(&str, &str)]) -> (Option<Box<dyn Input>>, String) {
    let root = dir.root().to_str().unwrap();
    let mut section = Section::new("INPUT", Place::command_line());
    section.label = "input:tail:tail.0".into();
    for (key, value) in keys {
        section.push(key, &value.replace("{}", root));
    }
    let mut diags = Diags::new();
    let own = crate::conf::ini::parse("parsers.conf", PARSERS.as_bytes(), &mut diags);
    let parsers = ParserSet::new(own.sections, &mut diags);
    let mut cx = MakeCx {
        section: &section,
        name: "tail.0",
        diags: &mut diags,
        parsers: &parsers,
        json: JsonOpts::default(),
        dir: dir.root(),
        multiline_limit: 2 << 20,
    };
    let input = (super::PLUGIN.make)(&mut cx);
    (input, diags.to_string())
}

/// Runs a test of the whole input on a directory of its own.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Rc<TempDir>) -> F) {
    crate::rt::run(test(Rc::new(TempDir::new()))).unwrap();
}
