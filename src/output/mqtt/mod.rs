//! `mqtt`: records as messages of an MQTT broker (3.1.1), each delivered when the broker says that it has it.

mod client;
#[cfg(test)]
mod tests;

use super::{Outcome, Output, OutputPlugin, Payload, one_way};
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::formats::{DateKey, Qos};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::event::access::Accessor;
use crate::event::template::Template;
use crate::event::{Record, Value, View};
use crate::fmt::date_format::DateFormat;
use crate::fmt::mqtt::{MAX_REST, PORT, PORT_TLS, is_topic};
use crate::fmt::msgpack_write::write_event;
use crate::fmt::record::RecordFormat;
use crate::fmt::text;
use crate::net::Upstream;
use crate::net::mqtt::{Broker, Login};
use crate::plugin::MakeCx;
use crate::rt::{self, LocalFuture};
use crate::util::hex;
use client::{Client, Settings};
use std::time::Duration;

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "mqtt",
        doc: "Publishes each record as a message of an MQTT broker (3.1.1). With QoS 1 it is delivered when the broker has \
              acknowledged it; what was not acknowledged when a connection broke is published again. The default port is 1883, \
              with tls 8883.",
        keys: MqttConf::KEYS,
        unserved: MqttConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// What a message is.
    pub enum Format {
        /// The record as a JSON object.
        Json = "json",
        /// The event, with its time, in msgpack.
        Msgpack = "msgpack",
    }
}

crate::config! {
    /// Keys of mqtt.
    pub struct MqttConf {
        /// The topic of a record; with variables: `plant/$TAG[1]/$sensor['id']`. A record whose topic would be empty, or have a
        /// wildcard (`+`, `#`) in it, is refused.
        topic: String => "Topic" = "$TAG",
        /// 1: a record is delivered when the broker has acknowledged it. 0: when the broker's system has the bytes.
        qos: Qos => "QoS" = "1",
        /// The broker keeps the last message of each topic for subscribers to come.
        retain: bool => "Retain" = "off",
        /// What a message is: the record as a JSON object, or the event in msgpack (time, metadata and record).
        format: Format => "Format" = "json",
        /// Send this field alone.
        message_key: Option<String> => "Message_Key",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
        /// Our name, which no other client of the broker may have; made up when not given.
        client_id: Option<String> => "Client_ID",
        /// The user.
        user: Option<String> => "User",
        /// The user's password.
        password: Option<String> => "Password",
        /// The broker is told that we are never silent for longer, and is asked whether it is there in time; 0 is never.
        keep_alive: Duration => "Keep_Alive" = "60s",
        /// How long an answer may take.
        timeout: Duration => "Timeout" = "10s",
        /// Messages that are sent before the first of them is acknowledged.
        max_inflight: u16 => "Max_Inflight" = "1000",
        /// The longest message with its topic that the broker takes; longer ones are refused. The protocol has 256 MiB.
        max_packet_size: Size => "Max_Packet_Size" = "256M",
    }
}

struct Mqtt {
    topic: Template,
    form: Form,
    client: Client,
}

/// What a message holds.
enum Form {
    Json(RecordFormat),
    Msgpack,
    Field(Accessor),
}

/// The random letters of a name: brokers need not take more than 23 in all (3.1.3.1).
const RANDOM: usize = 7;

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = MqttConf::load(cx.section, cx.diags)?;
    let common = OutputCommon::load(cx.section, cx.diags)?;
    let mut net = NetOut::load(cx.section, cx.diags)?;
    let tls = TlsClient::load(cx.section, cx.diags)?;
    let tls = cx.client_tls(&tls)?;
    let topic = match Template::parse(&conf.topic) {
        Ok(topic) => topic,
        Err(why) => return cx.refuse("Topic", format!("Topic: {why}"), "Write for example: logs/$TAG"),
    };
    if topic.literal().is_some_and(|name| !is_topic(name)) {
        let why = format!("Topic: '{}' cannot be a topic", conf.topic);
        return cx.refuse("Topic", why, "It is not empty, and has neither '+' nor '#' in it.");
    }
    if conf.password.is_some() && conf.user.is_none() {
        return cx.refuse("Password", "Password is given without User", "Set User, too.");
    }
    if conf.max_inflight == 0 || conf.timeout.is_zero() {
        let key = if conf.timeout.is_zero() { "Timeout" } else { "Max_Inflight" };
        return cx.refuse(
            key,
            format!("{key} 0: nothing would ever be delivered"),
            "Leave it out for the usual value.",
        );
    }
    let form = match &conf.message_key {
        Some(key) => Form::Field(cx.path("Message_Key", key)?),
        None => match conf.format {
            Format::Json => {
                Form::Json(RecordFormat::new(conf.json_date_key.0.as_deref(), conf.json_date_format, cx.json))
            }
            Format::Msgpack => Form::Msgpack,
        },
    };
    if net.io_timeout.is_zero() {
        net.io_timeout = conf.timeout;
    }
    let port = if tls.is_some() { PORT_TLS } else { PORT };
    let upstream = match Upstream::new(one_way::target(&common, port), &net, tls) {
        Ok(upstream) => upstream,
        Err(why) => return one_way::source_address(cx, &why),
    };
    let login = Login {
        client_id: conf.client_id.unwrap_or_else(made_up),
        user: conf.user,
        password: conf.password,
        clean: true,
        keep_alive: conf.keep_alive,
    };
    if let Err((key, why)) = login.check() {
        return cx.refuse(key, format!("{key} {why}"), "It has at most 65,535 bytes; Keep_Alive as many seconds.");
    }
    let settings = Settings {
        acknowledged: conf.qos == Qos::AtLeastOnce,
        retain: conf.retain,
        window: conf.max_inflight.into(),
        most: usize::try_from(conf.max_packet_size.0).unwrap_or(usize::MAX).min(MAX_REST),
        missing: format!("it has no '{}' (Message_Key)", conf.message_key.unwrap_or_default()),
        idle: net.keepalive_idle_timeout,
    };
    let client = Client::new(Broker::new(upstream, login, conf.timeout, 0), settings);
    Some(Box::new(Mqtt { topic, form, client }))
}

/// A name that no other client has.
fn made_up() -> String {
    let mut bytes = [0; RANDOM];
    // Without random numbers a broker takes two of us for one: they would push each other out, and say so.
    let _ = rt::random(&mut bytes);
    let mut name = b"collector".to_vec();
    hex::push(&mut name, &bytes);
    String::from_utf8_lossy(&name).into_owned()
}

impl Output for Mqtt {
    /// A message per record: what it is (1 for one that lacks the field), the length of its topic in two bytes, topic, payload.
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        for record in view.records() {
            let start = out.bytes.len();
            out.bytes.extend_from_slice(&[0; client::HEAD]);
            self.topic.render(record.body(), view.tag(), |_| None, &mut out.bytes);
            // One that is too long is none: it is refused.
            let topic = u16::try_from(out.bytes.len() - start - client::HEAD).unwrap_or_else(|_| {
                out.bytes.truncate(start + client::HEAD);
                0
            });
            let is_there = self.form.write(&record, &mut out.bytes);
            let [high, low] = topic.to_be_bytes();
            if let Some(head) = out.bytes.get_mut(start..).and_then(|head| head.first_chunk_mut()) {
                *head = [u8::from(!is_there), high, low];
            }
            out.items.push((out.bytes.len() as u32, record.index() as u32));
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(self.client.deliver(payload))
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(self.client.close())
    }
}

impl Form {
    /// Appends the payload; `false` when the record does not have it.
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Json(format) => format.write_object(record, out),
            Self::Msgpack => write_event(record, out),
            Self::Field(path) => match path.get(record.body()) {
                Some(Value::Str(t)) => text::write_text(t, out),
                Some(value) => text::write_value(&value, out),
                None => return false,
            },
        }
        true
    }
}
