//! Messages as records: the topic, and what the payload says.

use crate::event::{Batch, Key, cell};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_str};
use crate::fmt::mqtt::Publish;
use crate::time::Time;

/// The key of what is no JSON object, where `Payload_Key` does not say.
const PAYLOAD: &str = "payload";

/// Makes records of messages.
#[derive(Debug)]
pub struct Records {
    json: JsonReader,
    topic: Key,
    payload: Key,
    parse_error: Key,
    /// Payloads have a key of their own, objects too.
    is_nested: bool,
    /// `{"payload":`
    head: Vec<u8>,
    wrapped: Vec<u8>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A record of its JSON.
    Json,
    /// A record of its text.
    Text,
    /// A record of the beginning of its text.
    Cut,
}

impl Records {
    /// Payloads stand under this key; without one the fields of an object stand beside the topic.
    pub fn new(payload_key: Option<&str>) -> Self {
        let name = payload_key.unwrap_or(PAYLOAD);
        let mut head = vec![b'{'];
        write_str(name.as_bytes(), JsonOpts::default(), &mut head);
        head.push(b':');
        Self {
            json: JsonReader::default(),
            topic: Key::of("topic"),
            payload: Key::of(name),
            parse_error: Key::of("parse_error"),
            is_nested: payload_key.is_some(),
            head,
            wrapped: Vec::new(),
        }
    }

    /// Makes a message a record of `batch`.
    pub fn push(&mut self, batch: &mut Batch, message: &Publish<'_>, time: Time) -> Made {
        let mark = batch.begin();
        batch.push_text(self.topic, message.topic.as_bytes());
        let made = match message.lost {
            0 if !self.is_nested && self.beside(batch, message.payload) => Made::Json,
            0 if self.under(batch, message.payload) => Made::Json,
            0 => {
                batch.push_text(self.payload, message.payload);
                Made::Text
            }
            _ => {
                batch.push_text(self.payload, message.payload);
                batch.push_text(self.parse_error, b"the beginning of a payload longer than Buffer_Size");
                Made::Cut
            }
        };
        batch.finish(mark, time);
        made
    }

    /// The fields of an object beside the topic, unless one of them is called so, too.
    fn beside(&mut self, batch: &mut Batch, payload: &[u8]) -> bool {
        if !payload.trim_ascii_start().starts_with(b"{") {
            return false;
        }
        let mark = batch.begin();
        let text = batch.arena_mut().push(payload);
        if self.json.object(batch, text).is_err() {
            return false;
        }
        if cell::first_under(batch.since(mark).run(), self.topic).is_none() {
            return true;
        }
        batch.abandon(mark);
        false
    }

    /// Any JSON value under the payload's key.
    fn under(&mut self, batch: &mut Batch, payload: &[u8]) -> bool {
        self.wrapped.clear();
        self.wrapped.extend_from_slice(&self.head);
        self.wrapped.extend_from_slice(payload);
        self.wrapped.push(b'}');
        let mark = batch.begin();
        let text = batch.arena_mut().push(&self.wrapped);
        match self.json.object(batch, text) {
            Ok(1) => true,
            // It said more than a value.
            Ok(_) => {
                batch.abandon(mark);
                false
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::write_map;

    fn record(key: Option<&str>, payload: &[u8], lost: usize) -> (Made, String) {
        let mut batch = Batch::new(Tag::new("t"));
        let message = Publish { topic: "a/b", payload, lost, ..Publish::default() };
        let mut records = Records::new(key);
        // A record before it, and one behind.
        records.push(&mut batch, &message, Time(1));
        let made = records.push(&mut batch, &message, Time(7));
        assert_eq!((batch.len(), batch.record(1).time()), (2, Time(7)));
        let mut out = Vec::new();
        write_map(batch.body(1), JsonOpts::default(), &mut out);
        let [mut first, text] = [Vec::new(), out];
        write_map(batch.body(0), JsonOpts::default(), &mut first);
        assert_eq!(first, text);
        (made, String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_a_payload_becomes() {
        let table: &[(&[u8], Made, &str, &str)] = &[
            (br#"{"k":1,"s":"x"}"#, Made::Json, r#""k":1,"s":"x""#, r#""p":{"k":1,"s":"x"}"#),
            (b" {} ", Made::Json, "", r#""p":{}"#),
            (br#"{"m":{"topic":1}}"#, Made::Json, r#""m":{"topic":1}"#, r#""p":{"m":{"topic":1}}"#),
            (br#"{"topic":"own"}"#, Made::Json, r#""payload":{"topic":"own"}"#, r#""p":{"topic":"own"}"#),
            (b"23.5", Made::Json, r#""payload":23.5"#, r#""p":23.5"#),
            (b"[1,true]", Made::Json, r#""payload":[1,true]"#, r#""p":[1,true]"#),
            (b"null", Made::Json, r#""payload":null"#, r#""p":null"#),
            (b"on", Made::Text, r#""payload":"on""#, r#""p":"on""#),
            (b"", Made::Text, r#""payload":"""#, r#""p":"""#),
            (br#"{"k":1"#, Made::Text, r#""payload":"{\"k\":1""#, r#""p":"{\"k\":1""#),
            (br#"1,"x":2"#, Made::Text, r#""payload":"1,\"x\":2""#, r#""p":"1,\"x\":2""#),
            (br#"1},{"x":2"#, Made::Text, r#""payload":"1},{\"x\":2""#, r#""p":"1},{\"x\":2""#),
            (b"a\0\xffz", Made::Text, "\"payload\":\"a\\u0000\\ue0ffz\"", "\"p\":\"a\\u0000\\ue0ffz\""),
        ];
        for (payload, made, beside, under) in table {
            for (key, want) in [(None, beside), (Some("p"), under)] {
                let comma = if want.is_empty() { "" } else { "," };
                let want = format!("{{\"topic\":\"a/b\"{comma}{want}}}");
                assert_eq!(record(key, payload, 0), (*made, want), "{}", payload.escape_ascii());
            }
        }
        let (made, text) = record(None, br#"{"k":1,"#, 9);
        assert_eq!(made, Made::Cut);
        assert!(text.contains(r#""payload":"{\"k\":1,","parse_error":"the beginning of a payload longer"#), "{text}");
    }
}
