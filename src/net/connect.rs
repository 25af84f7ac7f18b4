//! Making one connection without blocking: address, time limit, socket options.

use crate::conf::common::NetOut;
use crate::rt::{Source, timeout};
#[cfg(feature = "http")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::fmt;
use std::io::{Error, ErrorKind, Result};
#[cfg(feature = "http")]
use std::net::TcpStream;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host, by name or address, and a port.
    Tcp(String, u16),
    /// A Unix socket's path.
    Unix(String),
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

/// Tries the addresses in turn until one answers; all of them together within `limit`. Each gets an even share of what
/// is left, so that a dead address does not use up the time of a living one.
///
/// # Errors
/// Says how the last one failed; names it unless `only` one address was meant.
pub async fn first(
    addrs: &[SocketAddr],
    only: bool,
    limit: Duration,
    options: &Options,
) -> std::result::Result<OpenSocket, String> {
    let end = Instant::now().checked_add(limit);
    let mut why = "there is no address".to_owned();
    for (i, &addr) in addrs.iter().enumerate() {
        let left = end.map_or(limit, |end| end.saturating_duration_since(Instant::now()));
        let share = left / (addrs.len() - i) as u32;
        match timeout(share, tcp(addr, options)).await {
            Some(Ok(io)) => return Ok(OpenSocket { io, addr: Some(addr) }),
            Some(Err(e)) => why = words(&e),
            None => why = format!("no answer within {share:.1?} (net.connect_timeout)"),
        }
        if !only {
            why = format!("{addr}: {why}");
        }
    }
    Err(why)
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

/// Connects to one address within `limit`; blocks. The socket blocks too.
///
/// # Errors
/// `TimedOut`, and whatever connect(2) answers.
#[cfg(feature = "http")]
pub(super) fn tcp_blocking(addr: SocketAddr, options: &Options, limit: Option<Duration>) -> Result<TcpStream> {
    let fd = unconnected(addr, options)?;
    match rustix::net::connect(&fd, &addr) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], left.as_ref()) {
            Ok(0) => return Err(ErrorKind::TimedOut.into()),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    sockopt::socket_error(&fd)??;
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A socket for this address, non-blocking, with its options set.
fn unconnected(addr: SocketAddr, options: &Options) -> Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket(family)?;
    if let Some(source) = options.source {
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
