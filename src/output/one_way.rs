//! Sending over a connection where the peer answers nothing.
//!
//! A chunk counts as delivered when the peer's system has acknowledged all of it; what the peer's program read of it remains
//! unknown.

use super::Outcome;
use crate::conf::common::OutputCommon;
use crate::net::{Conn, Probe, Target, Upstream, connect};
use crate::plugin::MakeCx;
use crate::rt::{spawn, timeout};
use std::time::Duration;

/// How long the peer's goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(1);

/// Where `Host` and `Port` lead; a host beginning with `/` is a Unix socket.
pub(super) fn target(common: &OutputCommon, port: u16) -> Target {
    let host = common.host.as_deref().unwrap_or("127.0.0.1");
    match host.starts_with('/') {
        true => Target::Unix(host.to_owned()),
        false => Target::Tcp(host.to_owned(), common.port.unwrap_or(port)),
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

pub(super) fn failed(target: &Target, why: &str) -> String {
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
