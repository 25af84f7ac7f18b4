//! A server that only tells: answers without bodies of requests, without waiting.

use super::{Connection, Failure, Head, Limits, Response};
use crate::net::{Listener, Stream};
use crate::rt::spawn;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Connections at one time; further ones are closed at once.
const CONNECTIONS: usize = 64;
const LIMITS: Limits =
    Limits { request: Duration::from_secs(10), idle: Duration::from_secs(60), read: 4096, once: false };

/// Serves until the future is dropped. `name` is for log lines.
pub async fn tell(name: &str, listener: Listener, answer: impl Fn(&Head) -> Response + 'static) {
    let answer = Rc::new(answer);
    let open = Rc::new(Cell::new(0));
    loop {
        match listener.accept().await {
            Ok((stream, _)) if open.get() < CONNECTIONS => {
                open.set(open.get() + 1);
                let (open, answer) = (open.clone(), answer.clone());
                spawn(async move {
                    connection(stream, &*answer).await;
                    open.set(open.get().saturating_sub(1));
                })
                .detach();
            }
            Ok(_) => log::debug!("[{name}] a connection is closed: {CONNECTIONS} are open"),
            Err(e) => return log::error!("[{name}] no more requests are served: {e}"),
        }
    }
}

async fn connection(mut stream: Stream, answer: &dyn Fn(&Head) -> Response) {
    // A peer that cannot speak TLS, or takes for ever, is gone.
    match crate::rt::timeout(LIMITS.request, stream.handshake()).await {
        Some(Ok(())) => {}
        _ => return,
    }
    let mut connection = Connection::new(stream, LIMITS);
    loop {
        match connection.head().await {
            Ok(Some(head)) => {
                if !connection.respond(&answer(&head)).await.unwrap_or(false) {
                    return;
                }
            }
            Err(Failure::Refused(refusal)) => return connection.refuse(refusal).await,
            Ok(None) | Err(Failure::Io(_)) => return,
        }
    }
}
