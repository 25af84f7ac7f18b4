//! `mqtt`: messages that MQTT clients publish to us, or those of a broker that we subscribe to.

mod flow;
mod records;
mod server;
mod subscriber;

use super::serve::{AckWhen, Limits, serve};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, NetOut, TlsClient, TlsServer};
use crate::conf::formats::Qos;
use crate::conf::section::key_is;
use crate::conf::{Many, PluginInfo, Section, Size, Table};
use crate::error::Error;
use crate::fmt::mqtt::{PORT, PORT_TLS, is_filter};
use crate::net::mqtt::{Broker, Login};
use crate::net::{Listener, ServerTls, Target, Upstream};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use flow::Common;
use server::Shared;
use std::rc::Rc;
use std::time::Duration;
use subscriber::Subscriber;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "mqtt",
        doc: "Takes messages that MQTT clients (3.1.1, 3.1) publish to it, on port 1883; or, with Broker, subscribes to those of a \
              broker. A record has the key topic and the fields of the payload, where that is a JSON object; any other payload \
              stands under payload. Messages of QoS 1 and 2 are acknowledged when their records are delivered, or in a chunk file; \
              they may come twice when a connection breaks. As a server it is no broker: subscriptions are refused, wills and \
              retained messages not kept. As a subscriber it connects again whenever a connection ends, and a broker keeps what \
              comes meanwhile; a broker sends so many messages before the first is acknowledged as it is set to (mosquitto: \
              max_inflight_messages, 20).",
        keys: MqttConf::KEYS,
        unserved: MqttConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE, NetOut::TABLE, TlsClient::TABLE],
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
        /// Clients must say that they are this user; or, with Broker, so do we.
        user: Option<String> => "User",
        /// The user's password.
        password: Option<String> => "Password",
        /// Subscribe to messages of this broker, `host` or `host:port` (1883, with tls 8883), instead of listening.
        broker: Option<String> => "Broker",
        /// With Broker: which messages; `+` stands for one level, `#` for all that follow.
        topic: Many<String> => "Topic",
        /// With Broker: 1 has the broker send again what we did not acknowledge, 0 once and no more.
        qos: Qos => "QoS" = "1",
        /// With Broker: our name, by which it knows our session; no other client may have it. When not given it is made of the
        /// names of this machine and of this instance.
        client_id: Option<String> => "Client_ID",
        /// With Broker: have it forget us when a connection ends; what comes meanwhile is lost then.
        clean_session: bool => "Clean_Session" = "off",
        /// With Broker: it is told that we are never silent for longer, and is asked whether it is there in time; 0 is never.
        keep_alive: Duration => "Keep_Alive" = "60s",
        /// With Broker: how long an answer may take.
        timeout: Duration => "Timeout" = "10s",
    }
}

/// The longest payload that can be asked for, in bytes: that of the protocol.
const MAX: u64 = 256 << 20;

enum Mqtt {
    Server { net: NetIn, tls: Option<ServerTls>, shared: Shared },
    Subscriber { subscriber: Subscriber, patience: Patience },
}

/// What only one of the two takes.
const SERVES: &[Table] = &[NetIn::TABLE, TlsServer::TABLE];
const SUBSCRIBES: &[Table] = &[NetOut::TABLE, TlsClient::TABLE];
const SUBSCRIBERS_OWN: &[&str] = &["Topic", "QoS", "Client_ID", "Clean_Session", "Keep_Alive", "Timeout"];

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = MqttConf::load(cx.section, cx.diags)?;
    let (own, other) = if conf.broker.is_some() { (SUBSCRIBES, SERVES) } else { (SERVES, SUBSCRIBES) };
    if let Some(key) = stray(cx.section, own, other, conf.broker.is_none()) {
        let (what, help) = match conf.broker.is_some() {
            true => {
                ("for clients, which do not come with Broker", "Remove it; the port of the broker stands in Broker.")
            }
            false => ("for a Broker, and there is none", "Remove it, or name the broker: Broker broker.example"),
        };
        return cx.refuse(&key, format!("{key} is {what}"), help);
    }
    if conf.password.is_some() && conf.user.is_none()
        || conf.user.is_some() && conf.password.is_none() && conf.broker.is_none()
    {
        let given = if conf.user.is_some() { "User" } else { "Password" };
        return cx.refuse(given, format!("{given} stands alone"), "Give both User and Password.");
    }
    let longest = conf.buffer_size.0.clamp(1 << 10, MAX) as usize;
    let common = Rc::new(Common::new(conf.ack, conf.payload_key.clone(), longest));
    if let Some(broker) = &conf.broker {
        return subscriber(cx, &conf, broker, common);
    }
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    let tls = cx.server_tls(&tls)?;
    let shared = Shared::new(common, conf.user.zip(conf.password), net.accept_timeout);
    Some(Box::new(Mqtt::Server { net, tls, shared }))
}

/// A key of the section that only the other of the two takes.
fn stray(section: &Section, own: &[Table], other: &[Table], serves: bool) -> Option<String> {
    let has = |tables: &[Table], key: &str| tables.iter().flat_map(|t| t.keys).any(|k| key_is(k.name, key));
    let foreign = |key: &str| match SUBSCRIBERS_OWN.iter().any(|own| key_is(own, key)) {
        true => serves,
        false => has(other, key) && !has(own, key),
    };
    section.entries.iter().find(|entry| foreign(&entry.key)).map(|entry| entry.key.clone())
}

fn subscriber(cx: &mut MakeCx<'_>, conf: &MqttConf, broker: &str, common: Rc<Common>) -> Option<Box<dyn Input>> {
    let net = NetOut::load(cx.section, cx.diags)?;
    let tls = TlsClient::load(cx.section, cx.diags)?;
    let tls = cx.client_tls(&tls)?;
    let port = if tls.is_some() { PORT_TLS } else { PORT };
    let target = match Target::parse(broker, port) {
        Ok(target) => target,
        Err(why) => return cx.refuse("Broker", format!("Broker: {why}"), "Write host or host:port."),
    };
    if conf.topic.is_empty() {
        return cx.refuse(
            "Broker",
            "Broker without Topic: there is nothing to subscribe to",
            "Add for example: Topic #",
        );
    }
    if let Some(wrong) = conf.topic.0.iter().find(|topic| !is_filter(&topic.value)) {
        let why = format!("Topic: '{}' selects no topics", wrong.value);
        return cx.refuse_at(
            &wrong.place,
            why,
            "'+' stands for a whole level, '#' for all at the end: plant/+/state, plant/#",
        );
    }
    let (client_id, user, password) = (conf.client_id.clone(), conf.user.clone(), conf.password.clone());
    let client_id = client_id.unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{host}-{}", cx.name)
    });
    let login = Login { client_id, user, password, clean: conf.clean_session, keep_alive: conf.keep_alive };
    if let Err((key, why)) = login.check() {
        return cx.refuse(key, format!("{key} {why}"), "It has at most 65,535 bytes; Keep_Alive as many seconds.");
    }
    if conf.timeout.is_zero() {
        return cx.refuse("Timeout", "Timeout 0: no broker could be asked", "Leave it out for the usual value.");
    }
    let upstream = match Upstream::new(target, &net, tls) {
        Ok(upstream) => upstream,
        Err(why) => {
            let key = "net.source_address";
            return cx.refuse(key, format!("{key}: {why}"), "Give an address of this machine, for example 192.0.2.7.");
        }
    };
    let patience = match (conf.qos, conf.clean_session) {
        (Qos::AtLeastOnce, false) => conf.ack.patience(),
        // What we do not take is lost.
        _ => Patience::None,
    };
    let subscriber = Subscriber {
        broker: Broker::new(upstream, login, conf.timeout, common.longest),
        topics: conf.topic.values().cloned().collect(),
        qos: u8::from(conf.qos == Qos::AtLeastOnce),
        keep_alive: conf.keep_alive,
        common,
    };
    Some(Box::new(Mqtt::Subscriber { subscriber, patience }))
}

impl Input for Mqtt {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let (net, tls, shared) = match *self {
                Self::Server { net, tls, shared } => (net, tls, shared),
                Self::Subscriber { subscriber, .. } => {
                    subscriber.run(&cx).await;
                    return Ok(());
                }
            };
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let listener = Listener::bind(&net, PORT, tls).map_err(failed)?;
            log::info!("[{}] listening on {}:{}", cx.label(), net.listen, net.port.unwrap_or(PORT));
            let shared = Rc::new(shared);
            let own = cx.clone();
            let each = move |stream, peer| {
                let (cx, shared) = (own.clone(), shared.clone());
                async move { server::serve(&cx, &shared, stream, peer).await }
            };
            let left = serve(&cx, listener, Limits::of(&net), each).await?;
            // Connections stay to send the acknowledgements that the shutdown still brings.
            left.closed().await;
            Ok(())
        })
    }

    fn patience(&self) -> Patience {
        match self {
            // What comes with QoS 0 is not sent again.
            Self::Server { .. } => Patience::Waits,
            Self::Subscriber { patience, .. } => *patience,
        }
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
        check(&[("Broker", "b"), ("Topic", "a/#"), ("topic", "b/+/c"), ("User", "u"), ("tls.vhost", "x")], "");
        check(&[("Broker", "[::1]:1884"), ("Topic", "#"), ("QoS", "0"), ("Client_ID", "me"), ("Keep_Alive", "0")], "");
        check(&[("Broker", "b"), ("Topic", "a#")], "Topic: 'a#' selects no topics");
        check(&[("Broker", "b")], "Broker without Topic");
        check(&[("Broker", "mqtt://b"), ("Topic", "a")], "Broker: ");
        check(&[("Broker", "b"), ("Topic", "a"), ("QoS", "2")], "'2' is not one of: 0 1");
        check(&[("Broker", "b"), ("Topic", "a"), ("Keep_Alive", "70000")], "Keep_Alive is longer than MQTT allows");
        check(&[("Broker", "b"), ("Topic", "a"), ("Timeout", "0")], "Timeout 0");
        check(&[("Broker", "b"), ("Topic", "a"), ("Port", "1883")], "Port is for clients");
        check(&[("Broker", "b"), ("Topic", "a"), ("net.max_connections", "3")], "net.max_connections is for clients");
        check(&[("Topic", "a")], "Topic is for a Broker");
        check(&[("net.connect_timeout", "3")], "net.connect_timeout is for a Broker");
        check(&[("Ack", "never")], "'never' is not one of");
        check(&[("PayloadKey", "p")], "Did you mean 'Payload_Key'?");
        if cfg!(feature = "tls") {
            check(&[("tls", "on")], "tls.crt_file");
        }
    }
}
