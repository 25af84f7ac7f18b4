//! `kafka`: records as messages of Kafka topics, each delivered when the brokers say that they have it.
//!
//! Its own client on the event thread: one connection per broker, batches of the second format, an idempotent producer. Chunk by
//! chunk, so that a chunk is one batch for each partition it touches.

mod cluster;
pub mod conf;
mod job;
mod link;
mod message;
mod partition;
mod producer;
mod round;
mod settings;
#[cfg(test)]
mod tests;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Error;
use crate::event::{Key, View};
use crate::fmt::gelf::{Gelf, GelfKeys};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use conf::KafkaConf;
use message::{Format, Messages};
use producer::Producer;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "kafka",
        doc: "Sends records to Kafka, brokers of 0.11 or later.",
        keys: KafkaConf::KEYS,
        unserved: KafkaConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Kafka {
    messages: Messages,
    producer: Producer,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = KafkaConf::load(cx.section, cx.diags)?;
    let settings = settings::read(&conf, cx);
    let messages = messages(&conf, cx);
    let (settings, messages) = (settings?, messages?);
    let missing = format!("it has no '{}' (Raw_Log_Key)", conf.raw_log_key.as_deref().unwrap_or_default());
    // Where the first chunk goes: not every program that starts now should begin with the same partition.
    let seed = RandomState::new().build_hasher().finish() as usize % 1024;
    match Producer::new(settings, &messages.topics, missing, cx.name, seed) {
        Ok(producer) => Some(Box::new(Kafka { messages, producer })),
        Err(why) => cx.refuse("Brokers", why, "Check Brokers and net.*."),
    }
}

fn messages(conf: &KafkaConf, cx: &mut MakeCx<'_>) -> Option<Messages> {
    for topic in &conf.topics.0 {
        if !message::is_topic(topic.as_bytes()) {
            let why = format!("Topics: '{topic}' cannot be a topic's name");
            return cx.refuse("Topics", why, "Use up to 249 letters, digits, '.', '_' and '-'.");
        }
    }
    if conf.topics.0.is_empty() {
        return cx.refuse("Topics", "Topics: there is none", "Name one, for example logs.");
    }
    if conf.format == Format::Raw && conf.raw_log_key.is_none() {
        return cx.refuse("Format", "Format raw needs Raw_Log_Key", "Add for example: Raw_Log_Key log");
    }
    let topic_key = cx.path_if("Topic_Key", conf.topic_key.as_deref());
    let key_field = cx.path_if("Message_Key_Field", conf.message_key_field.as_deref());
    let raw = cx.path_if("Raw_Log_Key", conf.raw_log_key.as_deref());
    Some(Messages {
        format: conf.format,
        topics: conf.topics.0.clone(),
        topic_key: topic_key?,
        dynamic: conf.dynamic_topic,
        key: conf.message_key.clone(),
        key_field: key_field?,
        time_key: Key::of(&conf.timestamp_key),
        time_format: conf.timestamp_format,
        raw: raw?,
        gelf: Gelf::new(
            GelfKeys::new(
                conf.gelf_timestamp_key.as_deref(),
                conf.gelf_host_key.as_deref(),
                conf.gelf_short_message_key.as_deref(),
                conf.gelf_full_message_key.as_deref(),
                conf.gelf_level_key.as_deref(),
            ),
            cx.json,
        ),
        json: cx.json,
        scratch: RefCell::default(),
    })
}

impl Output for Kafka {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        self.messages.write(view, out);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(self.producer.deliver(payload))
    }

    /// The next chunk becomes batches while this one is on its way.
    fn concurrency(&self) -> usize {
        2
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.producer.close() })
    }
}
