//! Peers on the other side of a TCP connection, each with one bad or good habit.

use super::until;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A port that nobody listens on just now, for a program that will.
pub fn free_port() -> u16 {
    refused_port().1
}

/// A port that refuses connections until somebody listens on it.
///
/// It lies below those that the system gives to clients: their connections hold such a port for a minute after their end, and
/// tests make thousands of them.
pub fn refused_port() -> (std::net::UdpSocket, u16) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = std::process::id() as usize * 97;
    loop {
        let port = 12_000 + ((first + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000) as u16;
        // The UDP socket makes sure that no test of another process draws the same number while this one needs it.
        let Ok(socket) = std::net::UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return (socket, port);
        }
    }
}

/// A listener whose connections are handed to a function, each on a thread of its own.
pub struct Peer {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Peer {
    /// Listens on a free port of the loopback interface.
    pub fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    /// Listens on this socket.
    pub fn on(listener: TcpListener, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let at = listener.local_addr().unwrap();
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end, serve) = (connections.clone(), stop.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Self { at, connections, stop }
    }

    /// Takes a connection and closes it at once.
    pub fn hangs_up() -> Self {
        Self::new(drop)
    }

    /// Takes connections and never reads.
    pub fn never_reads() -> Self {
        Self::new(|stream| {
            until(|| false);
            drop(stream);
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.at);
    }
}

/// Keeps everything that it is sent.
pub struct TcpSink {
    peer: Peer,
    got: Arc<Mutex<Vec<u8>>>,
}

impl TcpSink {
    /// Reads as fast as it can.
    pub fn new() -> Self {
        Self::slow(64 * 1024, Duration::ZERO)
    }

    /// Reads `bytes` at a time, with a pause between.
    pub fn slow(bytes: usize, pause: Duration) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), bytes, pause)
    }

    /// Listens on this port.
    pub fn at(port: u16) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), 64 * 1024, Duration::ZERO)
    }

    fn on(listener: TcpListener, bytes: usize, pause: Duration) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let keep = got.clone();
        let peer = Peer::on(listener, move |mut stream| {
            let mut buf = vec![0; bytes];
            while let Ok(n @ 1..) = stream.read(&mut buf) {
                keep.lock().unwrap().extend_from_slice(&buf[..n]);
                thread::sleep(pause);
            }
        });
        Self { peer, got }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// What has arrived, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// What has arrived.
    pub fn bytes(&self) -> Vec<u8> {
        self.got.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.peer.connections()
    }
}
