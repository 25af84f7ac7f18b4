//! Captures for the bench: web traffic, DNS, and very many connections at once.

use crate::Random;
use crate::frames::{ACK, Capture, FIN, MSS, PSH, Peer, SYN};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::VecDeque;
use std::io::{self, Write};

/// Connections that are open at a time in the web traffic.
const CONCURRENT: usize = 2000;
/// Connections that are open at a time in `flows`, from 256 MiB on; fewer in a smaller file.
const FLOWS: u64 = 100_000;
/// Mean distance of two packets in microseconds: about 50,000 packets a second.
const WEB_STEP: u64 = 20;
/// Queries a second: with the default timeout of flows of 30 s some 75,000 are known at a time.
const QUERY_STEP: u64 = 400;

const HOSTS: &[&str] = &["www.example.com", "shop.example.com", "api.example.net", "static.example.org"];
const PATHS: &[&str] =
    &["/", "/index.html", "/api/v1/orders", "/api/v1/users", "/static/js/app.js", "/search", "/cart"];
const TYPES: &[&str] = &["text/html; charset=utf-8", "application/json", "application/javascript", "image/png"];

/// One packet of a connection that is yet to be written: from the client or not, flags, payload.
struct Packet {
    client: bool,
    flags: u8,
    data: Vec<u8>,
}

struct Connection {
    peers: [Peer; 2],
    numbers: [u32; 2],
    queue: VecDeque<Packet>,
    /// Requests yet to come; after the last the connection is closed.
    left: u64,
    http: bool,
}

impl Connection {
    fn new(r: &mut Random, n: u64, requests: u64, port: u16, http: bool) -> Self {
        let client = Peer {
            ip: [10, 1 + (n / 50_000 / 250) as u8, (n / 50_000 % 250) as u8, 7],
            port: 10_000 + (n % 50_000) as u16,
        };
        let server = Peer { ip: [192, 0, 2, 10 + (n % 4) as u8], port };
        let mut new = Self {
            peers: [client, server],
            numbers: [r.next() as u32, r.next() as u32],
            queue: VecDeque::new(),
            left: requests,
            http,
        };
        new.push(true, SYN, Vec::new());
        new.push(false, SYN | ACK, Vec::new());
        new.push(true, ACK, Vec::new());
        new
    }

    fn push(&mut self, client: bool, flags: u8, data: Vec<u8>) {
        self.queue.push_back(Packet { client, flags, data });
    }

    /// Bytes in full segments, every second of them acknowledged.
    fn say(&mut self, client: bool, data: &[u8]) {
        let count = data.len().div_ceil(MSS);
        for (n, part) in data.chunks(MSS).enumerate() {
            let last = n + 1 == count;
            self.push(client, if last { ACK | PSH } else { ACK }, part.to_vec());
            if n % 2 == 1 || last && !client {
                self.push(!client, ACK, Vec::new());
            }
        }
    }

    /// Writes the next packet. Whether the connection goes on.
    fn step<W: Write>(&mut self, out: &mut Capture<W>, more: impl FnOnce(&mut Self)) -> io::Result<bool> {
        if self.queue.is_empty() {
            if self.left == 0 {
                self.left = u64::MAX;
                for (client, flags) in [(true, FIN | ACK), (false, FIN | ACK), (true, ACK)] {
                    self.push(client, flags, Vec::new());
                }
            } else {
                self.left -= 1;
                more(self);
            }
        }
        let Some(packet) = self.queue.pop_front() else { return Ok(false) };
        let from = usize::from(!packet.client);
        let ack = if packet.flags & ACK == 0 { 0 } else { self.numbers[1 - from] };
        let numbers = [self.numbers[from], ack];
        out.tcp(self.peers[from], self.peers[1 - from], packet.flags, numbers, &packet.data)?;
        let taken = packet.data.len() as u32 + u32::from(packet.flags & (SYN | FIN) != 0);
        self.numbers[from] = self.numbers[from].wrapping_add(taken);
        Ok(self.left != u64::MAX || !self.queue.is_empty())
    }
}

/// Texts that bodies are cut from, and some that are packed already.
struct Bodies {
    text: Vec<u8>,
    packed: Vec<Vec<u8>>,
}

impl Bodies {
    fn new(r: &mut Random) -> io::Result<Self> {
        let mut text = Vec::new();
        while text.len() < 128 << 10 {
            let words = ["<p class=\"item\">", "</p>\n", "order ", "price ", "{\"id\": ", "}, ", "of the ", "and "];
            text.extend_from_slice(r.of(&words).as_bytes());
            text.extend_from_slice(r.below(1_000_000).to_string().as_bytes());
        }
        let mut packed = Vec::new();
        for _ in 0..64 {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&text[..1000 + r.below(40_000) as usize])?;
            packed.push(gzip.finish()?);
        }
        Ok(Self { text, packed })
    }

    /// 0.2 to 30 KB, small ones much likelier.
    fn cut(&self, r: &mut Random, most: u64) -> &[u8] {
        let mut range = most;
        for _ in 0..2 {
            range = 1 + r.below(range);
        }
        let len = 200 + range as usize;
        let from = r.below((self.text.len() - len) as u64) as usize;
        &self.text[from..from + len]
    }
}

/// A request and its response, as two runs of bytes.
fn exchange(r: &mut Random, bodies: &Bodies, most: u64) -> (Vec<u8>, Vec<u8>) {
    let (method, upload) = [("GET", false), ("POST", true), ("HEAD", false)][match r.below(50) {
        0..44 => 0,
        44..49 => 1,
        _ => 2,
    }];
    let mut ask = format!("{method} {}", r.of(PATHS));
    if r.below(2) == 0 {
        ask.push_str(&format!("?page={}&session={:016x}", r.below(50), r.next()));
    }
    ask.push_str(&format!(
        " HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: text/html,application/json;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: https://www.example.com/search?q=tea\r\n\
         Cookie: session={:016x}{:016x}; theme=dark\r\nConnection: keep-alive\r\n",
        r.of(HOSTS),
        r.of(crate::AGENTS),
        r.next(),
        r.next(),
    ));
    let mut ask = ask.into_bytes();
    if upload {
        let body = bodies.cut(r, 3000);
        ask.extend_from_slice(
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
        );
        ask.extend_from_slice(body);
    } else {
        ask.extend_from_slice(b"\r\n");
    }
    let common = format!(
        "Server: nginx/1.26.2\r\nDate: Wed, 19 Feb 2025 21:20:00 GMT\r\nCache-Control: max-age=3600\r\nETag: \"{:x}-{:x}\"\r\n\
         Content-Type: {}\r\nConnection: keep-alive\r\n",
        r.below(1 << 32),
        r.below(1 << 20),
        r.of(TYPES),
    );
    let mut answer = Vec::new();
    let mut head = |status: &str, more: String| {
        answer.extend_from_slice(format!("HTTP/1.1 {status}\r\n{common}{more}\r\n").as_bytes());
    };
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    let kind = r.below(100);
    if method == "HEAD" {
        head("200 OK", length(5000));
    } else if kind < 5 {
        head("304 Not Modified", String::new());
    } else if kind < 13 {
        let body = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n";
        head("404 Not Found", length(body.len()));
        answer.extend_from_slice(body);
    } else if kind < 28 && most > 5000 {
        let body = &bodies.packed[r.below(bodies.packed.len() as u64) as usize];
        head("200 OK", format!("Content-Encoding: gzip\r\n{}", length(body.len())));
        answer.extend_from_slice(body);
    } else if kind < 38 {
        head("200 OK", "Transfer-Encoding: chunked\r\n".into());
        for chunk in bodies.cut(r, most).chunks(4096) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
    } else {
        let body = bodies.cut(r, most);
        head(if upload { "201 Created" } else { "200 OK" }, length(body.len()));
        answer.extend_from_slice(body);
    }
    (ask, answer)
}

/// Kept-alive connections, many at a time. Returns the numbers of transactions and of flows.
pub fn http<W: Write>(r: &mut Random, bytes: u64, out: &mut Capture<W>) -> io::Result<(u64, u64)> {
    let bodies = Bodies::new(r)?;
    let (mut open, mut count, mut sum) = (Vec::new(), 0, 0);
    loop {
        while open.len() < CONCURRENT && out.bytes < bytes {
            let requests = 1 + r.below(4);
            sum += requests;
            let port = [80, 8080][r.below(2) as usize];
            open.push(Connection::new(r, count, requests, port, true));
            count += 1;
        }
        if open.is_empty() {
            return Ok((sum, count));
        }
        let n = r.below(open.len() as u64) as usize;
        let goes_on = open[n].step(out, |connection| {
            let (ask, answer) = exchange(r, &bodies, 30_000);
            connection.say(true, &ask);
            connection.say(false, &answer);
        })?;
        if !goes_on {
            open.swap_remove(n);
        }
        out.micros += r.below(2 * WEB_STEP);
    }
}

/// A hundred thousand connections that all live at the same time and speak in turn: a fifth of them HTTP on port 80, a
/// tenth HTTP on another port, the rest what no protocol is.
pub fn flows<W: Write>(r: &mut Random, bytes: u64, out: &mut Capture<W>) -> io::Result<(u64, u64)> {
    let bodies = Bodies::new(r)?;
    let count = ((FLOWS * bytes) >> 28).clamp(100, FLOWS);
    let mut open = Vec::new();
    for n in 0..count {
        let (port, http) = match n % 10 {
            0 | 1 => (80, true),
            2 => (18_080, true),
            _ => (15_999, false),
        };
        open.push(Connection::new(r, n, u64::MAX - 1, port, http));
    }
    let (mut sum, mut closing) = (0, false);
    while !open.is_empty() {
        let mut failed = Ok(());
        open.retain_mut(|connection| {
            let goes_on = connection.step(out, |connection| {
                let (ask, answer) = if connection.http {
                    sum += 1;
                    exchange(r, &bodies, 3000)
                } else {
                    let noise = |r: &mut Random, len| (0..len).map(|_| r.next() as u8 | 0x80).collect::<Vec<u8>>();
                    let len = r.below(1500);
                    (noise(r, 100), noise(r, 20 + len))
                };
                connection.say(true, &ask);
                connection.say(false, &answer);
            });
            out.micros += 8;
            goes_on.unwrap_or_else(|e| {
                failed = Err(e);
                false
            })
        });
        failed?;
        if !closing && out.bytes > bytes {
            closing = true;
            open.iter_mut().for_each(|connection| connection.left = 0);
        }
    }
    Ok((sum, count))
}

const LABELS: &[&str] = &["www", "mail", "api", "cdn-01", "images", "edge-eu-west", "login", "telemetry", "a1b2c3"];
const DOMAINS: &[&str] = &["example.com", "example.co.uk", "example.org", "shop.example.net", "example.de"];

/// Name as labels (RFC 1035 section 3.1).
fn name(text: &str, out: &mut Vec<u8>) {
    for label in text.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

/// A record whose name is the question's.
fn record(kind: u16, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 12]);
    for field in [kind, 1, 0, 300, data.len() as u16] {
        out.extend(field.to_be_bytes());
    }
    out.extend_from_slice(data);
}

/// Queries over UDP, each from a port of its own and answered. Returns the numbers of transactions and of flows.
pub fn dns<W: Write>(r: &mut Random, bytes: u64, out: &mut Capture<W>) -> io::Result<(u64, u64)> {
    const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let server = Peer { ip: [192, 0, 2, 53], port: 53 };
    let mut waiting: VecDeque<(Peer, Vec<u8>)> = VecDeque::new();
    let mut sum = 0u64;
    loop {
        let asking = out.bytes < bytes;
        if asking {
            let client = Peer { ip: [10, 2, (sum / 64_000 % 250) as u8, 9], port: 1024 + (sum % 64_000) as u16 };
            let text = format!("{}{}.{}", r.of(LABELS), r.below(500), r.of(DOMAINS));
            let (kind, answer) = match r.below(100) {
                0..60 => (1u16, 0),
                60..82 => (28, 0),
                82..90 => (1, 1),
                90..95 => (15, 2),
                _ => (1, 3),
            };
            let mut question = Vec::new();
            name(&text, &mut question);
            question.extend_from_slice(&[kind.to_be_bytes(), 1u16.to_be_bytes()].concat());
            let id = (r.next() as u16).to_be_bytes();
            let mut query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]].concat();
            query.extend_from_slice(&question);
            query.extend_from_slice(OPT);
            let mut body = Vec::new();
            let (answers, authorities) = match answer {
                0 => {
                    let count = 1 + r.below(4) as u8;
                    for n in 0..count {
                        let address: &[u8] = &[198, 51, 100, n, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, n];
                        record(kind, if kind == 1 { &address[..4] } else { address }, &mut body);
                    }
                    (count, 0)
                }
                1 => {
                    let mut target = Vec::new();
                    name("d111111abcdef8.cdn.example.net", &mut target);
                    record(5, &target, &mut body);
                    record(1, &[198, 51, 100, 7], &mut body);
                    (2, 0)
                }
                2 => {
                    for n in 0..2 {
                        let mut target = vec![0, 10 * n];
                        name(&format!("mx{n}.example.com"), &mut target);
                        record(15, &target, &mut body);
                    }
                    (2, 0)
                }
                _ => {
                    let mut soa = Vec::new();
                    name("ns1.example.com", &mut soa);
                    name("hostmaster.example.com", &mut soa);
                    soa.extend_from_slice(&[0; 20]);
                    record(6, &soa, &mut body);
                    (0, 1)
                }
            };
            let code = if answer == 3 { 0x83 } else { 0x80 };
            let mut reply = [&id[..], &[0x81, code, 0, 1, 0, answers, 0, authorities, 0, 1]].concat();
            reply.extend_from_slice(&question);
            reply.extend_from_slice(&body);
            reply.extend_from_slice(OPT);
            out.udp(client, server, &query)?;
            waiting.push_back((client, reply));
            sum += 1;
        }
        out.micros += r.below(QUERY_STEP);
        // Answers come a few queries later, in another order.
        if waiting.len() > 40 || !asking {
            let n = r.below(waiting.len().clamp(1, 20) as u64) as usize;
            let Some((client, reply)) = waiting.remove(n) else { return Ok((sum, sum)) };
            out.udp(server, client, &reply)?;
        }
        out.micros += r.below(QUERY_STEP);
    }
}
