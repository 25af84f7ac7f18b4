//! `stdin`: JSON values or lines from the standard input.

use super::framer::{Framer, Framing};
use super::reader::Reader;
use super::{Input, InputCx, InputPlugin};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::event::Key;
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, or};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "stdin",
        doc: "Reads JSON values, or lines through a parser, from the standard input; its end stops the program.",
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
    }
}

/// Bytes read at a time.
const READ: usize = 64 * 1024;

struct Stdin {
    framer: Framer,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = StdinConf::load(cx.section, cx.diags)?;
    let key = Key::of("log");
    let framing = match &conf.parser {
        None => Framing::Json { key },
        Some(_) => Framing::Lines { separator: b"\n".to_vec(), key, parser: cx.parser("Parser")? },
    };
    Some(Box::new(Stdin { framer: Framer::new(framing, conf.buffer_size.0.min(64 << 20) as usize) }))
}

impl Input for Stdin {
    fn run(mut self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let fd = rustix::io::dup(rustix::stdio::stdin()).map_err(|e| Error::io("stdin")(e.into()))?;
            let reader = Reader::new(fd);
            let mut buf = vec![0; READ];
            loop {
                let read = or(async { Some(reader.read(&mut buf).await) }, async {
                    cx.stopping().await;
                    None
                })
                .await;
                let n = match read {
                    None => return Ok(()),
                    Some(n) => n.map_err(Error::io("stdin"))?,
                };
                let data = buf.get(..n).unwrap_or_default();
                {
                    let mut batch = cx.batch(cx.tag());
                    let now = cx.now();
                    let framed = if n == 0 {
                        self.framer.finish(&mut batch, now)
                    } else {
                        self.framer.feed(data, &mut batch, now)
                    };
                    if framed.cut > 0 {
                        log::warn!("[{}] a record longer than Buffer_Size was cut into pieces", cx.label());
                    }
                }
                cx.commit(cx.tag(), None).await;
                if n == 0 {
                    log::info!("[{}] end of the standard input", cx.label());
                    cx.exit(0);
                    return Ok(());
                }
            }
        })
    }
}
