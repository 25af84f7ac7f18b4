//! The formats of outputs that send whole records without any more: `tcp` and `udp`.

#[cfg(feature = "network")]
mod each;

use crate::conf::formats::DateKey;
use crate::event::access::Accessor;
use crate::event::{Record, Value, View};
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::{Container, RecordFormat};
use crate::fmt::text;
use crate::plugin::MakeCx;
use crate::util::ratelimit::RateLimit;
use std::cell::RefCell;
use std::time::Instant;

/// How an instance writes records.
pub(super) struct Events {
    label: String,
    form: Form,
    said: RefCell<RateLimit>,
}

enum Form {
    Records(Container, RecordFormat),
    Raw(Accessor),
}

impl Events {
    /// What `Format`, `Json_Date_Format`, `Json_Date_Key` and `Raw_Message_Key` ask for.
    pub(super) fn new(
        cx: &mut MakeCx<'_>,
        container: Container,
        date_format: DateFormat,
        date_key: &DateKey,
        raw_key: Option<&str>,
    ) -> Option<Self> {
        let form = match raw_key {
            Some(key) => match Accessor::parse(key) {
                Ok(path) => Form::Raw(path),
                Err(why) => return cx.refuse("Raw_Message_Key", format!("Raw_Message_Key: {why}"), "Name a field."),
            },
            None => Form::Records(container, RecordFormat::new(date_key.0.as_deref(), date_format, cx.json)),
        };
        Some(Self { label: cx.label(), form, said: RefCell::default() })
    }

    /// All records in one piece.
    pub(super) fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        let path = match &self.form {
            Form::Records(container, record) => return record.write(*container, view, out),
            Form::Raw(path) => path,
        };
        let mut missing = 0;
        for record in view.records() {
            missing += u64::from(!raw(path, &record, out));
        }
        self.say_missing(path, view, missing);
    }

    fn say_missing(&self, path: &Accessor, view: &View<'_>, missing: u64) {
        if missing > 0 && self.said.borrow_mut().allow(b"missing", Instant::now()).is_some() {
            let (label, key) = (&self.label, path.text());
            log::warn!("[{label}] {missing} record(s) of '{}' have no '{key}' and are left out", view.tag());
        }
    }
}

/// Appends the field and a line feed; `false` when the record does not have it.
fn raw(path: &Accessor, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
    match path.get(record.body()) {
        Some(Value::Str(t)) => text::write_text(t, out),
        Some(value) => text::write_value(&value, out),
        None => return false,
    }
    out.push(b'\n');
    true
}
