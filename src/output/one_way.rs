//! Sending where the peer answers nothing: over a connection, and in datagrams.
//!
//! Over a connection a chunk counts as delivered when the peer's system has acknowledged all of it; what the peer's program read
//! of it remains unknown. Of datagrams nothing is known but that the system sent them, and a refusal when nobody listens.

use super::{Outcome, Payload, Why};
use crate::conf::common::{NetOut, OutputCommon};
use crate::net::sender::{Open, Sender, is_too_long};
use crate::net::{Conn, Probe, Target, Upstream, connect};
use crate::plugin::MakeCx;
use crate::rt::{spawn, timeout, yield_now};
use std::io::ErrorKind;
use std::time::Duration;

/// How long the peer's goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(1);
/// Others get their turn after so many datagrams.
const TURN: usize = 64;

/// Where `Host` and `Port` lead; a host beginning with `/` is a Unix socket.
pub(super) fn target(common: &OutputCommon, port: u16) -> Target {
    let host = common.host.as_deref().unwrap_or("127.0.0.1");
    match host.starts_with('/') {
        true => Target::Unix(host.to_owned()),
        false => Target::Tcp(host.to_owned(), common.port.unwrap_or(port)),
    }
}

/// A destination of datagrams as `net` asks for it.
pub(super) fn sender(cx: &mut MakeCx<'_>, target: Target, net: &NetOut) -> Option<Sender> {
    match Sender::new(target, net) {
        Ok(sender) => Some(sender),
        Err(why) => source_address(cx, &why),
    }
}

/// Reports what is wrong with `net.source_address`.
pub(super) fn source_address<T>(cx: &mut MakeCx<'_>, why: &str) -> Option<T> {
    let key = "net.source_address";
    cx.refuse(key, format!("{key}: {why}"), "Give an address of this machine, for example 192.0.2.7.")
}

/// Sends all of `bytes` over one connection. When a kept one turns out to be dead, once more over a new one.
pub(super) async fn stream(upstream: &Upstream, bytes: &[u8]) -> Outcome {
    match over(upstream, bytes).await {
        Ok(()) => Outcome::Done,
        Err(why) => Outcome::Down(why.into()),
    }
}

async fn over(upstream: &Upstream, bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let conn = upstream.get().await?;
    if conn.is_reused() {
        match send(conn, bytes).await {
            Ok(()) => return Ok(()),
            Err(why) => log::debug!("[net] {}: {why}; connecting anew", upstream.target()),
        }
        return send(upstream.fresh().await?, bytes).await.map_err(|why| failed(upstream.target(), &why));
    }
    send(conn, bytes).await.map_err(|why| failed(upstream.target(), &why))
}

fn failed(target: &Target, why: &str) -> String {
    format!("cannot send to {target}: {why}")
}

async fn send(mut conn: Conn, bytes: &[u8]) -> Result<(), String> {
    if conn.probe() == Probe::Closed {
        return Err("the peer closed the connection".into());
    }
    conn.write_all(bytes).await.map_err(|e| connect::words(&e))?;
    conn.acknowledged().await.map_err(|e| connect::words(&e))?;
    if conn.is_kept() && conn.probe() != Probe::Closed {
        conn.keep();
    } else if conn.finish().await.is_ok() {
        spawn(goodbye(conn)).detach();
    }
    Ok(())
}

/// Closing with the peer's words unread would reset the connection, and on some systems take our bytes with it.
async fn goodbye(mut conn: Conn) {
    let heard = async {
        let mut buf = [0; 1024];
        for _ in 0..64 {
            if !conn.read(&mut buf).await.is_ok_and(|n| n > 0) {
                return;
            }
        }
    };
    timeout(GOODBYE, heard).await;
}

/// Sends each item of the payload in a datagram. One that is too long is refused, the others are sent.
pub(super) async fn datagrams(sender: &Sender, payload: &Payload) -> Outcome {
    if payload.items.is_empty() {
        return Outcome::Done;
    }
    let open = match sender.open().await {
        Ok(open) => open,
        Err(why) => return Outcome::Down(why.into()),
    };
    let mut refused: Vec<(u32, Why)> = Vec::new();
    let mut sent = Sent::default();
    let Err(why) = each(&open, payload, &mut sent, &mut refused).await else {
        return match refused.is_empty() {
            true => Outcome::Done,
            false => Outcome::Part { retry: Vec::new(), why: "".into(), refused },
        };
    };
    sender.close();
    let why = failed(sender.target(), &why).into();
    let from = sent.last.filter(|last| sent.first.is_some_and(|first| first < *last));
    let Some(from) = from else { return Outcome::Down(why) };
    let left = payload.items.get(from..).unwrap_or_default().iter().map(|(_, record)| *record);
    let retry = left.filter(|record| !refused.iter().any(|(other, _)| other == record)).collect();
    Outcome::Part { retry, why, refused }
}

/// The first and the last datagram that the system took. A peer's refusal is told with the next one: it concerns the last, where
/// answers come at once, and so that is sent again.
#[derive(Default)]
struct Sent {
    first: Option<usize>,
    last: Option<usize>,
}

/// Sends every item; why it ended early.
async fn each(open: &Open, payload: &Payload, sent: &mut Sent, refused: &mut Vec<(u32, Why)>) -> Result<(), String> {
    let mut from = 0;
    for (n, (end, record)) in payload.items.iter().enumerate() {
        let end = *end as usize;
        let datagram = payload.bytes.get(from..end).unwrap_or_default();
        from = end;
        match open.send(datagram).await {
            Ok(()) => {
                sent.first.get_or_insert(n);
                sent.last = Some(n);
            }
            Err(e) if is_too_long(&e) => {
                refused.push((*record, format!("{} bytes are too long for a datagram", datagram.len()).into()));
            }
            Err(e) => return Err(words(&e)),
        }
        if n % TURN == TURN - 1 {
            yield_now().await;
        }
    }
    open.refused().map_or(Ok(()), |e| Err(words(&e)))
}

fn words(e: &std::io::Error) -> String {
    match e.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there".into(),
        _ => connect::words(e),
    }
}
