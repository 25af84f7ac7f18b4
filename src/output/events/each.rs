//! Records one by one, for datagrams.

use super::{Events, Form, raw};
use crate::event::View;
use crate::fmt::msgpack_write::write_event;
use crate::fmt::record::Container;
use crate::output::Payload;

impl Events {
    /// Each record in a datagram of its own: `items` says where each ends. All but msgpack end with a line feed.
    pub(in crate::output) fn write_each(&self, view: &View<'_>, out: &mut Payload) {
        let mut missing = 0;
        for record in view.records() {
            let bytes = &mut out.bytes;
            match &self.form {
                Form::Records(Container::Msgpack, _) => write_event(&record, bytes),
                Form::Records(container, format) => {
                    let (before, behind): (&[u8], &[u8]) =
                        if *container == Container::Json { (b"[", b"]\n") } else { (b"", b"\n") };
                    bytes.extend_from_slice(before);
                    format.write_object(&record, bytes);
                    bytes.extend_from_slice(behind);
                }
                Form::Raw(path) if !raw(path, &record, bytes) => {
                    missing += 1;
                    continue;
                }
                Form::Raw(_) => {}
            }
            let end = out.bytes.len();
            out.items.push((u32::try_from(end).unwrap_or(u32::MAX), record.index() as u32));
        }
        if let Form::Raw(path) = &self.form {
            self.say_missing(path, view, missing);
        }
    }
}
