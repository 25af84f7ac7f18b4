//! Sockets of the event thread: names, connections, TLS, kept-alive pools.
//!
//! Nothing here blocks: sockets are non-blocking and waited for by the reactor, names are looked up on a worker thread.

pub mod connect;
pub mod listen;
pub mod resolve;
pub mod stream;
pub mod tls;
pub mod upstream;

pub use connect::Target;
pub use listen::Listener;
pub use resolve::{Prefer, Resolver};
pub use stream::{Probe, Stream};
pub use tls::{ClientTls, ServerTls};
pub use upstream::{Conn, Upstream};
