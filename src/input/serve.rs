//! Connections that inputs accept: how many at one time, TLS with a deadline, each served by a task of its own.

use super::{InputCx, Patience};
use crate::conf::common::NetIn;
use crate::error::Error;
use crate::net::{Listener, Stream};
use crate::rt::{Notify, or, spawn, timeout};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io::{Error as IoError, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::util::ratelimit::{RateLimit, held_back};

/// Connections at one time where `net.max_connections` does not say; further ones wait to be accepted.
const CONNECTIONS: usize = 1024;

/// Who is at the other end; written as `tcp://192.0.2.1:514`, or `unix:///run/socket`.
#[derive(Debug, Clone)]
pub struct Peer {
    shown: Rc<str>,
    ip: Option<IpAddr>,
}

impl Peer {
    /// A peer of a TCP connection.
    pub fn tcp(addr: SocketAddr) -> Self {
        Self { shown: format!("tcp://{addr}").into(), ip: Some(addr.ip()) }
    }

    /// Every peer of a Unix socket.
    pub fn unix(path: &str) -> Self {
        Self { shown: format!("unix://{path}").into(), ip: None }
    }

    /// Its address, where it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// As it is shown to people, and stored in records.
    pub fn as_str(&self) -> &str {
        &self.shown
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

crate::conf_enum! {
    /// When a peer is told that its records have arrived, where the protocol can tell.
    pub enum AckWhen {
        /// Once they are delivered, or stored in a chunk file.
        Delivered = "delivered",
        /// At once.
        Received = "received",
    }
}

impl AckWhen {
    /// What becomes of records of which the peer has no acknowledgement: those that wait for it send them again.
    pub fn patience(self) -> Patience {
        match self {
            Self::Delivered => Patience::ReadsAgain,
            Self::Received => Patience::Waits,
        }
    }
}

/// Bytes that are still read of a connection at the shutdown, and how long each read waits for them to be seen.
const LAST: usize = 4 << 20;
const LAST_WAIT: Duration = Duration::from_millis(10);

/// Reads what a connection without acknowledgements has brought already, at the shutdown: its sender takes it for delivered.
/// `read` makes records of at most so many bytes, under the input's tag, and answers how many; 0 is the end.
pub async fn drain(cx: &InputCx, mut read: impl AsyncFnMut(usize) -> usize) {
    let _hold = cx.hold();
    let mut left = LAST;
    while left > 0 && cx.has_room() {
        match timeout(LAST_WAIT, read(left)).await {
            Some(n @ 1..) => left = left.saturating_sub(n),
            _ => return,
        }
        cx.commit_now(cx.tag(), None);
    }
}

/// What one input allows its peers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time.
    pub connections: usize,
    /// How long a TLS handshake may take; zero is for ever.
    pub handshake: Duration,
    /// Whether handshakes that take longer are logged.
    pub log_slow: bool,
    /// What all peers are called who come through a Unix socket.
    pub unix: Option<Peer>,
}

impl Limits {
    /// Those of the `net.*` keys.
    pub fn of(net: &NetIn) -> Self {
        let connections = if net.max_connections == 0 { CONNECTIONS } else { net.max_connections };
        Self { connections, handshake: net.accept_timeout, log_slow: net.accept_timeout_log_error, unix: None }
    }

    /// For peers of the Unix socket at `path`.
    #[must_use]
    pub fn unix(mut self, path: &str) -> Self {
        self.unix = Some(Peer::unix(path));
        self
    }
}

/// Accepts connections until the shutdown, then answers which are left; `each` serves one of them, its TLS handshake done. The
/// future that `each` returns is dropped when its connection ends or it returns; at the shutdown it goes on, so it must itself end
/// on [`InputCx::stopping`], or on [`InputCx::drained`] where it still owes its peer acknowledgements.
///
/// # Errors
/// When the listening socket itself fails.
pub async fn serve<F, S>(cx: &InputCx, listener: Listener, limits: Limits, each: F) -> Result<Left, Error>
where
    F: Fn(Stream, Peer) -> S + 'static,
    S: Future<Output = ()> + 'static,
{
    let shared = Rc::new(Shared { limits, each, said: RefCell::default() });
    let open = Left::default();
    cx.count("connections", 0);
    loop {
        if open.count() >= shared.limits.connections {
            cx.lost(0, "all connections are in use (net.max_connections): further peers wait to be accepted");
            or(open.below(shared.limits.connections), cx.stopping()).await;
        }
        let next = or(async { Some(listener.accept().await) }, async {
            cx.stopping().await;
            None
        });
        let Some(accepted) = next.await else { return Ok(open) };
        let (stream, addr) = accepted.map_err(Error::io("accept"))?;
        cx.count("connections", 1);
        let peer = shared.limits.unix.clone().unwrap_or_else(|| Peer::tcp(addr));
        let place = Place::take(&open);
        let (cx, shared) = (cx.clone(), shared.clone());
        spawn(async move {
            let _place = place;
            if let Some(stream) = shared.begin(&cx, stream, &peer).await {
                (shared.each)(stream, peer).await;
            }
        })
        .detach();
    }
}

/// What the connections of one input share.
struct Shared<F> {
    limits: Limits,
    each: F,
    said: RefCell<RateLimit>,
}

impl<F> Shared<F> {
    /// Completes the TLS handshake, where there is one.
    async fn begin(&self, cx: &InputCx, mut stream: Stream, peer: &Peer) -> Option<Stream> {
        let limit = self.limits.handshake;
        let handshake = async {
            let done = stream.handshake();
            let done = if limit.is_zero() { Some(done.await) } else { timeout(limit, done).await };
            let slow =
                || IoError::new(ErrorKind::TimedOut, format!("not completed within {limit:?} (net.accept_timeout)"));
            done.unwrap_or_else(|| Err(slow()))
        };
        let done = or(async { Some(handshake.await) }, async {
            cx.stopping().await;
            None
        });
        match done.await? {
            Ok(()) => {
                if let Some(told) = stream.told() {
                    log::info!("[{}] {peer}: {told}", cx.label());
                }
                Some(stream)
            }
            Err(e) => {
                cx.count("failed handshakes", 1);
                if !stream.may_tell() || (e.kind() == ErrorKind::TimedOut && !self.limits.log_slow) {
                    return None;
                }
                if let Some(held) = self.said.borrow_mut().allow(e.to_string().as_bytes(), Instant::now()) {
                    let more = held_back(held);
                    log::warn!("[{}] TLS handshake with {peer}: {e}{more}", cx.label());
                }
                None
            }
        }
    }
}

/// The connections of an input that are open.
#[derive(Debug, Clone, Default)]
pub struct Left(Rc<Open>);

#[derive(Debug, Default)]
struct Open {
    count: Cell<usize>,
    closed: Notify,
}

impl Left {
    /// Waits until all are closed.
    pub async fn closed(&self) {
        self.below(1).await;
    }

    fn count(&self) -> usize {
        self.0.count.get()
    }

    async fn below(&self, limit: usize) {
        while self.count() >= limit {
            self.0.closed.wait().await;
        }
    }
}

/// One of the connections that may be open; given back when it goes.
struct Place(Left);

impl Place {
    fn take(open: &Left) -> Self {
        open.0.count.set(open.count() + 1);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Left(open) = &self.0;
        open.count.set(open.count.get().saturating_sub(1));
        open.closed.notify();
    }
}
