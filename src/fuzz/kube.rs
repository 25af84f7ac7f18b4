//! What an API server may send.

use crate::event::Arena;
use crate::fmt::json_span;
use crate::kube::{Fail, ListSplit, WatchEvent, WatchSplit};
use crate::net::ask::Head;
use crate::net::web::{Body, Framing};
use serde_json::Value;

/// An answer: the first byte says whether it is a list, a watch or a refusal, the second in how large pieces it arrives. However it
/// arrives, the same objects come of it.
pub fn kube_api(data: &[u8]) {
    let Some((&[kind, step], bytes)) = data.split_first_chunk() else { return };
    let Ok(Some((head, len))) = Head::parse(bytes) else { return };
    let rest = bytes.get(len..).unwrap_or_default();
    let step = usize::from(step % 64) + 1;
    let Some(body) = unwrapped(head.framing, rest, step) else { return };
    assert_eq!(Some(&body), unwrapped(head.framing, rest, usize::MAX).as_ref());
    match kind % 3 {
        0 => {
            let (whole, pieces) = (list(&body, usize::MAX), list(&body, step));
            assert_eq!(whole, pieces);
            // The same as a reader that takes the whole text.
            if let (Some(objects), Ok(Value::Object(all))) = (whole, serde_json::from_slice(&body))
                && memchr::memmem::find_iter(&body, b"\"items\"").count() == 1
                && let Some(Value::Array(items)) = all.get("items")
            {
                let want: Vec<&Value> = items.iter().filter(|v| v.is_object()).collect();
                assert_eq!(objects.len(), want.len());
                for (object, want) in objects.iter().zip(want) {
                    assert_eq!(serde_json::from_slice::<Value>(object).ok().as_ref(), Some(want));
                }
            }
        }
        1 => assert_eq!(watch(&body, usize::MAX), watch(&body, step)),
        _ => {
            let said = Fail::of(head.status, &body, "/api/v1/namespaces/n/pods?watch=1", None).to_string();
            assert!(said.len() < 4096 && !said.contains(char::is_control), "{said}");
        }
    }
    for (_, value) in json_span::entries(&body) {
        let _ = (json_span::elements(value).count(), json_span::text(value));
    }
}

fn unwrapped(framing: Option<Framing>, bytes: &[u8], step: usize) -> Option<Vec<u8>> {
    let Some(framing) = framing else { return Some(bytes.to_vec()) };
    let (mut body, mut out) = (Body::new(framing), Arena::default());
    for piece in bytes.chunks(step) {
        body.take(piece, &mut out, usize::MAX).ok()?;
    }
    Some(out.as_slice().to_vec())
}

/// The objects of a list; `None` when it is none.
fn list(body: &[u8], step: usize) -> Option<Vec<Vec<u8>>> {
    let (mut split, mut all) = (ListSplit::default(), Vec::new());
    for piece in body.chunks(step.min(body.len().max(1))) {
        split.feed(piece, |object| all.push(object.to_vec())).ok()?;
    }
    split.end().ok().map(|_| all)
}

/// What a watch told, and the version it came to.
fn watch(body: &[u8], step: usize) -> (Vec<String>, Option<String>) {
    let (mut split, mut all) = (WatchSplit::default(), Vec::new());
    for piece in body.chunks(step.min(body.len().max(1))) {
        split.feed(piece, |event| {
            if let WatchEvent::Put(object) | WatchEvent::Gone(object) = event {
                assert!(object.starts_with(b"{") && object.ends_with(b"}"));
            }
            all.push(format!("{event:?}"));
        });
    }
    (all, split.version)
}
