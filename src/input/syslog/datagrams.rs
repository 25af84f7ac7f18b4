//! Messages that come in datagrams: one each.

use super::frames::{Piece, trailing};
use super::record::Records;
use crate::error::Error;
use crate::event::{Batch, Span};
use crate::input::InputCx;
use crate::net::Datagrams;
use crate::net::datagram::{Incoming, MAX_DATAGRAM};
use crate::rt::timeout;
use crate::time::Time;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Others get their turn after so many datagrams, or so many bytes of them.
const TURN: usize = 256;
const TURN_BYTES: usize = 256 << 10;
/// How soon after datagrams the kernel is asked for its drops; while none come it is not asked.
const ASK: Duration = Duration::from_secs(1);
/// Turns that what is queued at the end may take.
const LAST_TURNS: usize = 1024;

/// A receiving instance.
pub struct Receiver {
    socket: Datagrams,
    records: Records,
    /// The last sender and its text.
    peer: (Option<SocketAddr>, String),
    drops: u64,
}

impl Receiver {
    /// `origin` is the address of senders that have none.
    pub fn new(socket: Datagrams, records: Records, origin: String) -> Self {
        let drops = socket.drops().unwrap_or(0);
        Self { socket, records, peer: (None, origin), drops }
    }

    /// Receives until the shutdown, then what is queued.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub async fn run(mut self, cx: &InputCx) -> std::result::Result<(), Error> {
        let mut asked = Instant::now();
        let mut is_due = false;
        while !cx.is_stopping() {
            let Self { socket, records, peer, .. } = &mut self;
            let turn = async { Some(socket.turn(|queue| receive(cx, records, peer, queue)).await) };
            let turn = crate::rt::or(turn, async {
                cx.stopping().await;
                None
            });
            // Drops are asked for a last time when it has become quiet.
            let limit = if is_due { ASK } else { Duration::from_secs(3600) };
            match timeout(limit, turn).await {
                Some(None) => break,
                Some(Some(received)) => {
                    received.map_err(Error::io("receive"))?;
                    is_due = true;
                    cx.count("not parsed", self.records.take_unparsed());
                    cx.commit(cx.tag(), None).await;
                }
                None => is_due = false,
            }
            if asked.elapsed() >= ASK {
                asked = Instant::now();
                self.count_drops(cx);
            }
        }
        let hold = cx.hold();
        for _ in 0..LAST_TURNS {
            let Some(queue) = self.socket.now() else { break };
            if receive(cx, &mut self.records, &mut self.peer, queue).is_err() {
                break;
            }
            cx.commit_now(cx.tag(), None);
            crate::rt::yield_now().await;
        }
        cx.count("not parsed", self.records.take_unparsed());
        self.count_drops(cx);
        drop(hold);
        Ok(())
    }

    fn count_drops(&mut self, cx: &InputCx) {
        let Some(drops) = self.socket.drops() else { return };
        // The kernel's counter has 32 bits.
        let new = drops.checked_sub(self.drops).unwrap_or(drops);
        self.drops = drops;
        if new > 0 {
            cx.lost(new, "the kernel had no room for datagrams (a larger Receive_Buffer_Size holds more of a burst)");
        }
    }
}

/// One turn: what is queued, straight into the open batch.
fn receive(
    cx: &InputCx,
    records: &mut Records,
    peer: &mut (Option<SocketAddr>, String),
    queue: Incoming<'_>,
) -> Result<()> {
    let mut batch = cx.batch(cx.tag());
    let now = cx.now();
    let begin = batch.arena().len();
    let mut address = Span::default();
    for n in 0..TURN {
        let is_full = batch.arena().len() - begin > TURN_BYTES;
        if is_full {
            break;
        }
        match one(&mut batch, records, peer, queue, &mut address, now) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && n > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn one(
    batch: &mut Batch,
    records: &mut Records,
    peer: &mut (Option<SocketAddr>, String),
    queue: Incoming<'_>,
    address: &mut Span,
    now: Time,
) -> Result<()> {
    let at = batch.arena().len();
    let room = batch.arena_mut().spare(MAX_DATAGRAM);
    let len = if records.want_address() {
        let (len, from) = queue.next_from(room)?;
        if let Some(from) = from
            && peer.0 != Some(from)
        {
            *peer = (Some(from), format!("udp://{from}"));
            *address = Span::default();
        }
        len
    } else {
        queue.next(room)?
    };
    let end = trailing(room.get(..len).unwrap_or_default());
    let text = len.saturating_sub(end);
    batch.arena_mut().advance(text);
    if text > 0 {
        if records.want_address() && address.len == 0 {
            *address = batch.arena_mut().push(peer.1.as_bytes());
        }
        records.push(batch, Span::between(at, at + text), Piece::Message, *address, now);
    }
    Ok(())
}
