//! `dummy`: makes the same record again and again, for tests and demonstrations.

use super::interval::{Ticker, period};
use super::{Input, InputCx, InputPlugin};
use crate::conf::{FromConf, PluginInfo};
use crate::error::Error;
use crate::event::{Batch, Tag};
use crate::fmt::json_read::JsonReader;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use std::time::{Duration, Instant};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "dummy",
        doc: "Makes the same record again and again, for tests and demonstrations.",
        keys: DummyConf::KEYS,
        unserved: DummyConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `dummy`.
    pub struct DummyConf {
        /// The record: a JSON object.
        dummy: JsonObject => "Dummy" = "{\"message\":\"dummy\"}",
        /// Its metadata: a JSON object.
        metadata: JsonObject => "Metadata" = "{}",
        /// Records per second; the interval keys win over it.
        rate: u32 => "Rate" = "1",
        /// Seconds between records.
        interval_sec: u64 => "Interval_Sec" = "0",
        /// Nanoseconds between records, added to the seconds.
        interval_nsec: u64 => "Interval_NSec" = "0",
        /// Copies of the record at each tick.
        copies: u32 => "Copies" = "1",
        /// Ticks to make; 0 is no end.
        samples: u64 => "Samples" = "0",
        /// The time of the first record, seconds since 1970; -1 is the clock's.
        start_time_sec: i64 => "Start_Time_Sec" = "-1",
        /// Nanoseconds added to it.
        start_time_nsec: i64 => "Start_Time_NSec" = "-1",
        /// All records carry the start time.
        fixed_timestamp: bool => "Fixed_Timestamp" = "off",
        /// Make the first record at once.
        flush_on_startup: bool => "Flush_On_Startup" = "off",
    }
    unserved ["test_hang_on_exit=off"]
}

/// The text of a JSON object, checked.
#[derive(Debug, Clone)]
pub struct JsonObject(String);

impl FromConf for JsonObject {
    const KIND: &'static str = "JSON object";
    const EXAMPLE: &'static str = "{\"message\":\"dummy\"}";

    fn from_conf(text: &str) -> Result<Self, String> {
        let mut batch = Batch::new(Tag::new(""));
        let span = batch.arena_mut().push(text.as_bytes());
        JsonReader::default().object(&mut batch, span).map_err(|e| format!("'{text}' is not a JSON object: {e}"))?;
        Ok(Self(text.to_owned()))
    }
}

struct Dummy(DummyConf);

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = DummyConf::load(cx.section, cx.diags)?;
    if conf.rate == 0 && conf.interval_sec == 0 && conf.interval_nsec == 0 {
        return cx.refuse("Rate", "Rate 0 makes no record", "Give at least 1, or an interval.");
    }
    Some(Box::new(Dummy(conf)))
}

impl Input for Dummy {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let conf = self.0;
            let every = if conf.interval_sec > 0 || conf.interval_nsec > 0 {
                period(conf.interval_sec, conf.interval_nsec)
            } else {
                Duration::from_secs(1) / conf.rate.max(1)
            };
            let mut source = Source::new(&conf, &cx);
            let mut made = 0;
            let begin = Instant::now();
            let mut ticker = Ticker::new(every.max(Duration::from_millis(1)));
            if conf.flush_on_startup {
                source.emit(&conf, &cx);
                cx.commit(cx.tag(), None).await;
                made = 1;
            }
            while ticker.tick(&cx).await {
                // Rates above the clock's resolution make several at a tick.
                let due = (begin.elapsed().as_nanos() / every.as_nanos().max(1)) as u64;
                let due = if every < Duration::from_millis(1) { due.max(made + 1) } else { made + 1 };
                while made < due && (conf.samples == 0 || made < conf.samples) {
                    source.emit(&conf, &cx);
                    made += 1;
                }
                cx.commit(cx.tag(), None).await;
                if conf.samples > 0 && made >= conf.samples {
                    return Ok(());
                }
            }
            Ok(())
        })
    }
}

/// The times and the reader of one instance.
struct Source {
    body: JsonReader,
    meta: JsonReader,
    start: Option<Time>,
    born: Time,
}

impl Source {
    fn new(conf: &DummyConf, cx: &InputCx) -> Self {
        let given = conf.start_time_sec >= 0 || conf.start_time_nsec >= 0;
        let start = given.then(|| {
            let nanos = conf.start_time_sec.max(0).saturating_mul(1_000_000_000);
            Time(nanos.saturating_add(conf.start_time_nsec.max(0)))
        });
        Self { body: JsonReader::default(), meta: JsonReader::default(), start, born: cx.now() }
    }

    fn emit(&mut self, conf: &DummyConf, cx: &InputCx) {
        let now = cx.now();
        let time = match self.start {
            Some(t) if conf.fixed_timestamp => t,
            Some(t) => Time(t.0.saturating_add(now.0.saturating_sub(self.born.0))),
            None => now,
        };
        let mut batch = cx.batch(cx.tag());
        for _ in 0..conf.copies.max(1) {
            let span = batch.arena_mut().push(conf.dummy.0.as_bytes());
            let mark = batch.begin();
            // Checked when the configuration was read.
            if self.body.object(&mut batch, span).is_err() {
                return;
            }
            batch.finish(mark, time);
            if conf.metadata.0 != "{}" {
                let span = batch.arena_mut().push(conf.metadata.0.as_bytes());
                let mark = batch.begin();
                if self.meta.object(&mut batch, span).is_ok() {
                    let last = batch.len() - 1;
                    batch.replace_meta(last, mark);
                }
            }
        }
    }
}
