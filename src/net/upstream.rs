//! One destination: connections made when needed, kept for the next use, closed when idle or worn.

use super::connect::{self, Options, Target};
use super::resolve::{Prefer, Resolver};
use super::stream::{Probe, Stream};
use super::tls::ClientTls;
use crate::conf::common::NetOut;
use crate::rt::{Notify, Task, sleep_until, spawn, timeout};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A destination and the connections to it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Upstream(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Target,
    tls: Option<ClientTls>,
    options: Options,
    prefer: Prefer,
    connect_timeout: Duration,
    io_timeout: Duration,
    keepalive: bool,
    idle_timeout: Duration,
    max_uses: u32,
    max_open: usize,
    open: Cell<usize>,
    idle: RefCell<VecDeque<Idle>>,
    room: Notify,
    reaper: RefCell<Option<Task<()>>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    uses: u32,
    until: Instant,
}

impl Upstream {
    /// A destination; nothing is connected yet.
    ///
    /// # Errors
    /// When `net.source_address` is no address.
    pub fn new(target: Target, net: &NetOut, tls: Option<ClientTls>) -> Result<Self, String> {
        Ok(Self(Rc::new(Inner {
            target,
            tls,
            options: Options::of(net)?,
            prefer: Prefer::of(net),
            connect_timeout: net.connect_timeout,
            io_timeout: net.io_timeout,
            keepalive: net.keepalive,
            idle_timeout: net.keepalive_idle_timeout,
            max_uses: net.keepalive_max_recycle,
            max_open: net.max_worker_connections,
            open: Cell::new(0),
            idle: RefCell::default(),
            room: Notify::default(),
            reaper: RefCell::default(),
        })))
    }

    /// Where it leads.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// A connection: a kept one that is still open, else a new one. Waits while too many are open.
    ///
    /// # Errors
    /// Says where it could not connect, and why.
    pub async fn get(&self) -> Result<Conn, String> {
        loop {
            if let Some(conn) = self.kept() {
                return Ok(conn);
            }
            if self.0.max_open == 0 || self.0.open.get() < self.0.max_open {
                return self.fresh().await;
            }
            self.0.room.wait().await;
        }
    }

    /// A new connection, also when others are kept: for another try after a kept one turned out to be dead.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn fresh(&self) -> Result<Conn, String> {
        let seat = Seat::take(&self.0);
        let stream = self.connect().await.map_err(|why| format!("cannot connect to {}: {why}", self.0.target))?;
        Ok(Conn { stream, uses: 1, reused: false, seat })
    }

    fn kept(&self) -> Option<Conn> {
        loop {
            let Idle { mut stream, uses, until } = self.0.idle.borrow_mut().pop_back()?;
            let seat = Seat(self.0.clone());
            // A byte nobody asked for would be taken for the next answer.
            if Instant::now() < until && stream.probe() == Probe::Quiet {
                return Some(Conn { stream, uses: uses + 1, reused: true, seat });
            }
        }
    }

    async fn connect(&self) -> Result<Stream, String> {
        let inner = &*self.0;
        let limit = inner.connect_timeout;
        let limit = if limit.is_zero() { Duration::from_secs(3600) } else { limit };
        let begun = crate::rt::now();
        timeout(limit, async {
            let (socket, host) = match &inner.target {
                Target::Tcp(host, port) => {
                    let addrs = Resolver::shared().resolve(host, *port, inner.prefer).await?;
                    let only = matches!(&*addrs, [one] if host.contains(&one.ip().to_string()));
                    // A little less than what is left: who did not answer says more than that time is over.
                    let left = limit.saturating_sub(crate::rt::now().saturating_duration_since(begun));
                    let left = left.saturating_sub((left / 20).min(Duration::from_millis(50)));
                    (connect::first(&addrs, only, left, &inner.options).await?, host.as_str())
                }
                Target::Unix(path) => (connect::unix(path).await.map_err(|e| connect::words(&e))?, "localhost"),
            };
            let session = inner.tls.as_ref().map(|tls| tls.session(host)).transpose()?;
            let mut stream = Stream::new(socket.io, session, inner.io_timeout);
            stream.handshake().await.map_err(|e| connect::words(&e))?;
            if let Some(told) = stream.told() {
                log::info!("[tls] {}: {told}", inner.target);
            }
            Ok(stream)
        })
        .await
        .unwrap_or_else(|| Err(format!("not connected within {limit:?} (net.connect_timeout)")))
    }

    /// Closes the connections that are kept.
    pub fn close(&self) {
        self.0.reaper.take();
        self.0.drop_idle(|_| true);
    }

    /// Connections kept for the next use.
    pub fn idle(&self) -> usize {
        self.0.idle.borrow().len()
    }
}

impl Inner {
    fn drop_idle(&self, which: impl Fn(&Idle) -> bool) {
        let before = self.idle.borrow().len();
        self.idle.borrow_mut().retain(|i| !which(i));
        let gone = before - self.idle.borrow().len();
        self.open.set(self.open.get().saturating_sub(gone));
    }

    fn keep(self: &Rc<Self>, stream: Stream, uses: u32) {
        let until = Instant::now() + self.idle_timeout;
        self.idle.borrow_mut().push_back(Idle { stream, uses, until });
        let mut reaper = self.reaper.borrow_mut();
        if reaper.is_none() {
            *reaper = Some(spawn(reap(Rc::downgrade(self), until)));
        }
    }
}

/// Closes idle connections in time; ends when none is left, so that an unused destination costs no wake-up.
async fn reap(inner: Weak<Inner>, mut next: Instant) {
    loop {
        sleep_until(next).await;
        let Some(inner) = inner.upgrade() else { return };
        let now = Instant::now();
        inner.drop_idle(|i| i.until <= now);
        match inner.idle.borrow().iter().map(|i| i.until).min() {
            Some(until) => next = until,
            None => {
                if let Some(me) = inner.reaper.take() {
                    me.detach();
                }
                return;
            }
        }
    }
}

/// One of the connections that may be open.
#[derive(Debug)]
struct Seat(Rc<Inner>);

impl Seat {
    fn take(inner: &Rc<Inner>) -> Self {
        inner.open.set(inner.open.get() + 1);
        Self(inner.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.room.notify();
    }
}

/// A connection in use; closed when dropped, unless [`Conn::keep`] gives it back.
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    uses: u32,
    reused: bool,
    seat: Seat,
}

impl Conn {
    /// Whether it served before: a failure may then only mean that the peer closed it meanwhile.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Gives it back for the next use, or closes it when it has served long enough. Call it only after a complete
    /// exchange.
    pub fn keep(self) {
        if !self.is_kept() {
            return;
        }
        let Self { stream, uses, seat, .. } = self;
        // The kept connection stays open: it is counted again before this seat is given up.
        seat.0.open.set(seat.0.open.get() + 1);
        seat.0.keep(stream, uses);
    }

    /// Counts another use, for who keeps it without giving it back.
    pub fn reuse(&mut self) {
        self.uses = self.uses.saturating_add(1);
        self.reused = true;
    }

    /// Whether [`Self::keep`] would keep it.
    pub fn is_kept(&self) -> bool {
        let inner = &self.seat.0;
        inner.keepalive && (inner.max_uses == 0 || self.uses < inner.max_uses) && !inner.idle_timeout.is_zero()
    }
}

impl Deref for Conn {
    type Target = Stream;
    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl AsMut<Stream> for Conn {
    fn as_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::error::Diags;
    use crate::rt::{run, sleep};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    fn net(pairs: &[(&str, &str)]) -> NetOut {
        NetOut::load(&Section::of("OUTPUT", pairs), &mut Diags::new()).unwrap()
    }

    /// A peer that hands out each connection it accepts.
    fn peer() -> (Target, Receiver<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tx, rx) = channel();
        thread::spawn(move || while tx.send(listener.accept().unwrap().0).is_ok() {});
        (Target::Tcp("127.0.0.1".into(), port), rx)
    }

    async fn exchange(mut conn: Conn, peer: &mut TcpStream) -> Conn {
        conn.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        peer.read_exact(&mut buf).unwrap();
        peer.write_all(b"pong").unwrap();
        assert_eq!(conn.read(&mut buf).await.unwrap(), 4);
        conn
    }

    #[test]
    fn connections_are_kept_until_worn() {
        let (target, accepted) = peer();
        let net = net(&[("net.keepalive_max_recycle", "2")]);
        run(async {
            let up = Upstream::new(target, &net, None).unwrap();
            let conn = up.get().await.unwrap();
            let mut server = accepted.recv().unwrap();
            assert!(!conn.is_reused());
            exchange(conn, &mut server).await.keep();
            assert_eq!((up.idle(), up.0.open.get()), (1, 1));
            let conn = up.get().await.unwrap();
            assert!(conn.is_reused() && !conn.is_kept(), "used twice, that is enough");
            exchange(conn, &mut server).await.keep();
            assert_eq!((up.idle(), up.0.open.get()), (0, 0));
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0, "closed");
            assert!(!up.get().await.unwrap().is_reused());
        })
        .unwrap();
    }

    #[test]
    fn what_the_peer_closed_or_spoke_into_is_not_used_again() {
        let (target, accepted) = peer();
        let net = net(&[]);
        run(async {
            let up = Upstream::new(target, &net, None).unwrap();
            for closed in [true, false] {
                let conn = up.get().await.unwrap();
                let mut server = accepted.recv().unwrap();
                assert!(!conn.is_reused());
                exchange(conn, &mut server).await.keep();
                if closed {
                    drop(server);
                } else {
                    server.write_all(b"unasked").unwrap();
                }
                sleep(Duration::from_millis(5)).await;
            }
            assert!(!up.get().await.unwrap().is_reused());
            assert_eq!(up.0.open.get(), 0);
        })
        .unwrap();
    }

    #[test]
    fn idle_connections_are_closed_in_time() {
        let (target, accepted) = peer();
        let net = net(&[("net.keepalive_idle_timeout", "0.05")]);
        run(async {
            let up = Upstream::new(target, &net, None).unwrap();
            for _ in 0..2 {
                let conn = up.get().await.unwrap();
                let mut server = accepted.recv().unwrap();
                exchange(conn, &mut server).await.keep();
                sleep(Duration::from_millis(150)).await;
                assert_eq!((up.idle(), up.0.open.get()), (0, 0));
                assert!(up.0.reaper.borrow().is_none(), "nothing left to wake up for");
                assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
            }
        })
        .unwrap();
    }

    #[test]
    fn no_more_than_allowed_are_open() {
        let (target, accepted) = peer();
        let net = net(&[("net.max_worker_connections", "1")]);
        run(async {
            let up = Upstream::new(target, &net, None).unwrap();
            let conn = up.get().await.unwrap();
            let mut server = accepted.recv().unwrap();
            assert!(timeout(Duration::from_millis(20), up.get()).await.is_none());
            let second = up.clone();
            let waiting = spawn(async move { second.get().await.unwrap().is_reused() });
            sleep(Duration::from_millis(5)).await;
            exchange(conn, &mut server).await.keep();
            assert_eq!(timeout(Duration::from_secs(5), waiting).await, Some(true));
        })
        .unwrap();
    }

    #[test]
    fn failures_name_the_destination() {
        let (_held, port) = crate::net::testing::refusing();
        run(async {
            let up = Upstream::new(Target::Tcp("127.0.0.1".into(), port), &net(&[]), None).unwrap();
            let why = up.get().await.unwrap_err();
            assert_eq!(why, format!("cannot connect to 127.0.0.1:{port}: connection refused"));
            assert_eq!(up.0.open.get(), 0);
            let up = Upstream::new(Target::Unix("/nonexistent/s".into()), &net(&[]), None).unwrap();
            let why = up.get().await.unwrap_err();
            assert_eq!(why, "cannot connect to unix:/nonexistent/s: No such file or directory");
        })
        .unwrap();
        assert!(Upstream::new(Target::Unix("x".into()), &net(&[("net.source_address", "eth0")]), None).is_err());
    }
}
