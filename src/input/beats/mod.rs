//! `beats`: events from Filebeat, Packetbeat and other Beats, from Logstash, and from lumberjack clients of version 1.

mod connection;
mod events;
mod ledger;

use super::serve::{AckWhen, Limits, serve};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{BinarySize, PluginInfo};
use crate::error::Error;
use crate::event::access::Accessor;
use crate::net::{Listener, ServerTls};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use connection::{Connection, Shared};
use events::Options;
use std::rc::Rc;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "beats",
        doc: "Takes events from Beats, Logstash and other lumberjack clients (versions 1 and 2, packed or not). A window is \
              acknowledged when its records are delivered, or in a chunk file; meanwhile the peer is told that work goes on. \
              A record's time is that of @timestamp, which stays in the record: es and opensearch do not write it twice. \
              An event that is no JSON object is kept whole under message, with the reason under parse_error; in events of \
              version 1 the key line becomes message.",
        keys: BeatsConf::KEYS,
        unserved: BeatsConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// What becomes of `@metadata`, which Beats and Logstash do not store.
    pub enum Metadata {
        /// It stays in the record: for index names, `Logstash_Prefix_Key $@metadata['beat']`.
        Field = "field",
        /// It becomes the record's metadata, which forward and logstash pass on and others do not write.
        Record = "record",
        /// It goes.
        Drop = "drop",
    }
}

crate::config! {
    /// Options of `beats`.
    pub struct BeatsConf {
        /// When a window is acknowledged: `delivered`, once its records are delivered or in a chunk file; `received`, at once.
        ack: AckWhen => "Ack" = "delivered",
        /// What becomes of `@metadata` (beat, type, version, pipeline): `field` keeps it in the record, for index names such as
        /// `Logstash_Prefix_Key $@metadata['beat']`; `record` makes it the record's metadata, which forward and logstash pass on
        /// and others do not write; `drop` leaves it out.
        metadata: Metadata => "Metadata" = "field",
        /// A key whose text is the record's tag, `$@metadata['beat']`; `Tag` where it is missing. At most 1,000 different tags.
        tag_key: Option<String> => "Tag_Key",
        /// Add the peer under this key, as `tcp://192.0.2.1:5044`.
        source_address_key: Option<String> => "Source_Address_Key",
        /// The longest event. Of a longer one its beginning is kept as text, which is counted and said.
        buffer_max_size: BinarySize => "Buffer_Max_Size" = "16M",
        /// A connection that sends nothing for so long, or hardly anything, is closed, unless its records are on their way.
        /// 0 is never.
        idle_timeout: Duration => "Idle_Timeout" = "60s",
    }
    unserved []
}

/// The port when none is given.
const PORT: u16 = 5044;

struct Beats {
    net: NetIn,
    tls: Option<ServerTls>,
    shared: Shared,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = BeatsConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = cx.server_tls(&tls)?;
    let tag_key = match conf.tag_key.as_deref().map(Accessor::parse).transpose() {
        Ok(path) => path,
        Err(why) => return cx.refuse("Tag_Key", format!("Tag_Key: {why}"), "For example: Tag_Key $@metadata['beat']"),
    };
    let options = Options::new(conf.metadata, tag_key, conf.source_address_key.as_deref());
    let event = conf.buffer_max_size.0.clamp(1 << 10, 256 << 20) as usize;
    let shared = Shared::new(options, event, conf.idle_timeout, conf.ack);
    Some(Box::new(Beats { net, tls, shared }))
}

impl Input for Beats {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let listener = Listener::bind(&self.net, PORT, self.tls).map_err(failed)?;
            let port = self.net.port.unwrap_or(PORT);
            log::info!("[{}] listening on {}:{port}", cx.label(), self.net.listen);
            let shared = Rc::new(self.shared);
            let own = cx.clone();
            let each = move |stream, peer| {
                let connection = Connection::new(own.clone(), shared.clone(), stream, peer);
                async move { connection.serve().await }
            };
            let left = serve(&cx, listener, Limits::of(&self.net), each).await?;
            // Connections stay to send the acknowledgements that the shutdown still brings.
            left.closed().await;
            Ok(())
        })
    }

    fn patience(&self) -> Patience {
        self.shared.ack.patience()
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
        check(&[("Port", "5045"), ("Ack", "received"), ("Metadata", "record"), ("Tag_Key", "$@metadata['beat']")], "");
        check(&[("Idle_Timeout", "0"), ("Buffer_Max_Size", "1M"), ("net.max_connections", "9")], "");
        check(&[("Ack", "never")], "'never' is not one of");
        check(&[("Metadata", "x")], "'x' is not one of");
        check(&[("Tag_Key", "$a.b")], "Tag_Key: '.b' does not belong");
        check(&[("Hosts", "a")], "Hosts");
        if cfg!(feature = "tls") {
            check(&[("tls", "on")], "tls.crt_file");
        }
    }
}
