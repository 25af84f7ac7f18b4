//! A client and scripted servers.

use super::*;
use crate::conf::Section;
use crate::conf::common::NetOut;
use crate::error::Diags;
use crate::net::Target;
use crate::rt::run;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers the requests of each connection with these, and then closes it; what it was asked.
fn server(connections: Vec<Vec<&'static [u8]>>) -> (Upstream, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let mut asked = Vec::new();
        for answers in connections {
            let (mut peer, _) = listener.accept().unwrap();
            for answer in answers {
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if peer.read(&mut byte).unwrap() == 0 {
                        break;
                    }
                    text.push(byte[0]);
                }
                asked.push(String::from_utf8(text).unwrap());
                // In two pieces, so that nothing depends on what comes together.
                let (a, b) = answer.split_at(answer.len() / 2);
                peer.write_all(a).unwrap();
                thread::sleep(Duration::from_millis(2));
                peer.write_all(b).unwrap();
            }
        }
        asked
    });
    let net = NetOut::load(&Section::of("X", &[]), &mut Diags::new()).unwrap();
    (Upstream::new(Target::Tcp("127.0.0.1".into(), port), &net, None).unwrap(), served)
}

async fn body(up: &Upstream, path: &str, most: usize) -> Result<(u16, Option<Vec<u8>>), AskError> {
    let answer = get(up, path, &[("Host", "h")], PATIENCE).await?;
    Ok((answer.head.status, answer.whole(most, PATIENCE).await?))
}

#[test]
fn bodies_by_length_in_chunks_and_to_the_end() {
    let (up, served) = server(vec![
        vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
            b"HTTP/1.1 204 None\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nto the end",
        ],
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"],
    ]);
    run(async {
        assert_eq!(body(&up, "/a?b=c", 9).await, Ok((200, Some(b"abc".to_vec()))));
        assert_eq!(up.idle(), 1, "kept for the next");
        assert_eq!(body(&up, "/2", 9).await, Ok((404, Some(b"def".to_vec()))));
        assert_eq!(body(&up, "/3", 9).await, Ok((204, Some(vec![]))));
        assert_eq!(body(&up, "/4", 20).await, Ok((200, Some(b"to the end".to_vec()))));
        assert_eq!(up.idle(), 0, "that one ended");
        let cut = body(&up, "/5", 9).await.unwrap_err().to_string();
        assert!(cut.contains("in the middle of its answer"), "{cut}");
        assert_eq!(body(&up, "/6", 8).await, Ok((200, None)), "longer than allowed");
    })
    .unwrap();
    let asked = served.join().unwrap();
    assert_eq!(asked[0], "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked.len(), 6);
}

#[test]
fn a_kept_connection_that_died_is_replaced() {
    let (up, served) = server(vec![
        // Kept, asked a second time, and closed without an answer.
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b""],
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"],
    ]);
    run(async {
        assert_eq!(body(&up, "/1", 9).await, Ok((200, Some(b"a".to_vec()))));
        assert_eq!(body(&up, "/2", 9).await, Ok((200, Some(b"b".to_vec()))));
    })
    .unwrap();
    assert_eq!(served.join().unwrap().len(), 3);
}

#[test]
fn what_is_wrong_is_said() {
    let (up, served) = server(vec![
        vec![b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"],
        vec![b"\x15\x03\x01\x00\x02\x02\x46"],
        vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnope"],
        vec![b""],
    ]);
    run(async {
        assert!(get(&up, "/a b", &[], PATIENCE).await.is_err());
        assert!(get(&up, "/a", &[("Authorization", "a\r\nb: c")], PATIENCE).await.is_err());
        for want in ["in the middle", "not HTTP", "chunks", "before it answered"] {
            let said = body(&up, "/", 9).await.unwrap_err().to_string();
            assert!(said.contains(want), "{want}: {said}");
        }
    })
    .unwrap();
    served.join().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let net = NetOut::load(&Section::of("X", &[]), &mut Diags::new()).unwrap();
    let target = Target::Tcp("127.0.0.1".into(), listener.local_addr().unwrap().port());
    run(async {
        let up = Upstream::new(target, &net, None).unwrap();
        let limit = Duration::from_millis(50);
        assert_eq!(get(&up, "/", &[], limit).await.unwrap_err(), AskError::Silent(limit));
    })
    .unwrap();
}
