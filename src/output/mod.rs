//! Outputs: where records go. One file per plugin, one line in [`PLUGINS`].

#[cfg(feature = "tools")]
pub mod counter;
#[cfg(feature = "network")]
mod datagrams;
#[cfg(feature = "es")]
pub mod es;
mod events;
pub mod file;
#[cfg(feature = "forward")]
pub mod forward;
#[cfg(feature = "network")]
pub mod gelf;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
pub mod influxdb;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "beats")]
pub mod logstash;
#[cfg(feature = "http")]
pub mod loki;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod null;
mod one_way;
#[cfg(feature = "http")]
pub mod opentelemetry;
#[cfg(feature = "monitor")]
pub mod prometheus_exporter;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "http-client")]
pub mod request;
pub mod stdout;
#[cfg(feature = "network")]
pub mod syslog;
pub mod tcp;
#[cfg(test)]
mod testing;
#[cfg(feature = "network")]
pub mod udp;

use crate::conf::{PluginInfo, table};
use crate::error::Error;
use crate::event::{Tag, View};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::borrow::Cow;

/// A destination. Formatting is apart from delivery, so that the bytes can be tested without a peer.
pub trait Output {
    /// Serialises records into `out`, which is empty. Pure. An error is about the records: they are dropped and counted.
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error>;

    /// Sends what [`Output::format`] made. May be called again with the same payload after [`Outcome::Retry`] or
    /// [`Outcome::Down`].
    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome>;

    /// Deliveries that may run at once.
    fn concurrency(&self) -> usize {
        1
    }

    /// Whether records that it will never take are kept for another time.
    fn keeps_rejected(&self) -> bool {
        true
    }

    /// Called once when the pipeline starts, before the first delivery: open files, bind, report what is wrong early.
    /// An error keeps the program from starting.
    fn start(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Called once after the last delivery.
    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// What is sent in one delivery.
#[derive(Debug)]
pub struct Payload {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The tag of the records.
    pub tag: Tag,
    /// Number of records in `bytes`.
    pub records: usize,
    /// For bulk outputs: where each item ends in `bytes`, and which record of the batch it is.
    pub items: Vec<(u32, u32)>,
}

impl Payload {
    /// An empty payload.
    pub fn new(tag: Tag) -> Self {
        Self { bytes: Vec::new(), tag, records: 0, items: Vec::new() }
    }

    /// Empties it for another chunk; its memory stays.
    pub fn reset(&mut self, tag: &Tag) {
        if self.tag != *tag {
            self.tag = tag.clone();
        }
        self.bytes.clear();
        self.items.clear();
        self.records = 0;
    }
}

/// Why a delivery failed, for the operator.
pub type Why = Cow<'static, str>;

/// What became of a delivery.
#[derive(Debug)]
pub enum Outcome {
    /// Everything is stored.
    Done,
    /// Nothing is stored, nor would anything else be now: the destination is out of reach or overloaded. All that is
    /// for it waits.
    Down(Why),
    /// Nothing is stored; this is tried again later, other chunks go on.
    Retry(Why),
    /// It can never be stored: the records are refused.
    Drop(Why),
    /// Bulk outputs: some items are stored; of the others `retry` are sent again, `refused` can never be stored. Both are
    /// indices in the batch.
    Part {
        /// Records to send again.
        retry: Vec<u32>,
        /// The first reason the server gave for them.
        why: Why,
        /// Records that can never be stored, each with the server's reason.
        refused: Vec<(u32, Why)>,
    },
}

/// An output plugin of the table.
pub struct OutputPlugin {
    /// Name, keys and documentation.
    pub info: PluginInfo,
    /// Checks the section and makes an instance; what is wrong goes to `cx.diags`.
    pub make: fn(&mut MakeCx<'_>) -> Option<Box<dyn Output>>,
}

table! {
    /// Every output, by name.
    PLUGINS: OutputPlugin =
    #[cfg(feature = "tools")]
    &counter::PLUGIN,
    #[cfg(feature = "es")]
    &es::ES,
    #[cfg(feature = "es")]
    &es::OPENSEARCH,
    &file::PLUGIN,
    #[cfg(feature = "forward")]
    &forward::PLUGIN,
    #[cfg(feature = "network")]
    &gelf::PLUGIN,
    #[cfg(feature = "http")]
    &http::PLUGIN,
    #[cfg(feature = "http")]
    &influxdb::PLUGIN,
    #[cfg(feature = "kafka")]
    &kafka::PLUGIN,
    #[cfg(feature = "http")]
    &loki::PLUGIN,
    #[cfg(feature = "beats")]
    &logstash::BEATS,
    #[cfg(feature = "beats")]
    &logstash::LOGSTASH,
    #[cfg(feature = "beats")]
    &logstash::LUMBERJACK,
    #[cfg(feature = "mqtt")]
    &mqtt::PLUGIN,
    &null::PLUGIN,
    #[cfg(feature = "http")]
    &opentelemetry::PLUGIN,
    #[cfg(feature = "monitor")]
    &prometheus_exporter::PLUGIN,
    #[cfg(feature = "redis")]
    &redis::PLUGIN,
    &stdout::PLUGIN,
    #[cfg(feature = "network")]
    &syslog::PLUGIN,
    &tcp::PLUGIN,
    #[cfg(feature = "network")]
    &udp::PLUGIN,
}
