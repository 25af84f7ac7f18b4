//! `unix_socket`: JSON values or lines from a Unix socket.

use super::datagrams::Receiver;
use super::serve::{Limits, serve};
use super::values::{Values, ValuesConf};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::NetIn;
use crate::conf::{Permissions, PluginInfo};
use crate::error::Error;
use crate::net::{Datagrams, Listener};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "unix_socket",
        doc: "Takes JSON values, or lines, from a Unix socket. Who may write to it, its permissions say.",
        keys: UnixSocketConf::KEYS,
        unserved: UnixSocketConf::UNSERVED,
        extra: &[ValuesConf::TABLE, NetIn::TABLE],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// The kind of socket.
    pub enum SocketMode {
        /// Connections.
        Stream = "STREAM",
        /// Datagrams.
        Dgram = "DGRAM",
    }
}

crate::config! {
    /// Options of `unix_socket`.
    pub struct UnixSocketConf {
        /// Connections, or datagrams; the end of a datagram ends a record, too.
        mode: SocketMode => "Socket_Mode" = "STREAM",
        /// The socket; what a killed program left there is replaced.
        path: String => "Socket_Path" required,
        /// Its permissions.
        permissions: Permissions => "Socket_Permissions" = "0644",
    }
    unserved ["tls=off", "tls.*"]
}

struct UnixSocket {
    mode: SocketMode,
    path: String,
    permissions: u32,
    net: NetIn,
    values: Values,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = UnixSocketConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let values = Values::load(cx)?;
    let UnixSocketConf { mode, path, permissions, .. } = conf;
    Some(Box::new(UnixSocket { mode, path, permissions: permissions.0, net, values }))
}

impl Input for UnixSocket {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let Self { mode, path, permissions, net, values } = *self;
            if mode == SocketMode::Dgram {
                let socket = Datagrams::bind_unix(&path, permissions).map_err(failed)?;
                log::info!("[{}] listening on {path}", cx.label());
                return Receiver::new(socket, values.datagrams(), format!("unix://{path}")).run(&cx).await;
            }
            let listener = Listener::bind_unix(&path, permissions, &net).map_err(failed)?;
            log::info!("[{}] listening on {path}", cx.label());
            let (own, values) = (cx.clone(), Rc::new(values));
            let each = move |stream, peer| {
                let (cx, values) = (own.clone(), values.clone());
                async move { values.connection(&cx, stream, peer).await }
            };
            serve(&cx, listener, Limits::of(&net).unix(&path), each).await.map(drop)
        })
    }

    /// Writers wait while their socket is full.
    fn patience(&self) -> Patience {
        Patience::Waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::{judged, made};

    #[test]
    fn configurations() {
        let check = |conf: &[(&str, &str)], said: &str| {
            let conf = [&[("Socket_Path", "/tmp/x")], conf].concat();
            judged(Kind::Input, &PLUGIN.info, PLUGIN.make, &conf, said);
        };
        check(&[("Socket_Mode", "dgram"), ("Socket_Permissions", "0666")], "");
        check(&[("Socket_Mode", "SEQPACKET")], "'SEQPACKET' is not one of: STREAM DGRAM");
        check(&[("Socket_Permissions", "rw")], "is not octal");
        check(&[("Format", "none"), ("Parser", "nope")], "nope");
        let (instance, diags) = made(Kind::Input, &PLUGIN.info, PLUGIN.make, &[]);
        assert!(instance.is_none() && diags.contains("the property 'Socket_Path' is required"), "{diags}");
    }
}
