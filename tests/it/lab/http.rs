//! An HTTP server that keeps every request and answers as the test says.

use super::Peer;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// `/_bulk`.
    pub path: String,
    /// Names as they came, in order.
    pub headers: Vec<(String, String)>,
    /// The body, still encoded.
    pub body: Vec<u8>,
    /// Which connection it came on, from 1.
    pub connection: usize,
}

impl Request {
    /// Reads a request; `None` when the peer left.
    pub fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new(), connection: 0 };
        if request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            loop {
                line.clear();
                reader.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).ok()?;
                let from = request.body.len();
                request.body.resize(from + size, 0);
                reader.read_exact(&mut request.body[from..]).ok()?;
                line.clear();
                reader.read_line(&mut line).ok()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            let size = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            request.body.resize(size, 0);
            reader.read_exact(&mut request.body).ok()?;
        }
        Some(request)
    }

    /// A header's value; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text, decompressed when its header says so.
    pub fn text(&self) -> String {
        if self.header("content-encoding") != Some("gzip") {
            return String::from_utf8_lossy(&self.body).into_owned();
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap();
        text
    }

    /// The documents of a bulk request: every second line.
    pub fn documents(&self) -> Vec<String> {
        self.text().lines().skip(1).step_by(2).map(str::to_owned).collect()
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200.
    pub status: u16,
    /// JSON, mostly.
    pub body: String,
}

impl Answer {
    /// This status and body.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into() }
    }

    /// The answer to a bulk request whose items get these statuses; a failed item says why in the server's manner.
    pub fn bulk(statuses: &[u16]) -> Self {
        let items: Vec<String> = statuses
            .iter()
            .map(|s| match s {
                200..=299 => format!(r#"{{"create":{{"_index":"i","_id":"1","status":{s}}}}}"#),
                429 => format!(
                    r#"{{"create":{{"_index":"i","status":{s},"error":{{"type":"es_rejected_execution_exception","reason":"queue is full"}}}}}}"#
                ),
                _ => format!(
                    r#"{{"create":{{"_index":"i","status":{s},"error":{{"type":"mapper_parsing_exception","reason":"failed to parse field [n] of type [long]"}}}}}}"#
                ),
            })
            .collect();
        let errors = statuses.iter().any(|s| *s > 299);
        Self::new(200, format!(r#"{{"took":1,"errors":{errors},"items":[{}]}}"#, items.join(",")))
    }
}

/// The server.
pub struct HttpSink {
    peer: Peer,
    got: Arc<Mutex<Vec<Request>>>,
}

impl HttpSink {
    /// `answer` is given each request and how many came before it.
    pub fn new(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::raw(move |request, before, stream| write(stream, &answer(request, before)).is_ok())
    }

    /// `serve` writes what it likes to the connection that a request came on; it is closed when that gives false.
    pub fn raw(serve: impl Fn(&Request, usize, &TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let keep = got.clone();
        let connections = std::sync::atomic::AtomicUsize::new(0);
        let peer = Peer::new(move |stream| {
            let number = connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some(mut request) = Request::read(&mut reader) {
                request.connection = number;
                let before = {
                    let mut all = keep.lock().unwrap();
                    all.push(request.clone());
                    all.len() - 1
                };
                if !serve(&request, before, &stream) {
                    return;
                }
            }
        });
        Self { peer, got }
    }

    /// Stores every item of every bulk request.
    pub fn stores_all() -> Self {
        Self::new(|request, _| Answer::bulk(&vec![201; request.documents().len()]))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.peer.connections()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.got.lock().unwrap().clone()
    }

    /// All documents of all requests so far.
    pub fn documents(&self) -> Vec<String> {
        self.requests().iter().flat_map(Request::documents).collect()
    }
}

/// Writes an answer.
pub fn write(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    let Answer { status, body } = answer;
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    // One write: a second small one would wait for the first to be acknowledged.
    stream.write_all((head + body).as_bytes())
}
