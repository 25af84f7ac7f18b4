//! Messages that come over connections.

use super::frames::{Format, Frames};
use super::record::Records;
use crate::error::Error;
use crate::event::Span;
use crate::input::InputCx;
use crate::input::datagrams::Take;
use crate::input::serve::{Limits, Peer, drain, serve};
use crate::net::{Listener, Stream};
use crate::rt::or;
use std::cell::{Cell, RefCell};
use std::io::{Read, Result};
use std::rc::Rc;

/// Connections at one time where `net.max_connections` does not say.
pub const CONNECTIONS: usize = 16_384;
/// Bytes of unfinished messages that all connections together may hold; beyond it they are cut at [`SHORT`].
const HELD: usize = 64 << 20;
const SHORT: usize = 2048;
/// From this length on, in bytes, an unfinished message grows where it is instead of moving into the arena with each read.
const LONG: usize = 64 << 10;

/// What all connections of an instance use.
pub struct Shared {
    /// Makes the records; borrowed between two awaits.
    pub records: RefCell<Records>,
    /// How messages stand in the stream.
    pub format: Format,
    /// Bytes to read at a time.
    pub read: usize,
    /// The longest message.
    pub max: usize,
    held: Cell<usize>,
}

impl Shared {
    /// Nothing is open yet.
    pub fn new(records: Records, format: Format, read: usize, max: usize) -> Self {
        Self { records: RefCell::new(records), format, read, max, held: Cell::new(0) }
    }
}

/// Accepts and serves connections until the shutdown.
///
/// # Errors
/// When the listening socket itself fails.
pub async fn run(cx: &InputCx, listener: Listener, limits: Limits, shared: Shared) -> std::result::Result<(), Error> {
    let (own, shared) = (cx.clone(), Rc::new(shared));
    let each = move |mut stream, peer| {
        let (cx, shared) = (own.clone(), shared.clone());
        async move {
            let mut connection = Connection { frames: Frames::new(shared.format), peer, cx: &cx, shared: &shared };
            let ended = async {
                connection.serve(&mut stream).await;
                true
            };
            let stopped = async {
                cx.stopping().await;
                false
            };
            if !or(ended, stopped).await {
                drain(&cx, async |_| stream.read_with(|from| connection.turn(from)).await.unwrap_or(0)).await;
            }
            // The end of the stream, or ours: what is left is a message.
            connection.finish();
        }
    };
    serve(cx, listener, limits, each).await.map(drop)
}

struct Connection<'a> {
    frames: Frames,
    peer: Peer,
    cx: &'a InputCx,
    shared: &'a Shared,
}

impl Connection<'_> {
    async fn serve(&mut self, stream: &mut Stream) {
        let label = self.cx.label();
        loop {
            match stream.read_with(|from| self.turn(from)).await {
                Ok(0) => return,
                Ok(_) => self.cx.commit(self.cx.tag(), None).await,
                Err(e) => {
                    log::debug!("[{label}] connection of {}: {e}; what it had sent is kept", self.peer);
                    return;
                }
            }
        }
    }

    /// Reads once, straight into the open batch.
    fn turn(&mut self, from: &mut dyn Read) -> Result<usize> {
        let (before, held) = (self.frames.carry().len(), self.frames.held());
        let read = self.shared.read;
        let max = if self.shared.held.get() > HELD { self.shared.max.min(SHORT) } else { self.shared.max };
        if before >= LONG {
            let got = from.read(self.frames.room(read));
            let may_end = self.frames.filled(read, *got.as_ref().unwrap_or(&0), max);
            let done = match got {
                Ok(n) if n > 0 && may_end => self.take(max, None, false).map(|_| n),
                other => other,
            };
            self.account(held);
            return done;
        }
        let n = self.take(max, Some(from), false)?;
        self.account(held);
        Ok(n)
    }

    /// Keeps account of what the connection held before, and what it holds now.
    fn account(&self, before: usize) {
        let held = self.shared.held.get() + self.frames.held();
        self.shared.held.set(held.saturating_sub(before));
    }

    /// Makes records of what is complete; reads from `from` first, where there is one. How much was read.
    fn take(&mut self, max: usize, from: Option<&mut dyn Read>, end: bool) -> Result<usize> {
        let Self { frames, peer, cx, shared } = self;
        let mut records = shared.records.borrow_mut();
        let mut batch = cx.batch(cx.tag());
        let now = cx.now();
        let start = batch.arena().len();
        let address =
            if records.want_address() { batch.arena_mut().push(peer.as_str().as_bytes()) } else { Span::default() };
        let begin = batch.arena().len();
        batch.arena_mut().push(frames.carry());
        let mut n = 0;
        if let Some(from) = from {
            match from.read(batch.arena_mut().spare(shared.read)) {
                Ok(got @ 1..) => n = got,
                other => {
                    batch.arena_mut().truncate(start);
                    return other;
                }
            }
            batch.arena_mut().advance(n);
        }
        let first = batch.len();
        let cut = frames.take(&mut batch, begin, max, end, |batch, text, piece| {
            records.push(batch, text, piece, address, now);
        });
        if batch.len() == first {
            batch.arena_mut().truncate(start);
        }
        cx.count("not parsed", records.take_unparsed());
        if cut > 0 {
            cx.lost(0, "a message longer than Buffer_Max_Size was cut into pieces");
        }
        Ok(n)
    }

    fn finish(&mut self) {
        let held = self.frames.held();
        if !self.frames.carry().is_empty() {
            // Nothing is read, so nothing can fail.
            let _ = self.take(self.shared.max, None, true);
            self.cx.commit_now(self.cx.tag(), None);
        }
        self.account(held);
    }
}
