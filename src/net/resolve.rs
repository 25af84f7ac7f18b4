//! Host names to addresses, with a cache in front of it, for outputs of the event thread and of worker threads.
//!
//! The cache holds failures as well: ten thousand chunks for a name that does not resolve ask once in five seconds. What
//! asks blocks, and so it runs on a worker thread.

mod ask;
mod cache;
mod system;

use crate::conf::common::{DnsMode, DnsResolver, NetOut};
use crate::rt::{Notify, Workers, spawn};
use crate::util::sort;
use cache::Cache;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The system's resolver does not tell how long its answer is good for.
const FRESH: Duration = Duration::from_secs(30);
/// How long a failure is an answer.
const FAILED: Duration = Duration::from_secs(5);
/// A name server that does not answer holds a thread for half a minute; others go on meanwhile.
const THREADS: usize = 4;

/// How names are looked up, and which addresses come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    family: Option<Family>,
    via: Via,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Via {
    /// The system's resolver, getaddrinfo: every source of names that it knows.
    #[default]
    System,
    /// The name servers, over UDP, and over TCP where an answer does not fit.
    Udp,
    /// The name servers, over TCP.
    Tcp,
}

impl Via {
    /// Without a word about it: the name servers when nothing but them and `/etc/hosts` knows names here.
    fn of(resolver: Option<DnsResolver>, mode: Option<DnsMode>) -> Self {
        static PLAIN: OnceLock<bool> = OnceLock::new();
        let own = match (resolver, mode) {
            (Some(resolver), _) => resolver == DnsResolver::Async,
            (None, Some(DnsMode::Tcp)) => true,
            (None, _) => *PLAIN.get_or_init(system::is_plain),
        };
        match (own, mode) {
            (false, _) => Self::System,
            (true, Some(DnsMode::Tcp)) => Self::Tcp,
            (true, _) => Self::Udp,
        }
    }
}

impl Prefer {
    /// What `net.dns.*` and `ipv6` say.
    pub fn of(net: &NetOut) -> Self {
        let family = match (net.prefer_ipv4, net.prefer_ipv6 || net.ipv6) {
            (true, _) => Some(Family::V4),
            (_, true) => Some(Family::V6),
            _ => None,
        };
        Self { family, via: Via::of(net.dns_resolver, net.dns_mode) }
    }

    /// Puts the preferred addresses first; otherwise their order stays.
    pub fn sort(self, addrs: &mut [SocketAddr]) {
        match self.family {
            None => {}
            Some(Family::V4) => sort::by_key(addrs, SocketAddr::is_ipv6),
            Some(Family::V6) => sort::by_key(addrs, SocketAddr::is_ipv4),
        }
    }
}

/// An answer and how long it holds.
#[derive(Debug, Clone)]
struct Found {
    addrs: Vec<SocketAddr>,
    holds: Duration,
}

/// Why there is no answer, and how long it is no use to ask again.
#[derive(Debug, Clone)]
struct Failure {
    why: String,
    holds: Duration,
}

type Lookup = Arc<dyn Fn(&str, Via) -> Result<Found, Failure> + Send + Sync>;

/// Looks names up, for all connections of the event thread.
#[derive(Clone)]
pub struct Resolver(Rc<Inner>);

struct Inner {
    workers: Workers,
    lookup: Lookup,
    cache: Arc<Cache>,
    /// Names that are being asked for.
    asking: RefCell<FxHashMap<cache::Key, Rc<Notify>>>,
}

/// What all threads have learnt of names.
fn shared_cache() -> Arc<Cache> {
    static CACHE: OnceLock<Arc<Cache>> = OnceLock::new();
    CACHE.get_or_init(Arc::default).clone()
}

thread_local! {
    static SHARED: Resolver = Resolver::with(shared_cache(), ask::lookup);
}

fn getaddrinfo(host: &str) -> Result<Found, Failure> {
    let failed = |why: String| Failure { why, holds: FAILED };
    let addrs = (host, 0).to_socket_addrs().map_err(|e| failed(words(&e)))?;
    let addrs: Vec<_> = addrs.collect();
    if addrs.is_empty() {
        return Err(failed("the name has no address".into()));
    }
    Ok(Found { addrs, holds: FRESH })
}

/// A literal address, IPv6 also in brackets.
fn literal(host: &str) -> Result<IpAddr, &str> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().map_err(|_| bare)
}

fn finished(mut addrs: Vec<SocketAddr>, port: u16, prefer: Prefer) -> Vec<SocketAddr> {
    addrs.iter_mut().for_each(|a| a.set_port(port));
    prefer.sort(&mut addrs);
    addrs
}

/// [`Resolver::resolve`] for worker threads: it blocks. The error is the reason alone.
///
/// # Errors
/// Says why the name cannot be resolved.
#[cfg(feature = "http-client")]
pub(super) fn resolve_blocking(host: &str, port: u16, prefer: Prefer) -> Result<Vec<SocketAddr>, String> {
    let bare = match literal(host) {
        Ok(ip) => return Ok(vec![SocketAddr::new(ip, port)]),
        Err(bare) => bare,
    };
    let (cache, key) = (shared_cache(), (prefer.via, bare.to_ascii_lowercase()));
    let known = match cache.get(&key, Instant::now()) {
        Some(known) => known,
        None => {
            let answer = ask::lookup(bare, prefer.via);
            cache.learn(key, answer, Instant::now())
        }
    };
    known.map(|addrs| finished(addrs, port, prefer))
}

impl Resolver {
    /// The one of this thread.
    pub fn shared() -> Self {
        SHARED.with(Clone::clone)
    }

    fn with(cache: Arc<Cache>, lookup: impl Fn(&str, Via) -> Result<Found, Failure> + Send + Sync + 'static) -> Self {
        let (workers, lookup) = (Workers::new("dns", THREADS), Arc::new(lookup));
        Self(Rc::new(Inner { workers, lookup, cache, asking: RefCell::default() }))
    }

    /// The addresses of `host` with `port`, at least one. A literal address (IPv6 also in brackets) asks nobody.
    ///
    /// # Errors
    /// Says why the name cannot be resolved.
    pub async fn resolve(&self, host: &str, port: u16, prefer: Prefer) -> Result<Vec<SocketAddr>, String> {
        let bare = match literal(host) {
            Ok(ip) => return Ok(vec![SocketAddr::new(ip, port)]),
            Err(bare) => bare,
        };
        let addrs = self.addrs((prefer.via, bare.to_ascii_lowercase())).await;
        addrs.map(|addrs| finished(addrs, port, prefer)).map_err(|why| format!("cannot resolve '{host}': {why}"))
    }

    async fn addrs(&self, key: cache::Key) -> Result<Vec<SocketAddr>, String> {
        loop {
            if let Some(known) = self.0.cache.get(&key, Instant::now()) {
                return known;
            }
            let (asking, first) = {
                let mut all = self.0.asking.borrow_mut();
                match all.get(&key) {
                    Some(asking) => (asking.clone(), false),
                    None => (all.entry(key.clone()).or_default().clone(), true),
                }
            };
            let done = asking.wait();
            if first {
                // In a task of its own, so that a caller who gives up stops nobody else.
                spawn(self.clone().ask(key.clone(), asking.clone())).detach();
            }
            done.await;
        }
    }

    async fn ask(self, key: cache::Key, asking: Rc<Notify>) {
        let (lookup, (via, name)) = (self.0.lookup.clone(), key.clone());
        let found = self.0.workers.run(move || lookup(&name, via)).await;
        let no_thread = || Err(Failure { why: "no thread could be started to ask".into(), holds: FAILED });
        self.0.asking.borrow_mut().remove(&key);
        let _ = self.0.cache.learn(key, found.unwrap_or_else(no_thread), Instant::now());
        asking.notify();
    }
}

/// The resolver's own words, without what the standard library says in front of them.
fn words(e: &io::Error) -> String {
    let text = e.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
