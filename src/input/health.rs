//! `health`: whether a TCP server takes connections.

use super::gauge::IntervalConf;
use super::interval::Ticker;
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::conf::common::NetOut;
use crate::error::Error;
use crate::event::{Cell, Key};
use crate::net::{Target, Upstream};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, or};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "health",
        doc: "Whether a TCP server takes connections, at each interval: alive, with Add_Host hostname, with Add_Port port. A try \
              ends after net.connect_timeout; the next one waits for it.",
        keys: HealthConf::KEYS,
        unserved: HealthConf::UNSERVED,
        extra: &[IntervalConf::TABLE, NetOut::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `health`.
    pub struct HealthConf {
        /// The server, by name or address.
        host: String => "Host" required,
        /// Its port.
        port: u16 => "Port" required,
        /// Records only while it takes no connections.
        alert: bool => "Alert" = "off",
        /// Add the server under `hostname`.
        add_host: bool => "Add_Host" = "off",
        /// Add the port.
        add_port: bool => "Add_Port" = "off",
    }
}

struct Health {
    conf: HealthConf,
    interval: IntervalConf,
    upstream: Upstream,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = HealthConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let net = NetOut::load(cx.section, cx.diags)?;
    let target = Target::Tcp(conf.host.clone(), conf.port);
    let upstream = match Upstream::new(target, &net, None) {
        Ok(upstream) => upstream,
        Err(why) => return cx.refuse("net.source_address", why, "Give an address of this machine, or leave it out."),
    };
    Some(Box::new(Health { conf, interval, upstream }))
}

impl Input for Health {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut ticker = Ticker::new(self.interval.period());
            while ticker.tick(&cx).await {
                let tried = or(async { Some(self.upstream.fresh().await) }, async {
                    cx.stopping().await;
                    None
                });
                let alive = match tried.await {
                    None => return Ok(()),
                    Some(Ok(_)) => true,
                    Some(Err(why)) => {
                        log::debug!("[{}] {why}", cx.label());
                        false
                    }
                };
                if alive && self.conf.alert {
                    continue;
                }
                self.write(&cx, alive);
                cx.commit(cx.tag(), None).await;
            }
            Ok(())
        })
    }
}

impl Health {
    fn write(&self, cx: &InputCx, alive: bool) {
        let mut batch = cx.batch(cx.tag());
        let mark = batch.begin();
        batch.push(Cell::bool(Key::of("alive"), alive));
        if self.conf.add_host {
            batch.push_text(Key::of("hostname"), self.conf.host.as_bytes());
        }
        if self.conf.add_port {
            batch.push(Cell::int(Key::of("port"), i64::from(self.conf.port)));
        }
        batch.finish(mark, cx.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::judged;

    #[test]
    fn what_is_refused() {
        let said = |conf: &[(&str, &str)], said| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&[("host", "localhost"), ("port", "80"), ("net.connect_timeout", "2")], "");
        said(&[("host", "localhost")], "'Port' is required");
        said(&[("port", "80")], "'Host' is required");
        said(&[("host", "localhost"), ("port", "80"), ("net.source_address", "x")], "not an IP address");
    }
}
