//! `serial`: text or JSON from a serial port.

use super::framer::{Framer, Framing};
use super::gauge::{AGAIN, Trouble};
use super::values::unescape;
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Key, Kind};
use crate::plugin::MakeCx;
use crate::rt::serial::{Counts, counts};
use crate::rt::{LocalFuture, Source, Workers, or, timeout};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr,
};
use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "serial",
        doc: "Messages from a serial port (eight bits, no parity, one stop bit, no flow control), under msg. A message ends with \
              its line; what is followed by a second of silence is one, too. With Format json each value is a message. A port \
              that is not there, or goes, is waited for. What its driver lost, or took with a wrong stop bit, is counted and said.",
        keys: SerialConf::KEYS,
        unserved: SerialConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// What comes in.
    pub enum Format {
        /// JSON values one after the other.
        Json = "json",
        /// Text.
        None = "none",
    }
}

crate::config! {
    /// Options of `serial`.
    pub struct SerialConf {
        /// The device, for example /dev/ttyUSB0.
        file: String => "File" required,
        /// Bits per second: what both sides were told, for example 9600 or 115200.
        bitrate: u32 => "Bitrate" required,
        /// So many bytes must have come before they are read, at most 255: fewer wake-ups when a device sends byte by byte,
        /// but a shorter message waits for the next one.
        min_bytes: u32 => "Min_Bytes" = "1",
        /// What stands between messages, in place of the ends of lines; `\n`, `\t`, `\r` and `\0` are known.
        separator: Option<String> => "Separator",
        /// `json`: values one after the other, not together with `Separator`; `none`: text.
        format: Option<Format> => "Format",
    }
}

/// Bytes read at once.
const READ: usize = 4096;
/// A message longer than this is cut into pieces.
const MAX_MESSAGE: usize = 64 << 10;
/// Silence that ends a message without a line end.
const SILENCE: Duration = Duration::from_secs(1);
/// Readings at the shutdown: more than the kernel keeps for a port.
const LAST: usize = 32;

struct Serial {
    conf: Arc<SerialConf>,
    cut: Cut,
}

/// How the bytes are cut into messages.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cut {
    Lines,
    At(Vec<u8>),
    Json,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = SerialConf::load(cx.section, cx.diags)?;
    if conf.bitrate == 0 {
        return cx.refuse("Bitrate", "Bitrate is 0", "Give bits per second, for example 9600.");
    }
    if conf.min_bytes > 255 {
        return cx.refuse("Min_Bytes", "Min_Bytes is more than 255", "The kernel waits for at most 255 bytes.");
    }
    let cut = match (&conf.separator, conf.format) {
        (Some(_), Some(Format::Json)) => {
            let help = "Leave one of them out: JSON values end by themselves.";
            return cx.refuse("Separator", "Separator and Format json do not go together", help);
        }
        (None, Some(Format::Json)) => Cut::Json,
        (None, _) => Cut::Lines,
        (Some(text), _) if text.is_empty() => {
            return cx.refuse("Separator", "Separator is empty", "Leave it out for lines.");
        }
        (Some(text), _) => Cut::At(unescape(text)),
    };
    Some(Box::new(Serial { conf: Arc::new(conf), cut }))
}

impl Input for Serial {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut trouble = Trouble::default();
            let mut silent = false;
            loop {
                let ended = match self.open(&cx).await {
                    Some(Ok(port)) => {
                        // A port that ends again and again without a byte is told of once.
                        if !std::mem::replace(&mut silent, true) {
                            let conf = &self.conf;
                            log::info!("[{}] reading {} at {} bit/s", cx.label(), conf.file, conf.bitrate);
                        }
                        self.read(&port, &cx, || {
                            trouble.judge(&cx, Ok(()));
                            silent = false;
                        })
                        .await
                    }
                    Some(Err(e)) => {
                        silent = false;
                        Err(e)
                    }
                    None => return Ok(()),
                };
                if let Err(e) = ended {
                    let why = format!("{}: {}; it is tried again every two seconds", self.conf.file, words(&e));
                    trouble.judge(&cx, Err(why.into()));
                }
                if cx.is_stopping() || !cx.sleep(AGAIN).await {
                    return Ok(());
                }
            }
        })
    }
}

/// The system's answer, with what helps.
fn words(e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::PermissionDenied => format!("{e} (is the user in the group of the device, often dialout?)"),
        _ if e.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => "it is no serial port".into(),
        _ => e.to_string(),
    }
}

impl Serial {
    /// Opens the port; `None` when the shutdown comes first.
    async fn open(&self, cx: &InputCx) -> Option<io::Result<Port>> {
        // Most often it is just not there.
        if let Err(e) = std::fs::metadata(&self.conf.file) {
            return Some(Err(e));
        }
        // An adapter is asked over its bus, and may not answer.
        let (conf, lines) = (self.conf.clone(), self.cut == Cut::Lines);
        let workers = Workers::new(cx.name(), 1);
        let opened = or(async { Some(workers.run(move || open(&conf, lines)).await) }, async {
            cx.stopping().await;
            None
        });
        let opened = opened.await?.unwrap_or_else(|| Err(io::Error::other("its thread could not be started")));
        Some(opened.and_then(|(fd, before)| {
            let counts = Cell::new(counts(&fd).ok());
            Ok(Port { io: Source::new(fd)?, before, counts })
        }))
    }

    /// Reads until the port goes, or until the shutdown; `alive` learns of every reading.
    async fn read(&self, port: &Port, cx: &InputCx, mut alive: impl FnMut()) -> io::Result<()> {
        let mut messages = Messages::new(&self.cut);
        let mut buf = [0; READ];
        loop {
            let read = port.io.read(|fd| Ok(rustix::io::read(fd, &mut buf[..])?));
            let read =
                or(async { if messages.open { timeout(SILENCE, read).await } else { Some(read.await) } }, async {
                    cx.stopping().await;
                    None
                });
            let told = match read.await {
                Some(Ok(n @ 1..)) => {
                    alive();
                    port.tell_losses(cx);
                    messages.take(buf.get(..n), cx)
                }
                Some(ended) => {
                    if messages.take(None, cx) {
                        cx.commit(cx.tag(), None).await;
                    }
                    return Err(ended.err().unwrap_or_else(|| io::Error::other("the port is gone")));
                }
                None if cx.is_stopping() => {
                    self.read_last(port, cx, &mut messages, &mut buf);
                    return Ok(());
                }
                // Silence.
                None => messages.take(None, cx),
            };
            if told {
                cx.commit(cx.tag(), None).await;
            }
        }
    }

    /// Takes what has come by the shutdown.
    fn read_last(&self, port: &Port, cx: &InputCx, messages: &mut Messages<'_>, buf: &mut [u8]) {
        let Some(fd) = port.io.get() else { return };
        for _ in 0..LAST {
            match rustix::io::read(fd, &mut *buf) {
                Ok(n @ 1..) => messages.take(buf.get(..n), cx),
                _ => break,
            };
        }
        messages.take(None, cx);
        cx.commit_now(cx.tag(), None);
    }
}

/// Makes messages of what a port tells.
struct Messages<'a> {
    cut: &'a Cut,
    framer: Framer,
    /// A line has begun.
    open: bool,
}

/// What messages stand under.
const KEY: &str = "msg";
/// Text where JSON should be is told apart by a key of its own until it is moved.
const RAW: &str = "serial.text";

impl<'a> Messages<'a> {
    fn new(cut: &'a Cut) -> Self {
        let lines =
            |separator: &[u8]| Framing::Lines { separator: separator.to_vec(), key: Key::of(KEY), parser: None };
        let framing = match cut {
            Cut::Lines => lines(b"\n"),
            Cut::At(separator) => lines(separator),
            Cut::Json => Framing::Json { key: Key::of(RAW) },
        };
        Self { cut, framer: Framer::new(framing, MAX_MESSAGE), open: false }
    }

    /// Takes what was read, or, of nothing, what is left as a message; whether there is something to commit.
    fn take(&mut self, bytes: Option<&[u8]>, cx: &InputCx) -> bool {
        let mut batch = cx.batch(cx.tag());
        let (first, now) = (batch.len(), cx.now());
        let framed = match bytes {
            Some(bytes) => {
                let mut bytes = Cow::Borrowed(bytes);
                // Some adapters send NULs when they are opened, and a line that is cut reads as one.
                if *self.cut == Cut::Lines && bytes.contains(&0) {
                    bytes.to_mut().retain(|b| *b != 0);
                }
                self.open = *self.cut == Cut::Lines && bytes.last().map_or(self.open, |b| *b != b'\n');
                self.framer.feed(&bytes, &mut batch, now)
            }
            None => {
                self.open = false;
                self.framer.finish(&mut batch, now)
            }
        };
        if *self.cut == Cut::Json {
            under(Key::of(KEY), Key::of(RAW), first, &mut batch);
        }
        if framed.cut > 0 {
            cx.lost(0, "a message longer than 64 KiB was cut into pieces");
        }
        framed.records > 0
    }
}

/// Puts the bodies of the records from `first` on under one key, and text that was no JSON as it is.
fn under(key: Key, raw: Key, first: usize, batch: &mut Batch) {
    for i in first..batch.len() {
        let body = batch.body(i);
        let run = body.run();
        if run.first().is_some_and(|cell| cell.key == raw) {
            let mark = batch.begin();
            batch.copy_value(i, 0, key);
            batch.replace_body(i, mark);
            continue;
        }
        let entries = body.count_entries() as u32;
        let cells = run.to_vec();
        let mark = batch.begin();
        let open = batch.open(key, Kind::Map);
        batch.push_cells(&cells);
        batch.close(open, entries);
        batch.replace_body(i, mark);
    }
}

/// An open port; when it goes, it is as it was found.
struct Port {
    io: Source<OwnedFd>,
    before: Termios,
    /// What its driver had counted, where it does.
    counts: Cell<Option<Counts>>,
}

impl Port {
    /// Says what went wrong since the last look: nothing holds a device back that sends while memory is full.
    fn tell_losses(&self, cx: &InputCx) {
        let (Some(before), Some(fd)) = (self.counts.get(), self.io.get()) else { return };
        let Ok(now) = counts(fd) else { return };
        self.counts.set(Some(now));
        let Counts { garbled, lost } = now.since(before);
        if lost > 0 {
            cx.count("lost bytes", lost.into());
            cx.lost(0, "bytes were lost before they could be read: the port's buffer ran over");
        }
        if garbled > 0 {
            cx.count("garbled bytes", garbled.into());
            cx.lost(0, "bytes came garbled (stop bit or parity): does the device send with this Bitrate?");
        }
    }
}

/// Opens and sets a port; answers its settings before.
fn open(conf: &SerialConf, lines: bool) -> io::Result<(OwnedFd, Termios)> {
    // Without NONBLOCK opening waits for a carrier.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&conf.file, flags, Mode::empty())?;
    let before = tcgetattr(&fd)?;
    let mut set = before.clone();
    set.make_raw();
    let odd = ControlModes::PARENB | ControlModes::CSTOPB | ControlModes::CSIZE | ControlModes::CRTSCTS;
    set.control_modes.remove(odd);
    set.control_modes.insert(ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL);
    set.input_modes.insert(InputModes::IGNBRK);
    if lines {
        // A line may end with CR alone.
        set.input_modes.insert(InputModes::ICRNL);
    }
    set.special_codes[SpecialCodeIndex::VMIN] = conf.min_bytes.clamp(1, 255) as u8;
    set.special_codes[SpecialCodeIndex::VTIME] = 0;
    let speed = |e: io::Error| io::Error::new(e.kind(), format!("it cannot do {} bit/s: {e}", conf.bitrate));
    set.set_speed(conf.bitrate).map_err(|e| speed(e.into()))?;
    // What came at another speed is garbage.
    tcflush(&fd, QueueSelector::IFlush)?;
    tcsetattr(&fd, OptionalActions::Now, &set)?;
    Ok((fd, before))
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(fd) = self.io.get() {
            let _ = tcsetattr(fd, OptionalActions::Now, &self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind as Plugin;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::plugin::judged;
    use crate::time::Time;

    #[test]
    fn json_goes_under_one_key() {
        let (key, raw) = (Key::of("msg"), Key::of("serial.text"));
        let mut framer = Framer::new(Framing::Json { key: raw }, 1000);
        let mut batch = Batch::new(Tag::new("t"));
        framer.feed(br#"{"t":21.5,"in":{"a":[1,{}]}}{}"#, &mut batch, Time(1));
        framer.feed(b"boot v1\n{\"msg\":1}\n", &mut batch, Time(1));
        under(key, raw, 0, &mut batch);
        let mut out = Vec::new();
        batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
        let want = r#"{"msg":{"t":21.5,"in":{"a":[1,{}]}}}{"msg":{}}{"msg":"boot v1"}{"msg":{"msg":1}}"#;
        assert_eq!(String::from_utf8_lossy(&out), want);
    }

    #[test]
    fn what_is_refused() {
        let port =
            |more: &[(&'static str, &'static str)]| [&[("file", "/dev/ttyS0"), ("bitrate", "9600")], more].concat();
        let said = |conf: &[(&str, &str)], said| judged(Plugin::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&port(&[]), "");
        said(&port(&[("format", "none"), ("separator", "X")]), "");
        said(&port(&[("format", "json"), ("separator", "X")]), "do not go together");
        said(&port(&[("min_bytes", "256")]), "more than 255");
        said(&port(&[("format", "xml")]), "'xml' is not one of");
        said(&[("file", "/dev/ttyS0"), ("bitrate", "0")], "Bitrate is 0");
        said(&[("file", "/dev/ttyS0")], "'Bitrate' is required");
    }
}
