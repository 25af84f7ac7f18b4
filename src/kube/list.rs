//! A list, taken apart as it arrives (API concepts, "Collections" and "Retrieving large results sets in chunks").

use super::{Fail, MAX_OBJECT};
use crate::fmt::json_items::{JsonItems, Part};
use crate::fmt::json_span;

/// Takes a list apart.
#[derive(Debug)]
pub struct ListSplit {
    items: JsonItems,
    end: End,
    /// Objects that were passed over because they are too large.
    pub skipped: u64,
}

/// What a list says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The version of the collection, to watch from.
    pub version: String,
    /// Where the next page begins; `None` behind the last one.
    pub more: Option<String>,
}

impl Default for ListSplit {
    fn default() -> Self {
        Self { items: JsonItems::new("items", MAX_OBJECT), end: End::default(), skipped: 0 }
    }
}

impl ListSplit {
    /// Takes the next piece and tells `put` of each object that is whole now.
    ///
    /// # Errors
    /// When it is no list.
    pub fn feed(&mut self, piece: &[u8], mut put: impl FnMut(&[u8])) -> Result<(), Fail> {
        let Self { items, end, skipped } = self;
        let fed = items.feed(piece, |part| match part {
            Part::Item(object) if object.starts_with(b"{") => put(object),
            Part::Entry(b"metadata", meta) => {
                end.version = json_span::find_text(meta, &["resourceVersion"]).unwrap_or_default();
                end.more = json_span::find_text(meta, &["continue"]).filter(|t| !t.is_empty());
            }
            Part::TooLong => *skipped += 1,
            Part::Item(_) | Part::Entry(..) => {}
        });
        fed.map_err(|_| Fail::Other("the answer is no list of objects (does Kube_URL lead to an API server?)".into()))
    }

    /// What the list said, when it came to its end.
    ///
    /// # Errors
    /// When it did not.
    pub fn end(self) -> Result<End, Fail> {
        match self.items.is_done() {
            true => Ok(self.end),
            false => Err(Fail::Other("the list breaks off".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let text = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"12","continue":"ab\u003d"},
            "items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#;
        for step in [1, 10, 1000] {
            let (mut list, mut names) = (ListSplit::default(), Vec::new());
            for piece in text.chunks(step) {
                list.feed(piece, |o| names.push(json_span::find_text(o, &["metadata", "name"]).unwrap())).unwrap();
            }
            assert_eq!(names, ["a", "b"]);
            assert_eq!(list.end(), Ok(End { version: "12".into(), more: Some("ab=".into()) }));
        }
        let mut list = ListSplit::default();
        list.feed(br#"{"metadata":{"continue":"","resourceVersion":"7"},"items":null}"#, |_| panic!()).unwrap();
        assert_eq!(list.end(), Ok(End { version: "7".into(), more: None }));
    }

    #[test]
    fn what_is_no_list() {
        assert!(ListSplit::default().feed(b"<html>", |_| {}).unwrap_err().to_string().contains("Kube_URL"));
        let mut list = ListSplit::default();
        list.feed(b"{\"items\":[{}", |_| {}).unwrap();
        assert!(list.end().unwrap_err().to_string().contains("breaks off"));
    }
}
