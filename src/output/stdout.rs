//! `stdout`: records on the screen.

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::conf::formats::DateKey;
use crate::error::Error;
use crate::event::View;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::{Container, RecordFormat};
use crate::fmt::{num, text};
use crate::plugin::MakeCx;
use crate::rt::{FdWriter, LocalFuture};
use std::io::{self, ErrorKind};
use std::rc::Rc;

crate::conf_enum! {
    /// How records are shown.
    pub enum Format {
        /// For people: `[0] tag: [[1700000000.000000005, {}], {"key"=>"value"}]`.
        Text = "msgpack",
        /// One JSON array per chunk.
        Json = "json",
        /// One JSON object a line.
        JsonLines = "json_lines",
        /// JSON objects one behind the other.
        JsonStream = "json_stream",
    }
}

crate::config! {
    /// Keys of stdout.
    pub struct StdoutConf {
        /// `msgpack` shows records in a form for people.
        format: Format => "Format" = "msgpack",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "stdout",
        doc: "Prints records on standard output.",
        keys: StdoutConf::KEYS,
        unserved: StdoutConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    Some(Box::new(Stdout { printer: Printer::make(cx)?, out: StandardOutput::default() }))
}

struct Stdout {
    printer: Printer,
    out: StandardOutput,
}

impl Output for Stdout {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        self.printer.write(view, &mut out.bytes);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(self.out.print(&payload.bytes))
    }

    /// Nobody is there to read them.
    fn keeps_rejected(&self) -> bool {
        false
    }
}

/// Turns records into what stdout shows: for the output and for the filter of that name.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    record: RecordFormat,
}

impl Printer {
    /// Reads the keys.
    pub fn make(cx: &mut MakeCx<'_>) -> Option<Self> {
        let conf = StdoutConf::load(cx.section, cx.diags)?;
        let record = RecordFormat::new(conf.json_date_key.0.as_deref(), conf.json_date_format, cx.json);
        Some(Self { format: conf.format, record })
    }

    /// Appends the records of one chunk.
    pub fn write(&self, view: &View<'_>, out: &mut Vec<u8>) {
        let container = match self.format {
            Format::Text => {
                for (n, record) in view.records().enumerate() {
                    out.push(b'[');
                    num::write_u64(n as u64, out);
                    out.extend_from_slice(b"] ");
                    out.extend_from_slice(view.tag().as_bytes());
                    out.extend_from_slice(b": ");
                    text::write_record(&record, out);
                    out.push(b'\n');
                }
                return;
            }
            Format::Json => Container::Json,
            Format::JsonLines => Container::JsonLines,
            Format::JsonStream => Container::JsonStream,
        };
        self.record.write(container, view, out);
        if container != Container::JsonLines {
            out.push(b'\n');
        }
    }
}

/// The process's standard output, opened with the first delivery.
#[derive(Debug, Default)]
pub(super) struct StandardOutput(std::cell::OnceCell<Rc<FdWriter>>);

impl StandardOutput {
    /// Prints all of `bytes`, which end with a newline.
    pub(super) async fn print(&self, bytes: &[u8]) -> Outcome {
        let writer = match self.0.get() {
            Some(open) => open,
            None => match FdWriter::stdout() {
                Ok(open) => self.0.get_or_init(|| open),
                Err(e) => return judge(&e),
            },
        };
        match writer.write_all(bytes, &mut 0).await {
            Ok(()) => Outcome::Done,
            Err(e) => judge(&e),
        }
    }
}

/// A reader that went away does not come back; everything else may pass.
fn judge(e: &io::Error) -> Outcome {
    match e.kind() {
        ErrorKind::BrokenPipe => Outcome::Drop("stdout is closed: its reader went away".into()),
        _ if e.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => {
            Outcome::Drop("stdout is closed: start the program with one, or use another output".into())
        }
        ErrorKind::StorageFull => Outcome::Down("the disk that stdout goes to is full".into()),
        _ => Outcome::Down(format!("cannot write to stdout: {e}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, instance, made, payload, refused, set_meta};
    use super::*;
    use crate::event::Batch;
    use crate::rt::run;
    use std::fs::File;
    use std::os::fd::AsFd;

    const ONE: &str = r#"{"a":"x","n":1,"f":1.5,"z":null,"arr":[1,"q"],"m":{"k":"v"}}"#;

    fn sample() -> Batch {
        let mut b = batch("d.x", &[(1_700_000_000_000_000_005, ONE), (1_000_000_000, "{}")]);
        set_meta(&mut b, 0, r#"{"mk":1}"#);
        b
    }

    fn check(conf: &[(&str, &str)], expected: &str) {
        let output = instance(&PLUGIN, conf);
        assert_eq!(String::from_utf8(payload(&*output, &sample()).bytes).unwrap(), expected, "{conf:?}");
    }

    #[test]
    fn forms() {
        let text = concat!(
            r#"[0] d.x: [[1700000000.000000005, {"mk"=>1}], {"a"=>"x", "n"=>1, "f"=>1.500000, "z"=>nil, "arr"=>[1, "q"], "m"=>{"k"=>"v"}}]"#,
            "\n[1] d.x: [[1.000000000, {}], {}]\n"
        );
        check(&[], text);
        check(&[("format", "MsgPack")], text);
        let one = r#"{"date":1700000000.0,"__internal__":{"log_metadata":{"mk":1}},"a":"x","n":1,"f":1.5,"z":null,"arr":[1,"q"],"m":{"k":"v"}}"#;
        let two = r#"{"date":1.0}"#;
        check(&[("format", "json")], &format!("[{one},{two}]\n"));
        check(&[("format", "json_lines")], &format!("{one}\n{two}\n"));
        check(&[("format", "json_stream")], &format!("{one}{two}\n"));
    }

    #[test]
    fn dates() {
        let check = |format: &str, key: &str, expected: &str| {
            let conf = [("format", "json_lines"), ("json_date_format", format), ("json_date_key", key)];
            let output = instance(&PLUGIN, &conf);
            let b = batch("t", &[(1_700_000_001_114_916_000, r#"{"a":1}"#)]);
            let got = payload(&*output, &b).bytes;
            assert_eq!(String::from_utf8(got).unwrap(), format!("{expected}\n"));
        };
        check("double", "date", r#"{"date":1700000001.114916,"a":1}"#);
        check("iso8601", "@timestamp", r#"{"@timestamp":"2023-11-14T22:13:21.114916Z","a":1}"#);
        check("epoch", "t", r#"{"t":1700000001,"a":1}"#);
        check("epoch_ms", "t", r#"{"t":1700000001114,"a":1}"#);
        check("java_sql_timestamp", "t", r#"{"t":"2023-11-14 22:13:21.114916","a":1}"#);
        check("double", "false", r#"{"a":1}"#);
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        let said = refused(&PLUGIN, &[("format", "xml"), ("json_date_format", "soon")]);
        assert!(said.contains("format: 'xml' is not one of: msgpack json json_lines json_stream"), "{said}");
        assert!(said.contains("'soon' is not one of: double iso8601 epoch epoch_ms java_sql_timestamp"), "{said}");
        assert_eq!(made(&PLUGIN, &[("json_date_key", "off")]).1, "");
    }

    #[test]
    fn a_reader_that_left_means_drop_and_a_full_disk_retry() {
        let print = |writer: FdWriter| {
            let out = StandardOutput::default();
            out.0.set(Rc::new(writer)).unwrap();
            run(async { out.print(b"x\n").await }).unwrap()
        };
        let (read, write) = rustix::pipe::pipe().unwrap();
        drop(read);
        let outcome = print(FdWriter::new(write.as_fd()).unwrap());
        assert!(matches!(&outcome, Outcome::Drop(why) if why.contains("its reader went away")), "{outcome:?}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let outcome = print(FdWriter::new(full.as_fd()).unwrap());
        assert!(matches!(&outcome, Outcome::Down(why) if why.contains("disk")), "{outcome:?}");
        let outcome = judge(&rustix::io::Errno::BADF.into());
        assert!(matches!(&outcome, Outcome::Drop(_)), "{outcome:?}");
    }
}
