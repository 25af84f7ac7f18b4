//! Datagram sockets that receive: UDP and Unix.

use super::UnixPath;
use super::listen::{address, plain};
use crate::conf::common::NetIn;
use crate::rt::Source;
use rustix::fs::fstat;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, recvfrom, sendto, socket_with, sockopt,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The longest datagram that UDP knows, in bytes; a longer Unix one is cut.
pub const MAX_DATAGRAM: usize = 65_536;
/// The kernel's table of sockets is read up to here.
const MAX_TABLE: u64 = 16 << 20;

/// A bound datagram socket.
#[derive(Debug)]
pub struct Datagrams {
    io: Source<OwnedFd>,
    /// The table with its drops; Unix senders wait instead.
    table: Option<&'static str>,
    _path: Option<UnixPath>,
}

impl Datagrams {
    /// Binds `Listen` and the port for UDP.
    ///
    /// # Errors
    /// In words: not an address, or what the system answers.
    pub fn bind(net: &NetIn, port: u16) -> std::result::Result<Self, String> {
        let addr = SocketAddr::new(address(net)?, net.port.unwrap_or(port));
        let io = open(addr, net).map_err(|e| match e.kind() {
            ErrorKind::AddrInUse => format!("cannot listen on {addr}: another program has this port"),
            ErrorKind::PermissionDenied => format!("cannot listen on {addr}: ports below 1024 need privileges"),
            _ => format!("cannot listen on {addr}: {e}"),
        })?;
        let table = if addr.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
        Ok(Self { io, table: Some(table), _path: None })
    }

    /// Binds a Unix datagram socket.
    ///
    /// # Errors
    /// In words: what the system answers.
    pub fn bind_unix(path: &str, mode: u32) -> std::result::Result<Self, String> {
        let (fd, path) = UnixPath::bind(path, mode, SocketType::DGRAM)?;
        let io = Source::new(fd).map_err(|e| format!("cannot listen on {path}: {e}"))?;
        Ok(Self { io, table: None, _path: Some(path) })
    }

    /// Asks the kernel for a receive buffer of `bytes`; answers what it gave.
    ///
    /// # Errors
    /// What the system answers.
    pub fn set_buffer(&self, bytes: usize) -> Result<usize> {
        let Some(fd) = self.io.get() else { return Err(ErrorKind::NotConnected.into()) };
        // With the privilege also beyond net.core.rmem_max.
        if sockopt::set_socket_recv_buffer_size_force(fd, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(fd, bytes)?;
        }
        // Linux counts its own needs in: it tells twice what was set (socket(7)).
        Ok(sockopt::socket_recv_buffer_size(fd)? / 2)
    }

    /// Waits until there is a datagram, then runs `turn` on the socket; again when that answers `WouldBlock`.
    ///
    /// # Errors
    /// Those of `turn`.
    pub async fn turn<R>(&self, mut turn: impl FnMut(Incoming<'_>) -> Result<R>) -> Result<R> {
        self.io.read(|fd| turn(Incoming(fd))).await
    }

    /// The socket without waiting.
    pub fn now(&self) -> Option<Incoming<'_>> {
        self.io.get().map(Incoming)
    }

    /// Datagrams that the kernel has dropped so far because the buffer was full; `None` where it does not tell.
    pub fn drops(&self) -> Option<u64> {
        let ino = fstat(self.io.get()?).ok()?.st_ino;
        let table = BufReader::new(File::open(self.table?).ok()?.take(MAX_TABLE));
        drops_of(ino, table)
    }
}

/// A socket's queue.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a>(&'a OwnedFd);

impl Incoming<'_> {
    /// The next datagram; its length.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    #[inline]
    pub fn next(self, buf: &mut [u8]) -> Result<usize> {
        Ok(recv(self.0, buf, RecvFlags::DONTWAIT)?.0)
    }

    /// The next datagram and its sender, when that has an IP address.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn next_from(self, buf: &mut [u8]) -> Result<(usize, Option<SocketAddr>)> {
        let (n, _, from) = recvfrom(self.0, buf, RecvFlags::DONTWAIT)?;
        Ok((n, from.and_then(|a| SocketAddr::try_from(a).ok()).map(plain)))
    }
}

impl Incoming<'_> {
    /// Answers a sender, without waiting.
    ///
    /// # Errors
    /// What the system answers.
    pub fn answer(self, bytes: &[u8], to: SocketAddr) -> Result<usize> {
        Ok(sendto(self.0, bytes, SendFlags::DONTWAIT, &to)?)
    }
}

/// The last column of the socket's row in /proc/net/udp: the tenth is its inode.
fn drops_of(ino: u64, table: impl BufRead) -> Option<u64> {
    for line in table.lines() {
        let line = line.ok()?;
        let mut columns = line.split_ascii_whitespace();
        if columns.nth(9).and_then(|c| c.parse().ok()) == Some(ino) {
            return columns.last()?.parse().ok();
        }
    }
    None
}

fn open(addr: SocketAddr, net: &NetIn) -> Result<Source<OwnedFd>> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, SocketType::DGRAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    if net.share_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    bind(&fd, &addr).map_err(Error::from)?;
    Source::new(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            10: 0100007F:1414 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 12\n\
            11: 0100007F:1415 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000000000000 3\n";
        assert_eq!(drops_of(4711, table.as_bytes()), Some(12));
        assert_eq!(drops_of(12, table.as_bytes()), Some(3));
        assert_eq!(drops_of(1, table.as_bytes()), None);
    }
}
