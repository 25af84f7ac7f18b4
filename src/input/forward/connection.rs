//! One connection: when it is read, what it is told, when it ends.

mod work;

use super::buffer::{Buffer, LONG, Pool};
use super::door::{Door, Nonces};
use super::owed::Owed;
use crate::conf::common::NetIn;
use crate::event::Tag;
use crate::fmt::forward::{Decoder, Frame, MAX_HANDSHAKE};
use crate::input::InputCx;
use crate::input::serve::{AckWhen, Peer};
use crate::net::Stream;
use crate::rt::{self, or, timeout, yield_now};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use work::{Current, Step};

/// Messages of one connection whose acknowledgements are open; then it is not read on.
const MAX_OWED: usize = 4096;
/// How long a client may take for its part of the handshake, and for the rest of a long message while memory is short.
const HURRY: Duration = Duration::from_secs(10);
/// How long a connection waits for memory.
const QUEUE: Duration = Duration::from_secs(60);
/// How long the last acknowledgements may take.
const LAST: Duration = Duration::from_secs(1);

/// What all connections of an instance use.
pub struct Shared {
    max: usize,
    pool: Pool,
    door: Option<Door>,
    prefix: String,
    fixed_tag: bool,
    ack: AckWhen,
    patience: Duration,
    decoder: RefCell<Decoder>,
    spare: RefCell<Vec<u8>>,
}

impl Shared {
    /// Messages of at most `max` bytes, read `block` at a time.
    pub fn new(
        max: usize,
        block: usize,
        door: Option<Door>,
        prefix: String,
        fixed_tag: bool,
        ack: AckWhen,
        net: &NetIn,
    ) -> Self {
        Self {
            max,
            pool: Pool::new(block),
            door,
            prefix,
            fixed_tag,
            ack,
            patience: if net.accept_timeout.is_zero() { HURRY } else { net.accept_timeout },
            decoder: RefCell::default(),
            spare: RefCell::default(),
        }
    }
}

/// Why a connection is waited for no longer.
enum Event {
    Read(usize),
    Owed,
    Stop,
}

/// A connection and what it has read.
pub struct Connection<'a> {
    cx: &'a InputCx,
    shared: &'a Shared,
    peer: Peer,
    buffer: Buffer,
    frame: Frame,
    current: Option<Current>,
    unpacked: Vec<u8>,
    /// The tag as it came last, and what it means here.
    tag: Option<(Vec<u8>, Tag)>,
    /// The tag of records that are not committed.
    dirty: Option<Tag>,
    owed: Rc<Owed>,
    /// It reads on although memory is short.
    has_turn: bool,
    /// Why nothing can be sent any more.
    broken: Option<String>,
}

impl<'a> Connection<'a> {
    /// Nothing is read yet.
    pub fn new(cx: &'a InputCx, shared: &'a Shared, peer: Peer) -> Self {
        let (buffer, frame, current, unpacked, tag, dirty, owed, has_turn, broken) = Default::default();
        Self { cx, shared, peer, buffer, frame, current, unpacked, tag, dirty, owed, has_turn, broken }
    }

    /// Serves it to its end.
    pub async fn run(mut self, mut stream: Stream) {
        if let Some(door) = &self.shared.door {
            let (cx, patience) = (self.cx, self.shared.patience);
            let done = or(async { Some(timeout(patience, self.let_in(door, &mut stream)).await) }, async {
                cx.stopping().await;
                None
            });
            let why = match done.await {
                None => return,
                Some(Some(Ok(()))) => None,
                Some(Some(Err(why))) => Some(why),
                Some(None) => Some("it did not complete the handshake in time (net.accept_timeout)".to_owned()),
            };
            if let Some(why) = why {
                self.cx.count("refused peers", 1);
                return self.complain(0, &format!("refused: {why}"));
            }
        }
        if let Err(why) = self.serve(&mut stream).await {
            self.cx.count("broken connections", 1);
            self.complain(0, &format!("connection closed: {why}"));
        }
        self.pay(&mut stream).await;
    }

    /// Says something about the peer, at a bounded rate.
    fn complain(&self, records: usize, what: &str) {
        let who = self.peer.ip().map_or_else(|| self.peer.as_str().to_owned(), |ip| ip.to_string());
        self.cx.lost(records as u64, &format!("{who}: {what}"));
    }

    async fn let_in(&mut self, door: &Door, stream: &mut Stream) -> Result<(), String> {
        let words = |e: io::Error| crate::net::connect::words(&e);
        let mut nonces = Nonces::default();
        for nonce in &mut nonces {
            rt::random(nonce).map_err(words)?;
        }
        let mut out = Vec::new();
        door.greet(&nonces, &mut out);
        stream.write_all(&out).await.map_err(words)?;
        let len = loop {
            let Self { buffer, frame, shared, .. } = self;
            match frame.next(buffer.unread(), MAX_HANDSHAKE) {
                Ok(Some(n)) => break n,
                Ok(None) => {}
                Err(_) => return Err("it does not speak the forward protocol".into()),
            }
            let n = stream.read_with(|from| buffer.fill(&shared.pool, from)).await.map_err(words)?;
            if n == 0 {
                return Err("it left during the handshake; is its Shared_Key set, and the same?".into());
            }
        };
        out.clear();
        let verdict = door.judge(self.buffer.unread().get(..len).unwrap_or_default(), &nonces, &mut out);
        self.buffer.used(len);
        self.buffer.settle(&self.shared.pool);
        stream.write_all(&out).await.map_err(words)?;
        verdict.map_err(str::to_owned)
    }

    async fn serve(&mut self, stream: &mut Stream) -> Result<(), String> {
        loop {
            // What was read is committed before the shutdown goes on.
            let hold = self.cx.hold();
            while let Step::More = self.work()? {
                yield_now().await;
                self.wait_for_room(stream).await;
            }
            drop(hold);
            self.buffer.settle(&self.shared.pool);
            self.wait_for_room(stream).await;
            if let Some(why) = self.broken.take() {
                return Err(why);
            }
            if !self.wait_for_memory().await {
                return Err("unfinished messages of all peers hold too much memory".into());
            }
            match self.next(stream).await {
                Ok(Event::Read(0)) => return self.end(),
                Ok(Event::Stop) => return Ok(()),
                Ok(Event::Read(_)) => yield_now().await,
                Ok(Event::Owed) => self.send_due(stream).await,
                // The peer may be silent while it waits for us.
                Err(e) if e.kind() == ErrorKind::TimedOut && self.owed.waiting() > 0 => {}
                Err(e) => {
                    log::debug!("[{}] connection of {}: {e}", self.cx.label(), self.peer);
                    return self.end();
                }
            }
        }
    }

    /// The peer has left.
    fn end(&mut self) -> Result<(), String> {
        if self.buffer.unread().is_empty() {
            return Ok(());
        }
        self.cx.count("unfinished messages", 1);
        Err("it left within a message; one that asked for an acknowledgement is sent again".into())
    }

    /// Reads, or learns that an acknowledgement is due, or that it is time to stop.
    async fn next(&mut self, stream: &mut Stream) -> io::Result<Event> {
        if self.cx.is_stopping() {
            return Ok(Event::Stop);
        }
        let Self { buffer, shared, owed, has_turn, cx, .. } = self;
        let changed = owed.changed.wait();
        let reads = owed.waiting() < MAX_OWED;
        let read = async {
            if !reads {
                return std::future::pending().await;
            }
            let read = stream.read_with(|from| buffer.fill(&shared.pool, from));
            if *has_turn {
                let late = || io::Error::other("the rest of a long message did not come in time while memory is short");
                return timeout(HURRY, read).await.unwrap_or_else(|| Err(late())).map(Event::Read);
            }
            read.await.map(Event::Read)
        };
        let woken = or(
            async {
                changed.await;
                Ok(Event::Owed)
            },
            async {
                cx.stopping().await;
                Ok(Event::Stop)
            },
        );
        or(read, woken).await
    }

    /// Sends what is due. When that fails the connection is over, but for what was read.
    async fn send_due(&mut self, stream: &mut Stream) {
        while let Some((bytes, n)) = self.owed.take() {
            match stream.write_all(&bytes).await {
                Ok(()) => self.cx.count("acknowledged", n),
                Err(e) => self.broken = Some(format!("{n} acknowledgements: {}", crate::net::connect::words(&e))),
            }
        }
    }

    /// Waits while the input is over its memory limit. What becomes due meanwhile is sent.
    async fn wait_for_room(&mut self, stream: &mut Stream) {
        loop {
            self.send_due(stream).await;
            if self.cx.has_room() || self.cx.is_stopping() {
                return;
            }
            or(self.cx.wait_for_room(), self.owed.changed.wait()).await;
        }
    }

    /// A long message may not grow while those of all peers hold too much; one at a time may.
    async fn wait_for_memory(&mut self) -> bool {
        let pool = &self.shared.pool;
        if self.buffer.unread().len() < LONG {
            if std::mem::take(&mut self.has_turn) {
                pool.end_turn();
            }
            return true;
        }
        let wait = async {
            while !self.has_turn && pool.is_full() && !self.cx.is_stopping() {
                if pool.take_turn() {
                    self.has_turn = true;
                } else {
                    or(pool.freed.wait(), self.cx.stopping()).await;
                }
            }
        };
        timeout(QUEUE, wait).await.is_some()
    }

    /// Sends what is still due: a peer may have ended its own direction and wait, and at the shutdown the last records become
    /// safe.
    async fn pay(&mut self, stream: &mut Stream) {
        let cx = self.cx;
        let all = async {
            let mut is_over = false;
            loop {
                self.send_due(stream).await;
                if is_over || self.owed.waiting() == 0 || self.broken.is_some() {
                    return;
                }
                is_over = or(
                    async {
                        self.owed.changed.wait().await;
                        false
                    },
                    async {
                        cx.drained().await;
                        true
                    },
                )
                .await;
            }
        };
        let late = async {
            rt::sleep(HURRY).await;
            // Within the grace period there is time.
            if cx.is_stopping() {
                cx.drained().await;
                rt::sleep(LAST).await;
            }
        };
        or(all, late).await;
        // Nobody may be there any more.
        let _ = timeout(LAST, stream.finish()).await;
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // Records that are complete belong to nobody else.
        self.commit();
        self.buffer.clear(&self.shared.pool);
        if self.has_turn {
            self.shared.pool.end_turn();
        }
    }
}
