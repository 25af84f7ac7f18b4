//! `throttle`: lets so many records pass in a time, the mean taken over a sliding window.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::PluginInfo;
use crate::event::Batch;
use crate::plugin::MakeCx;
use crate::time::Time;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "throttle",
        doc: "Lets so many records pass in a time, the mean taken over a sliding window.",
        keys: ThrottleConf::KEYS,
        unserved: ThrottleConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `throttle`.
    pub struct ThrottleConf {
        /// Records per interval that may pass on the mean.
        rate: f64 => "Rate" = "1",
        /// The number of intervals in the window: a burst may use up all of it at once.
        window: u32 => "Window" = "5",
        /// The length of an interval.
        interval: Duration => "Interval" = "1",
        /// Log a line for each interval in which records arrive.
        print_status: bool => "Print_Status" = "off",
    }
}

/// The largest window: it takes four bytes per interval.
const WINDOW_MAX: u32 = 1_000_000;

#[derive(Debug)]
struct Throttle {
    label: String,
    rate: f64,
    interval: String,
    print_status: bool,
    window: Window,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = ThrottleConf::load(cx.section, cx.diags)?;
    if conf.rate <= 0.0 {
        return cx.refuse("Rate", "Rate must be more than 0, or no record passes", "Write for example: Rate 1000");
    }
    if conf.window == 0 || conf.window > WINDOW_MAX {
        let what = format!("Window must be between 1 and {WINDOW_MAX}");
        return cx.refuse("Window", what, "Write for example: Window 5");
    }
    if conf.interval.is_zero() {
        return cx.refuse("Interval", "Interval must be more than 0", "Write for example: Interval 1s");
    }
    Some(Box::new(Throttle {
        label: cx.label(),
        rate: conf.rate,
        interval: cx.section.value("interval").unwrap_or("1").to_owned(),
        print_status: conf.print_status,
        window: Window::new(conf.window, conf.interval),
    }))
}

impl Filter for Throttle {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        if self.window.advance(cx.now) && self.print_status {
            log::info!("[{}] {}", self.label, self.status(cx.now));
        }
        for i in batch.fresh() {
            if self.window.mean() < self.rate {
                self.window.count();
            } else {
                batch.drop_record(i);
            }
        }
    }
}

impl Throttle {
    fn status(&self, now: Time) -> String {
        format!(
            "{}: limit is {:.2} per {} with window size of {}, current rate is: {} per interval",
            now.secs(),
            self.rate,
            self.interval,
            self.window.slots.len(),
            self.window.mean() as u64
        )
    }
}

/// Records counted per interval, for the last so many intervals.
#[derive(Debug)]
struct Window {
    slots: Box<[u32]>,
    /// Nanoseconds.
    interval: i64,
    /// The beginning of interval 0.
    start: Option<Time>,
    current: i64,
    total: u64,
}

impl Window {
    fn new(size: u32, interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
        Self { slots: vec![0; size as usize].into(), interval, start: None, current: 0, total: 0 }
    }

    /// Takes the time; says whether an interval begins with it.
    fn advance(&mut self, now: Time) -> bool {
        let Some(start) = self.start else {
            self.start = Some(now);
            return true;
        };
        let at = now.0.saturating_sub(start.0).div_euclid(self.interval);
        if at < self.current {
            // The clock was set back: go on where the window stands.
            self.start = Some(Time(now.0.saturating_sub(self.current.saturating_mul(self.interval))));
            return false;
        }
        let size = self.slots.len() as i64;
        for new in at.saturating_sub(size).max(self.current)..at {
            if let Some(slot) = self.slots.get_mut(((new + 1) % size) as usize) {
                self.total -= u64::from(std::mem::take(slot));
            }
        }
        std::mem::replace(&mut self.current, at) != at
    }

    fn mean(&self) -> f64 {
        self.total as f64 / self.slots.len() as f64
    }

    fn count(&mut self) {
        let at = (self.current % self.slots.len() as i64) as usize;
        if let Some(slot) = self.slots.get_mut(at).filter(|s| **s < u32::MAX) {
            *slot += 1;
            self.total += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{append, apply, batch, instance, refused};

    /// Pairs of a time in seconds and the records that arrive then; answers how many pass.
    fn pass(conf: &[(&str, &str)], arrivals: &[(f64, usize)]) -> Vec<usize> {
        let mut f = instance(&PLUGIN, conf);
        let mut b = batch("t", &[]);
        arrivals
            .iter()
            .map(|&(at, n)| {
                append(&mut b, &vec!["{}"; n]);
                apply(&mut *f, &mut b, &mut FilterCx::new(Time(1_000_000_000_000 + (at * 1e9) as i64)));
                let passed = b.fresh().len();
                b.settle();
                passed
            })
            .collect()
    }

    #[test]
    fn a_burst_may_use_up_the_window() {
        let conf = [("Rate", "2"), ("Window", "3"), ("Interval", "1s")];
        assert_eq!(pass(&conf, &[(0.0, 10), (0.5, 10), (1.0, 10), (2.9, 10), (3.0, 10), (3.5, 1)]), [6, 0, 0, 0, 6, 0]);
        assert_eq!(pass(&conf, &[(0.0, 2), (1.0, 2), (2.0, 10), (3.0, 10), (4.0, 10)]), [2, 2, 2, 2, 2]);
        assert_eq!(pass(&conf, &[(0.0, 6), (100.0, 10), (1e6, 10)]), [6, 6, 6]);
        assert_eq!(pass(&[], &[(0.0, 9), (4.9, 9), (5.0, 9)]), [5, 0, 5]);
        assert_eq!(pass(&[("Rate", "0.5"), ("Window", "4")], &[(0.0, 9)]), [2]);
        assert_eq!(
            pass(&[("Rate", "1"), ("Window", "1"), ("Interval", "1m")], &[(0.0, 2), (59.0, 2), (60.0, 2)]),
            [1, 0, 1]
        );
    }

    #[test]
    fn a_clock_set_back_neither_opens_nor_closes_the_gate() {
        let conf = [("Rate", "1"), ("Window", "2")];
        assert_eq!(pass(&conf, &[(50.0, 9), (0.0, 9), (1.0, 9), (2.0, 9)]), [2, 0, 0, 2]);
        let ends = [Time(i64::MAX), Time(i64::MIN), Time(0)];
        let mut w = Window::new(3, Duration::MAX);
        for t in ends {
            w.advance(t);
            w.count();
        }
        let mut w = Window::new(3, Duration::from_nanos(1));
        for t in ends {
            w.advance(t);
            w.count();
        }
        assert!(w.total <= 3);
    }

    #[test]
    fn the_status_line() {
        let conf = ThrottleConf { rate: 2.0, window: 3, interval: Duration::from_secs(1), print_status: true };
        let mut t = Throttle {
            label: String::new(),
            rate: conf.rate,
            interval: "1s".into(),
            print_status: true,
            window: Window::new(conf.window, conf.interval),
        };
        assert!(t.window.advance(Time(5_000_000_000)));
        (0..5).for_each(|_| t.window.count());
        let want = "5: limit is 2.00 per 1s with window size of 3, current rate is: 1 per interval";
        assert_eq!(t.status(Time(5_000_000_000)), want);
        assert!(!t.window.advance(Time(5_900_000_000)) && t.window.advance(Time(6_000_000_000)));
    }

    #[test]
    fn what_is_refused() {
        for (key, value) in [("Rate", "0"), ("Rate", "-1"), ("Window", "0"), ("Window", "1000001"), ("Interval", "0")] {
            assert!(refused(&PLUGIN, &[(key, value)]).contains(&format!("{key} must be ")), "{key} {value}");
        }
        assert!(refused(&PLUGIN, &[("Interval", "soon")]).contains("'soon' is not a time"));
    }
}
