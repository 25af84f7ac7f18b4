//! `stdout`: shows the records that pass on standard output, in the form for people.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::PluginInfo;
use crate::event::Batch;
use crate::fmt::{num, text};
use crate::parse::pace::Pace;
use crate::plugin::MakeCx;
use crate::rt::FdWriter;
use std::io::ErrorKind;
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "stdout",
        doc: "Shows the records that pass on standard output: `[0] tag: [[1700000000.000000005, {}], {\"key\"=>\"value\"}]`.",
        keys: &[],
        unserved: &[],
        extra: &[],
    },
    make: |cx| Some(make(cx)),
};

/// What may wait for a slow reader, in bytes; records beyond it are not shown.
const WAITING_MAX: usize = 1 << 20;

#[derive(Debug)]
struct Stdout {
    label: String,
    out: Option<Rc<FdWriter>>,
    text: Vec<u8>,
    pace: Pace,
}

fn make(cx: &MakeCx<'_>) -> Box<dyn Filter> {
    Box::new(Stdout { label: cx.label(), out: None, text: Vec::new(), pace: Pace::default() })
}

impl Filter for Stdout {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        let gone = self.out.as_ref().is_some_and(|out| out.failed() == Some(ErrorKind::BrokenPipe));
        let shown = !gone && {
            self.text.clear();
            write(batch, &mut self.text);
            self.show()
        };
        if !shown && let Some(held) = self.pace.allow(cx.now) {
            let why = match self.out.as_ref().map(|out| out.failed()) {
                Some(None) => "the reader of standard output is too slow".to_owned(),
                Some(Some(ErrorKind::BrokenPipe)) => "the reader of standard output went away".to_owned(),
                Some(Some(kind)) => format!("standard output cannot be written: {kind}"),
                None => "standard output is closed".to_owned(),
            };
            log::warn!("[{}] {why}: records are not shown; they go on to the outputs{held}", self.label);
        }
    }
}

impl Stdout {
    /// Posts the text; opens standard output at the first time.
    fn show(&mut self) -> bool {
        if self.out.is_none() {
            self.out = FdWriter::stdout().ok();
        }
        self.out.as_ref().is_some_and(|out| out.post(&self.text, WAITING_MAX))
    }
}

/// Appends the fresh records, numbered from 0.
fn write(batch: &Batch, out: &mut Vec<u8>) {
    for (n, i) in batch.fresh().enumerate() {
        out.push(b'[');
        num::write_u64(n as u64, out);
        out.extend_from_slice(b"] ");
        out.extend_from_slice(batch.tag().as_bytes());
        out.extend_from_slice(b": ");
        text::write_record(&batch.record(i), out);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{START, append, batch, instance, json, refused};
    use crate::rt;
    use crate::time::Time;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn fresh_records_are_numbered_from_zero() {
        let mut b = batch("d.x", &[r#"{"old":1}"#]);
        b.settle();
        append(&mut b, &[r#"{"a":"x \"y\"","n":1,"f":1.5}"#, r#"{"z":null,"l":[1,"q"],"m":{"k":"v"}}"#]);
        let mut out = Vec::new();
        write(&b, &mut out);
        let (first, second) = (START + 1, START + 2);
        let expected = format!(
            "[0] d.x: [[{first}.000000000, {{}}], {{\"a\"=>\"x \"y\"\", \"n\"=>1, \"f\"=>1.500000}}]\n\
             [1] d.x: [[{second}.000000000, {{}}], {{\"z\"=>nil, \"l\"=>[1, \"q\"], \"m\"=>{{\"k\"=>\"v\"}}}}]\n"
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn a_closed_or_full_pipe_stops_nothing() {
        rt::run(async {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let out = Rc::new(FdWriter::new(writer.as_fd()).unwrap());
            let mut f = Stdout { label: "t".into(), out: Some(out.clone()), text: Vec::new(), pace: Pace::default() };
            let mut cx = FilterCx::new(Time(0));
            let mut b = batch("t", &[r#"{"a":1}"#]);
            f.apply(&mut b, &mut cx);
            let mut seen = [0; 64];
            let n = reader.read(&mut seen).unwrap();
            assert_eq!(&seen[..n], format!("[0] t: [[{START}.000000000, {{}}], {{\"a\"=>1}}]\n").as_bytes());
            // Nobody reads: what is too much is not shown.
            let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
            for _ in 0..40 {
                append(&mut b, &[&long]);
                f.apply(&mut b, &mut cx);
                b.settle();
            }
            assert!(f.pace.allow(Time(0)).is_none(), "it was said");
            drop(reader);
            out.settle().await;
            append(&mut b, &[r#"{"a":2}"#]);
            f.apply(&mut b, &mut cx);
            assert_eq!(out.failed(), Some(ErrorKind::BrokenPipe));
            assert_eq!((b.fresh().len(), json(b.body(b.len() - 1)).as_str()), (1, r#"{"a":2}"#));
        })
        .unwrap();
    }

    #[test]
    fn it_has_no_keys() {
        assert!(refused(&PLUGIN, &[("Format", "json")]).contains("unknown configuration property 'Format'"));
        drop(instance(&PLUGIN, &[]));
    }
}
