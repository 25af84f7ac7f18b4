//! Events as bytes, and servers that play scripts.

use super::super::testing::{batch, instance, made, payload, refused, retry, send, set_meta};
use super::*;
use crate::fmt::lumberjack::{Decoder, Event, Frame, Limits, Version, ack};
use crate::rt::run;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

const LIMITS: Limits = Limits { window: 10_000, event: 1 << 20, pairs: 0, unpacked: 1 << 30 };

#[test]
fn events_as_beats_send_them() {
    let mut b = batch("app.log", &[(1_767_323_045_678_999_999, r#"{"message":"a\n","n":1}"#), (0, "{}"), (0, "{}")]);
    set_meta(&mut b, 1, r#"{"beat":"filebeat","pipeline":"p"}"#);
    set_meta(&mut b, 2, r#"{"beat":"b","type":"t","version":"1"}"#);
    let version = env!("CARGO_PKG_VERSION");
    let text = |conf: &[(&str, &str)], b: &crate::event::Batch| {
        let p = payload(&*instance(&LOGSTASH, conf), b);
        let mut at = 0;
        p.items
            .iter()
            .map(|(end, _)| {
                let frame = &p.bytes[at..*end as usize];
                at = *end as usize;
                assert_eq!(&frame[..2], b"2J");
                assert_eq!(frame[6..10], (frame.len() as u32 - 10).to_be_bytes());
                String::from_utf8_lossy(&frame[10..]).into_owned()
            })
            .collect::<Vec<_>>()
    };
    let ours = format!(r#""@metadata":{{"beat":"collector","type":"_doc","version":"{version}"}}"#);
    let epoch = r#""@timestamp":"1970-01-01T00:00:00.000Z""#;
    assert_eq!(
        text(&[], &b),
        [
            format!(r#"{{"@timestamp":"2026-01-02T03:04:05.678Z",{ours},"message":"a\n","n":1}}"#),
            format!(
                r#"{{{epoch},"@metadata":{{"type":"_doc","version":"{version}","beat":"filebeat","pipeline":"p"}}}}"#
            ),
            format!(r#"{{{epoch},"@metadata":{{"beat":"b","type":"t","version":"1"}}}}"#),
        ]
    );
    // What came from a Beat goes on as it is.
    let own = r#"{"@timestamp":"2026-01-02T03:04:05.678901Z","@metadata":{"beat":"x"},"tag":"own"}"#;
    let b = batch("app.log", &[(0, own), (0, r#"{"a":1}"#)]);
    let ours = ours.replace("collector", "web");
    let want = [own.to_owned(), format!(r#"{{{epoch},{ours},"tag":"app.log","a":1}}"#)];
    assert_eq!(text(&[("index", "web"), ("tag_key", "tag")], &b), want);
}

#[test]
fn what_is_refused() {
    let table = [
        (("compression_level", "10"), "Compression_Level is above 9"),
        (("bulk_max_size", "0"), "Bulk_Max_Size is 0"),
        (("pipelining", "0"), "Pipelining is 0"),
        (("hosts", ","), "Hosts is empty"),
        (("hosts", "a:b"), "'a:b' has no sound port"),
        (("hosts", "a, http://b"), "'http://b' has no sound port"),
        (("net.source_address", "eth0"), "'eth0' is not an IP address"),
        (("loadbalancee", "on"), "Did you mean 'Loadbalance'?"),
    ];
    for (pair, part) in table {
        let said = refused(&LOGSTASH, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    for plugin in [&BEATS, &LUMBERJACK] {
        assert_eq!(made(plugin, &[("hosts", "a, b:1, [::1]:2, ::1"), ("workers", "4")]).1, "");
    }
}

#[test]
fn hosts_with_and_without_ports() {
    for (text, want) in [("a", "a:7"), ("a:1", "a:1"), ("[::1]:2", "[::1]:2"), ("[::1]", "[::1]:7"), ("::1", "[::1]:7")]
    {
        assert_eq!(Target::parse(text, 7).unwrap().to_string(), want);
    }
}

/// What a server does with each window of a connection.
type Script = Box<dyn Fn(&mut TcpStream, usize, u32) -> bool + Send>;

/// A server that reads windows of any packing; `script` is told their number and size, answers, and says whether to go on. The
/// events of all connections come back.
fn server(connections: usize, script: Script) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = thread::spawn(move || {
        let mut got = Vec::new();
        for _ in 0..connections {
            let mut stream = listener.accept().unwrap().0;
            serve(&mut stream, &script, &mut got);
        }
        got
    });
    (port, peer)
}

fn serve(stream: &mut TcpStream, script: &Script, got: &mut Vec<String>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut windows, mut size) = (0, 0);
    loop {
        loop {
            match decoder.next_frame().unwrap() {
                None => break,
                Some(Frame::Window(Version::V2, n)) => size = n,
                Some(Frame::Event { seq, event: Event::Json(text), last }) => {
                    got.push(String::from_utf8_lossy(text).into_owned());
                    assert!(seq <= size && (seq == size) == last);
                    if last {
                        windows += 1;
                        if !script(stream, windows, size) {
                            return;
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        match stream.read(decoder.room(4096)) {
            Ok(n @ 1..) => decoder.filled(n),
            _ => return,
        }
    }
}

fn say(stream: &mut TcpStream, seq: u32) -> bool {
    stream.write_all(&ack(Version::V2, seq)).is_ok()
}

fn numbers(n: usize) -> crate::event::Batch {
    let lines: Vec<String> = (0..n).map(|n| format!("{{\"n\":{n}}}")).collect();
    let lines: Vec<(i64, &str)> = lines.iter().map(|l| (0, l.as_str())).collect();
    batch("t", &lines)
}

fn numbers_of(got: &[String]) -> Vec<usize> {
    got.iter().map(|t| t.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap()).collect()
}

#[test]
fn windows_are_sent_and_acknowledged_over_one_connection() {
    for level in ["0", "3"] {
        let (port, peer) = server(1, Box::new(|s, _, n| say(s, 0) && say(s, n.div_ceil(2)) && say(s, 0) && say(s, n)));
        let hosts = format!("127.0.0.1:{port}");
        let conf =
            [("hosts", hosts.as_str()), ("bulk_max_size", "3"), ("compression_level", level), ("pipelining", "2")];
        let output = instance(&LOGSTASH, &conf);
        run(async {
            for _ in 0..2 {
                assert!(matches!(send(&*output, &numbers(8)).await, Outcome::Done));
            }
            assert!(matches!(send(&*output, &batch("t", &[])).await, Outcome::Done));
            output.stop().await;
        })
        .unwrap();
        let want: Vec<usize> = (0..8).chain(0..8).collect();
        assert_eq!(numbers_of(&peer.join().unwrap()), want, "level {level}");
    }
}

/// The first window is acknowledged, of the second a part: the rest is to be sent again.
#[test]
fn what_was_acknowledged_is_not_sent_again() {
    let (port, peer) = server(1, Box::new(|s, window, n| say(s, if window == 1 { n } else { 2 }) && window == 1));
    let hosts = format!("127.0.0.1:{port}");
    let output = instance(&LOGSTASH, &[("hosts", &hosts), ("bulk_max_size", "4")]);
    let outcome = run(async { send(&*output, &numbers(10)).await }).unwrap();
    let Outcome::Part { retry, why, refused } = outcome else { panic!("{outcome:?}") };
    assert_eq!((retry, refused.len()), (vec![6, 7, 8, 9], 0));
    assert!(why.contains(&hosts), "{why}");
    peer.join().unwrap();
}

#[test]
fn what_servers_do_wrong() {
    let table: [(Script, &str); 4] = [
        (Box::new(|s, _, n| say(s, n + 1)), "it acknowledged event 4 of a window of 3"),
        (Box::new(|s, _, _| s.write_all(b"HTTP/1.1 400").is_ok()), "it answers in another protocol"),
        (Box::new(|_, _, _| false), "closed the connection before it acknowledged"),
        (Box::new(|_, _, _| true), "it acknowledged nothing for 200ms (Timeout)"),
    ];
    for (script, part) in table {
        let (port, peer) = server(1, script);
        let output = instance(&LOGSTASH, &[("hosts", &format!("127.0.0.1:{port}")), ("timeout", "0.2s")]);
        let outcome = run(async { send(&*output, &numbers(3)).await }).unwrap();
        assert!(matches!(outcome, Outcome::Down(_)), "{outcome:?}");
        let why = retry(outcome);
        assert!(why.contains(part), "{why:?}");
        drop(output);
        peer.join().unwrap();
    }
}

/// A server that is at work says so, for longer than it may be silent.
#[test]
fn a_server_at_work_is_waited_for() {
    let slow: Script = Box::new(|s, _, n| {
        (0..6).all(|_| {
            thread::sleep(Duration::from_millis(100));
            say(s, 0)
        }) && say(s, n)
    });
    let (port, peer) = server(1, slow);
    let output = instance(&LOGSTASH, &[("hosts", &format!("127.0.0.1:{port}")), ("timeout", "0.4s")]);
    run(async {
        assert!(matches!(send(&*output, &numbers(3)).await, Outcome::Done));
        output.stop().await;
    })
    .unwrap();
    peer.join().unwrap();
}

#[test]
fn a_kept_connection_that_died_is_replaced() {
    let (port, peer) = server(2, Box::new(|s, window, n| window == 1 && say(s, n)));
    let output = instance(&LOGSTASH, &[("hosts", &format!("127.0.0.1:{port}")), ("compression_level", "0")]);
    run(async {
        assert!(matches!(send(&*output, &numbers(2)).await, Outcome::Done));
        // The script ends the first connection when a second window comes over it.
        assert!(matches!(send(&*output, &numbers(2)).await, Outcome::Done));
        output.stop().await;
    })
    .unwrap();
    assert_eq!(numbers_of(&peer.join().unwrap()), [0, 1, 0, 1, 0, 1]);
}

#[test]
fn the_next_host_is_taken_and_kept() {
    let (_held, dead) = crate::net::testing::refusing();
    let (port, peer) = server(1, Box::new(|s, _, n| say(s, n)));
    let hosts = format!("127.0.0.1:{dead}, 127.0.0.1:{port}");
    let output = instance(&LOGSTASH, &[("hosts", &hosts)]);
    run(async {
        for _ in 0..3 {
            assert!(matches!(send(&*output, &numbers(1)).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    assert_eq!(peer.join().unwrap().len(), 3);
    let output = instance(&LOGSTASH, &[("hosts", &format!("127.0.0.1:{dead}, 127.0.0.1:{dead}"))]);
    let why = retry(run(async { send(&*output, &numbers(1)).await }).unwrap());
    assert_eq!(why.matches("connection refused").count(), 2, "{why}");
}

#[test]
fn all_hosts_have_their_share() {
    let servers: Vec<_> = (0..2).map(|_| server(1, Box::new(|s, _, n| say(s, n)))).collect();
    let hosts = servers.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let output = instance(&LOGSTASH, &[("hosts", &hosts), ("loadbalance", "on"), ("slow_start", "on")]);
    assert_eq!(output.concurrency(), 4);
    run(async {
        for _ in 0..4 {
            assert!(matches!(send(&*output, &numbers(30)).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    for (_, peer) in servers {
        assert_eq!(peer.join().unwrap().len(), 60);
    }
}
