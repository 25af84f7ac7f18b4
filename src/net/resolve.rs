//! Host names to addresses: getaddrinfo on a worker thread, with a cache in front of it.
//!
//! The cache holds failures as well: ten thousand chunks for a name that does not resolve ask once in five seconds.

use crate::conf::common::NetOut;
use crate::rt::{Notify, Workers, spawn};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// getaddrinfo does not tell how long its answer is good for.
const FRESH: Duration = Duration::from_secs(30);
/// How long a failure is an answer.
const FAILED: Duration = Duration::from_secs(5);
/// How long the last good answer is used while the name server fails.
const STALE: Duration = Duration::from_secs(3600);
/// Names remembered.
const NAMES: usize = 256;
/// A name server that does not answer holds a thread for half a minute; others go on meanwhile.
const THREADS: usize = 2;

/// Which addresses to try first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// The system's order (RFC 6724).
    #[default]
    System,
    /// IPv4 first.
    V4,
    /// IPv6 first.
    V6,
}

impl Prefer {
    /// What `net.dns.prefer_*` say.
    pub fn of(net: &NetOut) -> Self {
        match (net.prefer_ipv4, net.prefer_ipv6) {
            (true, _) => Self::V4,
            (_, true) => Self::V6,
            _ => Self::System,
        }
    }

    /// Puts the preferred addresses first; otherwise their order stays.
    pub fn sort(self, addrs: &mut [SocketAddr]) {
        match self {
            Self::System => {}
            Self::V4 => addrs.sort_by_key(SocketAddr::is_ipv6),
            Self::V6 => addrs.sort_by_key(SocketAddr::is_ipv4),
        }
    }
}

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Looks names up, for all connections of the event thread.
#[derive(Clone)]
pub struct Resolver(Rc<Inner>);

struct Inner {
    workers: Workers,
    lookup: Lookup,
    names: RefCell<FxHashMap<String, Name>>,
}

/// What is known of a name.
struct Name {
    addrs: Vec<SocketAddr>,
    answered: Instant,
    /// Why the last question failed.
    failure: Option<String>,
    until: Instant,
    /// Set while a question is on its way.
    asking: Option<Rc<Notify>>,
}

thread_local! {
    static SHARED: Resolver = Resolver::with(getaddrinfo);
}

fn getaddrinfo(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

impl Resolver {
    /// The one of this thread.
    pub fn shared() -> Self {
        SHARED.with(Clone::clone)
    }

    fn with(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        let (workers, lookup) = (Workers::new("dns", THREADS), Arc::new(lookup));
        Self(Rc::new(Inner { workers, lookup, names: RefCell::default() }))
    }

    /// The addresses of `host` with `port`, at least one. A literal address (IPv6 also in brackets) asks nobody.
    ///
    /// # Errors
    /// Says why the name cannot be resolved.
    pub async fn resolve(&self, host: &str, port: u16, prefer: Prefer) -> Result<Vec<SocketAddr>, String> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let mut addrs = self.addrs(bare).await.map_err(|why| format!("cannot resolve '{host}': {why}"))?;
        addrs.iter_mut().for_each(|a| a.set_port(port));
        prefer.sort(&mut addrs);
        Ok(addrs)
    }

    async fn addrs(&self, host: &str) -> Result<Vec<SocketAddr>, String> {
        loop {
            let now = Instant::now();
            let (asking, first) = {
                let mut names = self.0.names.borrow_mut();
                if names.len() >= NAMES && !names.contains_key(host) {
                    make_room(&mut names);
                }
                let name = names.entry(host.to_owned()).or_insert_with(|| Name::unknown(now));
                match &name.asking {
                    Some(asking) => (asking.clone(), false),
                    None if now < name.until => return name.answer(now),
                    None => (name.asking.insert(Rc::default()).clone(), true),
                }
            };
            let done = asking.wait();
            if first {
                // In a task of its own, so that a caller who gives up stops nobody else.
                spawn(self.clone().ask(host.to_owned(), asking.clone())).detach();
            }
            done.await;
        }
    }

    async fn ask(self, host: String, asking: Rc<Notify>) {
        let (lookup, name) = (self.0.lookup.clone(), host.clone());
        let found = self.0.workers.run(move || lookup(&name)).await;
        let now = Instant::now();
        if let Some(name) = self.0.names.borrow_mut().get_mut(&host) {
            name.asking = None;
            match found {
                Some(Ok(addrs)) if !addrs.is_empty() => {
                    (name.addrs, name.answered, name.failure, name.until) = (addrs, now, None, now + FRESH);
                }
                failed => {
                    name.failure = Some(match failed {
                        Some(Err(e)) => words(&e),
                        Some(Ok(_)) => "the name has no address".into(),
                        None => "no thread could be started to ask".into(),
                    });
                    name.until = now + FAILED;
                }
            }
        }
        asking.notify();
    }
}

impl Name {
    fn unknown(now: Instant) -> Self {
        Self { addrs: Vec::new(), answered: now, failure: None, until: now, asking: None }
    }

    fn answer(&self, now: Instant) -> Result<Vec<SocketAddr>, String> {
        match &self.failure {
            Some(why) if self.addrs.is_empty() || now.saturating_duration_since(self.answered) > STALE => {
                Err(why.clone())
            }
            _ => Ok(self.addrs.clone()),
        }
    }
}

/// Forgets the name that expires first.
fn make_room(names: &mut FxHashMap<String, Name>) {
    let oldest = names.iter().filter(|(_, n)| n.asking.is_none()).min_by_key(|(_, n)| n.until).map(|(k, _)| k.clone());
    if let Some(oldest) = oldest {
        names.remove(&oldest);
    }
}

/// The resolver's own words, without what the standard library says in front of them.
fn words(e: &io::Error) -> String {
    let text = e.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{run, sleep, timeout};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A resolver whose answers take a while and are counted.
    fn counted(answer: fn(usize) -> io::Result<Vec<SocketAddr>>) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let n = asked.clone();
        let resolver = Resolver::with(move |_| {
            std::thread::sleep(Duration::from_millis(10));
            answer(n.fetch_add(1, Ordering::SeqCst))
        });
        (resolver, asked)
    }

    #[test]
    fn literals_ask_nobody() {
        let (resolver, asked) = counted(|_| Err(io::Error::other("asked")));
        run(async {
            for (host, want) in [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5"), ("[::1]", "[::1]:5")] {
                assert_eq!(resolver.resolve(host, 5, Prefer::System).await.unwrap(), [addr(want)]);
            }
        })
        .unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn answers_are_shared_cached_and_ordered() {
        let (resolver, asked) = counted(|_| Ok(vec![addr("[::1]:0"), addr("10.0.0.1:0"), addr("[::2]:0")]));
        run(async {
            let ask = |prefer| {
                let r = resolver.clone();
                spawn(async move { r.resolve("x", 7, prefer).await.unwrap() })
            };
            let (a, b, c) = (ask(Prefer::System), ask(Prefer::V4), ask(Prefer::V6));
            assert_eq!(a.await, [addr("[::1]:7"), addr("10.0.0.1:7"), addr("[::2]:7")]);
            assert_eq!(b.await, [addr("10.0.0.1:7"), addr("[::1]:7"), addr("[::2]:7")]);
            assert_eq!(c.await, [addr("[::1]:7"), addr("[::2]:7"), addr("10.0.0.1:7")]);
            ask(Prefer::System).await;
        })
        .unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn failures_are_cached_and_said() {
        const TEXT: &str = "failed to lookup address information: Name or service not known";
        let (resolver, asked) = counted(|_| Err(io::Error::other(TEXT)));
        run(async {
            for _ in 0..100 {
                let why = resolver.resolve("no.such.host", 7, Prefer::System).await.unwrap_err();
                assert_eq!(why, "cannot resolve 'no.such.host': Name or service not known");
            }
        })
        .unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_last_answer_outlives_a_failing_name_server() {
        let (resolver, asked) =
            counted(|n| if n == 0 { Ok(vec![addr("10.0.0.1:0")]) } else { Err(io::Error::other("down")) });
        let expire = |r: &Resolver| r.0.names.borrow_mut().values_mut().for_each(|n| n.until = Instant::now());
        run(async {
            for _ in 0..2 {
                assert_eq!(resolver.resolve("x", 1, Prefer::System).await.unwrap(), [addr("10.0.0.1:1")]);
                expire(&resolver);
            }
            let hours_ago = Instant::now().checked_sub(STALE + FRESH);
            if let (Some(then), Some(name)) = (hours_ago, resolver.0.names.borrow_mut().get_mut("x")) {
                name.answered = then;
            } else {
                println!("skipped: the machine's clock has not run for an hour");
                return;
            }
            assert!(resolver.resolve("x", 1, Prefer::System).await.is_err());
        })
        .unwrap();
        assert!(asked.load(Ordering::SeqCst) >= 2);
    }

    #[test]
    fn a_caller_who_gives_up_does_not_keep_others_waiting() {
        let (resolver, _) = counted(|_| Ok(vec![addr("10.0.0.1:0")]));
        run(async {
            assert!(timeout(Duration::from_millis(1), resolver.resolve("x", 1, Prefer::System)).await.is_none());
            let second = timeout(Duration::from_secs(5), resolver.resolve("x", 1, Prefer::System)).await;
            assert_eq!(second.unwrap().unwrap(), [addr("10.0.0.1:1")]);
            sleep(Duration::ZERO).await;
        })
        .unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let resolver = Resolver::with(|_| Ok(vec![addr("10.0.0.1:0")]));
        run(async {
            for n in 0..2 * NAMES {
                resolver.resolve(&format!("host{n}"), 1, Prefer::System).await.unwrap();
            }
        })
        .unwrap();
        assert_eq!(resolver.0.names.borrow().len(), NAMES);
    }
}
