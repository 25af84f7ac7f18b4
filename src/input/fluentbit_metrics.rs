//! `fluentbit_metrics`: the counters of this program as records.

use super::interval::Ticker;
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key, Kind};
use crate::fmt::prometheus::Family;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "fluentbit_metrics",
        doc: "The counters of this program, as /api/v2/metrics tells them: a record for each value, as \
              {\"name\":\"fluentbit_input_records_total\",\"type\":\"counter\",\"help\":\"Records read\",\"labels\":{\"name\":\"tail.0\"},\
              \"value\":5}. The output prometheus_exporter takes such records. Fluent Bit keeps metrics apart from records.",
        keys: MetricsConf::KEYS,
        unserved: MetricsConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `fluentbit_metrics`.
    pub struct MetricsConf {
        /// How often.
        scrape_interval: Duration => "Scrape_Interval" = "2",
        /// Also at the start.
        scrape_on_start: bool => "Scrape_On_Start" = "off",
    }
    unserved []
}

struct Metrics(MetricsConf);

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = MetricsConf::load(cx.section, cx.diags)?;
    if conf.scrape_interval.is_zero() {
        return cx.refuse("Scrape_Interval", "Scrape_Interval is 0", "Give seconds, for example 2.");
    }
    Some(Box::new(Metrics(conf)))
}

impl Input for Metrics {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut ticker = Ticker::new(self.0.scrape_interval);
            let mut due = self.0.scrape_on_start;
            loop {
                if due {
                    write(&cx.metrics(), &mut cx.batch(cx.tag()), cx.now());
                    cx.commit(cx.tag(), None).await;
                }
                due = ticker.tick(&cx).await;
                if !due {
                    return Ok(());
                }
            }
        })
    }
}

/// A record for each value.
fn write(families: &[Family], batch: &mut Batch, now: Time) {
    let [name, kind, help, labels, value] = ["name", "type", "help", "labels", "value"].map(Key::of);
    for family in families {
        for sample in &family.samples {
            let mark = batch.begin();
            batch.push_text(name, family.name.as_bytes());
            batch.push_text(kind, family.kind.name().as_bytes());
            batch.push_text(help, family.help.as_bytes());
            let map = batch.open(labels, Kind::Map);
            for (label, text) in &sample.labels {
                batch.push_text(Key::of(label), text.as_bytes());
            }
            batch.close(map, sample.labels.len() as u32);
            batch.push(Cell::uint(value, sample.value));
            batch.finish(mark, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind as Plugin;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::fmt::prometheus::Type;
    use crate::plugin::made;

    #[test]
    fn records() {
        let all = [
            Family::new("a_total", Type::Counter, "Number of a").with(&[("name", "x\""), ("what", "y")], 7),
            Family::new("b", Type::Gauge, "What b is").with(&[], 0),
        ];
        let mut batch = Batch::new(Tag::new("t"));
        write(&all, &mut batch, Time(1));
        let mut out = Vec::new();
        batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
        let want = r#"{"name":"a_total","type":"counter","help":"Number of a","labels":{"name":"x\"","what":"y"},"value":7}{"name":"b","type":"gauge","help":"What b is","labels":{},"value":0}"#;
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn configurations() {
        let said = |value| made(Plugin::Input, &PLUGIN.info, PLUGIN.make, &[("scrape_interval", value)]).1;
        assert_eq!(said("0.5"), "");
        assert!(said("0").contains("Scrape_Interval is 0"));
    }
}
