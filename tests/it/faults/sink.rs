//! The sinks: a bulk API that misbehaves on schedule, and a plain TCP listener. Both tell the tally what arrived.

use super::check::Tally;
use crate::lab::{Peer, Request, until};
use memchr::memmem;
use rustix::net::sockopt::set_socket_linger;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

/// What the sink knows when it decides how to answer.
pub struct Ask {
    /// Requests before this one.
    pub before: usize,
}

/// How a connection breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It is reset.
    Reset,
    /// It ends in the middle of the answer.
    Half,
    /// Nothing is ever said.
    Silence,
}

/// How a bulk request is answered.
pub enum Reply {
    /// Everything is stored.
    Store,
    /// Everything is stored, after a pause.
    Slow(Duration),
    /// Everything is stored; the answer has 20 MB.
    Huge,
    /// Nothing is stored.
    Status(u16),
    /// No answer; whether the documents were stored is not to be seen.
    Broken {
        /// Whether they were.
        stored: bool,
        /// How it breaks.
        cut: Cut,
    },
    /// Each document gets a status of its own; those below 300 are stored.
    Items(Box<Judge>),
}

/// The status of a document, from its place in the request and its line.
type Judge = dyn Fn(usize, &[u8]) -> u16;

type Behaviour = Arc<dyn Fn(&Ask) -> Reply + Send + Sync>;

/// An HTTP server with a bulk API.
pub struct Sink {
    port: u16,
    shared: Arc<Shared>,
    peer: Option<Peer>,
}

struct Shared {
    tally: Arc<Tally>,
    behaviour: RwLock<Behaviour>,
    requests: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

impl Sink {
    /// Stores everything.
    pub fn new(tally: &Arc<Tally>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), tally)
    }

    /// The same on a listener of one's own.
    pub fn on(listener: TcpListener, tally: &Arc<Tally>) -> Self {
        let shared = Arc::new(Shared {
            tally: tally.clone(),
            behaviour: RwLock::new(Arc::new(|_: &Ask| Reply::Store)),
            requests: AtomicUsize::new(0),
            open: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let port = listener.local_addr().unwrap().port();
        let peer = Some(serve(listener, &shared));
        Self { port, shared, peer }
    }

    /// Answers like this from now on.
    pub fn behave(&self, how: impl Fn(&Ask) -> Reply + Send + Sync + 'static) {
        *self.shared.behaviour.write().unwrap() = Arc::new(how);
    }

    /// Refuses connections; those that are open end.
    pub fn down(&mut self) {
        self.peer = None;
        // The listener goes a moment later.
        until(|| TcpStream::connect(("127.0.0.1", self.port)).is_err());
        self.cut();
    }

    /// Accepts connections again, on the same port.
    pub fn up(&mut self) {
        let mut listener = None;
        until(|| {
            listener = TcpListener::bind(("127.0.0.1", self.port)).ok();
            listener.is_some()
        });
        self.peer = Some(serve(listener.expect("the port was taken meanwhile"), &self.shared));
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bulk requests so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.peer = None;
        self.cut();
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>) -> Peer {
    let shared = shared.clone();
    Peer::on(listener, move |stream| {
        {
            let mut open = shared.open.lock().unwrap();
            open.retain(|s| s.peer_addr().is_ok());
            open.extend(stream.try_clone());
        }
        let mut reader = BufReader::with_capacity(64 * 1024, stream);
        while let Some(request) = Request::read(&mut reader) {
            if !shared.answer(&request, reader.get_ref()) {
                break;
            }
        }
        // Closed only when no clone is left; a reset would not go out otherwise.
        let peer = reader.get_ref().peer_addr().ok();
        shared.open.lock().unwrap().retain(|s| s.peer_addr().ok() != peer);
    })
}

impl Shared {
    /// Whether the connection goes on.
    fn answer(&self, request: &Request, stream: &TcpStream) -> bool {
        if request.method != "POST" {
            return respond(stream, 200, b"{}");
        }
        let text = request.text();
        let ask = Ask { before: self.requests.fetch_add(1, Ordering::Relaxed) };
        let behaviour = self.behaviour.read().unwrap().clone();
        match behaviour(&ask) {
            Reply::Store => respond(stream, 200, &self.store(&text, &|_, _| 201)),
            Reply::Slow(pause) => {
                thread::sleep(pause);
                respond(stream, 200, &self.store(&text, &|_, _| 201))
            }
            Reply::Huge => {
                let answer = String::from_utf8(self.store(&text, &|_, _| 201)).unwrap();
                // What nobody asked for stands in each item before what counts.
                let items = answer.matches("{\"create\":{").count().max(1);
                let item = format!("{{\"create\":{{\"_index\":\"{}\",", "x".repeat(20_000_000 / items));
                respond(stream, 200, answer.replace("{\"create\":{", &item).as_bytes())
            }
            Reply::Status(status) => respond(stream, status, b"{\"error\":\"not now\"}"),
            Reply::Items(status) => respond(stream, 200, &self.store(&text, &status)),
            Reply::Broken { stored, cut } => {
                let answer =
                    if stored { self.store(&text, &|_, _| 201) } else { b"{\"errors\":false,\"items\":[".to_vec() };
                self.break_off(stream, &answer, cut);
                false
            }
        }
    }

    fn break_off(&self, stream: &TcpStream, answer: &[u8], cut: Cut) {
        match cut {
            Cut::Reset => _ = set_socket_linger(stream, Some(Duration::ZERO)),
            Cut::Half => {
                let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", answer.len());
                let bytes = [head.as_bytes(), answer].concat();
                let _ = (&mut &*stream).write_all(&bytes[..bytes.len() / 2]);
            }
            // Until the other side gives up.
            Cut::Silence => {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                while !self.over.load(Ordering::Relaxed) {
                    match stream.peek(&mut [0]) {
                        Ok(0) => break,
                        Err(e)
                            if !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                        {
                            break;
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Stores the documents whose status is good, as a server does that keys by `_id`; makes the answer.
    fn store(&self, text: &str, status: &Judge) -> Vec<u8> {
        let mut lines = text.lines();
        let (mut items, mut errors) = (String::new(), false);
        for at in 0.. {
            let (Some(action), Some(document)) = (lines.next(), lines.next()) else { break };
            let mut code = status(at, log(document));
            if code < 300 && !self.tally.arrive(log(document), id(action)) && action.starts_with("{\"create\"") {
                code = 409;
            }
            errors |= code >= 300;
            let _ = match code {
                200..300 => write!(items, "{{\"create\":{{\"status\":{code}}}}},"),
                409 => write!(
                    items,
                    r#"{{"create":{{"status":409,"error":{{"type":"version_conflict_engine_exception","reason":"document already exists"}}}}}},"#
                ),
                400 => write!(
                    items,
                    r#"{{"create":{{"status":400,"error":{{"type":"mapper_parsing_exception","reason":"failed to parse field"}}}}}},"#
                ),
                _ => write!(
                    items,
                    r#"{{"create":{{"status":{code},"error":{{"type":"es_rejected_execution_exception","reason":"queue is full"}}}}}},"#
                ),
            };
        }
        items.pop();
        format!("{{\"errors\":{errors},\"items\":[{items}]}}").into_bytes()
    }
}

/// Whether it could be sent.
fn respond(mut stream: &TcpStream, status: u16, body: &[u8]) -> bool {
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

/// The text behind `"log":"`, up to the next quotation mark. Lines of the writer have nothing to escape.
pub fn log(document: &str) -> &[u8] {
    field(document, b"\"log\":\"").unwrap_or(document.as_bytes())
}

fn id(action: &str) -> Option<&[u8]> {
    field(action, b"\"_id\":\"")
}

fn field<'a>(text: &'a str, name: &[u8]) -> Option<&'a [u8]> {
    let rest = &text.as_bytes()[memmem::find(text.as_bytes(), name)? + name.len()..];
    Some(&rest[..memchr::memchr(b'"', rest)?])
}

/// A TCP listener that reads JSON lines.
pub struct LineSink {
    peer: Peer,
}

impl LineSink {
    /// Reads with this pause after each 32 KiB.
    pub fn new(tally: &Arc<Tally>, pause: Duration) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), tally, pause)
    }

    /// The same on a port of one's own.
    pub fn at(port: u16, tally: &Arc<Tally>, pause: Duration) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), tally, pause)
    }

    fn on(listener: TcpListener, tally: &Arc<Tally>, pause: Duration) -> Self {
        let tally = tally.clone();
        let peer = Peer::on(listener, move |stream| {
            let mut reader = BufReader::with_capacity(32 * 1024, stream);
            let (mut line, mut taken) = (Vec::new(), 0);
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                // What a killed program leaves of a line is no document.
                let Some((b'\n', text)) = line.split_last() else { break };
                tally.arrive(log(&String::from_utf8_lossy(text)), None);
                taken += line.len();
                line.clear();
                if taken >= 32 * 1024 {
                    taken = 0;
                    thread::sleep(pause);
                }
            }
        });
        Self { peer }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }
}
