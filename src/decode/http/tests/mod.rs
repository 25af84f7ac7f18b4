//! Conversations as they happen on the wire, and the documents they become.

mod content;
mod fields;
mod hostile;
mod loss;
mod order;

use super::PROTOCOL;
use crate::conf::Section;
use crate::decode::talk::Talk;
use crate::decode::{Decoder, Dir, MakeProtocol, Transport};
use crate::error::Diags;
use serde_json::Value;
use std::time::Duration;

const C: Dir = Dir::Forward;
const S: Dir = Dir::Back;

fn decoder(keys: &[(&str, &str)]) -> Box<dyn Decoder> {
    let mut diags = Diags::new();
    let section = Section::of("INPUT", keys);
    let mut cx = MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) };
    let made = (PROTOCOL.make)(&mut cx);
    assert_eq!(diags.to_string(), "");
    made.unwrap()
}

/// A connection to port 80 with default keys.
fn talk() -> Talk {
    talk_with(&[])
}

fn talk_with(keys: &[(&str, &str)]) -> Talk {
    Talk::new(&*decoder(keys), Transport::Tcp, 80)
}

/// The documents of a connection on which these bytes were sent, 10 ms after each other.
fn docs(keys: &[(&str, &str)], sent: &[(Dir, &str)]) -> Vec<Value> {
    let mut t = talk_with(keys);
    for (dir, text) in sent {
        t.send(*dir, text.as_bytes());
        t.wait(10);
    }
    t.finish()
}

/// The only one of these documents.
#[track_caller]
fn one(docs: Vec<Value>) -> Value {
    assert_eq!(docs.len(), 1, "{docs:#?}");
    docs.into_iter().next().unwrap()
}

/// `query status notes` of each document, in their order: `GET /a 200 ["note"]`.
fn told(docs: &[Value]) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    docs.iter()
        .map(|d| {
            let code = d["http"]["response"]["status_code"].as_u64().map_or("-".to_owned(), |c| c.to_string());
            let notes = match &d["error"]["message"] {
                Value::Null => String::new(),
                Value::String(one) => format!(" {one}"),
                list => format!(" {list}"),
            };
            format!("{} {code} {}{notes}", text(&d["query"]), text(&d["status"]))
        })
        .collect()
}
