//! A bulk endpoint and a Kafka broker that only count, in a process of its own so that its time is not the collector's.
//!
//! `bench-sink FILE`: writes `PORT` to FILE; `GET /count` answers the documents so far; a request to `/lines` has one on each
//! line; every other request is a bulk request. A connection that does not begin with a letter
//! speaks Kafka's protocol.

mod broker;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

static DOCUMENTS: AtomicU64 = AtomicU64::new(0);

fn main() -> std::io::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("bench-sink FILE"))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let ready = format!("{file}.new");
    std::fs::write(&ready, listener.local_addr()?.port().to_string())?;
    std::fs::rename(ready, file)?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            let mut first = [0];
            if stream.peek(&mut first)? == 1 && first == [0] {
                let port = stream.local_addr()?.port();
                return broker::serve(&stream, port, |n| _ = DOCUMENTS.fetch_add(n, Ordering::SeqCst));
            }
            serve(&stream)
        });
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut line = String::new();
    let mut body = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_count = line.starts_with("GET /count");
        let is_lines = line.starts_with("POST /lines");
        let is_short = line.contains("filter_path=");
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let answer = if is_count {
            DOCUMENTS.load(Ordering::SeqCst).to_string()
        } else if is_lines {
            DOCUMENTS.fetch_add(body.iter().filter(|b| **b == b'\n').count() as u64, Ordering::SeqCst);
            String::new()
        } else {
            let lines = body.iter().filter(|b| **b == b'\n').count() as u64;
            DOCUMENTS.fetch_add(lines / 2, Ordering::SeqCst);
            items(lines / 2, is_short)
        };
        // One write: a second small one would wait for the first to be acknowledged.
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        let mut out = stream;
        out.write_all((head + &answer).as_bytes())?;
    }
}

/// What Elasticsearch answers when it has stored so many documents: in full, or only what was asked for.
fn items(documents: u64, is_short: bool) -> String {
    const FULL: &str = r#"{"create":{"_index":"fluent-bit","_type":"_doc","_id":"AZWKm1kBq0YdVv2yPZ3K","_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"status":201}}"#;
    const SHORT: &str = r#"{"create":{"status":201}}"#;
    let (head, item) = if is_short { ("{", SHORT) } else { ("{\"took\":30,", FULL) };
    let mut text = format!("{head}\"errors\":false,\"items\":[");
    for n in 0..documents {
        if n > 0 {
            text.push(',');
        }
        text.push_str(item);
    }
    text.push_str("]}");
    text
}
