//! Datagram sockets that send: UDP and Unix.

use super::connect::{self, Options, Target};
use super::resolve::{Prefer, Resolver};
use crate::conf::common::NetOut;
use crate::rt::Source;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt};
use std::cell::RefCell;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The longest datagram that UDP over IPv4 carries, in bytes.
pub const MAX_SENT: usize = 65_507;

/// A destination of datagrams. Its socket is connected, so that a peer's refusal becomes known.
#[derive(Debug)]
pub struct Sender {
    target: Target,
    options: Options,
    prefer: Prefer,
    socket: RefCell<Option<Rc<Open>>>,
}

/// A connected socket.
#[derive(Debug)]
pub struct Open {
    io: Source<OwnedFd>,
    /// `None` for Unix sockets.
    addr: Option<SocketAddr>,
}

impl Sender {
    /// A destination; nothing is opened yet.
    ///
    /// # Errors
    /// When `net.source_address` is no address.
    pub fn new(target: Target, net: &NetOut) -> std::result::Result<Self, String> {
        Ok(Self { target, options: Options::of(net)?, prefer: Prefer::of(net), socket: RefCell::default() })
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The socket: the one that is open, unless the name has got another address meanwhile.
    ///
    /// # Errors
    /// Says why the name cannot be resolved or the socket not be made.
    pub async fn open(&self) -> std::result::Result<Rc<Open>, String> {
        let addrs = match &self.target {
            Target::Tcp(host, port) => Resolver::shared().resolve(host, *port, self.prefer).await?,
            Target::Unix(_) => Vec::new(),
        };
        let mut socket = self.socket.borrow_mut();
        if let Some(open) = socket.as_ref().filter(|open| open.addr.is_none_or(|addr| addrs.contains(&addr))) {
            return Ok(open.clone());
        }
        let made = match &self.target {
            Target::Unix(path) => unix(path),
            // The first address that there is a way to; more cannot be known beforehand.
            Target::Tcp(..) => {
                let mut last = Err(ErrorKind::AddrNotAvailable.into());
                for addr in addrs {
                    last = udp(addr, &self.options);
                    if last.is_ok() {
                        break;
                    }
                }
                last
            }
        };
        let open = made.map_err(|e| format!("cannot send to {}: {}", self.target, connect::words(&e)))?;
        Ok(socket.insert(Rc::new(open)).clone())
    }

    /// Forgets the socket: the next one is a new one.
    pub fn close(&self) {
        self.socket.take();
    }
}

impl Open {
    /// Sends one datagram; waits while the system has no room for it.
    ///
    /// # Errors
    /// What the system answers, among it that the peer refused an earlier datagram (`ConnectionRefused`).
    pub async fn send(&self, datagram: &[u8]) -> Result<()> {
        let sent = |fd: &OwnedFd| {
            rustix::net::send(fd, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(drop).map_err(Error::from)
        };
        self.io.write(sent).await
    }

    /// The peer's refusal of a datagram that was sent, when there is one by now.
    pub fn refused(&self) -> Option<Error> {
        sockopt::socket_error(self.io.get()?).ok()?.err().map(Error::from)
    }
}

/// Whether a datagram is longer than its socket carries.
pub fn is_too_long(e: &Error) -> bool {
    e.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

fn udp(addr: SocketAddr, options: &Options) -> Result<Open> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket(family)?;
    if let Some(source) = options.source {
        rustix::net::bind(&fd, &SocketAddr::new(source, 0))?;
    }
    rustix::net::connect(&fd, &addr)?;
    Ok(Open { io: Source::new(fd)?, addr: Some(addr) })
}

fn unix(path: &str) -> Result<Open> {
    let fd = socket(AddressFamily::UNIX)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(Open { io: Source::new(fd)?, addr: None })
}

fn socket(family: AddressFamily) -> Result<OwnedFd> {
    Ok(socket_with(family, SocketType::DGRAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::error::Diags;
    use crate::rt::run;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    fn sender(target: Target) -> Sender {
        let net = NetOut::load(&Section::of("OUTPUT", &[]), &mut Diags::new()).unwrap();
        Sender::new(target, &net).unwrap()
    }

    #[test]
    fn udp_and_its_refusals() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        run(async {
            let sender = sender(Target::Tcp("127.0.0.1".into(), port));
            let open = sender.open().await.unwrap();
            open.send(b"hello").await.unwrap();
            let mut buf = [0; 16];
            assert_eq!(peer.recv(&mut buf).unwrap(), 5);
            assert!(Rc::ptr_eq(&open, &sender.open().await.unwrap()));
            assert!(is_too_long(&open.send(&vec![0; MAX_SENT + 1]).await.unwrap_err()));
            assert!(open.refused().is_none());
            drop(peer);
            open.send(b"nobody").await.unwrap();
            assert_eq!(open.refused().unwrap().kind(), ErrorKind::ConnectionRefused);
        })
        .unwrap();
    }

    #[test]
    fn unix_sockets() {
        let path = std::env::temp_dir().join(format!("collector-sender-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let text = path.to_str().unwrap().to_owned();
        run(async {
            let sender = sender(Target::Unix(text.clone()));
            assert!(sender.open().await.unwrap_err().starts_with(&format!("cannot send to unix:{text}: No such file")));
            let peer = UnixDatagram::bind(&path).unwrap();
            let open = sender.open().await.unwrap();
            open.send(b"hello").await.unwrap();
            assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 5);
            drop(peer);
            assert_eq!(open.send(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        })
        .unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
