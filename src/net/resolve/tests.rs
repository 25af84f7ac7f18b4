//! Names from scripted servers, and what is remembered of them.

use super::cache::NAMES;
use super::system::Servers;
use super::*;
use crate::fmt::dns_query::{A, AAAA};
use crate::rt::{run, sleep, timeout};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn found(addrs: &[&str]) -> Result<Found, Failure> {
    Ok(Found { addrs: addrs.iter().map(|a| addr(a)).collect(), holds: FRESH })
}

fn failure(why: &str) -> Result<Found, Failure> {
    Err(Failure { why: why.into(), holds: FAILED })
}

/// A resolver whose answers take a while and are counted.
fn counted(answer: fn(usize) -> Result<Found, Failure>) -> (Resolver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let n = asked.clone();
    let resolver = Resolver::with(Arc::default(), move |_, _| {
        thread::sleep(Duration::from_millis(10));
        answer(n.fetch_add(1, Ordering::SeqCst))
    });
    (resolver, asked)
}

const SYSTEM: Prefer = Prefer { family: None, via: Via::System };

#[test]
fn literals_ask_nobody() {
    let (resolver, asked) = counted(|_| failure("asked"));
    run(async {
        for (host, want) in [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5"), ("[::1]", "[::1]:5")] {
            assert_eq!(resolver.resolve(host, 5, SYSTEM).await.unwrap(), [addr(want)]);
        }
    })
    .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn answers_are_shared_cached_and_ordered() {
    let (resolver, asked) = counted(|_| found(&["[::1]:0", "10.0.0.1:0", "[::2]:0"]));
    run(async {
        let ask = |family| {
            let r = resolver.clone();
            let prefer = Prefer { family, ..SYSTEM };
            spawn(async move { r.resolve("X", 7, prefer).await.unwrap() })
        };
        let (a, b, c) = (ask(None), ask(Some(Family::V4)), ask(Some(Family::V6)));
        assert_eq!(a.await, [addr("[::1]:7"), addr("10.0.0.1:7"), addr("[::2]:7")]);
        assert_eq!(b.await, [addr("10.0.0.1:7"), addr("[::1]:7"), addr("[::2]:7")]);
        assert_eq!(c.await, [addr("[::1]:7"), addr("[::2]:7"), addr("10.0.0.1:7")]);
        resolver.resolve("x", 7, SYSTEM).await.unwrap();
    })
    .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn failures_are_cached_and_said() {
    let (resolver, asked) = counted(|_| failure("Name or service not known"));
    run(async {
        for _ in 0..100 {
            let why = resolver.resolve("no.such.host", 7, SYSTEM).await.unwrap_err();
            assert_eq!(why, "cannot resolve 'no.such.host': Name or service not known");
        }
    })
    .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn the_last_answer_outlives_a_failing_name_server() {
    let (resolver, asked) = counted(|n| if n == 0 { found(&["10.0.0.1:0"]) } else { failure("down") });
    run(async {
        for _ in 0..2 {
            assert_eq!(resolver.resolve("x", 1, SYSTEM).await.unwrap(), [addr("10.0.0.1:1")]);
            assert!(resolver.0.cache.expire(Duration::ZERO));
        }
        if !resolver.0.cache.expire(Duration::from_secs(2 * 3600)) {
            return println!("skipped: the machine's clock has not run for an hour");
        }
        assert!(resolver.resolve("x", 1, SYSTEM).await.is_err());
    })
    .unwrap();
    assert!(asked.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_caller_who_gives_up_does_not_keep_others_waiting() {
    let (resolver, _) = counted(|_| found(&["10.0.0.1:0"]));
    run(async {
        assert!(timeout(Duration::from_millis(1), resolver.resolve("x", 1, SYSTEM)).await.is_none());
        let second = timeout(Duration::from_secs(5), resolver.resolve("x", 1, SYSTEM)).await;
        assert_eq!(second.unwrap().unwrap(), [addr("10.0.0.1:1")]);
        sleep(Duration::ZERO).await;
    })
    .unwrap();
}

#[test]
fn memory_is_bounded() {
    let resolver = Resolver::with(Arc::default(), |_, _| found(&["10.0.0.1:0"]));
    run(async {
        for n in 0..2 * NAMES {
            resolver.resolve(&format!("host{n}"), 1, SYSTEM).await.unwrap();
        }
    })
    .unwrap();
    assert_eq!(resolver.0.cache.len(), NAMES);
    assert!(resolver.0.asking.borrow().is_empty());
}

/// A name server on the loopback interface: `answer` makes of a question, its number and type the answer. Counts.
fn server(answer: impl Fn(&[u8], u16) -> Option<Vec<u8>> + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let (socket, tcp) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(socket.local_addr().unwrap()) {
            break (socket, tcp);
        }
    };
    let (at, asked, answer) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let (count, same) = (asked.clone(), answer.clone());
    let kind_of = |q: &[u8]| u16::from_be_bytes([q[q.len() - 4], q[q.len() - 3]]);
    thread::spawn(move || {
        let mut buf = [0; 600];
        while let Ok((n, from)) = socket.recv_from(&mut buf) {
            count.fetch_add(1, Ordering::SeqCst);
            if let Some(text) = answer(&buf[..n], kind_of(&buf[..n])) {
                socket.send_to(&text, from).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut len = [0; 2];
            while stream.read_exact(&mut len).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut question).unwrap();
                // Over TCP everything fits.
                let mut text = same(&question, kind_of(&question) | 0x8000).unwrap();
                text.splice(0..0, (text.len() as u16).to_be_bytes());
                stream.write_all(&text).unwrap();
            }
        }
    });
    (at, asked)
}

/// An answer with this code and these addresses.
fn says(question: &[u8], code: u8, ttl: u32, addrs: &[&[u8]]) -> Option<Vec<u8>> {
    let mut out = question.to_vec();
    (out[2], out[3], out[7]) = (0x81, 0x80 | code, addrs.len() as u8);
    for a in addrs {
        out.extend_from_slice(&[0xc0, 12, 0, if a.len() == 4 { 1 } else { 28 }, 0, 1]);
        out.extend_from_slice(&ttl.to_be_bytes());
        out.extend_from_slice(&[0, a.len() as u8]);
        out.extend_from_slice(a);
    }
    Some(out)
}

fn servers(addrs: &[SocketAddr]) -> Servers {
    Servers { addrs: addrs.to_vec(), timeout: Duration::from_millis(200), ..Servers::read("") }
}

const LOOPBACK: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[test]
fn both_families_are_asked_for() {
    let (at, asked) = server(|q, kind| match kind {
        A => says(q, 0, 77, &[&[127, 0, 0, 1], &[127, 0, 0, 2]]),
        _ => says(q, 0, 99, &[&LOOPBACK]),
    });
    let found = ask::ask(&servers(&[at]), "a.example").unwrap();
    let mut addrs: Vec<_> = found.addrs.iter().map(|a| a.ip().to_string()).collect();
    addrs.sort();
    assert_eq!((addrs.join(" ").as_str(), found.holds.as_secs()), ("127.0.0.1 127.0.0.2 ::1", 77));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_that_never_answers_for_one_family_does_not_hold_up_the_other() {
    let (at, _) = server(|q, kind| if kind == AAAA { None } else { says(q, 0, 0, &[&[127, 0, 0, 1]]) });
    let begun = Instant::now();
    let patient = Servers { timeout: Duration::from_secs(9), ..servers(&[at]) };
    let found = ask::ask(&patient, "a.example").unwrap();
    assert_eq!((found.addrs, found.holds.as_secs()), (vec![addr("127.0.0.1:0")], 1));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_does_not_fit_comes_over_tcp() {
    let (at, asked) = server(|q, kind| match kind {
        A | AAAA => {
            let mut cut = says(q, 0, 0, &[])?;
            cut[2] |= 2;
            Some(cut)
        }
        // Over TCP.
        0x8001 => says(q, 0, 60, &[&[127, 0, 0, 9]]),
        _ => says(q, 0, 60, &[]),
    });
    let found = ask::ask(&servers(&[at]), "a.example").unwrap();
    assert_eq!(found.addrs, [addr("127.0.0.9:0")]);
    let before = asked.load(Ordering::SeqCst);
    let tcp = Servers { tcp: true, ..servers(&[at]) };
    assert_eq!(ask::ask(&tcp, "a.example").unwrap().addrs, [addr("127.0.0.9:0")]);
    assert_eq!(asked.load(Ordering::SeqCst), before, "not a datagram with net.dns.mode TCP");
}

#[test]
fn failures_name_the_server_and_the_next_one_is_asked() {
    let (silent, _) = server(|_, _| None);
    let (broken, _) = server(|q, _| says(q, 2, 0, &[]));
    let (good, _) = server(|q, kind| says(q, 0, 60, if kind == A { &[&[127, 0, 0, 1]] } else { &[] }));
    let (none, _) = server(|q, _| says(q, 3, 0, &[]));
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let why = |addrs: &[SocketAddr]| ask::ask(&servers(addrs), "a.example").unwrap_err();
    assert_eq!(why(&[silent]).why, format!("the name server {silent} did not answer within 200ms"));
    assert_eq!(why(&[broken]).why, format!("the name server {broken} answers that it failed (SERVFAIL)"));
    assert_eq!(why(&[closed]).why, format!("the name server {closed} cannot be asked: connection refused"));
    assert_eq!((why(&[none]).why.as_str(), why(&[none]).holds.as_secs()), ("there is no such name", 5));
    for list in [[silent, good], [broken, good], [closed, good]] {
        assert_eq!(ask::ask(&servers(&list), "a.example").unwrap().addrs.len(), 1);
    }
}

#[test]
fn suffixes_are_tried() {
    let (at, _) = server(|q, kind| {
        let found = kind == A && q[12..].starts_with(b"\x03web\x03lan\0");
        says(q, if found { 0 } else { 3 }, 60, if found { &[&[127, 0, 0, 1]] } else { &[] })
    });
    let list = Servers { search: vec!["corp.example".into(), "lan".into()], ..servers(&[at]) };
    assert_eq!(ask::ask(&list, "web").unwrap().addrs.len(), 1);
    assert_eq!(ask::ask(&list, "nobody").unwrap_err().why, "there is no such name");
    assert_eq!(ask::ask(&list, "a..b").unwrap_err().why, "there is no such name");
}

#[test]
fn keys_say_who_is_asked() {
    use DnsMode::{Tcp, Udp};
    use DnsResolver::{Async, Legacy};
    for (resolver, mode, want) in [
        (Some(Legacy), Some(Tcp), Via::System),
        (Some(Legacy), None, Via::System),
        (Some(Async), None, Via::Udp),
        (Some(Async), Some(Udp), Via::Udp),
        (Some(Async), Some(Tcp), Via::Tcp),
        (None, Some(Tcp), Via::Tcp),
    ] {
        assert_eq!(Via::of(resolver, mode), want, "{resolver:?} {mode:?}");
    }
    assert_eq!(ask::lookup("127.1", Via::Udp).unwrap().addrs, [addr("127.0.0.1:0")]);
    assert!(!ask::lookup("localhost", Via::Udp).unwrap().addrs.is_empty());
}
