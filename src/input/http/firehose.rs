//! Requests of Amazon Data Firehose: a JSON object with records in base64, answered in JSON
//! (Developer Guide, "HTTP endpoint delivery request and response specifications").

use super::payload::{Reader, Wrong};
use crate::event::{Batch, Key, Tag, Value};
use crate::fmt::codec::Codec;
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_str};
use crate::net::web::{Head, Response};
use crate::time::Time;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::time::SystemTime;

/// The longest request id that is given back, in bytes.
const LONGEST_ID: usize = 256;
/// Unpacked, the data of one record may be so long, in bytes: 10 of the 64 MiB that Firehose sends at most.
const LARGEST: usize = 10 << 20;

/// A request, known by its header.
#[derive(Debug)]
pub(super) struct Request {
    id: String,
}

impl Request {
    /// `None` when this is no such request.
    pub(super) fn of(head: &Head) -> Option<Self> {
        let id = head.text("x-amz-firehose-request-id")?;
        Some(Self { id: id.chars().take(LONGEST_ID).collect() })
    }

    /// The answer that Firehose understands; only status 200 means that the records were taken.
    pub(super) fn answer(&self, status: u16, error: Option<&str>) -> Response {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut body = b"{\"requestId\":".to_vec();
        write_str(self.id.as_bytes(), JsonOpts::default(), &mut body);
        body.extend_from_slice(format!(",\"timestamp\":{now}").as_bytes());
        if let Some(error) = error {
            body.extend_from_slice(b",\"errorMessage\":");
            write_str(error.as_bytes(), JsonOpts::default(), &mut body);
        }
        body.push(b'}');
        Response::json(status, body)
    }

    /// Appends the records: the objects in the data of each, or its lines.
    pub(super) fn read(
        &self,
        reader: &mut Reader,
        body: &[u8],
        batch: &mut Batch,
        now: Time,
    ) -> Result<(), (u16, String)> {
        let mut outer = Batch::new(Tag::new(""));
        let text = outer.arena_mut().push(body);
        let mark = outer.begin();
        let wrong = |why: String| (400, format!("not a request of Amazon Data Firehose: {why}"));
        JsonReader::default().object(&mut outer, text).map_err(|e| wrong(e.to_string()))?;
        let request = outer.since(mark);
        if let Some(Value::Str(id)) = request.find(Key::of("requestId"))
            && id.bytes() != self.id.as_bytes()
        {
            return Err(wrong("requestId is not that of X-Amz-Firehose-Request-Id".into()));
        }
        let Some(Value::Array(records)) = request.find(Key::of("records")) else {
            return Err(wrong("it has no records".into()));
        };
        let (key, mut data) = (Key::of("data"), Vec::new());
        for (n, (_, record)) in records.enumerate() {
            let packed = match record {
                Value::Map(record) => record.find(key).and_then(|v| v.as_text()),
                _ => None,
            };
            let Some(packed) = packed else { return Err(wrong(format!("record {n} has no data"))) };
            data.clear();
            BASE64_STANDARD
                .decode_vec(packed.bytes(), &mut data)
                .map_err(|e| wrong(format!("the data of record {n} is not base64: {e}")))?;
            // CloudWatch Logs packs what it gives to Firehose.
            if data.starts_with(&[0x1f, 0x8b]) {
                let mut plain = Vec::new();
                Codec::Gzip.unpack(&data, LARGEST, &mut plain).map_err(|e| wrong(format!("record {n}: {e}")))?;
                data = plain;
            }
            one(reader, &data, batch, now);
        }
        Ok(())
    }
}

/// The records in one piece of data: JSON objects, else lines of text.
fn one(reader: &mut Reader, data: &[u8], batch: &mut Batch, now: Time) {
    let stand = batch.stand();
    let read = match data.trim_ascii_start().first() {
        Some(b'{' | b'[') => reader.json(data, batch, now),
        _ => Err(Wrong { at: 0, why: String::new() }),
    };
    if read.is_ok() {
        return;
    }
    batch.go_back(&stand);
    let key = Key::of("log");
    for line in data.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)).filter(|l| !l.is_empty()) {
        let mark = batch.begin();
        batch.push_text(key, line);
        batch.finish(mark, now);
    }
}
