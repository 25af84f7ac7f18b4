//! Events as they arrive become records.

use super::book::{Book, Version};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_span;
use crate::input::InputCx;
use crate::kube::{Fail, Seen};
use crate::rt::LocalFuture;
use crate::time::{Time, rfc3339};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Counted: events that happened too long ago.
const OLD: &str = "old events";

/// Makes records of what the server tells.
pub(super) struct Events {
    cx: InputCx,
    book: Rc<Book>,
    retention: Duration,
    reader: RefCell<JsonReader>,
}

impl Events {
    pub(super) fn new(cx: &InputCx, book: &Rc<Book>, retention: Duration) -> Self {
        cx.count(OLD, 0);
        Self { cx: cx.clone(), book: book.clone(), retention, reader: RefCell::default() }
    }
}

impl Seen for Events {
    fn begin(&self) {
        self.book.begin();
    }

    fn put(&self, object: &[u8]) {
        let (uid, version) = identity(object);
        if uid.is_empty() {
            return self.cx.lost(1, "an event has no uid");
        }
        if !self.book.is_new(&uid, version) {
            return;
        }
        let now = self.cx.now();
        let time = time(object).unwrap_or(now);
        if time < now.before(self.retention) {
            return self.cx.count(OLD, 1);
        }
        {
            let mut batch = self.cx.batch(self.cx.tag());
            let span = batch.arena_mut().push(object);
            let mark = batch.begin();
            if let Err(e) = self.reader.borrow_mut().object(&mut batch, span) {
                batch.abandon(mark);
                drop(batch);
                return self.cx.lost(1, &format!("an event is not JSON: {e}"));
            }
            batch.finish(mark, time);
        }
        let ack = self.book.enter(Version { uid: uid.into(), version, time });
        self.cx.commit_now(self.cx.tag(), ack);
    }

    fn gone(&self, object: &[u8]) {
        self.book.forget(&identity(object).0);
    }

    fn listed(&self) {
        self.book.listed();
    }

    fn failed(&self, _why: &Fail) {}

    fn skipped(&self, objects: u64) {
        self.cx.lost(objects, "an event is larger than 8 MiB");
    }

    fn room(&self) -> LocalFuture<'_, ()> {
        Box::pin(self.cx.wait_for_room())
    }
}

/// The uid and the version of an event; 0 where the version is no number.
fn identity(object: &[u8]) -> (String, u64) {
    let meta = json_span::find(object, &["metadata"]).unwrap_or_default();
    let text = |key| json_span::find_text(meta, &[key]).unwrap_or_default();
    (text("uid"), text("resourceVersion").parse().unwrap_or(0))
}

/// When an event last happened. Those of the newer kind have `eventTime`, and a series once they are counted up
/// (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).
fn time(object: &[u8]) -> Option<Time> {
    const FIELDS: [&[&str]; 5] = [
        &["lastTimestamp"],
        &["series", "lastObservedTime"],
        &["eventTime"],
        &["firstTimestamp"],
        &["metadata", "creationTimestamp"],
    ];
    FIELDS.iter().find_map(|path| rfc3339::parse(json_span::find_text(object, path)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_when_it_last_happened() {
        let at = |secs: i64| Some(Time(secs * 1_000_000_000));
        for (object, want) in [
            (r#"{"lastTimestamp":"1970-01-01T00:00:05Z","firstTimestamp":"1970-01-01T00:00:03Z"}"#, at(5)),
            (r#"{"lastTimestamp":null,"firstTimestamp":null,"eventTime":"1970-01-01T00:00:07.000000Z"}"#, at(7)),
            (
                r#"{"eventTime":"1970-01-01T00:00:07Z","series":{"count":2,"lastObservedTime":"1970-01-01T00:00:09Z"}}"#,
                at(9),
            ),
            (r#"{"firstTimestamp":"1970-01-01T00:00:03Z"}"#, at(3)),
            (r#"{"lastTimestamp":"yesterday","metadata":{"creationTimestamp":"1970-01-01T00:00:01Z"}}"#, at(1)),
            ("{}", None),
        ] {
            assert_eq!(time(object.as_bytes()), want, "{object}");
        }
        assert_eq!(identity(br#"{"metadata":{"uid":"u-1","resourceVersion":"12"}}"#), ("u-1".into(), 12));
        assert_eq!(identity(br#"{"metadata":{"resourceVersion":"x"}}"#), (String::new(), 0));
    }
}
