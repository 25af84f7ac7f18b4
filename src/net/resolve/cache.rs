//! What is known of names, for all threads.

use super::{Failure, Found, Via};
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long the last good answer is used while name servers fail.
const STALE: Duration = Duration::from_secs(3600);
/// Names remembered.
pub(super) const NAMES: usize = 256;

/// Who was asked, and for what.
pub(super) type Key = (Via, String);

/// Answers and failures, as long as they hold.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<FxHashMap<Key, Name>>);

/// What is known of a name.
#[derive(Debug)]
struct Name {
    addrs: Vec<SocketAddr>,
    answered: Instant,
    /// Why the last question failed.
    failure: Option<String>,
    until: Instant,
}

impl Cache {
    fn names(&self) -> MutexGuard<'_, FxHashMap<Key, Name>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What is known of a name; `None` when it is time to ask.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Result<Vec<SocketAddr>, String>> {
        self.names().get(key).filter(|name| now < name.until).map(|name| name.answer(now))
    }

    /// Takes in what an inquiry brought, and says what is known of the name now.
    pub(super) fn learn(&self, key: Key, got: Result<Found, Failure>, now: Instant) -> Result<Vec<SocketAddr>, String> {
        let mut names = self.names();
        if names.len() >= NAMES && !names.contains_key(&key) {
            // The name that expires first is forgotten.
            let oldest = names.iter().min_by_key(|(_, n)| n.until).map(|(key, _)| key.clone());
            oldest.and_then(|key| names.remove(&key));
        }
        let new = || Name { addrs: Vec::new(), answered: now, failure: None, until: now };
        let name = names.entry(key).or_insert_with(new);
        match got {
            Ok(Found { addrs, holds }) => {
                (name.addrs, name.answered, name.failure, name.until) = (addrs, now, None, now + holds);
            }
            Err(Failure { why, holds }) => (name.failure, name.until) = (Some(why), now + holds),
        }
        name.answer(now)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names().len()
    }

    /// Lets everything expire, as if it had been learnt `ago`.
    #[cfg(test)]
    pub(super) fn expire(&self, ago: Duration) -> bool {
        let now = Instant::now();
        let Some(then) = now.checked_sub(ago) else { return false };
        self.names().values_mut().for_each(|n| (n.until, n.answered) = (now, then));
        true
    }
}

impl Name {
    fn answer(&self, now: Instant) -> Result<Vec<SocketAddr>, String> {
        match &self.failure {
            Some(why) if self.addrs.is_empty() || now.saturating_duration_since(self.answered) > STALE => {
                Err(why.clone())
            }
            _ => Ok(self.addrs.clone()),
        }
    }
}
