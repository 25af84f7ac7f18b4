//! The forward protocol: our input beside peers of all kinds, our output beside servers, both beside each other.

mod clients;
mod input;
#[cfg(feature = "tls")]
mod pair;

use crate::lab::{Lab, Proc};
use collector::fmt::forward::{Helo, Ping, Pong, key_digest, password_digest};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const STDOUT: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

/// Starts the program with a forward input, its outputs behind it.
fn listen(lab: &Lab, port: u16, keys: &str, outputs: &str) -> Proc {
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 5\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n{keys}{outputs}"
    ));
    run.wait_stderr("listening on");
    run
}

/// A client that gives up after a while.
fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// `[tag, [[1, {"n":from}] …], {"chunk": id}]`.
fn chunk(tag: &str, numbers: std::ops::Range<u32>, id: &str) -> Vec<u8> {
    let mut out = vec![0x93, 0xa0 | tag.len() as u8];
    out.extend(tag.as_bytes());
    out.push(0xdd);
    out.extend((numbers.end - numbers.start).to_be_bytes());
    for n in numbers {
        out.extend(b"\x92\x01\x81\xa1n\xce");
        out.extend(n.to_be_bytes());
    }
    out.extend(b"\x81\xa5chunk");
    out.push(0xa0 | id.len() as u8);
    out.extend(id.as_bytes());
    out
}

fn ack(id: &str) -> Vec<u8> {
    [b"\x81\xa3ack", &[0xa0 | id.len() as u8][..], id.as_bytes()].concat()
}

/// Waits for exactly these bytes.
#[track_caller]
fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes, "{}", String::from_utf8_lossy(&got));
}

/// Goes through the handshake as a client; the server's verdict.
fn knock(stream: &mut TcpStream, key: &str, user: &str, password: &str) -> Result<(), String> {
    let mut buf = vec![0; 4096];
    let n = stream.read(&mut buf).unwrap();
    let helo = Helo::read(&buf[..n]).expect("a HELO");
    let digest = key_digest(b"salt", b"client", helo.nonce, key.as_bytes());
    let proof = password_digest(helo.auth, user.as_bytes(), password.as_bytes());
    let mut ping = Vec::new();
    Ping { hostname: b"client", salt: b"salt", digest: &digest, username: user.as_bytes(), password: &proof }
        .write(&mut ping);
    let nonce = helo.nonce.to_vec();
    stream.write_all(&ping).unwrap();
    let n = stream.read(&mut buf).unwrap();
    let pong = Pong::read(&buf[..n]).expect("a PONG");
    match pong.refused {
        Some(why) => Err(String::from_utf8_lossy(why).into_owned()),
        None => {
            assert_eq!(pong.digest, key_digest(b"salt", pong.hostname, &nonce, key.as_bytes()));
            Ok(())
        }
    }
}
