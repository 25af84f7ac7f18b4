//! Sockets of the event thread: names, connections, TLS, kept-alive pools.
//!
//! Nothing here blocks: sockets are non-blocking and waited for by the reactor, names are looked up on a worker thread.

#[cfg(feature = "kubernetes")]
pub mod ask;
pub mod balance;
pub mod connect;
pub mod datagram;
#[cfg(feature = "http-client")]
pub mod http;
pub mod listen;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod resolve;
pub mod sender;
pub mod stream;
pub mod tls;
pub mod unix;
pub mod upstream;
#[cfg(feature = "web")]
pub mod web;

pub use balance::Balance;
pub use connect::Target;
pub use datagram::Datagrams;
#[cfg(feature = "http-client")]
pub use http::HttpClient;
pub use listen::Listener;
pub use resolve::{Prefer, Resolver};
pub use sender::Sender;
pub use stream::{Probe, Stream};
pub use tls::{ClientTls, ServerTls};
pub use unix::UnixPath;
pub use upstream::{Conn, Upstream};

#[cfg(test)]
pub(crate) mod testing {
    //! Ports for tests.

    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    use std::net::{Ipv4Addr, SocketAddr};
    use std::os::fd::OwnedFd;

    /// A port of 127.0.0.1 that refuses connections for as long as the socket lives.
    pub(crate) fn refusing() -> (OwnedFd, u16) {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let addr = SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
        (fd, addr.port())
    }
}
