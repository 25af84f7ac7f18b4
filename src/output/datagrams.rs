//! Sending in datagrams: nothing is known of them but that the system sent them, and a refusal when nobody listens.

use super::one_way::{failed, source_address};
use super::{Outcome, Payload, Why};
use crate::conf::common::NetOut;
use crate::net::sender::{Open, Sender, is_too_long};
use crate::net::{Target, connect};
use crate::plugin::MakeCx;
use crate::rt::yield_now;
use std::io::ErrorKind;

/// Others get their turn after so many datagrams.
const TURN: usize = 64;

/// A destination of datagrams as `net` asks for it.
pub(super) fn sender(cx: &mut MakeCx<'_>, target: Target, net: &NetOut) -> Option<Sender> {
    match Sender::new(target, net) {
        Ok(sender) => Some(sender),
        Err(why) => source_address(cx, &why),
    }
}

/// Sends each item of the payload in a datagram. One that is too long is refused, the others are sent.
pub(super) async fn send(sender: &Sender, payload: &Payload) -> Outcome {
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
