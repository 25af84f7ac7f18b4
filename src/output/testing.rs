//! Makes outputs and feeds them lines of JSON, for the tests of the plugins.

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::Kind;
use crate::event::{Batch, Tag, View};
use crate::fmt::json_read::JsonReader;
use crate::time::Time;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes an instance; also what was found.
pub(super) fn made(plugin: &OutputPlugin, conf: &[(&str, &str)]) -> (Option<Box<dyn Output>>, String) {
    crate::plugin::made(Kind::Output, &plugin.info, plugin.make, conf)
}

/// An instance that must be possible.
pub(super) fn instance(plugin: &OutputPlugin, conf: &[(&str, &str)]) -> Box<dyn Output> {
    let (output, said) = made(plugin, conf);
    output.unwrap_or_else(|| panic!("{conf:?} was refused: {said}"))
}

/// What is said of a configuration that is refused.
pub(super) fn refused(plugin: &OutputPlugin, conf: &[(&str, &str)]) -> String {
    let (output, said) = made(plugin, conf);
    assert!(output.is_none(), "{conf:?} was accepted");
    said
}

/// A batch of records, each with its time in nanoseconds and its body.
pub(super) fn batch(tag: &str, records: &[(i64, &str)]) -> Batch {
    let mut b = Batch::new(Tag::new(tag));
    for (time, line) in records {
        let text = b.arena_mut().push(line.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap_or_else(|e| panic!("{line}: {e}"));
        b.finish(mark, Time(*time));
    }
    b
}

/// Gives a record metadata.
pub(super) fn set_meta(b: &mut Batch, record: usize, line: &str) {
    let text = b.arena_mut().push(line.as_bytes());
    let mark = b.begin();
    JsonReader::default().object(b, text).unwrap_or_else(|e| panic!("{line}: {e}"));
    b.replace_meta(record, mark);
}

/// What an instance makes of a batch.
pub(super) fn payload(output: &dyn Output, b: &Batch) -> Payload {
    let mut p = Payload::new(b.tag().clone());
    p.records = b.len();
    output.format(&View::all(b), &mut p).unwrap();
    p
}

/// One attempt at delivering a batch.
pub(super) async fn send(output: &dyn Output, b: &Batch) -> Outcome {
    output.deliver(&mut payload(output, b)).await
}

/// The reason of an outcome that asks for a retry.
pub(super) fn retry(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry(why) | Outcome::Down(why) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// A folder of its own, removed at the end.
pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("collector-output-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
