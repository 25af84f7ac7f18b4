//! What the system says about names: `/etc/resolv.conf`, `/etc/hosts`, `/etc/nsswitch.conf`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Name servers, and suffixes, that are used (resolv.conf(5)).
const SERVERS: usize = 3;
const SUFFIXES: usize = 6;
/// So much of a file is read.
const MOST: usize = 1 << 20;

/// How to ask for names (resolv.conf(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) addrs: Vec<SocketAddr>,
    /// Put behind names with less than `dots` dots first, and behind others when they are not there.
    pub(super) search: Vec<String>,
    pub(super) dots: usize,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) tcp: bool,
}

impl Servers {
    /// Those of this machine.
    pub(super) fn of_system() -> Self {
        Self::read(&text("/etc/resolv.conf"))
    }

    pub(super) fn read(text: &str) -> Self {
        let mut all = Self {
            addrs: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            tcp: false,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A zone (fe80::1%eth0) is left to the system's own resolver.
                    let addr = words.next().and_then(|w| w.parse::<IpAddr>().ok());
                    all.addrs.extend(addr.filter(|_| all.addrs.len() < SERVERS).map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("search" | "domain") => all.search = words.take(SUFFIXES).map(str::to_owned).collect(),
                Some("options") => words.for_each(|w| all.option(w)),
                _ => {}
            }
        }
        if all.addrs.is_empty() {
            all.addrs.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        all
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let number = value.parse::<u32>();
        match (name, number) {
            ("ndots", Ok(n)) => self.dots = n.min(15) as usize,
            ("timeout", Ok(n)) => self.timeout = Duration::from_secs(n.clamp(1, 30).into()),
            ("attempts", Ok(n)) => self.attempts = n.clamp(1, 5),
            ("use-vc", _) => self.tcp = true,
            _ => {}
        }
    }

    /// The names to ask for, the most likely one first.
    pub(super) fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.to_owned()];
        }
        let mut all: Vec<_> = self.search.iter().filter(|s| *s != ".").map(|s| format!("{host}.{s}")).collect();
        let first = host.bytes().filter(|b| *b == b'.').count() >= self.dots;
        all.insert(if first { 0 } else { all.len() }, host.to_owned());
        all
    }
}

/// The addresses that `/etc/hosts` gives a name.
pub(super) fn hosts(host: &str) -> Vec<IpAddr> {
    of_hosts(&text("/etc/hosts"), host)
}

pub(super) fn of_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let Some(ip) = words.next().and_then(|w| w.parse::<IpAddr>().ok())
            && words.any(|name| name.eq_ignore_ascii_case(host))
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    let local = host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
    if found.is_empty() && local {
        // Never asked for (RFC 6761 6.3).
        return vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    }
    found
}

/// Whether names come from files and DNS alone, as far as the system's own resolver goes (nsswitch.conf(5)).
pub(super) fn is_plain() -> bool {
    of_switch(&text("/etc/nsswitch.conf"))
}

pub(super) fn of_switch(text: &str) -> bool {
    let line = text.lines().filter_map(|l| l.split('#').next()?.trim().strip_prefix("hosts:")).next_back();
    line.is_none_or(|l| l.split_whitespace().all(|w| ["files", "dns"].contains(&w) || w.starts_with('[')))
}

fn text(path: &str) -> String {
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(MOST);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text = "# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\nnameserver 1.1.1.1\nnameserver 9.9.9.9\n\
                    domain old\nsearch a.example b\noptions ndots:2 timeout:99 attempts:0 rotate use-vc\n";
        let s = Servers::read(text);
        let addrs: Vec<_> = s.addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["10.0.0.1:53", "[::1]:53", "1.1.1.1:53"]);
        assert_eq!((s.dots, s.timeout.as_secs(), s.attempts, s.tcp), (2, 30, 1, true));
        assert_eq!(s.candidates("x"), ["x.a.example", "x.b", "x"]);
        assert_eq!(s.candidates("x.y.z"), ["x.y.z", "x.y.z.a.example", "x.y.z.b"]);
        assert_eq!(s.candidates("x."), ["x."]);
        assert_eq!(Servers::read("").addrs[0].to_string(), "127.0.0.1:53");
    }

    #[test]
    fn hosts_files() {
        let text = "127.0.0.1 localhost\n10.0.0.1\tweb Web.Example # 10.0.0.9\n::5 web\nbad web\n10.0.0.1 web\n";
        let found = |host| of_hosts(text, host).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("WEB"), ["10.0.0.1", "::5"]);
        assert_eq!(found("web.example."), ["10.0.0.1"]);
        assert_eq!(found("localhost"), ["127.0.0.1"]);
        assert_eq!(found("x.localhost"), ["::1", "127.0.0.1"]);
        assert!(found("10.0.0.9").is_empty());
    }

    #[test]
    fn other_sources_of_names() {
        assert!(
            of_switch("") && of_switch("hosts: files dns\n") && of_switch("hosts: files [NOTFOUND=return] dns # mdns")
        );
        assert!(!of_switch("passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns\n"));
    }
}
