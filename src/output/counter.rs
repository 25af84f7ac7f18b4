//! `counter`: prints how many records came.

use super::stdout::StandardOutput;
use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::View;
use crate::fmt::num;
use crate::rt::LocalFuture;
use crate::time::Time;
use std::cell::Cell;
use std::time::SystemTime;

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "counter",
        doc: "Prints the number of records of each chunk, and of all so far, on standard output.",
        keys: &[],
        unserved: &[],
        extra: &[],
    },
    make: |_| Some(Box::new(Counter::default())),
};

#[derive(Default)]
struct Counter {
    total: Cell<u64>,
    out: StandardOutput,
}

impl Output for Counter {
    fn format(&self, _view: &View<'_>, _out: &mut Payload) -> Result<(), Error> {
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async {
            let total = self.total.get() + payload.records as u64;
            line(Time::from_system(SystemTime::now()), payload.records as u64, total, &mut payload.bytes);
            let outcome = self.out.print(&payload.bytes).await;
            if matches!(outcome, Outcome::Done) {
                self.total.set(total);
            } else {
                payload.bytes.clear();
            }
            outcome
        })
    }
}

/// `{"ts":1795262730.488758,"serialized_events":1,"log_records":1,"total":1}`
fn line(now: Time, records: u64, total: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":");
    num::write_f64_fixed6(now.as_secs_f64(), out);
    for (key, n) in [("serialized_events", records), ("log_records", records), ("total", total)] {
        out.extend_from_slice(format!(",\"{key}\":").as_bytes());
        num::write_u64(n, out);
    }
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line() {
        let mut out = Vec::new();
        line(Time(1_795_262_730_488_758_000), 1, 7, &mut out);
        let want = "{\"ts\":1795262730.488758,\"serialized_events\":1,\"log_records\":1,\"total\":7}\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
