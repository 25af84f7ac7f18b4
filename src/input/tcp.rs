//! `tcp`: JSON values or lines from TCP connections.

use super::framer::{Framer, Framing};
use super::serve::{Limits, Peer, serve};
use super::{Input, InputCx, InputPlugin};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{FromConf, PluginInfo, Size};
use crate::error::Error;
use crate::event::{Batch, Key};
use crate::net::{Listener, ServerTls, Stream};
use crate::parse::ParserDef;
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, or};
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "tcp",
        doc: "Takes JSON values, or lines, from TCP connections.",
        keys: TcpConf::KEYS,
        unserved: TcpConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// What connections carry.
    pub enum Format {
        /// Values one after the other.
        Json = "json",
        /// Text with separators.
        None = "none",
    }
}

/// Kilobytes (of 1,024 bytes) when it is a bare number, else a size.
#[derive(Debug, Clone, Copy)]
pub struct Kilobytes(u64);

impl FromConf for Kilobytes {
    const KIND: &'static str = "kilobytes";
    const EXAMPLE: &'static str = "32";

    fn from_conf(text: &str) -> Result<Self, String> {
        match text.parse::<u32>() {
            Ok(n) => Ok(Self(u64::from(n) * 1024)),
            Err(_) => Size::from_conf(text).map(|s| Self(s.0)),
        }
    }
}

crate::config! {
    /// Options of `tcp`.
    pub struct TcpConf {
        /// `json`: values one after the other; `none`: text that is cut at the separator.
        format: Format => "Format" = "json",
        /// What stands between records of format `none`; `\n`, `\t`, `\r` and `\0` are known.
        separator: String => "Separator" = "\\n",
        /// The parser for records of format `none`; what does not parse is kept under `log`.
        parser: Option<String> => "Parser",
        /// Bytes read at a time; a bare number is kilobytes.
        chunk_size: Kilobytes => "Chunk_Size" = "32",
        /// The longest record; a longer one is cut into pieces. A bare number is kilobytes.
        buffer_size: Kilobytes => "Buffer_Size" = "1024",
        /// Add the peer under this key, as `tcp://192.0.2.1:5170`.
        source_address_key: Option<String> => "Source_Address_Key",
    }
    unserved ["Workers=1"]
}

/// The port when none is given.
const PORT: u16 = 5170;

struct Tcp {
    net: NetIn,
    tls: Option<ServerTls>,
    shared: Rc<Shared>,
}

/// What all connections of an instance use.
struct Shared {
    lines: Option<(Vec<u8>, Option<ParserDef>)>,
    read: usize,
    max: usize,
    address_key: Option<Key>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = TcpConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = match ServerTls::new(&tls) {
        Ok(tls) => tls,
        Err(p) => return cx.refuse(p.key, format!("{} {}", p.key, p.why), p.help),
    };
    let lines = if conf.format == Format::None {
        let separator = unescape(&conf.separator);
        if separator.is_empty() {
            return cx.refuse("Separator", "Separator is empty", "Leave it out for lines.");
        }
        let parser = match &conf.parser {
            Some(name) => Some(cx.parser_def("Parser", name)?),
            None => None,
        };
        Some((separator, parser))
    } else {
        if conf.parser.is_some() {
            return cx.refuse("Parser", "a Parser needs Format none", "Add: Format none");
        }
        None
    };
    let shared = Shared {
        lines,
        read: conf.chunk_size.0.clamp(1024, 1 << 20) as usize,
        max: conf.buffer_size.0.clamp(1024, 64 << 20) as usize,
        address_key: conf.source_address_key.as_deref().map(Key::of),
    };
    Some(Box::new(Tcp { net, tls, shared: Rc::new(shared) }))
}

/// The separator's escapes as bytes.
fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\0", "\0").into_bytes()
}

impl Input for Tcp {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let listener = Listener::bind(&self.net, PORT, self.tls).map_err(failed)?;
            let port = self.net.port.unwrap_or(PORT);
            log::info!("[{}] listening on {}:{port}", cx.label(), self.net.listen);
            let (own, shared) = (cx.clone(), self.shared);
            let each = move |stream, peer| {
                let (cx, shared) = (own.clone(), shared.clone());
                async move { or(connection(&cx, &shared, stream, peer), cx.stopping()).await }
            };
            serve(&cx, listener, Limits::of(&self.net), each).await
        })
    }
}

/// Reads one connection to its end.
async fn connection(cx: &InputCx, shared: &Shared, mut stream: Stream, peer: Peer) {
    let key = Key::of("log");
    let framing = match &shared.lines {
        Some((separator, parser)) => {
            Framing::Lines { separator: separator.clone(), key, parser: parser.as_ref().map(ParserDef::make) }
        }
        None => Framing::Json { key },
    };
    let mut framer = Framer::new(framing, shared.max);
    let address = shared.address_key.map(|key| (key, peer.to_string()));
    let mut buf = vec![0; shared.read];
    loop {
        let n = match stream.read(&mut buf).await {
            Ok(n) => n,
            Err(e) => {
                log::debug!("[{}] connection of {peer}: {e}; what it had sent is kept", cx.label());
                0
            }
        };
        {
            let mut batch = cx.batch(cx.tag());
            let first = batch.len();
            let now = cx.now();
            let framed = match n {
                0 => framer.finish(&mut batch, now),
                n => framer.feed(buf.get(..n).unwrap_or_default(), &mut batch, now),
            };
            if framed.cut > 0 {
                log::warn!("[{}] {peer}: a record longer than Buffer_Size was cut into pieces", cx.label());
            }
            if let Some((key, address)) = &address {
                add_address(&mut batch, first, *key, address);
            }
        }
        cx.commit(cx.tag(), None).await;
        if n == 0 {
            return;
        }
    }
}

fn add_address(batch: &mut Batch, first: usize, key: Key, address: &str) {
    for i in first..batch.len() {
        let mark = batch.reopen(i);
        batch.push_text(key, address.as_bytes());
        batch.replace_body(i, mark);
    }
}
