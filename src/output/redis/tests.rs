//! The output beside scripted servers.

use super::super::testing::{batch, instance, made, payload, refused, send};
use super::*;
use crate::fmt::resp::Reply;
use crate::rt::run;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

const LINES: [(i64, &str); 3] =
    [(1_700_000_000_123_000_000, r#"{"k":"a","n":1}"#), (1_000_000_000, r#"{"k":"a"}"#), (0, r#"{"k":"b"}"#)];

fn shown(conf: &[(&str, &str)]) -> Vec<String> {
    let p = payload(&*instance(&PLUGIN, conf), &batch("app.x", &LINES));
    let from = commands(&p);
    from.iter().map(|c| String::from_utf8_lossy(&p.bytes[c.from..c.to]).replace("\r\n", " ")).collect()
}

#[test]
fn commands_of_each_type() {
    let [a, b, c] = [r#"{"date":1700000000.123,"k":"a","n":1}"#, r#"{"date":1.0,"k":"a"}"#, r#"{"date":0.0,"k":"b"}"#];
    assert_eq!(shown(&[]), [format!("*5 $5 RPUSH $8 logstash $37 {a} $20 {b} $20 {c} ")]);
    assert_eq!(
        shown(&[("key", "l:$k"), ("push", "lpush")]),
        [format!("*4 $5 LPUSH $3 l:a $37 {a} $20 {b} "), format!("*3 $5 LPUSH $3 l:b $20 {c} ")]
    );
    assert_eq!(shown(&[("bulk_max_size", "2")]).len(), 2);
    let published = shown(&[("data_type", "channel"), ("key", "$TAG[1]")]);
    assert_eq!(published[0], format!("*3 $7 PUBLISH $1 x $37 {a} "));
    assert_eq!(published.len(), 3);
    let added = shown(&[("data_type", "stream"), ("max_length", "1000"), ("json_date_key", "false")]);
    assert_eq!(added[1], "*8 $4 XADD $8 logstash $6 MAXLEN $1 ~ $4 1000 $1 * $7 message $9 {\"k\":\"a\"} ");
    let tagged = shown(&[("logstash_format", "on"), ("include_tag_key", "on"), ("bulk_max_size", "1")]);
    assert!(
        tagged[0].contains(r#"{"@timestamp":"2023-11-14T22:13:20.123000Z","k":"a","n":1,"@tag":"app.x"}"#),
        "{tagged:?}"
    );
    let bare = instance(&PLUGIN, &[("json_date_key", "off"), ("include_tag_key", "on")]);
    let bytes = payload(&*bare, &batch("t", &[(0, "{}")])).bytes;
    assert!(String::from_utf8_lossy(&bytes).contains("{\"@tag\":\"t\"}"));
}

#[test]
fn what_is_refused() {
    let table = [
        (("data_type", "set"), "'set' is not one of: list channel stream"),
        (("hosts", "a:b"), "Hosts: 'a:b' is no server"),
        (("hosts", " , "), "Hosts names no server"),
        (("key", "$TAG[x]"), "Key: "),
        (("username", "me"), "Username is given without Password"),
        (("db", "-1"), "not an integer"),
        (("passwort", "x"), "Did you mean 'Password'?"),
    ];
    for (pair, part) in table {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert!(refused(&PLUGIN, &[("host", "a"), ("hosts", "b")]).contains("both Host and Hosts"));
    assert_eq!(made(&PLUGIN, &[("hosts", "a b:1, [::1]:2"), ("db", "3"), ("password", "x")]).1, "");
}

/// A server whose n-th command on each connection is answered by `answer`; it returns what it was told.
fn server(
    connections: usize,
    answer: impl Fn(usize, usize) -> Option<&'static str> + Send + 'static,
) -> (u16, JoinHandle<Vec<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |which: usize, mut s: TcpStream| {
        let (mut bytes, mut seen, mut piece) = (Vec::new(), 0, [0; 4096]);
        loop {
            match s.read(&mut piece) {
                Ok(n @ 1..) => bytes.extend_from_slice(&piece[..n]),
                _ => return seen,
            }
            while let Ok(Some((Reply::Many, len))) = resp::read(&bytes) {
                bytes.drain(..len);
                let Some(text) = answer(which, seen) else { return seen };
                seen += 1;
                if s.write_all(text.as_bytes()).is_err() {
                    return seen;
                }
            }
        }
    };
    let thread = thread::spawn(move || (0..connections).map(|n| serve(n, listener.accept().unwrap().0)).collect());
    (port, thread)
}

fn conf(port: u16) -> [(&'static str, String); 3] {
    [("host", "127.0.0.1".into()), ("port", port.to_string()), ("bulk_max_size", "1".into())]
}

fn output(port: u16, more: &[(&str, &str)]) -> Box<dyn Output> {
    let own = conf(port);
    let mut all: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    all.extend_from_slice(more);
    instance(&PLUGIN, &all)
}

async fn attempt(output: &dyn Output) -> Outcome {
    let outcome = send(output, &batch("t", &LINES)).await;
    output.stop().await;
    outcome
}

#[test]
fn every_command_is_judged_by_its_own_reply() {
    let (port, peer) = server(1, |_, n| Some([":1\r\n", "-OOM full\r\n", "-WRONGTYPE no\r\n"][n]));
    let output = output(port, &[("key", "$k")]);
    match run(attempt(&*output)).unwrap() {
        Outcome::Part { retry, why, refused } => {
            assert_eq!(retry, [1]);
            assert!(why.starts_with("OOM full"), "{why}");
            assert_eq!(refused, [(2, "WRONGTYPE no".into())]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.join().unwrap(), [3]);
}

#[test]
fn what_was_not_answered_is_sent_again() {
    let (port, peer) = server(1, |_, n| (n < 2).then_some(":1\r\n"));
    match run(attempt(&*output(port, &[]))).unwrap() {
        Outcome::Part { retry, why, refused } => {
            assert_eq!((retry, refused), (vec![2], vec![]));
            assert!(why.contains("closed") || why.contains("reset"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.join().unwrap(), [2]);
}

#[test]
fn logging_in_comes_first_and_its_refusal_is_told() {
    let (port, peer) = server(1, |_, n| Some(["+OK\r\n", "+OK\r\n", ":1\r\n", ":2\r\n", ":3\r\n"][n]));
    let keys = [("password", "p"), ("username", "u"), ("db", "2")];
    assert!(matches!(run(attempt(&*output(port, &keys))).unwrap(), Outcome::Done));
    assert_eq!(peer.join().unwrap(), [5]);

    let (port, peer) = server(1, |_, _| Some("-WRONGPASS invalid username-password pair\r\n"));
    match run(attempt(&*output(port, &keys))).unwrap() {
        Outcome::Down(why) => assert!(why.ends_with("Username or Password is wrong"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.join().unwrap(), [2]);
}

#[test]
fn a_server_of_another_protocol_is_named() {
    let (port, peer) = server(1, |_, _| Some("HTTP/1.1 400 Bad Request\r\n\r\n"));
    match run(attempt(&*output(port, &[]))).unwrap() {
        Outcome::Down(why) => assert!(why.contains("no reply begins with 'H': is this a Redis server"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(peer);
}

#[test]
fn the_next_server_takes_what_one_leaves() {
    let (full, one) = server(1, |_, n| Some(if n == 0 { ":1\r\n" } else { "-READONLY replica\r\n" }));
    let (good, two) = server(1, |_, _| Some(":1\r\n"));
    let hosts = format!("127.0.0.1:{full} 127.0.0.1:{good}");
    let output = instance(&PLUGIN, &[("hosts", &hosts), ("loadbalance", "off"), ("bulk_max_size", "1")]);
    assert!(matches!(run(attempt(&*output)).unwrap(), Outcome::Done));
    assert_eq!((one.join().unwrap(), two.join().unwrap()), (vec![3], vec![2]));
}

#[test]
fn chunks_are_spread_over_servers() {
    let (a, one) = server(1, |_, _| Some(":1\r\n"));
    let (b, two) = server(1, |_, _| Some(":1\r\n"));
    let output = instance(&PLUGIN, &[("hosts", &format!("127.0.0.1:{a},127.0.0.1:{b}")), ("workers", "2")]);
    assert_eq!(output.concurrency(), 4);
    run(async {
        for _ in 0..4 {
            assert!(matches!(send(&*output, &batch("t", &LINES)).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    assert_eq!((one.join().unwrap(), two.join().unwrap()), (vec![2], vec![2]));
}

#[test]
fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    match run(attempt(&*output(port, &[("timeout", "0.1")]))).unwrap() {
        Outcome::Down(why) => assert!(why.contains("no answer in time (Timeout)"), "{why}"),
        other => panic!("{other:?}"),
    }
}
