//! Which host is asked next: one until it fails, or all in turn.

use super::client::Settings;
use super::size::WindowSize;
use crate::net::Upstream;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// How long a host that failed is left alone, at first and at most.
const LEAVE_FIRST: Duration = Duration::from_secs(1);
const LEAVE_MOST: Duration = Duration::from_secs(60);

/// All hosts.
pub struct Hosts {
    all: Vec<Host>,
    balance: bool,
    /// Where the search for a host begins.
    first: Cell<usize>,
}

/// One of them.
pub struct Host {
    /// The connections.
    pub upstream: Upstream,
    /// Its windows; borrowed between two awaits.
    pub size: RefCell<WindowSize>,
    failures: Cell<u32>,
    until: Cell<Option<Instant>>,
}

impl Hosts {
    /// Nothing is known of any of them.
    pub fn new(upstreams: Vec<Upstream>, balance: bool, settings: &Settings) -> Self {
        let host = |upstream| Host {
            upstream,
            size: RefCell::new(WindowSize::new(settings.bulk, settings.slow_start)),
            failures: Cell::new(0),
            until: Cell::new(None),
        };
        Self { all: upstreams.into_iter().map(host).collect(), balance, first: Cell::new(0) }
    }

    /// The hosts to try, one after the other, at `now`: those that failed lately only when there are no others.
    pub fn order(&self, now: Instant) -> Vec<usize> {
        let n = self.all.len().max(1);
        let first = self.first.get();
        if self.balance {
            self.first.set((first + 1) % n);
        }
        let all = (0..self.all.len()).map(|i| (first + i) % n);
        let good = |i: &usize| self.get(*i).is_some_and(|h| h.until.get().is_none_or(|until| until <= now));
        let fit: Vec<usize> = all.clone().filter(good).collect();
        if fit.is_empty() { all.collect() } else { fit }
    }

    /// Host `i`.
    pub fn get(&self, i: usize) -> Option<&Host> {
        self.all.get(i)
    }

    /// It took everything.
    pub fn good(&self, i: usize) {
        if let Some(host) = self.get(i) {
            host.failures.set(0);
            host.until.set(None);
        }
        if !self.balance {
            self.first.set(i);
        }
    }

    /// It failed: it is left alone for a while.
    pub fn bad(&self, i: usize, now: Instant) {
        if let Some(host) = self.get(i) {
            let wait = LEAVE_FIRST * 2u32.pow(host.failures.get().min(6));
            host.failures.set(host.failures.get().saturating_add(1));
            host.until.set(now.checked_add(wait.min(LEAVE_MOST)));
        }
    }

    /// Closes what is not in use.
    pub fn close(&self) {
        self.all.iter().for_each(|host| host.upstream.close());
    }
}
