//! The events of a watch, as they arrive (API concepts, "Efficient detection of changes" and "Watch bookmarks").

use super::{Fail, MAX_OBJECT};
use crate::fmt::json_span;

/// What happened to a collection.
#[derive(Debug, PartialEq, Eq)]
pub enum WatchEvent<'a> {
    /// An object came or changed: its JSON.
    Put(&'a [u8]),
    /// An object went: what it was at last.
    Gone(&'a [u8]),
    /// Nothing; only the version moved on.
    Bookmark,
    /// An event was larger than an object may be, and is passed over.
    TooLong,
    /// The watch cannot go on.
    Failed(Fail),
}

/// Takes a watch apart: an event a line.
#[derive(Debug, Default)]
pub struct WatchSplit {
    line: Vec<u8>,
    cut: bool,
    /// The version of the last event, when one had one.
    pub version: Option<String>,
}

/// What is kept of the memory for a line.
const KEPT: usize = 32 << 10;

impl WatchSplit {
    /// Takes the next piece and tells `found` of each event that is whole now.
    pub fn feed(&mut self, piece: &[u8], mut found: impl FnMut(WatchEvent<'_>)) {
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(at);
            rest = behind.get(1..).unwrap_or_default();
            if self.line.is_empty() && !self.cut {
                self.event(line, &mut found);
                continue;
            }
            self.keep(line);
            if std::mem::take(&mut self.cut) {
                found(WatchEvent::TooLong);
            } else {
                let line = std::mem::take(&mut self.line);
                self.event(&line, &mut found);
                self.line = line;
            }
            self.line.clear();
            self.line.shrink_to(KEPT);
        }
        self.keep(rest);
    }

    fn keep(&mut self, part: &[u8]) {
        if self.cut || self.line.len() + part.len() > MAX_OBJECT {
            self.cut = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn event(&mut self, line: &[u8], found: &mut impl FnMut(WatchEvent<'_>)) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let (mut kind, mut object) = (None, None);
        for (key, value) in json_span::entries(line) {
            match key {
                b"type" => kind = Some(value),
                b"object" => object = Some(value),
                _ => {}
            }
        }
        let (Some(kind), Some(object)) = (kind, object.filter(|o| o.starts_with(b"{"))) else {
            return found(WatchEvent::Failed(Fail::Other("what the server sends is no event of a watch".into())));
        };
        if kind == b"\"ERROR\"" {
            return found(WatchEvent::Failed(failure(object)));
        }
        let event = match kind {
            b"\"ADDED\"" | b"\"MODIFIED\"" => WatchEvent::Put(object),
            b"\"DELETED\"" => WatchEvent::Gone(object),
            // A kind that is not known yet moves the version on at least.
            _ => WatchEvent::Bookmark,
        };
        found(event);
        let version = json_span::find_text(object, &["metadata", "resourceVersion"]).filter(|v| !v.is_empty());
        self.version = version.or(self.version.take());
    }
}

/// What a `Status` means.
fn failure(status: &[u8]) -> Fail {
    let code = json_span::find(status, &["code"]).and_then(|c| std::str::from_utf8(c).ok()?.parse().ok());
    // Old servers put no code beside the reason.
    let expired = json_span::find_text(status, &["reason"]).is_some_and(|r| r == "Expired" || r == "Gone");
    match code.unwrap_or(0) {
        410 => Fail::Gone,
        _ if expired => Fail::Gone,
        code => Fail::of(code, status, "", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], step: usize) -> (Vec<String>, Option<String>) {
        let (mut split, mut all) = (WatchSplit::default(), Vec::new());
        for piece in text.chunks(step) {
            split.feed(piece, |event| {
                all.push(match event {
                    WatchEvent::Put(o) => format!("put {}", o.len()),
                    WatchEvent::Gone(o) => format!("gone {}", o.len()),
                    WatchEvent::Failed(f) => f.to_string(),
                    other => format!("{other:?}"),
                });
            });
        }
        (all, split.version)
    }

    #[test]
    fn events_however_they_arrive() {
        let text = br#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"3"}}}
{"object":{"metadata":{}},"type":"MODIFIED"}

{"type":"DELETED","object":{"metadata":{"resourceVersion":"5"}}}
{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}
{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}
{"type":"ERROR","object":{"kind":"Status","message":"etcd","code":500}}
not json
{"type":"ADDED","object":{"unfinished"#;
        for step in [1, 2, 13, 4000] {
            let (all, version) = read(text, step);
            assert_eq!(
                all,
                [
                    "put 36",
                    "put 15",
                    "gone 36",
                    "Bookmark",
                    "the server has forgotten what was asked for (410)",
                    "the server answers 500, etcd",
                    "what the server sends is no event of a watch"
                ],
                "{step}"
            );
            assert_eq!(version.as_deref(), Some("9"));
        }
    }

    #[test]
    fn a_long_event_is_passed_over() {
        let long = format!("{{\"type\":\"ADDED\",\"object\":{{\"x\":\"{}\"}}}}\n", "x".repeat(MAX_OBJECT));
        let text = format!("{long}{{\"type\":\"ADDED\",\"object\":{{}}}}\n");
        let mut split = WatchSplit::default();
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(16 << 10) {
            split.feed(piece, |e| all.push(matches!(e, WatchEvent::TooLong)));
            assert!(split.line.capacity() <= 2 * MAX_OBJECT);
        }
        assert_eq!(all, [true, false]);
        assert!(split.line.capacity() <= KEPT);
    }
}
