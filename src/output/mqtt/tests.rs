//! The output beside scripted brokers.

use super::super::testing::{batch, instance, made, payload, refused, send};
use super::*;
use crate::fmt::mqtt::{Decoder, PINGRESP, Packet, Reply, connack, reply};
use crate::rt::{run, sleep};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

const LINES: [(i64, &str); 3] =
    [(1_700_000_000_123_000_000, r#"{"k":"a","n":1}"#), (1_000_000_000, r#"{"k":"b"}"#), (0, r#"{"k":"c"}"#)];

/// A broker that answers each packet of its n-th connection as `answer` says, and goes when that answers `None`. It returns
/// what it was told, a list for each connection.
fn broker(
    connections: usize,
    answer: impl Fn(usize, Packet<'_>) -> Option<Vec<u8>> + Send + 'static,
) -> (u16, JoinHandle<Vec<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |which: usize, mut stream: TcpStream| {
        let (mut decoder, mut told, mut piece) = (Decoder::new(1 << 20), Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut piece) {
                Ok(n @ 1..) => {
                    decoder.room(n).copy_from_slice(&piece[..n]);
                    decoder.filled(n);
                }
                _ => return told,
            }
            while let Some(packet) = decoder.next_packet().unwrap() {
                told.push(match packet {
                    Packet::Publish(m) => {
                        let mark = if m.retain { "!" } else { "" };
                        format!("{} {} {}{mark}", m.topic, m.id, String::from_utf8_lossy(m.payload))
                    }
                    other => format!("{other:?}"),
                });
                match answer(which, packet) {
                    Some(bytes) => stream.write_all(&bytes).unwrap(),
                    None => return told,
                }
            }
        }
    };
    let thread = thread::spawn(move || (0..connections).map(|n| serve(n, listener.accept().unwrap().0)).collect());
    (port, thread)
}

/// A broker's usual answer.
fn usual(packet: Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        Packet::Connect(_) => connack(false, 0, &mut out),
        Packet::Publish(m) if m.qos == 1 => reply(Reply::PubAck, m.id, &mut out),
        Packet::PingReq => out.extend(PINGRESP),
        _ => {}
    }
    out
}

fn output(port: u16, more: &[(&str, &str)]) -> Box<dyn Output> {
    let port = port.to_string();
    let own = [("host", "127.0.0.1"), ("port", &port), ("json_date_key", "false"), ("topic", "t/$k")];
    let rest: Vec<_> = own.into_iter().filter(|(key, _)| !more.iter().any(|(other, _)| other == key)).collect();
    instance(&PLUGIN, &[&rest[..], more].concat())
}

async fn attempt(output: &dyn Output) -> Outcome {
    let outcome = send(output, &batch("app.x", &LINES)).await;
    output.stop().await;
    outcome
}

/// Which records are to be sent again and why, and which are refused.
fn part(outcome: Outcome) -> (Vec<u32>, String, Vec<(u32, String)>) {
    match outcome {
        Outcome::Part { retry, why, refused } => {
            (retry, why.into_owned(), refused.into_iter().map(|(n, why)| (n, why.into_owned())).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn down(outcome: Outcome) -> String {
    match outcome {
        Outcome::Down(why) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_each_form() {
    let shown = |conf: &[(&str, &str)]| {
        let p = payload(&*instance(&PLUGIN, conf), &batch("app.x", &LINES));
        let mut from = 0;
        let each = p.items.iter().map(|&(end, _)| {
            let whole = &p.bytes[from..end as usize];
            from = end as usize;
            let (topic, payload) = whole[3..].split_at(usize::from(whole[1]) << 8 | usize::from(whole[2]));
            (whole[0], String::from_utf8_lossy(topic).into_owned(), payload.to_vec())
        });
        each.collect::<Vec<_>>()
    };
    let text = |s: &str| s.as_bytes().to_vec();
    assert_eq!(shown(&[])[0], (0, "app.x".into(), text(r#"{"date":1700000000.123,"k":"a","n":1}"#)));
    let named = shown(&[("topic", "p/$TAG[1]/$k"), ("json_date_key", "@t"), ("json_date_format", "iso8601")]);
    assert_eq!(named[1], (0, "p/x/b".into(), text(r#"{"@t":"1970-01-01T00:00:01.000000Z","k":"b"}"#)));
    let alone = shown(&[("message_key", "$n"), ("topic", "$n")]);
    assert_eq!(alone, [(0, "1".into(), text("1")), (1, "".into(), vec![]), (1, "".into(), vec![])]);
    assert!(shown(&[("format", "msgpack")])[2].2.starts_with(b"\x92\x92\xd7\x00"));
}

#[test]
fn configurations() {
    let table = [
        (("topic", "a/#"), "Topic: 'a/#' cannot be a topic"),
        (("topic", "$TAG[x]"), "Topic: "),
        (("qos", "2"), "'2' is not one of: 0 1"),
        (("password", "x"), "Password is given without User"),
        (("keep_alive", "70000"), "Keep_Alive is longer"),
        (("timeout", "0"), "Timeout 0: nothing would ever"),
        (("max_inflight", "0"), "Max_Inflight 0: nothing would ever"),
        (("message_key", "$a["), "Message_Key:"),
        (("format", "xml"), "'xml' is not one of: json msgpack"),
        (("net.source_address", "eth0"), "'eth0' is not an IP address"),
        (("topics", "x"), "Did you mean 'Topic'?"),
    ];
    for (pair, part) in table {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert_eq!(made(&PLUGIN, &[("user", "u"), ("password", "p"), ("retain", "on"), ("keep_alive", "0")]).1, "");
    assert_ne!(made_up(), made_up());
    assert_eq!(made_up().len(), 23);
}

#[test]
fn one_connection_serves_many_chunks() {
    let (port, peer) = broker(1, |_, packet| Some(usual(packet)));
    let keys = [("user", "u"), ("password", "p"), ("client_id", "me"), ("keep_alive", "70"), ("retain", "on")];
    let output = output(port, &keys);
    run(async {
        for _ in 0..2 {
            assert!(matches!(send(&*output, &batch("app.x", &LINES)).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    let told = peer.join().unwrap().remove(0);
    for part in ["clean: true", "keep_alive: 70", "client_id: \"me\"", "user: Some(\"u\")", "password: Some([112])"] {
        assert!(told[0].contains(part), "{part} is not in {}", told[0]);
    }
    let (a, b, c) = (r#"{"k":"a","n":1}!"#, r#"{"k":"b"}!"#, r#"{"k":"c"}!"#);
    let mut want = Vec::new();
    for first in [1, 4] {
        want.extend([format!("t/a {first} {a}"), format!("t/b {} {b}", first + 1), format!("t/c {} {c}", first + 2)]);
    }
    want.push("Disconnect".into());
    assert_eq!(told[1..], want);
}

#[test]
fn without_keepalive_each_chunk_has_its_connection() {
    for more in [("net.keepalive", "off"), ("net.keepalive_max_recycle", "1")] {
        let (port, peer) = broker(2, |_, packet| Some(usual(packet)));
        let output = output(port, &[more]);
        run(async {
            for _ in 0..2 {
                assert!(matches!(send(&*output, &batch("app.x", &LINES)).await, Outcome::Done));
            }
            sleep(Duration::from_millis(50)).await;
        })
        .unwrap();
        assert!(peer.join().unwrap().iter().all(|told| told.len() == 5 && told[4] == "Disconnect"));
    }
}

#[test]
fn what_was_not_acknowledged_is_published_again() {
    // The second one is acknowledged first, and then nothing more.
    let (port, peer) = broker(1, |_, packet| match packet {
        Packet::Publish(m) if m.id == 2 => Some(usual(packet)),
        Packet::Publish(m) if m.id == 3 => None,
        Packet::Publish(_) => Some(Vec::new()),
        other => Some(usual(other)),
    });
    let (retry, why, refused) = part(run(attempt(&*output(port, &[]))).unwrap());
    assert_eq!((retry, refused), (vec![0, 2], vec![]));
    assert!(why.starts_with("127.0.0.1:") && (why.contains("closed") || why.contains("reset")), "{why}");
    peer.join().unwrap();
}

#[test]
fn a_kept_connection_that_died_is_replaced_at_once() {
    // The first connection ends after a chunk.
    let (port, peer) = broker(2, |which, packet| match packet {
        Packet::PingReq => None,
        Packet::Publish(m) if which == 0 && m.id > 3 => None,
        other => Some(usual(other)),
    });
    let output = output(port, &[]);
    run(async {
        for _ in 0..2 {
            assert!(matches!(send(&*output, &batch("app.x", &LINES)).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    assert_eq!(peer.join().unwrap()[1].len(), 5);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    for (code, words) in [(4, "User or Password is wrong"), (2, "Client_ID"), (77, "does not know")] {
        let (port, peer) = broker(1, move |_, _| {
            let mut out = Vec::new();
            connack(false, code, &mut out);
            Some(out)
        });
        let why = down(run(attempt(&*output(port, &[]))).unwrap());
        assert!(why.contains("lets us not in") && why.contains(words), "{why}");
        peer.join().unwrap();
    }
    let (port, peer) = broker(1, |_, _| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    let why = down(run(attempt(&*output(port, &[]))).unwrap());
    assert!(why.contains("is it an MQTT broker"), "{why}");
    peer.join().unwrap();
    let (_held, port) = crate::net::testing::refusing();
    assert!(down(run(attempt(&*output(port, &[]))).unwrap()).contains("connection refused"));
}

#[test]
fn a_silent_broker_is_given_up() {
    for first in [false, true] {
        let (port, peer) = broker(1, move |_, packet| Some(if first { Vec::new() } else { connect_only(packet) }));
        let why = down(run(attempt(&*output(port, &[("timeout", "0.1")]))).unwrap());
        assert!(why.contains("Timeout"), "{why}");
        peer.join().unwrap();
    }
}

fn connect_only(packet: Packet<'_>) -> Vec<u8> {
    match packet {
        Packet::Connect(_) => usual(packet),
        _ => Vec::new(),
    }
}

#[test]
fn records_that_cannot_be_messages_are_refused_alone() {
    let (port, peer) = broker(1, |_, packet| Some(usual(packet)));
    let lines = [
        (0, r#"{"k":"a/+"}"#),
        (0, r#"{"k":"ok","m":"x"}"#),
        (0, r#"{"x":1}"#),
        (0, r#"{"k":"long","m":"0123456789"}"#),
        (0, r#"{"k":"none"}"#),
        (0, "{\"k\":\"\\ud800\",\"m\":1}"),
    ];
    let output = output(port, &[("message_key", "m"), ("topic", "$k"), ("max_packet_size", "16")]);
    let outcome = run(async {
        let outcome = send(&*output, &batch("t", &lines)).await;
        output.stop().await;
        outcome
    });
    let (retry, _, refused) = part(outcome.unwrap());
    assert_eq!(retry, Vec::<u32>::new());
    let words: Vec<_> = refused.iter().map(|(n, why)| format!("{n} {why}")).collect();
    assert_eq!(words[0], "0 it has no 'm' (Message_Key)");
    assert_eq!(words[1], "2 it has no 'm' (Message_Key)");
    assert_eq!(words[2], "3 a message of 10 bytes is too long (Max_Packet_Size)");
    assert_eq!(words[3], "4 it has no 'm' (Message_Key)");
    let told = peer.join().unwrap().remove(0);
    assert!(told[1] == "ok 1 x" && told.len() <= 4, "{told:?}");

    let bad = super::super::testing::send;
    let output = instance(&PLUGIN, &[("host", "127.0.0.1"), ("port", &port.to_string()), ("topic", "$k")]);
    let (_, _, refused) = part(run(bad(&*output, &batch("t", &[(0, r#"{"k":"a/+"}"#), (0, "{}")]))).unwrap());
    let words: Vec<_> = refused.iter().map(|(n, why)| format!("{n} {why}")).collect();
    assert_eq!(words, ["0 'a/+' cannot be a topic (Topic)", "1 '' cannot be a topic (Topic)"]);
}

#[test]
fn no_more_are_on_their_way_than_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut decoder, mut piece) = (Decoder::new(1000), [0; 4096]);
        let (mut open, mut groups) = (Vec::new(), Vec::new());
        loop {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            match stream.read(&mut piece) {
                Ok(0) => return groups,
                Ok(n) => {
                    decoder.room(n).copy_from_slice(&piece[..n]);
                    decoder.filled(n);
                }
                // Nothing more comes by itself.
                Err(_) => {
                    groups.push(open.len());
                    let mut out = Vec::new();
                    open.drain(..).for_each(|id| reply(Reply::PubAck, id, &mut out));
                    stream.write_all(&out).unwrap();
                }
            }
            while let Some(packet) = decoder.next_packet().unwrap() {
                match packet {
                    Packet::Publish(m) => open.push(m.id),
                    Packet::Disconnect => return groups,
                    other => stream.write_all(&usual(other)).unwrap(),
                }
            }
        }
    });
    let output = output(port, &[("max_inflight", "2")]);
    assert!(matches!(run(attempt(&*output)).unwrap(), Outcome::Done));
    assert_eq!(peer.join().unwrap().into_iter().filter(|n| *n > 0).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn without_acknowledgements() {
    let (port, peer) = broker(1, |_, packet| Some(usual(packet)));
    assert!(matches!(run(attempt(&*output(port, &[("qos", "0")]))).unwrap(), Outcome::Done));
    let told = peer.join().unwrap().remove(0);
    assert_eq!(told[1..], [r#"t/a 0 {"k":"a","n":1}"#, r#"t/b 0 {"k":"b"}"#, r#"t/c 0 {"k":"c"}"#, "Disconnect"]);
}

#[test]
fn the_broker_hears_from_us_in_time() {
    let (port, peer) = broker(1, |_, packet| Some(usual(packet)));
    let output = output(port, &[("keep_alive", "1"), ("net.keepalive_idle_timeout", "3")]);
    run(async {
        assert!(matches!(send(&*output, &batch("app.x", &LINES)).await, Outcome::Done));
        // Pings, and then it is idle for too long.
        sleep(Duration::from_secs(4)).await;
    })
    .unwrap();
    let told = peer.join().unwrap().remove(0);
    let pings = told.iter().filter(|t| *t == "PingReq").count();
    assert!((2..=4).contains(&pings) && told.last().is_some_and(|t| t == "Disconnect"), "{told:?}");
}
