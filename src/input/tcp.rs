//! `tcp`: JSON values or lines from TCP connections.

use super::serve::{Limits, serve};
use super::values::{Values, ValuesConf};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::conf::common::{NetIn, TlsServer};
use crate::error::Error;
use crate::net::{Listener, ServerTls};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "tcp",
        doc: "Takes JSON values, or lines, from TCP connections.",
        keys: ValuesConf::KEYS,
        unserved: &["Workers=1"],
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

/// The port when none is given.
const PORT: u16 = 5170;

struct Tcp {
    net: NetIn,
    tls: Option<ServerTls>,
    values: Rc<Values>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = cx.server_tls(&tls)?;
    let values = Rc::new(Values::load(cx)?);
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
                async move { values.connection(&cx, stream, peer).await }
            };
            serve(&cx, listener, Limits::of(&self.net), each).await.map(drop)
        })
    }
}
