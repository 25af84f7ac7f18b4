//! `tcp`: JSON values or lines from TCP connections.

use super::serve::{Limits, serve};
use super::values::{Format, Keys, Kilobytes, Values};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::conf::common::{NetIn, TlsServer};
use crate::error::Error;
use crate::net::{Listener, ServerTls};
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
    values: Rc<Values>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = TcpConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = match ServerTls::new(&tls) {
        Ok(tls) => tls,
        Err(p) => return cx.refuse(p.key, format!("{} {}", p.key, p.why), p.help),
    };
    let keys = Keys {
        format: conf.format,
        separator: &conf.separator,
        parser: conf.parser.as_deref(),
        chunk_size: conf.chunk_size,
        buffer_size: conf.buffer_size,
        source_address_key: conf.source_address_key.as_deref(),
    };
    let values = Rc::new(Values::new(cx, &keys)?);
    Some(Box::new(Tcp { net, tls, values }))
}

impl Input for Tcp {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let listener = Listener::bind(&self.net, PORT, self.tls).map_err(failed)?;
            let port = self.net.port.unwrap_or(PORT);
            log::info!("[{}] listening on {}:{port}", cx.label(), self.net.listen);
            let (own, values) = (cx.clone(), self.values);
            let each = move |stream, peer| {
                let (cx, values) = (own.clone(), values.clone());
                async move { or(values.connection(&cx, stream, peer), cx.stopping()).await }
            };
            serve(&cx, listener, Limits::of(&self.net), each).await
        })
    }
}
