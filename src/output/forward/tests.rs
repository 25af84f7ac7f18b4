//! The bytes of each mode, and servers that behave well and badly.

use super::super::testing::{batch, instance, made, payload, refused, retry, send, set_meta};
use super::*;
use crate::fmt::forward::{Frame, Helo, Ping, Pong, key_digest, password_digest, write_ack};
use crate::rt::run;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

const LINES: [(i64, &str); 2] = [(1_000_000_005, r#"{"a":"x","t":"p.q"}"#), (2_000_000_000, r#"{"a":"y"}"#)];

#[test]
fn the_bytes_of_each_mode() {
    let mut b = batch("t.u", &LINES);
    set_meta(&mut b, 1, r#"{"m":1}"#);
    let bytes = |conf: &[(&str, &str)]| payload(&*instance(&PLUGIN, conf), &b).bytes;
    let one = &b"\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x05\x82\xa1a\xa1x\xa1t\xa3p.q"[..];
    let two = &b"\x92\x92\xd7\x00\x00\x00\x00\x02\x00\x00\x00\x00\x81\xa1m\x01\x81\xa1a\xa1y"[..];
    let plain = &b"\x92\xd7\x00\x00\x00\x00\x02\x00\x00\x00\x00\x81\xa1a\xa1y"[..];
    let size = &b"\xa4size\x02\xadfluent_signal\x00"[..];
    assert_eq!(bytes(&[]), [b"\x92\xa3t.u\x92", one, two].concat());
    let no_meta = ("retain_metadata_in_forward_mode", "off");
    assert_eq!(bytes(&[no_meta, ("tag", "new")]), [b"\x92\xa3new\x92", one, plain].concat());
    assert_eq!(bytes(&[no_meta, ("tag", "x.$TAG[1]")]), [b"\x92\xa3x.u\x92", one, plain].concat());
    assert_eq!(bytes(&[("send_options", "on")]), [b"\x93\xa3t.u\x92", one, two, b"\x82", size].concat());
    let integers = &b"\x92\x01\x82\xa1a\xa1x\xa1t\xa3p.q\x92\x02\x81\xa1a\xa1y"[..];
    assert_eq!(bytes(&[no_meta, ("time_as_integer", "on")]), [b"\x92\xa3t.u\x92", integers].concat());
    assert_eq!(bytes(&[("add_option", "k v")]), [b"\x93\xa3t.u\x92", one, two, b"\x83", size, b"\xa1k\xa1v"].concat());
    // A message per record: a tag that comes to nothing is the record's own.
    let first = [&b"\x93\xa3p.q"[..], &one[1..]].concat();
    let second =
        [&b"\x94\xa3t.u\xd7\x00\x00\x00\x00\x02\x00\x00\x00\x00\x81\xa1a\xa1y\x81\xa8metadata\x81\xa1m\x01"[..]]
            .concat();
    assert_eq!(bytes(&[("tag", "$t")]), [first, second].concat());
    let packed = bytes(&[("compress", "gzip")]);
    assert!(packed.starts_with(b"\x93\xa3t.u\xc4") && packed.ends_with(b"\xaacompressed\xa4gzip\xadfluent_signal\x00"));
    let acked = payload(&*instance(&PLUGIN, &[("require_ack_response", "on"), ("tag", "$a")]), &b);
    assert_eq!(acked.items.len(), 2);
    for (id, end) in acked.items {
        assert!(acked.bytes[..id as usize].ends_with(b"\xa5chunk\xd9\x20") && end as usize > id as usize);
    }
}

#[test]
fn what_is_refused() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("compress", "lz4")], "'lz4' is not one of"),
        (&[("compress", "gzip"), ("time_as_integer", "on")], "exclude each other"),
        (&[("compress", "gzip"), ("tag", "$a")], "exclude each other"),
        (&[("shared_key", "k"), ("empty_shared_key", "on")], "exclude each other"),
        (&[("username", "u")], "a Username needs a Shared_Key"),
        (&[("add_option", "k")], "Add_Option is not 'NAME VALUE'"),
        (&[("upstream", "/nonexistent")], "upstream file '/nonexistent' does not exist"),
        (&[("require_ack_respons", "on")], "Did you mean 'Require_Ack_Response'?"),
    ];
    for (conf, said) in table {
        let got = refused(&PLUGIN, conf);
        assert!(got.contains(said), "{conf:?}: {got}");
    }
    let (_, said) = made(&PLUGIN, &[("fluentd_compat", "off"), ("workers", "1"), ("net.keepalive", "off")]);
    assert_eq!(said, "");
}

#[test]
fn upstream_files() {
    let path = std::env::temp_dir().join(format!("collector-forward-{}", std::process::id()));
    let check = |nodes: [&str; 2], said: &str| {
        let node = |i: usize| format!("[NODE]\n  Name n{i}\n  Host h\n  Port {i}\n{}", nodes[i]);
        std::fs::write(&path, format!("[UPSTREAM]\n  Name u\n{}{}", node(0), node(1))).unwrap();
        let (output, diags) = made(&PLUGIN, &[("upstream", path.to_str().unwrap()), ("compress", "zstd")]);
        assert_eq!(output.is_some(), said.is_empty(), "{diags}");
        assert!(diags.contains(said), "{diags}");
    };
    check(["", "  shared_key k\n  username u\n  tls on\n  tls.verify off\n"], "");
    check(["  Compress gzip\n", "  Compress gzip\n"], "");
    check(["  Compress gzip\n", ""], "Compress is not the same for all nodes");
    check(["  Shard_Key k\n", ""], "Did you mean 'Shared_Key'?");
    std::fs::remove_file(path).unwrap();
}

/// A server that does `each` with every connection.
fn server<T: Send + 'static>(each: fn(TcpStream) -> T, connections: usize) -> (String, JoinHandle<Vec<T>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (port, thread::spawn(move || (0..connections).map(|_| each(listener.accept().unwrap().0)).collect()))
}

/// The next message.
fn message(s: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut frame, mut buf) = (Vec::new(), Frame::default(), [0]);
    loop {
        if frame.next(&bytes, 1 << 20).unwrap().is_some() {
            return Some(bytes);
        }
        if s.read(&mut buf).unwrap() == 0 {
            return None;
        }
        bytes.push(buf[0]);
    }
}

fn chunk_of(message: &[u8]) -> Vec<u8> {
    let m = crate::fmt::forward::Message::read(message).unwrap().unwrap();
    message[m.options.chunk.unwrap()].to_vec()
}

#[test]
fn acknowledgements_are_waited_for() {
    let good = |mut s: TcpStream| {
        let mut ids = Vec::new();
        while let Some(m) = message(&mut s) {
            ids.push(chunk_of(&m));
            let mut out = Vec::new();
            write_ack(&ids[ids.len() - 1], &mut out);
            s.write_all(&out).unwrap();
        }
        ids.len()
    };
    let (port, peer) = server(good, 1);
    let conf = [("port", port.as_str()), ("require_ack_response", "on"), ("tag", "$a")];
    let output = instance(&PLUGIN, &conf);
    run(async {
        assert!(matches!(send(&*output, &batch("t", &LINES)).await, Outcome::Done));
        // The same connection again.
        assert!(matches!(send(&*output, &batch("t", &LINES)).await, Outcome::Done));
        output.stop().await;
    })
    .unwrap();
    drop(output);
    assert_eq!(peer.join().unwrap(), [4]);

    let wrong = |mut s: TcpStream| {
        message(&mut s);
        s.write_all(b"\x81\xa3ack\xa2xx").unwrap();
        s.read(&mut [0]).unwrap()
    };
    let silent = |mut s: TcpStream| {
        message(&mut s);
        s.read(&mut [0]).unwrap()
    };
    let leaves = |mut s: TcpStream| message(&mut s).map_or(0, |_| 0);
    for (peer, said, is_down) in [
        (server(wrong, 1), "it acknowledged 'xx', which it was not sent", false),
        (server(silent, 1), "no acknowledgement within 100ms (Ack_Response_Timeout)", false),
        (server(leaves, 1), "the peer closed the connection", true),
    ] {
        let conf = [("port", peer.0.as_str()), ("require_ack_response", "on"), ("ack_response_timeout", "0.1")];
        let output = instance(&PLUGIN, &conf);
        let outcome = run(async { send(&*output, &batch("t", &LINES)).await }).unwrap();
        assert_eq!(matches!(outcome, Outcome::Down(_)), is_down, "{outcome:?}");
        let why = retry(outcome);
        assert!(why.contains(said) || is_down && why.contains("connection reset"), "{why}");
        peer.1.join().unwrap();
    }
}

/// A server that wants the key `k` and the user `u` with `p`, and claims to be one with `key`.
fn guarded(mut s: TcpStream, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Helo { nonce: b"0123456789abcdef", auth: b"salt" }.write(&mut out);
    s.write_all(&out).unwrap();
    let ping = message(&mut s)?;
    let ping = Ping::read(&ping)?;
    let is_known = ping.digest == key_digest(ping.salt, ping.hostname, b"0123456789abcdef", b"k")
        && ping.password == password_digest(b"salt", b"u", b"p");
    let digest = key_digest(ping.salt, b"srv", b"0123456789abcdef", key);
    out.clear();
    let refused = (!is_known).then_some(&b"who are you"[..]);
    Pong { refused, hostname: b"srv", digest: &digest }.write(&mut out);
    s.write_all(&out).unwrap();
    message(&mut s)
}

#[test]
fn the_handshake() {
    let honest = |s: TcpStream| guarded(s, b"k");
    let fake = |s: TcpStream| guarded(s, b"guess");
    let good = [("shared_key", "k"), ("username", "u"), ("password", "p")];
    for (peer, keys, said) in [
        (server(honest, 1), &good[..], ""),
        (server(honest, 1), &[("shared_key", "q")], "refused: who are you"),
        (server(honest, 1), &[], "the server wants a handshake: set Shared_Key"),
        (server(fake, 1), &good[..], "the server does not know the Shared_Key"),
    ] {
        let mut conf = vec![("port", peer.0.as_str()), ("net.keepalive", "off"), ("require_ack_response", "off")];
        conf.extend(keys);
        if keys.is_empty() {
            // Nobody would be told otherwise.
            conf.retain(|(k, _)| *k != "require_ack_response");
            conf.push(("require_ack_response", "on"));
        }
        let output = instance(&PLUGIN, &conf);
        let outcome = run(async { send(&*output, &batch("t", &LINES)).await }).unwrap();
        drop(output);
        let got = peer.1.join().unwrap();
        match said {
            "" => assert!(
                matches!(outcome, Outcome::Done) && got[0].as_ref().is_some_and(|m| m.len() > 20),
                "{outcome:?}"
            ),
            said => {
                let why = retry(outcome);
                assert!(why.contains(said), "{why}");
            }
        }
    }
}

#[test]
fn a_node_that_fails_is_replaced_by_another() {
    let (_held, dead) = crate::net::testing::refusing();
    let takes = |mut s: TcpStream| message(&mut s).is_some();
    let (live, peer) = server(takes, 4);
    let path = std::env::temp_dir().join(format!("collector-forward-ha-{}", std::process::id()));
    let node = |name: &str, port: &str| format!("[NODE]\n  Name {name}\n  Host 127.0.0.1\n  Port {port}\n");
    let text = format!("[UPSTREAM]\n  Name u\n{}{}", node("dead", &dead.to_string()), node("live", &live));
    std::fs::write(&path, text).unwrap();
    let output = instance(&PLUGIN, &[("upstream", path.to_str().unwrap()), ("net.keepalive", "off")]);
    run(async {
        for _ in 0..4 {
            assert!(matches!(send(&*output, &batch("t", &LINES)).await, Outcome::Done));
        }
        drop(peer.join().unwrap());
        let outcome = send(&*output, &batch("t", &LINES)).await;
        assert!(matches!(outcome, Outcome::Down(_)), "{outcome:?}");
        let why = retry(outcome);
        assert_eq!(why.matches("connection refused").count(), 2, "every node was tried: {why}");
    })
    .unwrap();
    std::fs::remove_file(path).unwrap();
}
