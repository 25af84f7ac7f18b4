//! Datagrams, read straight into the open batch: for syslog, udp and unix_socket.

use super::InputCx;
use crate::conf::Size;
use crate::error::Error;
use crate::event::{Batch, Span};
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
/// The counter of the datagrams for which the kernel had no room.
const DROPS: &str = "dropped by the kernel";

/// What makes records of datagrams.
pub trait Take {
    /// Whether records name their sender.
    fn want_address(&self) -> bool;

    /// How many bytes of a datagram matter; with none of them it is passed over.
    fn trim(&self, datagram: &[u8]) -> usize {
        datagram.len()
    }

    /// Makes the records of the datagram that stands at `text` in the arena; `address` is its sender's text there.
    fn take(&mut self, batch: &mut Batch, text: Span, address: Span, now: Time);

    /// Called behind each turn: what is counted.
    fn report(&mut self, cx: &InputCx);
}

/// Asks for the kernel's buffer of `Receive_Buffer_Size`; says when it is not granted.
pub fn set_buffer(cx: &InputCx, socket: &Datagrams, size: Option<Size>) {
    let Some(Size(asked)) = size else { return };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX).min(1 << 30);
    let label = cx.label();
    match socket.set_buffer(asked) {
        Ok(got) if got < asked => {
            log::warn!("[{label}] Receive_Buffer_Size is {got} instead of {asked} bytes: raise net.core.rmem_max");
        }
        Ok(_) => {}
        Err(e) => log::warn!("[{label}] Receive_Buffer_Size: {e}"),
    }
}

/// A receiving instance.
pub struct Receiver<T> {
    socket: Datagrams,
    records: T,
    /// The last sender and its text.
    peer: (Option<SocketAddr>, String),
    drops: u64,
}

impl<T: Take> Receiver<T> {
    /// `origin` is the address of senders that have none.
    pub fn new(socket: Datagrams, records: T, origin: String) -> Self {
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
        if self.socket.drops().is_some() {
            cx.count(DROPS, 0);
        }
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
                    self.records.report(cx);
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
        self.records.report(cx);
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
            cx.count(DROPS, new);
            cx.lost(new, "the kernel had no room for datagrams (a larger Receive_Buffer_Size holds more of a burst)");
        }
    }
}

/// One turn: what is queued, straight into the open batch.
fn receive<T: Take>(
    cx: &InputCx,
    records: &mut T,
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

fn one<T: Take>(
    batch: &mut Batch,
    records: &mut T,
    peer: &mut (Option<SocketAddr>, String),
    queue: Incoming<'_>,
    address: &mut Span,
    now: Time,
) -> Result<()> {
    let (at, first) = (batch.arena().len(), batch.len());
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
    let text = records.trim(room.get(..len).unwrap_or_default());
    if text == 0 {
        return Ok(());
    }
    batch.arena_mut().advance(text);
    let is_new = records.want_address() && address.len == 0;
    if is_new {
        *address = batch.arena_mut().push(peer.1.as_bytes());
    }
    records.take(batch, Span::between(at, at + text), *address, now);
    if batch.len() == first {
        batch.arena_mut().truncate(at);
        if is_new {
            *address = Span::default();
        }
    }
    Ok(())
}
