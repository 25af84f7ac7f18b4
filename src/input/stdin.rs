//! `stdin`: JSON values or lines from the standard input, or from a named pipe.

use super::framer::{Framer, Framing};
use super::reader::Reader;
use super::{Input, InputCx, InputPlugin};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::event::Key;
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, or, sleep};
use rustix::fs::{FileType, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "stdin",
        doc: "Reads JSON values, or lines through a parser, from the standard input, whose end stops the program, or from \
              a named pipe.",
        keys: StdinConf::KEYS,
        unserved: StdinConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `stdin`.
    pub struct StdinConf {
        /// The parser for each line; without one the input is a stream of JSON values, and a line that is not JSON is
        /// kept under `log`.
        parser: Option<String> => "Parser",
        /// The longest record, in bytes; a longer one is cut into pieces.
        buffer_size: Size => "Buffer_Size" = "1M",
        /// A named pipe, made by mkfifo(1), to read instead of the standard input. It is held open for writing too, so that
        /// the end of a writer is not its end; at a shutdown what stands in it is still read.
        path: Option<String> => "Path",
    }
}

/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// What comes is gathered this long: a program that writes line by line costs one read per this time, not per line. A pipe
/// holds 64 KiB meanwhile.
const GATHER: Duration = Duration::from_millis(25);
/// After a read of this many bytes the next one does not wait.
const BRISK: usize = 16 * 1024;

/// Bytes that are still read from a named pipe at a shutdown: all that a pipe can hold for an ordinary user. A writer that
/// goes on writing does not hold up the end.
const REST: usize = 1 << 20;

struct Stdin {
    framer: Framer,
    path: Option<String>,
}

/// A named pipe for reading; nobody else has to have it open, then or later.
fn open(path: &str) -> io::Result<OwnedFd> {
    let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Fifo {
        return Err(io::Error::other(
            "it is not a named pipe: make one with mkfifo, or read files with the tail input",
        ));
    }
    Ok(fd)
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = StdinConf::load(cx.section, cx.diags)?;
    let key = Key::of("log");
    let framing = match &conf.parser {
        None => Framing::Json { key },
        Some(_) => Framing::Lines { separator: b"\n".to_vec(), key, parser: cx.parser("Parser")? },
    };
    let framer = Framer::new(framing, conf.buffer_size.0.min(64 << 20) as usize);
    Some(Box::new(Stdin { framer, path: conf.path }))
}

impl Stdin {
    /// Takes in what was read; nothing is the end.
    async fn take(&mut self, data: &[u8], cx: &InputCx) {
        {
            let mut batch = cx.batch(cx.tag());
            let now = cx.now();
            let framed = if data.is_empty() {
                self.framer.finish(&mut batch, now)
            } else {
                self.framer.feed(data, &mut batch, now)
            };
            if framed.cut > 0 {
                log::warn!("[{}] a record longer than Buffer_Size was cut into pieces", cx.label());
            }
        }
        cx.commit(cx.tag(), None).await;
    }

    /// The last bytes of a named pipe, and a record without a line end.
    async fn rest(&mut self, reader: &Reader, buf: &mut [u8], cx: &InputCx) -> io::Result<()> {
        let mut left = REST;
        while let Some(n) = reader.read_now(buf)?.filter(|n| *n > 0 && left > 0) {
            left = left.saturating_sub(n);
            self.take(buf.get(..n).unwrap_or_default(), cx).await;
        }
        self.take(&[], cx).await;
        Ok(())
    }
}

impl Input for Stdin {
    fn run(mut self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let what = self.path.clone().unwrap_or_else(|| "stdin".to_owned());
            let fd = match &self.path {
                Some(path) => open(path),
                None => rustix::io::dup(rustix::stdio::stdin()).map_err(io::Error::from),
            };
            let reader = Reader::new(fd.map_err(Error::io(what.as_str()))?);
            let mut buf = vec![0; READ];
            loop {
                let read = or(async { Some(reader.read(&mut buf).await) }, async {
                    cx.stopping().await;
                    None
                })
                .await;
                let Some(n) = read else {
                    if self.path.is_some() {
                        self.rest(&reader, &mut buf, &cx).await.map_err(Error::io(what))?;
                    }
                    return Ok(());
                };
                let n = n.map_err(Error::io(what.as_str()))?;
                self.take(buf.get(..n).unwrap_or_default(), &cx).await;
                if n == 0 {
                    log::info!("[{}] end of the standard input", cx.label());
                    cx.exit(0);
                    return Ok(());
                }
                if n < BRISK {
                    or(sleep(GATHER), cx.stopping()).await;
                }
            }
        })
    }
}
