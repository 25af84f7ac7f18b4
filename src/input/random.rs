//! `random`: a random number at each interval.

use super::interval::{Ticker, period};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Cell, Key};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::util::rng::Rng;
use std::hash::{BuildHasher, RandomState};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "random",
        doc: "Makes a record with a random number at each interval.",
        keys: RandomConf::KEYS,
        unserved: RandomConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `random`.
    pub struct RandomConf {
        /// Records to make; -1 is no end.
        samples: i64 => "Samples" = "-1",
        /// Seconds between records.
        interval_sec: u64 => "Interval_Sec" = "1",
        /// Nanoseconds between records, added to the seconds.
        interval_nsec: u64 => "Interval_NSec" = "0",
    }
}

struct Random(RandomConf);

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    Some(Box::new(Random(RandomConf::load(cx.section, cx.diags)?)))
}

impl Input for Random {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let conf = self.0;
            // The system's hash keys are random: a seed without a further source.
            let mut rng = Rng::new(RandomState::new().hash_one(cx.now()));
            let key = Key::of("rand_value");
            let mut ticker = Ticker::new(period(conf.interval_sec, conf.interval_nsec));
            let mut left = conf.samples;
            while left != 0 && ticker.tick(&cx).await {
                {
                    let mut b = cx.batch(cx.tag());
                    let mark = b.begin();
                    b.push(Cell::uint(key, rng.next_u64()));
                    b.finish(mark, cx.now());
                }
                cx.commit(cx.tag(), None).await;
                left = if left > 0 { left - 1 } else { left };
            }
            Ok(())
        })
    }
}
