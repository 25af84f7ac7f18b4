//! A stub resolver of our own: `/etc/hosts`, then the servers of `/etc/resolv.conf` over UDP or TCP. Blocks.

use super::system::{self, Servers};
use super::{Failure, Found, Via};
use crate::fmt::dns_query::{A, AAAA, Reply, query, reply};
use crate::util::sort;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// What `/etc/hosts` says may change.
const OF_FILES: Duration = Duration::from_secs(5);
/// The longest a look-up may take, however many servers and suffixes there are.
const LONGEST: Duration = Duration::from_secs(30);
/// One family's answer is there: the other's is waited for so long. Some servers never answer for IPv6.
const SIBLING: Duration = Duration::from_millis(300);
/// How long an answer holds, at least and at most, and that there is none.
const HOLDS: [u64; 2] = [1, 3600];
const MISSING: [u64; 2] = [5, 60];

/// Looks a name up; `via` says how.
pub(super) fn lookup(host: &str, via: Via) -> Result<Found, Failure> {
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.') || host.contains([':', '%']);
    if via == Via::System || numeric {
        return super::getaddrinfo(host);
    }
    let local = system::hosts(host);
    if !local.is_empty() {
        return Ok(Found { addrs: usable(local), holds: OF_FILES });
    }
    let mut servers = Servers::of_system();
    servers.tcp |= via == Via::Tcp;
    ask(&servers, host)
}

/// Asks the servers.
pub(super) fn ask(servers: &Servers, host: &str) -> Result<Found, Failure> {
    let end = Instant::now() + LONGEST;
    let mut missing: Option<Failure> = None;
    for name in servers.candidates(host) {
        match ask_for(servers, &name, end) {
            Ok(Answer::Found(addrs, ttl)) => {
                let holds = Duration::from_secs(u64::from(ttl).clamp(HOLDS[0], HOLDS[1]));
                return Ok(Found { addrs: usable(addrs), holds });
            }
            Ok(Answer::Missing(exists, ttl)) => {
                let why = if exists { "the name has no address" } else { "there is no such name" };
                let holds = Duration::from_secs(ttl.map_or(0, u64::from).clamp(MISSING[0], MISSING[1]));
                // What is said of the name as it was written counts.
                if missing.is_none() || name == host {
                    missing = Some(Failure { why: why.into(), holds });
                }
            }
            // With a suffix or without: they will not answer.
            Err(why) => return Err(Failure { why, holds: super::FAILED }),
        }
    }
    Err(missing.unwrap_or_else(|| Failure { why: "this can be no name".into(), holds: super::FAILED }))
}

enum Answer {
    Found(Vec<IpAddr>, u32),
    Missing(bool, Option<u32>),
}

/// Asks one server after the other for one name.
fn ask_for(servers: &Servers, name: &str, end: Instant) -> Result<Answer, String> {
    let mut why = "there is no name server".to_owned();
    if query(0, name, A).is_none() {
        return Ok(Answer::Missing(false, None));
    }
    for _ in 0..servers.attempts {
        for &server in &servers.addrs {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(why);
            }
            let limit = servers.timeout.min(left);
            let replies = match servers.tcp {
                true => over_tcp(server, name, limit),
                false => over_udp(server, name, limit).and_then(|replies| match replies {
                    Some(replies) => Ok(Some(replies)),
                    None => over_tcp(server, name, limit),
                }),
            };
            match replies {
                Ok(Some(replies)) => match judge(replies) {
                    Ok(answer) => return Ok(answer),
                    Err(code) => why = format!("the name server {server} answers {}", words(code)),
                },
                Ok(None) => return Ok(Answer::Missing(false, None)),
                Err(e) => why = format!("the name server {server} {}", failed(&e, limit)),
            }
        }
    }
    Err(why)
}

/// What follows from the replies for both families. Addresses count, whatever became of the other family.
fn judge(replies: Vec<Reply>) -> Result<Answer, u8> {
    let (mut addrs, mut ttl, mut missing, mut code) = (Vec::new(), u32::MAX, None, None);
    for reply in replies {
        match reply {
            Reply::Found(found, holds) => {
                addrs.extend(found);
                ttl = ttl.min(holds);
            }
            Reply::Missing(gone, holds) => missing = Some((!gone, holds)),
            Reply::Failed(n) => code = Some(n),
            Reply::Cut => code = Some(0),
        }
    }
    match (addrs.is_empty(), code, missing) {
        (false, ..) => Ok(Answer::Found(addrs, ttl)),
        (true, None, Some((exists, holds))) => Ok(Answer::Missing(exists, holds)),
        (true, code, _) => Err(code.unwrap_or(0)),
    }
}

const KINDS: [u16; 2] = [AAAA, A];

/// Both questions at once; `None` when an answer did not fit.
fn over_udp(server: SocketAddr, name: &str, limit: Duration) -> io::Result<Option<Vec<Reply>>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the system's choice and a number of ours: what a forged answer would have to guess.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let id = number();
    for (n, kind) in (0u16..).zip(KINDS) {
        match query(id.wrapping_add(n), name, kind) {
            Some(question) => socket.send(&question)?,
            None => return Ok(None),
        };
    }
    let mut end = Instant::now() + limit;
    let (mut replies, mut buf) = ([None, None], [0; 1500]);
    while replies.contains(&None) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let len = match socket.recv(&mut buf) {
            Ok(len) => len,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let bytes = buf.get(..len).unwrap_or_default();
        for (n, (slot, kind)) in (0u16..).zip(replies.iter_mut().zip(KINDS)) {
            match reply(bytes, id.wrapping_add(n), name, kind) {
                Some(Reply::Cut) => return Ok(None),
                Some(reply) if slot.is_none() => {
                    if matches!(reply, Reply::Found(..)) {
                        end = end.min(Instant::now() + SIBLING);
                    }
                    *slot = Some(reply);
                }
                _ => {}
            }
        }
    }
    let found: Vec<_> = replies.into_iter().flatten().collect();
    // One answer without an address says nothing of the other family.
    match found.len() == KINDS.len() || found.iter().any(|r| matches!(r, Reply::Found(..))) {
        true => Ok(Some(found)),
        false => Err(ErrorKind::TimedOut.into()),
    }
}

/// Both questions over one connection (RFC 7766); `None` when that can be no name.
fn over_tcp(server: SocketAddr, name: &str, limit: Duration) -> io::Result<Option<Vec<Reply>>> {
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut replies = Vec::new();
    for kind in KINDS {
        let id = number();
        let Some(question) = query(id, name, kind) else { return Ok(None) };
        let len = u16::try_from(question.len()).unwrap_or_default();
        stream.write_all(&[&len.to_be_bytes()[..], &question].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut bytes)?;
        replies.push(reply(&bytes, id, name, kind).ok_or_else(|| io::Error::other("answers something else"))?);
    }
    Ok(Some(replies))
}

/// A number that nobody can guess.
fn number() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

fn failed(e: &io::Error, limit: Duration) -> String {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("did not answer within {limit:?}"),
        _ => format!("cannot be asked: {}", crate::net::connect::words(e)),
    }
}

/// A response code (RFC 1035 4.1.1).
fn words(code: u8) -> String {
    match code {
        1 => "that the question is malformed (FORMERR)".into(),
        2 => "that it failed (SERVFAIL)".into(),
        4 => "that it does not serve this (NOTIMP)".into(),
        5 => "that it refuses (REFUSED)".into(),
        other => format!("with code {other}"),
    }
}

/// Addresses that this machine has no way to come last, IPv6 before IPv4 otherwise: the rules of RFC 6724 (6.1, 6.6) that
/// matter for an output. Nothing is sent to find that out.
fn usable(addrs: Vec<IpAddr>) -> Vec<SocketAddr> {
    let has_way = |ip: IpAddr| {
        let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        UdpSocket::bind((any, 0)).and_then(|s| s.connect((ip, 53))).is_ok()
    };
    let mut all: Vec<_> = addrs.into_iter().map(|ip| (!has_way(ip), ip.is_ipv4(), SocketAddr::new(ip, 0))).collect();
    sort::by_key(&mut all, |(lost, v4, _)| (*lost, *v4));
    all.into_iter().map(|(.., addr)| addr).collect()
}
