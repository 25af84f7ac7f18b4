//! Listening sockets: bound when made, so that a taken port is said at the start.

use super::{ServerTls, Stream, UnixPath};
use crate::conf::common::NetIn;
use crate::rt::{Source, sleep};
use crate::util::ratelimit::{RateLimit, held_back};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with, sockopt};
use std::cell::RefCell;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The pause when the process has no descriptor left for a connection.
const BREATHER: Duration = Duration::from_millis(100);

/// A bound stream socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    io: Source<OwnedFd>,
    tls: Option<ServerTls>,
    io_timeout: Duration,
    said: RefCell<RateLimit>,
    /// Taken away with the socket.
    _path: Option<UnixPath>,
}

impl Listener {
    /// Binds `Listen` and the port.
    ///
    /// # Errors
    /// In words: not an address, or what the system answers.
    pub fn bind(net: &NetIn, port: u16, tls: Option<ServerTls>) -> std::result::Result<Self, String> {
        let ip = address(net)?;
        let addr = SocketAddr::new(ip, net.port.unwrap_or(port));
        let io = open(addr, net).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => format!("cannot listen on {addr}: another program has this port"),
            ErrorKind::PermissionDenied => format!("cannot listen on {addr}: ports below 1024 need privileges"),
            ErrorKind::AddrNotAvailable => format!("cannot listen on {addr}: this machine has no such address"),
            _ if e.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
                format!("cannot listen on {addr}: this system has no IPv6")
            }
            _ => format!("cannot listen on {addr}: {e}"),
        })?;
        Ok(Self { io, tls, io_timeout: net.io_timeout, said: RefCell::default(), _path: None })
    }

    /// Binds a Unix stream socket. Its peers have no address.
    ///
    /// # Errors
    /// In words: what the system answers.
    pub fn bind_unix(path: &str, mode: u32, net: &NetIn) -> std::result::Result<Self, String> {
        let (fd, path) = UnixPath::bind(path, mode, SocketType::STREAM)?;
        let made = listen(&fd, i32::try_from(net.backlog).unwrap_or(i32::MAX)).map_err(Error::from);
        let io = made.and_then(|()| Source::new(fd)).map_err(|e| format!("cannot listen on {path}: {e}"))?;
        Ok(Self { io, tls: None, io_timeout: net.io_timeout, said: RefCell::default(), _path: Some(path) })
    }

    /// The next connection and its peer, before any TLS handshake.
    ///
    /// # Errors
    /// When the socket itself fails; a lack of descriptors or memory is waited out.
    pub async fn accept(&self) -> Result<(Stream, SocketAddr)> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let accepted = self.io.read(|fd| acceptfrom_with(fd, flags).map_err(Error::from)).await;
            let made = accepted.and_then(|(fd, peer)| Ok((self.stream(fd)?, peer)));
            let e = match made {
                Ok((stream, peer)) => {
                    let peer = peer.and_then(|p| SocketAddr::try_from(p).ok()).map(plain);
                    return Ok((stream, peer.unwrap_or(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0))));
                }
                Err(e) => e,
            };
            match e.raw_os_error().map(Errno::from_raw_os_error) {
                // What was wrong with this one connection (accept(2), Error handling), or the peer was faster than we were.
                Some(
                    Errno::CONNABORTED
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH
                    | Errno::OPNOTSUPP
                    | Errno::PERM,
                ) => log::debug!("[net] a connection was lost before it was accepted: {e}"),
                Some(short @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)) => {
                    let of = match short {
                        Errno::MFILE => "the process has no file descriptor left (ulimit -n)",
                        Errno::NFILE => "the system has no file descriptor left (fs.file-max)",
                        _ => "the system has no memory for it",
                    };
                    if let Some(held) = self.said.borrow_mut().allow(of.as_bytes(), Instant::now()) {
                        let more = held_back(held);
                        log::warn!("[net] connections wait to be accepted: {of}{more}");
                    }
                    sleep(BREATHER).await;
                }
                _ => return Err(e),
            }
        }
    }

    fn stream(&self, fd: OwnedFd) -> Result<Stream> {
        let session = match &self.tls {
            Some(tls) => Some(tls.session().map_err(Error::other)?),
            None => None,
        };
        // Answers are short, and some come one by one: none is to wait until the peer's system has acknowledged the one before.
        // A Unix socket has no such option, and needs none.
        let _ = sockopt::set_tcp_nodelay(&fd, true);
        Ok(Stream::new(Source::new(fd)?, session, self.io_timeout))
    }
}

/// IPv4 peers of an IPv6 socket as what they are.
pub(super) fn plain(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// `Listen` as an address; `*` and an empty text are every address: of IPv4, with `ipv6 on` of both families.
pub(super) fn address(net: &NetIn) -> std::result::Result<IpAddr, String> {
    let text = &net.listen;
    match text.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" | "0.0.0.0" if net.ipv6 => Ok(Ipv6Addr::UNSPECIFIED.into()),
        "" | "*" => Ok(IpAddr::from([0, 0, 0, 0])),
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        other => other.parse().map_err(|_| format!("Listen '{text}' is not an IP address")),
    }
}

fn open(addr: SocketAddr, net: &NetIn) -> Result<Source<OwnedFd>> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if addr.is_ipv6() {
        // Whatever the system's default: `::` is every address.
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    if net.share_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    bind(&fd, &addr)?;
    listen(&fd, i32::try_from(net.backlog).unwrap_or(i32::MAX))?;
    Source::new(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::error::Diags;
    use crate::rt::run;
    use std::net::TcpStream;

    fn listener(pairs: &[(&str, &str)]) -> std::result::Result<Listener, String> {
        let net = NetIn::load(&Section::of("INPUT", pairs), &mut Diags::new()).unwrap();
        Listener::bind(&net, 0, None)
    }

    fn port(listener: &Listener) -> u16 {
        let addr = rustix::net::getsockname(listener.io.get().unwrap()).unwrap();
        SocketAddr::try_from(addr).unwrap().port()
    }

    #[test]
    fn both_families_come_in_through_one_socket() {
        for pairs in [[("listen", "::")], [("listen", "[::]")], [("ipv6", "on")]] {
            let l = match run(async { listener(&pairs) }).unwrap() {
                Ok(l) => l,
                Err(why) => {
                    assert!(why.contains("no IPv6") || why.contains("no such address"), "{why}");
                    return println!("skipped: {why}");
                }
            };
            let port = port(&l);
            for host in ["127.0.0.1", "::1"] {
                let Ok(_peer) = TcpStream::connect((host, port)) else {
                    println!("skipped: there is no way to {host}");
                    continue;
                };
                let (_, peer) = run(async { l.accept().await.unwrap() }).unwrap();
                assert_eq!(peer.ip().to_string(), host);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |pairs: &[(&str, &str)]| run(async { listener(pairs).map(|_| ()) }).unwrap().unwrap_err();
        assert_eq!(said(&[("listen", "eth0")]), "Listen 'eth0' is not an IP address");
        assert!(said(&[("listen", "192.0.2.1")]).ends_with("this machine has no such address"));
    }

    #[test]
    fn answers_do_not_wait_for_each_other() {
        let l = run(async { listener(&[("listen", "127.0.0.1")]).unwrap() }).unwrap();
        let _peer = TcpStream::connect(("127.0.0.1", port(&l))).unwrap();
        let (stream, _) = run(async { l.accept().await.unwrap() }).unwrap();
        assert!(sockopt::tcp_nodelay(stream.io.get().unwrap()).unwrap());
    }

    #[test]
    fn ports_are_shared_when_both_want_it() {
        run(async {
            let shared = [("listen", "127.0.0.1"), ("net.share_port", "on")];
            let first = listener(&shared).unwrap();
            let port = port(&first).to_string();
            listener(&[&shared[..], &[("port", &port)]].concat()).unwrap();
            let why = listener(&[("listen", "127.0.0.1"), ("port", &port)]).unwrap_err();
            assert!(why.ends_with("another program has this port"), "{why}");
        })
        .unwrap();
    }
}
