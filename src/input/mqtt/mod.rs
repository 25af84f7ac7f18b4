//! `mqtt`: messages that MQTT clients publish to us.

mod flow;
mod records;
mod server;

use super::serve::{AckWhen, Limits, serve};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::fmt::mqtt::PORT;
use crate::net::{Listener, ServerTls};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use flow::Common;
use server::Shared;
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "mqtt",
        doc: "Takes messages that MQTT clients (3.1.1, 3.1) publish to it, on port 1883. A record has the key \
              topic and the fields of the payload, where that is a JSON object; any other payload stands under payload. \
              Messages of QoS 1 and 2 are acknowledged when their records are delivered, or in a chunk file; they may come twice \
              when a connection breaks. It is no broker: subscriptions are refused, wills and retained messages not kept.",
        keys: MqttConf::KEYS,
        unserved: MqttConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `mqtt`.
    pub struct MqttConf {
        /// Put payloads under this key, JSON objects too. Without it their fields stand beside topic, and what is no object, or
        /// has a field topic of its own, under payload.
        payload_key: Option<String> => "Payload_Key",
        /// The longest payload (Fluent Bit: 2048). Of a longer one the beginning is kept as text, which is counted and said.
        buffer_size: Size => "Buffer_Size" = "1M",
        /// When messages of QoS 1 and 2 are acknowledged: `delivered`, once their records are delivered or in a chunk file;
        /// `received`, at once.
        ack: AckWhen => "Ack" = "delivered",
        /// Clients must say that they are this user.
        user: Option<String> => "User",
        /// And know this password.
        password: Option<String> => "Password",
    }
}

/// The longest payload that can be asked for, in bytes: that of the protocol.
const MAX: u64 = 256 << 20;

struct Mqtt {
    net: NetIn,
    tls: Option<ServerTls>,
    shared: Shared,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = MqttConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = cx.server_tls(&tls)?;
    if conf.user.is_some() != conf.password.is_some() {
        let given = if conf.user.is_some() { "User" } else { "Password" };
        return cx.refuse(given, format!("{given} stands alone"), "Give both User and Password.");
    }
    let longest = conf.buffer_size.0.clamp(1 << 10, MAX) as usize;
    let common = Rc::new(Common::new(conf.ack, conf.payload_key, longest));
    let shared = Shared::new(common, conf.user.zip(conf.password), net.accept_timeout);
    Some(Box::new(Mqtt { net, tls, shared }))
}

impl Input for Mqtt {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let listener = Listener::bind(&self.net, PORT, self.tls).map_err(failed)?;
            log::info!("[{}] listening on {}:{}", cx.label(), self.net.listen, self.net.port.unwrap_or(PORT));
            let shared = Rc::new(self.shared);
            let own = cx.clone();
            let each = move |stream, peer| {
                let (cx, shared) = (own.clone(), shared.clone());
                async move { server::serve(&cx, &shared, stream, peer).await }
            };
            let left = serve(&cx, listener, Limits::of(&self.net), each).await?;
            // Connections stay to send the acknowledgements that the shutdown still brings.
            left.closed().await;
            Ok(())
        })
    }

    fn patience(&self) -> Patience {
        // What comes with QoS 0 is not sent again.
        Patience::Waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::judged;

    fn check(conf: &[(&str, &str)], said: &str) {
        judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
    }

    #[test]
    fn configurations() {
        check(&[], "");
        check(&[("Listen", "0.0.0.0"), ("Port", "1883"), ("Payload_Key", "p"), ("Buffer_Size", "2048")], "");
        check(&[("User", "u"), ("Password", "p"), ("Ack", "received"), ("threaded", "off")], "");
        check(&[("User", "u")], "User stands alone");
        check(&[("Password", "p")], "Password stands alone");
        check(&[("Ack", "never")], "'never' is not one of");
        check(&[("PayloadKey", "p")], "Did you mean 'Payload_Key'?");
        if cfg!(feature = "tls") {
            check(&[("tls", "on")], "tls.crt_file");
        }
    }
}
