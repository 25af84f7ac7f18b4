//! Listening sockets: bound when made, so that a taken port is said at the start.

use super::{ServerTls, Stream, UnixPath};
use crate::conf::common::NetIn;
use crate::rt::{Source, sleep};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with, sockopt};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The pause when the process has no descriptor left for a connection.
const BREATHER: Duration = Duration::from_millis(100);

/// A bound stream socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    io: Source<OwnedFd>,
    tls: Option<ServerTls>,
    io_timeout: Duration,
    /// Taken away with the socket.
    _path: Option<UnixPath>,
}

impl Listener {
    /// Binds `Listen` and the port.
    ///
    /// # Errors
    /// In words: not an address, or what the system answers.
    pub fn bind(net: &NetIn, port: u16, tls: Option<ServerTls>) -> std::result::Result<Self, String> {
        let ip = address(&net.listen)?;
        let addr = SocketAddr::new(ip, net.port.unwrap_or(port));
        let io = open(addr, net).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => format!("cannot listen on {addr}: another program has this port"),
            ErrorKind::PermissionDenied => format!("cannot listen on {addr}: ports below 1024 need privileges"),
            _ => format!("cannot listen on {addr}: {e}"),
        })?;
        Ok(Self { io, tls, io_timeout: net.io_timeout, _path: None })
    }

    /// Binds a Unix stream socket. Its peers have no address.
    ///
    /// # Errors
    /// In words: what the system answers.
    pub fn bind_unix(path: &str, mode: u32, net: &NetIn) -> std::result::Result<Self, String> {
        let (fd, path) = UnixPath::bind(path, mode, SocketType::STREAM)?;
        let made = listen(&fd, i32::try_from(net.backlog).unwrap_or(i32::MAX)).map_err(Error::from);
        let io = made.and_then(|()| Source::new(fd)).map_err(|e| format!("cannot listen on {path}: {e}"))?;
        Ok(Self { io, tls: None, io_timeout: net.io_timeout, _path: Some(path) })
    }

    /// The next connection and its peer, before any TLS handshake.
    ///
    /// # Errors
    /// When the socket itself fails; a lack of descriptors is waited out.
    pub async fn accept(&self) -> Result<(Stream, SocketAddr)> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match self.io.read(|fd| acceptfrom_with(fd, flags).map_err(Error::from)).await {
                Ok((fd, peer)) => {
                    let peer = peer.and_then(|p| SocketAddr::try_from(p).ok());
                    let peer = peer.unwrap_or(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0));
                    let session = match &self.tls {
                        Some(tls) => Some(tls.session().map_err(Error::other)?),
                        None => None,
                    };
                    return Ok((Stream::new(Source::new(fd)?, session, self.io_timeout), peer));
                }
                Err(e) if [Errno::MFILE, Errno::NFILE].iter().any(|n| e.raw_os_error() == Some(n.raw_os_error())) => {
                    log::warn!("[net] a connection waits: the process has no file descriptor left (ulimit -n)");
                    sleep(BREATHER).await;
                }
                // The peer was faster than we were (accept(2)).
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// `Listen` as an address; `*` and an empty text are every IPv4 address.
pub(super) fn address(text: &str) -> std::result::Result<IpAddr, String> {
    match text.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" => Ok(IpAddr::from([0, 0, 0, 0])),
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        other => other.parse().map_err(|_| format!("Listen '{text}' is not an IP address")),
    }
}

fn open(addr: SocketAddr, net: &NetIn) -> Result<Source<OwnedFd>> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if net.share_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    bind(&fd, &addr)?;
    listen(&fd, i32::try_from(net.backlog).unwrap_or(i32::MAX))?;
    Source::new(fd)
}
