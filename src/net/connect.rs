//! Making one connection without blocking: address, time limit, socket options.

use crate::conf::common::NetOut;
use crate::rt::{LocalFuture, Source, timeout};
#[cfg(feature = "http-client")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
#[cfg(feature = "http-client")]
use std::net::TcpStream;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::Duration;
#[cfg(feature = "http-client")]
use std::time::Instant;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host, by name or address, and a port.
    Tcp(String, u16),
    /// A Unix socket's path.
    Unix(String),
}

impl Target {
    /// `host`, `host:port`, `[address]:port`, or an address alone; `port` where there is none.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, port: u16) -> std::result::Result<Self, String> {
        let unsound = || format!("'{text}' has no sound port");
        let sound = |p: &str| p.parse().map_err(|_| unsound());
        let none = || format!("'{text}' is no host");
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            match rest.split_once(']').ok_or_else(none)? {
                (host, "") => (host, port),
                (host, after) => (host, sound(after.strip_prefix(':').ok_or_else(none)?)?),
            }
        } else {
            match text.split_once(':') {
                Some((host, p)) if !p.contains(':') => (host, sound(p)?),
                _ => (text, port),
            }
        };
        if host.is_empty() || host.contains(['/', ' ', '@']) {
            return Err(none());
        }
        if port == 0 {
            return Err(unsound());
        }
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') && !host.starts_with('[') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Socket options of outgoing connections.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The local address to connect from.
    pub source: Option<IpAddr>,
    /// TCP keepalive probes, when wanted.
    pub probes: Option<Probes>,
}

/// When TCP keepalive probes are sent; the system's values where `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probes {
    /// Idle time before the first one.
    pub after: Option<Duration>,
    /// Time between two.
    pub every: Option<Duration>,
    /// Unanswered ones that end the connection.
    pub count: Option<u32>,
}

impl Options {
    /// The options among the `net.*` keys.
    ///
    /// # Errors
    /// When `net.source_address` is not an IP address.
    pub fn of(net: &NetOut) -> std::result::Result<Self, String> {
        let source = match &net.source_address {
            Some(text) => Some(text.parse().map_err(|_| format!("'{text}' is not an IP address"))?),
            None => None,
        };
        let probes = Probes {
            after: net.tcp_keepalive_time,
            every: net.tcp_keepalive_interval,
            count: net.tcp_keepalive_probes,
        };
        Ok(Self { source, probes: net.tcp_keepalive.then_some(probes) })
    }
}

/// A slow address gets so much of a start before the next one is tried beside it (RFC 8305 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of a name that are tried.
const ADDRESSES: usize = 16;
/// Failed addresses that a message names.
const NAMED: usize = 3;

/// The addresses in the order in which they are tried: the families take turns (RFC 8305 4).
fn in_turn(addrs: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let of = |v6: bool| addrs.iter().filter(move |a| a.is_ipv6() == v6);
    let (mut own, mut other) = (of(first), of(!first));
    let mut all = VecDeque::new();
    loop {
        let two = [own.next(), other.next()];
        if two == [None, None] {
            all.truncate(ADDRESSES);
            return all;
        }
        all.extend(two.into_iter().flatten());
    }
}

/// The start that an address gets: with little time, so little that all are tried.
fn stagger(addrs: usize, limit: Duration) -> Duration {
    STAGGER.min(limit / (addrs as u32 + 1))
}

/// Connects to the address that answers first; within `limit`. They are tried in turn, each with a short start before the
/// next one joins in, so that neither dead addresses nor a dead family use up the time of living ones.
///
/// # Errors
/// Says how they failed; names them unless `only` one address was meant.
pub async fn first(
    addrs: &[SocketAddr],
    only: bool,
    limit: Duration,
    options: &Options,
) -> std::result::Result<OpenSocket, String> {
    type Attempt<'a> = LocalFuture<'a, Result<Source<OwnedFd>>>;
    let now = crate::rt::now();
    let end = now.checked_add(limit).unwrap_or(now + Duration::from_secs(31_536_000));
    let mut waiting = in_turn(addrs);
    let stagger = stagger(waiting.len(), limit);
    let (mut trying, mut failed) = (Vec::<(SocketAddr, Attempt<'_>)>::new(), Vec::new());
    let mut note = |addr: SocketAddr, why: String| failed.push(if only { why } else { format!("{addr}: {why}") });
    loop {
        if let Some(addr) = waiting.pop_front() {
            trying.push((addr, Box::pin(tcp(addr, options))));
        } else if trying.is_empty() {
            break;
        }
        let left = end.saturating_duration_since(crate::rt::now());
        let wait = if waiting.is_empty() { left } else { left.min(stagger) };
        let next = poll_fn(|cx| {
            for (n, (_, attempt)) in trying.iter_mut().enumerate() {
                if let Poll::Ready(done) = attempt.as_mut().poll(cx) {
                    return Poll::Ready((n, done));
                }
            }
            Poll::Pending
        });
        match timeout(wait, next).await {
            Some((n, done)) => {
                let (addr, _) = trying.swap_remove(n);
                match done {
                    Ok(io) => return Ok(OpenSocket { io, addr: Some(addr) }),
                    Err(e) => note(addr, words(&e)),
                }
            }
            None if wait < left => {}
            None => {
                for (addr, _) in trying.drain(..) {
                    note(addr, format!("no answer within {limit:.1?} (net.connect_timeout)"));
                }
                break;
            }
        }
    }
    if failed.is_empty() {
        return Err("there is no address".into());
    }
    let more = failed.len().saturating_sub(NAMED);
    failed.truncate(NAMED);
    let text = failed.join("; ");
    Err(if more > 0 { format!("{text}; and {more} more") } else { text })
}

/// A connected socket and whom it reached.
#[derive(Debug)]
pub struct OpenSocket {
    /// The socket, non-blocking.
    pub io: Source<OwnedFd>,
    /// The peer's address; `None` for Unix sockets.
    pub addr: Option<SocketAddr>,
}

/// Connects to one address; the caller sets the time limit.
async fn tcp(addr: SocketAddr, options: &Options) -> Result<Source<OwnedFd>> {
    let fd = unconnected(addr, options)?;
    let begun = rustix::net::connect(&fd, &addr);
    finish(fd, begun).await
}

/// [`first`] for worker threads: it blocks, and so does the socket.
///
/// # Errors
/// `TimedOut`, and whatever connect(2) answers of the last address that failed.
#[cfg(feature = "http-client")]
pub(super) fn first_blocking(addrs: &[SocketAddr], options: &Options, limit: Option<Duration>) -> Result<TcpStream> {
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    let (mut waiting, mut trying) = (in_turn(addrs), Vec::<OwnedFd>::new());
    let stagger = stagger(waiting.len(), limit.unwrap_or(Duration::MAX));
    let mut failed = Error::from(ErrorKind::AddrNotAvailable);
    loop {
        if let Some(addr) = waiting.pop_front() {
            match begin(addr, options) {
                Ok(fd) => trying.push(fd),
                Err(e) => {
                    failed = e;
                    continue;
                }
            }
        } else if trying.is_empty() {
            return Err(failed);
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        let wait = if waiting.is_empty() { left } else { Some(left.unwrap_or(stagger).min(stagger)) };
        let wait = wait.map(|wait| Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        let mut fds: Vec<_> = trying.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)).collect();
        match poll(&mut fds, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let answered: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (n, _) in answered.iter().enumerate().rev().filter(|(_, answered)| **answered) {
            let fd = trying.swap_remove(n);
            match sockopt::socket_error(&fd)? {
                Ok(()) => {
                    let stream = TcpStream::from(fd);
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Err(e) => failed = e.into(),
            }
        }
    }
}

/// A connection that is under way.
#[cfg(feature = "http-client")]
fn begin(addr: SocketAddr, options: &Options) -> Result<OwnedFd> {
    let fd = unconnected(addr, options)?;
    match rustix::net::connect(&fd, &addr) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(fd),
        Err(e) => Err(e.into()),
    }
}

/// A socket for this address, non-blocking, with its options set.
fn unconnected(addr: SocketAddr, options: &Options) -> Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket(family)?;
    if let Some(source) = options.source {
        if source.is_ipv4() != addr.is_ipv4() {
            return Err(Error::other(format!("net.source_address {source} is of the other family")));
        }
        rustix::net::bind(&fd, &SocketAddr::new(source, 0))?;
    }
    sockopt::set_tcp_nodelay(&fd, true)?;
    if let Some(probes) = options.probes {
        sockopt::set_socket_keepalive(&fd, true)?;
        if let Some(after) = probes.after {
            sockopt::set_tcp_keepidle(&fd, after)?;
        }
        if let Some(every) = probes.every {
            sockopt::set_tcp_keepintvl(&fd, every)?;
        }
        if let Some(count) = probes.count {
            sockopt::set_tcp_keepcnt(&fd, count)?;
        }
    }
    Ok(fd)
}

/// Connects to a Unix stream socket.
///
/// # Errors
/// Whatever connect(2) answers.
pub async fn unix(path: &str) -> Result<OpenSocket> {
    let addr = SocketAddrUnix::new(path)?;
    let fd = socket(AddressFamily::UNIX)?;
    let begun = rustix::net::connect(&fd, &addr);
    Ok(OpenSocket { io: finish(fd, begun).await?, addr: None })
}

fn socket(family: AddressFamily) -> Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

/// Waits until a connection that was begun is there or refused (connect(2), `EINPROGRESS`).
async fn finish(fd: OwnedFd, begun: rustix::io::Result<()>) -> Result<Source<OwnedFd>> {
    match begun {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    let io = Source::new(fd)?;
    io.write(|fd| {
        sockopt::socket_error(fd)??;
        match rustix::net::getpeername(fd) {
            Ok(_) => Ok(()),
            Err(Errno::NOTCONN) => Err(ErrorKind::WouldBlock.into()),
            Err(e) => Err(Error::from(e)),
        }
    })
    .await?;
    Ok(io)
}

/// The system's answer without its number.
pub fn words(e: &Error) -> String {
    match e.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::ConnectionReset => "connection reset by the peer".into(),
        ErrorKind::BrokenPipe => "the peer closed the connection".into(),
        ErrorKind::UnexpectedEof => "the peer closed the connection".into(),
        ErrorKind::TimedOut => "timed out".into(),
        ErrorKind::HostUnreachable => "no route to the host".into(),
        ErrorKind::NetworkUnreachable => "the network is unreachable".into(),
        ErrorKind::AddrNotAvailable => "the local address is not available (net.source_address?)".into(),
        _ => {
            let text = e.to_string();
            text.split_once(" (os error").map_or(text.clone(), |(t, _)| t.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::run;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_first_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_held, port) = crate::net::testing::refusing();
        let dead = SocketAddr::from(([127, 0, 0, 1], port));
        let live = listener.local_addr().unwrap();
        run(async {
            let limit = Duration::from_secs(5);
            let got = first(&[dead, live], false, limit, &Options::default()).await.unwrap();
            assert_eq!(got.addr, Some(live));
            let why = first(&[dead], false, limit, &Options::default()).await.unwrap_err();
            assert_eq!(why, format!("{dead}: connection refused"));
            assert_eq!(first(&[], false, limit, &Options::default()).await.unwrap_err(), "there is no address");
        })
        .unwrap();
    }

    #[test]
    fn families_take_turns() {
        let turns = |text: &str| {
            let addrs: Vec<_> = text.split(' ').map(|a| a.parse().unwrap()).collect();
            in_turn(&addrs).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(turns("[::1]:1 [::2]:1 1.1.1.1:1 1.1.1.2:1"), "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1");
        assert_eq!(turns("1.1.1.1:1 1.1.1.2:1 1.1.1.3:1 [::1]:1"), "1.1.1.1:1 [::1]:1 1.1.1.2:1 1.1.1.3:1");
        assert_eq!(in_turn(&vec!["1.1.1.1:1".parse().unwrap(); 100]).len(), ADDRESSES);
    }

    #[test]
    fn silent_addresses_do_not_hold_up_a_living_one() {
        // Listeners whose queues are full drop further requests silently.
        let silent: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut addrs: Vec<_> = silent.iter().map(|l| l.local_addr().unwrap()).collect();
        let mut held = Vec::new();
        for (listener, addr) in silent.iter().zip(&addrs) {
            rustix::net::listen(listener, 0).unwrap();
            while let Ok(stream) = std::net::TcpStream::connect_timeout(addr, Duration::from_millis(50)) {
                held.push(stream);
                if held.len() > 30 {
                    return println!("skipped: this system's queues have no limit");
                }
            }
        }
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        addrs.push(live.local_addr().unwrap());
        let (begun, options) = (std::time::Instant::now(), Options::default());
        run(async {
            let got = first(&addrs, false, Duration::from_secs(10), &options).await.unwrap();
            assert_eq!(got.addr, addrs.last().copied());
        })
        .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        #[cfg(feature = "http-client")]
        {
            let got = first_blocking(&addrs, &options, Some(Duration::from_secs(10))).unwrap();
            assert_eq!(got.peer_addr().ok(), addrs.last().copied());
            let why = first_blocking(&addrs[..3], &options, Some(Duration::from_millis(300))).unwrap_err();
            assert_eq!(why.kind(), ErrorKind::TimedOut);
        }
        addrs.pop();
        addrs.insert(0, "[::1]:1".parse().unwrap());
        let why = run(async { first(&addrs, false, Duration::from_millis(300), &options).await.unwrap_err() }).unwrap();
        assert!(
            why.starts_with("[::1]:1: ") && why.contains("no answer within 300.0ms (net.connect_timeout)"),
            "{why}"
        );
        assert!(why.ends_with("; and 1 more"), "{why}");
    }

    #[test]
    fn a_source_address_of_the_other_family_is_said() {
        let options = Options { source: Some("::1".parse().unwrap()), ..Options::default() };
        let addr = "127.0.0.1:9".parse().unwrap();
        let why = run(async { first(&[addr], true, Duration::from_secs(1), &options).await.unwrap_err() }).unwrap();
        assert_eq!(why, "net.source_address ::1 is of the other family");
    }

    #[test]
    fn a_peer_that_does_not_answer_is_given_up() {
        // A listener whose queue is full drops further requests silently.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        run(async {
            rustix::net::listen(&listener, 0).unwrap();
            let mut held = Vec::new();
            let why = loop {
                match first(&[addr], true, Duration::from_millis(100), &Options::default()).await {
                    Ok(s) if held.len() < 8 => held.push(s),
                    Ok(_) => return println!("skipped: this system's queues have no limit"),
                    Err(why) => break why,
                }
            };
            assert_eq!(why, "no answer within 100.0ms (net.connect_timeout)");
        })
        .unwrap();
    }

    #[test]
    fn socket_options_are_set() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let probes =
            Probes { after: Some(Duration::from_secs(77)), every: Some(Duration::from_secs(7)), count: Some(3) };
        let options = Options { source: Some("127.0.0.9".parse().unwrap()), probes: Some(probes) };
        run(async {
            let open = first(&[addr], true, Duration::from_secs(5), &options).await.unwrap();
            let fd = open.io.get().unwrap();
            assert!(sockopt::socket_keepalive(fd).unwrap() && sockopt::tcp_nodelay(fd).unwrap());
            assert_eq!(sockopt::tcp_keepidle(fd).unwrap(), Duration::from_secs(77));
            assert_eq!(sockopt::tcp_keepintvl(fd).unwrap(), Duration::from_secs(7));
            assert_eq!(sockopt::tcp_keepcnt(fd).unwrap(), 3);
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip().to_string(), "127.0.0.9");
        })
        .unwrap();
    }

    #[test]
    fn unix_sockets() {
        let path = std::env::temp_dir().join(format!("collector-connect-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let _ = std::fs::remove_file(path);
        run(async {
            assert_eq!(unix(path).await.unwrap_err().kind(), ErrorKind::NotFound);
            let _listener = UnixListener::bind(path).unwrap();
            assert!(unix(path).await.unwrap().addr.is_none());
        })
        .unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn targets_print_as_users_write_them() {
        assert_eq!(Target::Tcp("h".into(), 1).to_string(), "h:1");
        assert_eq!(Target::Tcp("::1".into(), 1).to_string(), "[::1]:1");
        assert_eq!(Target::Unix("/run/x".into()).to_string(), "unix:/run/x");
    }
}
