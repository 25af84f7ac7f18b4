//! The namespaces that are known.

use super::tidy::Tidy;
use crate::fmt::json_span::find;
use crate::fmt::json_write::{JsonOpts, write_str};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Namespaces that are kept.
const MOST: usize = 4096;

/// Namespaces by name.
#[derive(Default)]
pub struct Spaces {
    labels: bool,
    annotations: bool,
    ttl: Option<Duration>,
    all: FxHashMap<Box<str>, (Rc<str>, Instant)>,
    version: u64,
}

impl Spaces {
    /// Keeps the labels or annotations of namespaces; an answer holds for `ttl`, or for ever.
    pub fn new(labels: bool, annotations: bool, ttl: Option<Duration>) -> Self {
        Self { labels, annotations, ttl, ..Self::default() }
    }

    /// Whether anybody wants to know.
    pub fn is_wanted(&self) -> bool {
        self.labels || self.annotations
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The map of a namespace as JSON, and whether it is time to ask anew.
    pub fn find(&self, name: &str, now: Instant) -> Option<(Rc<str>, bool)> {
        let (text, at) = self.all.get(name)?;
        Some((text.clone(), self.ttl.is_some_and(|ttl| now.saturating_duration_since(*at) >= ttl)))
    }

    /// What is known without an answer: the name.
    pub fn bare(name: &str) -> Rc<str> {
        let mut out = b"{\"name\":".to_vec();
        write_str(name.as_bytes(), JsonOpts::default(), &mut out);
        out.push(b'}');
        String::from_utf8_lossy(&out).into()
    }

    /// Takes the JSON of a namespace. Answers false when it is none.
    pub fn put(&mut self, name: &str, json: &[u8], now: Instant, tidy: &mut Tidy) -> bool {
        let Some(meta) = find(json, &["metadata"]) else { return false };
        let part = |wanted: bool, key: &'static str| {
            let value = find(meta, &[key]).filter(|v| wanted && *v != b"null")?;
            Some((key, std::str::from_utf8(value).ok()?))
        };
        let parts: Vec<_> =
            [part(self.labels, "labels"), part(self.annotations, "annotations")].into_iter().flatten().collect();
        let Some(text) = text(name, &parts, tidy) else { return false };
        if self.all.len() >= MOST && !self.all.contains_key(name) {
            let oldest = self.all.iter().min_by_key(|(_, (_, at))| *at).map(|(name, _)| name.clone());
            oldest.map(|name| self.all.remove(&name));
        }
        let old = self.all.insert(name.into(), (text.clone(), now));
        if old.is_none_or(|(old, _)| old != text) {
            self.version += 1;
        }
        true
    }
}

/// The map as JSON.
fn text(name: &str, parts: &[(&str, &str)], tidy: &mut Tidy) -> Option<Rc<str>> {
    let mut text = Spaces::bare(name).strip_suffix('}')?.to_owned();
    if !parts.is_empty() {
        let all: Vec<_> = parts.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        text.push(',');
        text.push_str(&tidy.entries(&all.join(","))?);
    }
    text.push('}');
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_kept_for_a_while() {
        let (now, ttl) = (Instant::now(), Duration::from_secs(900));
        let mut s = Spaces::new(true, false, Some(ttl));
        let json = br#"{"metadata":{"name":"a","labels":{"x":"y"},"annotations":{"n":"m"}},"spec":{}}"#;
        assert!(s.put("a", json, now, &mut Tidy::default()));
        assert_eq!(s.find("a", now), Some((r#"{"name":"a","labels":{"x":"y"}}"#.into(), false)));
        assert!(s.find("a", now + ttl).unwrap().1);
        let version = s.version();
        s.put("a", json, now + ttl, &mut Tidy::default());
        assert_eq!((s.version(), s.find("a", now + ttl).unwrap().1), (version, false));
        assert_eq!((s.find("b", now), &*Spaces::bare("b")), (None, r#"{"name":"b"}"#));
        assert!(!s.put("a", b"[]", now, &mut Tidy::default()));
        for n in 0..2 * MOST {
            s.put(&n.to_string(), json, now, &mut Tidy::default());
        }
        assert_eq!(s.all.len(), MOST);
    }
}
