//! Tags of requests and of their records.

use crate::event::{Accessor, Batch, Tag, Value};
use crate::input::{Ack, InputCx};
use crate::plugin::MakeCx;
use std::borrow::Cow;
use std::cell::RefCell;

/// The longest tag, in bytes.
const LONGEST: usize = 256;
/// Different tags that the records of one request may have: each makes a batch of its own.
const MOST: usize = 256;

/// The tag that a path stands for; `None` when it is too long.
pub fn of_path(path: &str, default: &Tag) -> Option<Tag> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(default.clone());
    }
    let mut text = Vec::with_capacity(path.len());
    crate::util::percent::decode(path.as_bytes(), false, &mut text);
    let clean: String =
        text.iter().map(|&b| if b.is_ascii_alphanumeric() || b == b'.' { char::from(b) } else { '_' }).collect();
    (clean.len() <= LONGEST).then(|| Tag::new(&clean))
}

/// Puts records where their tags say.
pub struct Tags {
    key: Option<Accessor>,
    /// Records before they are told apart.
    scratch: RefCell<Option<Box<Batch>>>,
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tags").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tags {
    /// With `Tag_Key` each record may name its tag.
    pub fn load(cx: &mut MakeCx<'_>, key: Option<&str>) -> Option<Self> {
        let key = match key.map(Accessor::parse) {
            None => None,
            Some(Ok(key)) => Some(key),
            Some(Err(why)) => return cx.refuse("Tag_Key", why, "Write the name of a key, or a path: $a['b']"),
        };
        Some(Self { key, scratch: RefCell::default() })
    }

    /// Has `read` write records into the open batch of the tag and commits them; when it fails nothing stays of them.
    ///
    /// # Errors
    /// Those of `read`, and too many tags.
    pub fn fill<E: From<(u16, String)>>(
        &self,
        cx: &InputCx,
        tag: &Tag,
        ack: Option<&Ack>,
        read: impl FnOnce(&mut Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(key) = &self.key {
            return self.spread(key, cx, tag, ack, read);
        }
        let done = {
            let mut batch = cx.batch(tag);
            let stand = batch.stand();
            let done = read(&mut batch);
            if done.is_err() {
                batch.go_back(&stand);
            }
            done
        };
        // Also after a failure: the batch may hold more memory than before.
        cx.commit_now(tag, ack.filter(|_| done.is_ok()).cloned());
        done
    }

    fn spread<E: From<(u16, String)>>(
        &self,
        key: &Accessor,
        cx: &InputCx,
        tag: &Tag,
        ack: Option<&Ack>,
        read: impl FnOnce(&mut Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scratch = self.scratch.borrow_mut();
        let scratch = scratch.get_or_insert_with(|| Box::new(Batch::new(cx.tag().clone())));
        scratch.recycle(cx.tag().clone(), 64 << 10);
        read(scratch)?;
        let mut tags: Vec<Tag> = Vec::new();
        let mut places = Vec::with_capacity(scratch.len());
        for record in scratch.records() {
            let text = match key.get(record.body()) {
                Some(Value::Str(text)) => text.bytes(),
                _ => Cow::Borrowed(&b""[..]),
            };
            let named = std::str::from_utf8(&text).ok().filter(|t| !t.is_empty() && t.len() <= LONGEST);
            let named = named.unwrap_or(tag);
            let place = match tags.iter().rposition(|t| **t == *named) {
                Some(place) => place,
                None if tags.len() == MOST => {
                    return Err((400, format!("the records of one request name more than {MOST} tags")).into());
                }
                None => {
                    tags.push(Tag::new(named));
                    tags.len() - 1
                }
            };
            places.push(place);
        }
        for (n, tag) in tags.iter().enumerate() {
            let mut batch = cx.batch(tag);
            let mine = scratch.records().zip(&places).filter(|(_, place)| **place == n);
            mine.for_each(|(record, _)| batch.push_record(&record));
            drop(batch);
            cx.commit_now(tag, ack.cloned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let default = Tag::new("http.0");
        for (path, want) in [
            ("/", "http.0"),
            ("", "http.0"),
            ("/app.log", "app.log"),
            ("/a/b", "a_b"),
            ("/a-b_c%2ed%C3%A9", "a_b_c.d__"),
            ("//", "_"),
        ] {
            assert_eq!(of_path(path, &default).as_deref(), Some(want), "{path}");
        }
        assert_eq!(of_path(&format!("/{}", "x".repeat(257)), &default), None);
    }
}
