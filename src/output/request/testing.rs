//! A server that plays a script, for the tests of outputs over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

/// A request as it came.
#[derive(Debug, Clone)]
pub(in crate::output) struct Got {
    /// `POST / HTTP/1.1` and the headers, a line each; their names in lower case.
    pub(in crate::output) head: Vec<String>,
    pub(in crate::output) body: Vec<u8>,
}

impl Got {
    /// The values of a header.
    pub(in crate::output) fn all(&self, name: &str) -> Vec<&str> {
        self.head.iter().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    pub(in crate::output) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer: its status, and what follows the status line up to the body's length.
pub(in crate::output) type Say = (u16, &'static str, &'static str);

fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<Got> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some((name, value)) => head.push(format!("{}: {value}", name.to_ascii_lowercase())),
            None => head.push(line.to_owned()),
        }
    }
    let mut got = Got { head, body: Vec::new() };
    got.body.resize(got.all("content-length").first().map_or(0, |n| n.parse().unwrap()), 0);
    stream.read_exact(&mut got.body).ok()?;
    Some(got)
}

/// Answers one request after the other, whatever the connection; gives them back at the end.
pub(in crate::output) fn server(script: Vec<Say>) -> (String, JoinHandle<Vec<Got>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let serve = move || {
        let mut all = Vec::new();
        let mut script = script.into_iter().peekable();
        while script.peek().is_some() {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            while let Some(&(status, more, body)) = script.peek() {
                let Some(got) = request(&mut stream) else { break };
                all.push(got);
                script.next();
                let answer = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        }
        all
    };
    (port, thread::spawn(serve))
}
