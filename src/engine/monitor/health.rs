//! Is the pipeline well: failures of outputs within the last `HC_Period` seconds, against what is allowed.

use crate::engine::core::Core;
use crate::net::web::Response;
use crate::rt::sleep;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What is allowed, and within which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Deliveries that failed for good.
    pub(super) errors: u64,
    /// Chunks that were given up after their last retry.
    pub(super) failures: u64,
    pub(super) period: Duration,
}

/// Counts of failures over all outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    errors: u64,
    failures: u64,
}

impl Count {
    fn of(core: &Core) -> Self {
        let stats = core.outputs().iter().map(|out| &out.stats);
        stats.fold(Self::default(), |all, s| Self {
            errors: all.errors + s.errors.get(),
            failures: all.failures + s.retries_failed.get(),
        })
    }
}

/// Remembers how the counts were in the past.
pub(super) struct Health {
    terms: Terms,
    /// The oldest is from before the period, or the first of all.
    past: RefCell<VecDeque<(Instant, Count)>>,
}

/// Looks in one period.
const LOOKS: u32 = 30;

impl Health {
    pub(super) fn new(terms: Terms, core: &Core) -> Self {
        Self { terms, past: RefCell::new([(Instant::now(), Count::of(core))].into()) }
    }

    /// Looks at the counts now and then.
    pub(super) async fn watch(self: Rc<Self>, core: Rc<Core>) {
        loop {
            sleep((self.terms.period / LOOKS).max(Duration::from_secs(1))).await;
            self.look(Instant::now(), Count::of(&core));
        }
    }

    fn look(&self, now: Instant, count: Count) {
        let mut past = self.past.borrow_mut();
        past.push_back((now, count));
        while past.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.terms.period) {
            past.pop_front();
        }
    }

    /// What was counted within the period.
    fn recent(&self, now: Count) -> Count {
        let begin = self.past.borrow().front().map_or(Count::default(), |(_, count)| *count);
        Count { errors: now.errors.saturating_sub(begin.errors), failures: now.failures.saturating_sub(begin.failures) }
    }

    fn is_well(&self, recent: Count) -> bool {
        recent.errors <= self.terms.errors && recent.failures <= self.terms.failures
    }

    /// Status 200 when it is well, else 500.
    pub(super) fn answer(&self, core: &Core, path: &str) -> Response {
        let recent = self.recent(Count::of(core));
        let (status, word) = if self.is_well(recent) { (200, "ok") } else { (500, "error") };
        if path == "/api/v1/health" {
            return Response::text(status, word);
        }
        let Terms { errors, failures, period } = self.terms;
        let body = format!(
            r#"{{"status":"{word}","errors":{},"retries_failed":{},"error_limit":{errors},"retry_failure_limit":{failures},"period_limit":{}}}"#,
            recent.errors,
            recent.failures,
            period.as_secs()
        );
        Response::json(status, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_forgotten_after_the_period() {
        let begin = Instant::now();
        let at = |secs| begin + Duration::from_secs(secs);
        let terms = Terms { errors: 2, failures: 0, period: Duration::from_secs(60) };
        let count = |errors, failures| Count { errors, failures };
        let health = Health { terms, past: RefCell::new([(begin, count(10, 1))].into()) };
        let well = |now| health.is_well(health.recent(now));
        assert!(well(count(10, 1)) && well(count(12, 1)) && !well(count(13, 1)) && !well(count(10, 2)));
        health.look(at(30), count(13, 1));
        assert!(!well(count(13, 1)));
        health.look(at(89), count(13, 1));
        assert!(!well(count(13, 1)), "the three came less than a minute ago");
        health.look(at(91), count(13, 1));
        assert!(well(count(13, 1)) && well(count(15, 1)) && !well(count(16, 1)));
        for n in 0..1000 {
            health.look(at(100 + n), count(13, 1));
        }
        assert!(health.past.borrow().len() < 64);
    }
}
