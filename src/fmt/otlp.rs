//! OpenTelemetry's logs as protobuf: one resource, one scope, a log record for each record.
//!
//! Source: opentelemetry-proto 1.x (`logs.proto`, `common.proto`, `logs_service.proto`) and the logs data model.

use super::proto::{self, Field, message};
use super::without::{Left, Without};
use crate::event::{Accessor, Cells, Key, Record, Text, Value, View};

/// Where a field of a log record is looked for: under `otlp` in the metadata, then at a path of the metadata, then at one of
/// the body.
#[derive(Debug, Clone)]
pub struct Place {
    /// The name under `otlp`.
    pub name: Key,
    /// The path in the metadata.
    pub metadata: Option<Accessor>,
    /// The path in the body.
    pub body: Option<Accessor>,
}

impl Place {
    fn find<'a, T>(
        &self,
        record: &Record<'a>,
        otlp: Option<Cells<'a>>,
        fit: impl Fn(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        otlp.and_then(|map| map.find(self.name))
            .and_then(&fit)
            .or_else(|| self.metadata.as_ref()?.get(record.meta()).and_then(&fit))
            .or_else(|| self.body.as_ref()?.get(record.body()).and_then(&fit))
    }
}

/// How records become log records.
#[derive(Debug)]
pub struct OtlpLogs {
    /// The first of these that a record has is its body; all of the record is, where it has none.
    pub body_keys: Vec<Accessor>,
    /// What is left of such a record becomes attributes.
    pub rest_is_attributes: bool,
    /// The key of the metadata that holds the fields of a log record.
    pub metadata_key: Key,
    /// `time_unix_nano`
    pub timestamp: Place,
    /// `observed_time_unix_nano`
    pub observed: Place,
    /// `severity_text`
    pub severity_text: Place,
    /// `severity_number`, 1 to 24
    pub severity_number: Place,
    /// `flags`
    pub trace_flags: Place,
    /// `trace_id`: 16 bytes, or 32 hex digits
    pub trace_id: Place,
    /// `span_id`: 8 bytes, or 16 hex digits
    pub span_id: Place,
    /// `attributes`
    pub attributes: Place,
}

impl OtlpLogs {
    /// Appends a request with all records. Answers how many have fields that are not in it.
    pub fn write(&self, view: &View<'_>, out: &mut Vec<u8>) -> usize {
        let (mut skip, mut cut) = (Vec::new(), 0);
        // ExportLogsServiceRequest.resource_logs
        message(1, out, |out| {
            // ResourceLogs.resource and .scope_logs
            message(1, out, |_| {});
            message(2, out, |out| {
                // ScopeLogs.scope and .log_records
                message(1, out, |_| {});
                for record in view.records() {
                    message(2, out, |out| cut += usize::from(self.record(&record, &mut skip, out)));
                }
            });
        });
        cut
    }

    /// Appends a log record. Answers whether fields of the record are not in it.
    fn record(&self, record: &Record<'_>, skip: &mut Vec<usize>, out: &mut Vec<u8>) -> bool {
        let otlp = match record.meta().find(self.metadata_key) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        };
        let nanos = |v| match v {
            Value::Int(n) => u64::try_from(n).ok(),
            Value::Uint(n) => Some(n),
            _ => None,
        };
        let time = self.timestamp.find(record, otlp, nanos).or_else(|| u64::try_from(record.time().0).ok());
        if let Some(time) = time.filter(|t| *t > 0) {
            proto::fixed64(1, time, out);
        }
        let severity = self.severity_number.find(record, otlp, |v| nanos(v).filter(|n| (1..=24).contains(n)));
        if let Some(number) = severity {
            proto::uint(2, number, out);
        }
        if let Some(text) = self.severity_text.find(record, otlp, |v| v.as_text()) {
            string(3, &text.bytes(), out);
        }
        let (body, found) = match self.body_keys.iter().find_map(|path| Some((path, path.get(record.body())?))) {
            Some((path, value)) => (value, Some(path)),
            None => (Value::Map(record.body()), None),
        };
        message(5, out, |out| any_value(&body, out));
        for (key, value) in record.meta().filter(|(key, _)| *key != self.metadata_key) {
            key_value(6, record.meta().name(key), &Left::Whole(value), out);
        }
        let mut is_cut = false;
        if let Some(path) = found {
            let rest = Without::new(record.body(), std::slice::from_ref(path), skip);
            match self.rest_is_attributes {
                true => rest.entries().for_each(|(key, left)| key_value(6, rest.name(key), &left, out)),
                false => is_cut = rest.entries().next().is_some(),
            }
        }
        let attributes = self.attributes.find(record, otlp, |v| match v {
            Value::Map(map) => Some(map),
            _ => None,
        });
        if let Some(map) = attributes {
            map.for_each(|(key, value)| key_value(6, map.name(key), &Left::Whole(value), out));
        }
        if let Some(flags) = self.trace_flags.find(record, otlp, nanos).filter(|n| *n > 0) {
            proto::fixed32(8, flags as u32, out);
        }
        if let Some(id) = self.trace_id.find(record, otlp, id::<16>) {
            proto::bytes(9, &id, out);
        }
        if let Some(id) = self.span_id.find(record, otlp, id::<8>) {
            proto::bytes(10, &id, out);
        }
        if let Some(time) = self.observed.find(record, otlp, nanos).filter(|t| *t > 0) {
            proto::fixed64(11, time, out);
        }
        is_cut
    }
}

/// An id: so many bytes, or twice as many hex digits.
fn id<const N: usize>(value: Value<'_>) -> Option<[u8; N]> {
    let text = match value {
        Value::Bin(bytes) => return bytes.try_into().ok(),
        Value::Str(text) => text.bytes(),
        _ => return None,
    };
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let mut id = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(id)
}

/// KeyValue
fn key_value(field: u32, key: &[u8], value: &Left<'_, '_>, out: &mut Vec<u8>) {
    message(field, out, |out| {
        string(1, key, out);
        message(2, out, |out| match value {
            Left::Whole(value) => any_value(value, out),
            // AnyValue.kvlist_value
            Left::Part(map) => message(6, out, |out| {
                map.entries().for_each(|(key, left)| key_value(1, map.name(key), &left, out));
            }),
        });
    });
}

/// AnyValue. Nothing is a value, too; text that is no UTF-8 is bytes, a number beyond 63 bits is text.
fn any_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Str(text) => any_text(text, out),
        Value::Bool(v) => proto::uint(2, u64::from(*v), out),
        Value::Int(v) => proto::uint(3, *v as u64, out),
        Value::Uint(v) => proto::bytes(1, v.to_string().as_bytes(), out),
        Value::Float(v) => proto::fixed64(4, v.to_bits(), out),
        Value::Array(cells) => message(5, out, |out| {
            cells.for_each(|(_, value)| message(1, out, |out| any_value(&value, out)));
        }),
        Value::Map(map) => message(6, out, |out| {
            map.for_each(|(key, value)| key_value(1, map.name(key), &Left::Whole(value), out));
        }),
        Value::Bin(bytes) => proto::bytes(7, bytes, out),
    }
}

fn any_text(text: &Text<'_>, out: &mut Vec<u8>) {
    let bytes = text.bytes();
    let field = if text.is_clean() || std::str::from_utf8(&bytes).is_ok() { 1 } else { 7 };
    proto::bytes(field, &bytes, out);
}

/// Text where only UTF-8 is allowed: U+FFFD stands for what is none.
fn string(field: u32, text: &[u8], out: &mut Vec<u8>) {
    proto::bytes(field, String::from_utf8_lossy(text).as_bytes(), out);
}

/// What an answer (ExportLogsServiceResponse) says of records that the server left out: their number, and why.
pub fn left_out(answer: &[u8]) -> Option<(u64, String)> {
    let partial = proto::fields(answer).find_map(|field| match field {
        (1, Field::Bytes(partial)) => Some(partial),
        _ => None,
    })?;
    let (mut records, mut why) = (0, String::new());
    for field in proto::fields(partial) {
        match field {
            (1, Field::Number(n)) => records = n,
            (2, Field::Bytes(text)) => why = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    (records > 0 || !why.is_empty()).then_some((records, why))
}

#[cfg(test)]
mod tests;
