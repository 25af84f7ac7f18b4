//! HTTP against servers that misbehave.

use super::*;
use crate::conf::Section;
use crate::error::Diags;
use flate2::write::GzEncoder;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Status and body of an answer that is read to its end.
pub(super) fn said(answer: Result<Answer, String>) -> Result<(u16, String), String> {
    let mut answer = answer?;
    let mut text = String::new();
    answer.read_to_string(&mut text).map_err(|e| e.to_string())?;
    let status = answer.status;
    answer.finish();
    Ok((status, text))
}

/// A client of a server that plays `serve` with each connection, and the URL.
fn plain(conf: &[(&str, &str)], serve: impl Fn(TcpStream) + Send + 'static) -> (HttpClient, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    let net = NetOut::load(&Section::of("OUTPUT", conf), &mut Diags::new()).unwrap();
    (HttpClient::new(&net, 1, None).unwrap(), url)
}

/// Reads requests that end with `!`; each is answered with these pieces, with a pause before each.
fn pieces(mut stream: TcpStream, pieces: &[Vec<u8>], pause: Duration) {
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        if buf[n - 1] == b'!' {
            for piece in pieces {
                thread::sleep(pause);
                stream.write_all(piece).unwrap();
            }
        }
    }
}

#[test]
fn a_slow_answer_is_not_cut() {
    let text = "HTTP/1.1 200 X\r\nContent-Length: 20\r\n\r\n01234567890123456789";
    let answer: Vec<_> = text.bytes().map(|b| vec![b]).collect();
    let serve = move |stream: TcpStream| pieces(stream, &answer, Duration::from_millis(20));
    let (client, url) = plain(&[("net.io_timeout", "0.6")], serve);
    let begun = std::time::Instant::now();
    assert_eq!(said(client.post(&url, &[], b"!")), Ok((200, "01234567890123456789".into())));
    assert!(begun.elapsed() > Duration::from_millis(1000));
}

#[test]
fn answers_in_chunks_and_in_gzip() {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all("hello ".repeat(1000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let (one, two) = gzip.split_at(20);
    let answer = [head, chunk(one), chunk(two), chunk(b"")];
    let serve = move |stream: TcpStream| {
        let peer = stream.peer_addr().unwrap();
        pieces(stream, &answer, Duration::ZERO);
        panic!("{peer} came again");
    };
    let (client, url) = plain(&[], serve);
    // Both on one connection: the first answer was read to its end.
    for _ in 0..2 {
        assert_eq!(said(client.post(&url, &[], b"!")), Ok((200, "hello ".repeat(1000))));
    }
}

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    for (most, connections) in [("0", 1), ("1", 6), ("4", 2)] {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = count.clone();
        let serve = move |stream: TcpStream| {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            pieces(stream, &[b"HTTP/1.1 204 X\r\n\r\n".to_vec()], Duration::ZERO);
        };
        let (client, url) = plain(&[("net.keepalive_max_recycle", most)], serve);
        for _ in 0..6 {
            assert_eq!(said(client.post(&url, &[], b"!")), Ok((204, String::new())));
        }
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), connections, "{most}");
    }
}

#[test]
fn connections_are_made_as_the_keys_say() {
    let serve = |stream: TcpStream| {
        let from = stream.peer_addr().unwrap().ip();
        pieces(stream, &[format!("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{from}").into_bytes()], Duration::ZERO);
    };
    let (client, url) = plain(&[("net.source_address", "127.0.0.5"), ("net.tcp_keepalive", "on")], serve);
    assert_eq!(said(client.post(&url, &[], b"!")), Ok((200, "127.0.0.5".into())));
    // `localhost` may be ::1 as well, where nobody listens.
    for prefer in ["net.dns.prefer_ipv4", "net.dns.prefer_ipv6"] {
        let (client, url) = plain(&[(prefer, "on")], serve);
        let url = url.replace("127.0.0.1", "localhost");
        assert_eq!(said(client.post(&url, &[], b"!")), Ok((200, "127.0.0.1".into())), "{prefer}");
    }
    let net = NetOut::load(&Section::of("OUTPUT", &[("net.source_address", "eth0")]), &mut Diags::new()).unwrap();
    assert_eq!(HttpClient::new(&net, 1, None).unwrap_err(), "'eth0' is not an IP address");
}

#[test]
fn a_connection_that_does_not_come_about_has_its_limit() {
    // A backlog that is full: the system answers no more connections.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
        held.push(stream);
    }
    let conf = [("net.connect_timeout", "0.2")];
    let net = NetOut::load(&Section::of("OUTPUT", &conf), &mut Diags::new()).unwrap();
    let client = HttpClient::new(&net, 1, None).unwrap();
    let begun = std::time::Instant::now();
    let why = said(client.post(&format!("http://{addr}/"), &[], b"!")).unwrap_err();
    assert_eq!(why, "no connection in time (net.connect_timeout)");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
