//! `logstash`: events to Logstash's beats input, or to another collector's, as Beats send them.

mod client;
mod event;
mod hosts;
mod size;
#[cfg(test)]
mod tests;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::{CList, PluginInfo};
use crate::error::Error;
use crate::event::{Key, View};
use crate::net::{Target, Upstream};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use client::{Client, Settings};
use event::EventFormat;
use hosts::Hosts;
use std::time::Duration;

crate::config! {
    /// Options of `logstash`.
    pub struct LogstashConf {
        /// Servers, `host` or `host:port`, instead of Host and Port: the next one is taken when one fails.
        hosts: Option<CList> => "Hosts",
        /// Send to all hosts at the same time.
        loadbalance: bool => "Loadbalance" = "off",
        /// Events in a window, at most.
        bulk_max_size: u32 => "Bulk_Max_Size" = "2048",
        /// Windows on the way before the first of them is acknowledged, on each connection.
        pipelining: u32 => "Pipelining" = "2",
        /// Begin with windows of ten events and let them grow as they are acknowledged.
        slow_start: bool => "Slow_Start" = "off",
        /// 1 (fast) to 9 (small); 0 packs nothing.
        compression_level: u32 => "Compression_Level" = "3",
        /// How long the server may be silent while a window waits: neither take bytes, nor acknowledge, nor say that it is at
        /// work.
        timeout: Duration => "Timeout" = "30s",
        /// What `@metadata` calls the beat; Logstash's usual index names begin with it.
        index: String => "Index" = "collector",
        /// Add the tag under this key.
        tag_key: Option<String> => "Tag_Key",
    }
    unserved ["Upstream"]
}

macro_rules! plugin {
    ($name:literal, $doc:literal) => {
        OutputPlugin {
            info: PluginInfo {
                name: $name,
                doc: $doc,
                keys: LogstashConf::KEYS,
                unserved: LogstashConf::UNSERVED,
                extra: &[NetOut::TABLE, TlsClient::TABLE],
            },
            make: |cx| make(cx),
        }
    };
}

/// The plugin.
pub static LOGSTASH: OutputPlugin = plugin!(
    "logstash",
    "Sends events to Logstash's beats input, or another lumberjack server of version 2, as Beats do. An event is delivered when \
     the server has acknowledged it; of a window that is acknowledged in part the rest is sent again. Events have @timestamp (the \
     record's time in UTC to the millisecond, unless the record brings its own), @metadata with beat, type and version (and what \
     the record's own metadata says; a record's own @metadata stays as it is), and the record's fields. Workers is \
     the number of connections to each host, 2 when not given."
);
/// The same under the name of those who send.
pub static BEATS: OutputPlugin = plugin!("beats", "The output logstash under another name.");
/// The same under the name of the protocol.
pub static LUMBERJACK: OutputPlugin = plugin!("lumberjack", "The output logstash under another name.");

/// The port when none is given.
const PORT: u16 = 5044;
/// Connections to each host when `Workers` is not given: one sends while the other waits.
const CONNECTIONS: usize = 2;

struct Logstash {
    format: EventFormat,
    client: Client,
    connections: usize,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = LogstashConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let net = NetOut::load(cx.section, cx.diags);
    let tls = TlsClient::load(cx.section, cx.diags);
    let (conf, common, net, tls) = (conf?, common?, net?, tls?);
    if conf.compression_level > 9 {
        return cx.refuse("Compression_Level", "Compression_Level is above 9", "0 packs nothing, 9 packs smallest.");
    }
    for (key, n) in [("Bulk_Max_Size", conf.bulk_max_size), ("Pipelining", conf.pipelining)] {
        if n == 0 {
            return cx.refuse(key, format!("{key} is 0: nothing could be sent"), "Leave it out, or give 1 or more.");
        }
    }
    let default = common.port.unwrap_or(PORT);
    let targets = match &conf.hosts {
        Some(CList(hosts)) if hosts.is_empty() => return cx.refuse("Hosts", "Hosts is empty", "Name a server."),
        Some(CList(hosts)) => hosts.iter().map(|host| Target::parse(host, default)).collect(),
        None => {
            let host = common.host.as_deref().unwrap_or("127.0.0.1");
            Ok(vec![Target::Tcp(host.trim_matches(['[', ']']).to_owned(), default)])
        }
    };
    let targets: Vec<Target> = match targets {
        Ok(targets) => targets,
        Err(why) => {
            return cx.refuse("Hosts", format!("Hosts: {why}"), "For example: Hosts a:5044, [2001:db8::1]:5044");
        }
    };
    let tls = cx.client_tls(&tls)?;
    let mut upstreams = Vec::new();
    for target in targets {
        match Upstream::new(target, &net, tls.clone()) {
            Ok(upstream) => upstreams.push(upstream),
            Err(why) => {
                let key = "net.source_address";
                let help = "Give an address of this machine, for example 192.0.2.7.";
                return cx.refuse(key, format!("{key}: {why}"), help);
            }
        }
    }
    let each = common.workers.map_or(CONNECTIONS, usize::from).max(1);
    let connections = if conf.loadbalance { each * upstreams.len() } else { each };
    let settings = Settings {
        bulk: conf.bulk_max_size as usize,
        pipelining: conf.pipelining as usize,
        level: conf.compression_level,
        timeout: if conf.timeout.is_zero() { Duration::from_secs(3600) } else { conf.timeout },
        slow_start: conf.slow_start,
    };
    let hosts = Hosts::new(upstreams, conf.loadbalance, &settings);
    let format = EventFormat::new(&conf.index, conf.tag_key.as_deref().map(Key::of), cx.json);
    Some(Box::new(Logstash { format, client: Client::new(hosts, settings, cx.label()), connections }))
}

impl Output for Logstash {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        for record in view.records() {
            self.format.write(&record, &mut out.bytes);
            out.items.push((out.bytes.len() as u32, record.index() as u32));
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(self.client.deliver(payload))
    }

    fn concurrency(&self) -> usize {
        self.connections
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.client.close() })
    }
}
